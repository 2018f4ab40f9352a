"""Run records: those of Fig 6's other mask, and those of Fig 9 with a part changed."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.data.makers import SPEC, episode
from tests.reporting.test_paper_figures import BY_NAME, run
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.envs.base import Rect
from viper_pipeline.reporting.results import Evidence
from viper_pipeline.reporting.run_records import RunRecord, match_records, read_run_records

FIG6 = BY_NAME["fig06"]
DATASET = {"kind": "oracle", "path": "boxing.h5", "mask": True}
BLOCK = {"tasks": ["boxing"], "datasets": {"boxing": DATASET}, "runs": {"steps": 400}}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """Boxing, masked, and one run of VIPER."""
    folder = tmp_path_factory.mktemp("masks")
    groups = {"experts": {"held_out": [episode(9, 1)]}, "baseline_episodes": {"episodes": [episode(9, 2, "random")]}}
    masked = SPEC.model_copy(update={"mask": (Rect(top=0, bottom=2, left=0, right=8),)})
    for name, group in groups.items():
        write_groups(folder / f"{name}.h5", group, suite="atari", task="boxing", spec=masked, clip=4)
    files = {name: {("atari", "boxing"): EpisodeFile(folder / f"{name}.h5")} for name in groups}
    return Evidence(runs=[run(task="boxing", suite="atari", agent="dreamer")], **files)


def curves(evidence):
    """Name -> number of runs."""
    return {part.name: part.have for part in FIG6.parts(evidence)}


def test_one_mask_is_one_curve_and_another_game_stands_in_for_pong(evidence):
    assert curves(evidence) == {"pong mask=on": 1, "pong mask=off": 0, "pong oracle": 0, "picture of the mask": 1}
    on, off, oracle = FIG6.missing(evidence)
    assert on == "pong mask=on: 1 of 3 seeds; boxing in the place of pong" and oracle == "pong oracle: not made"
    assert off.startswith("pong mask=off: ") and "export runs of the other" in off


def test_records_of_the_other_mask_are_the_other_curve(evidence):
    others = [run(task="boxing", suite="atari", agent="dreamer", seed=seed) for seed in range(2)]
    both = dataclasses.replace(evidence, other_mask=others)
    assert curves(both) == {"pong mask=on": 1, "pong mask=off": 2, "pong oracle": 0, "picture of the mask": 1}
    drawn = FIG6.draw(both)
    assert "n = 2 seeds per method" in drawn.caption
    labels = [text.get_text() for text in drawn.figure.axes[1].get_legend().texts]
    assert [label for label in labels if label.startswith("ours")] == [
        "ours, boxing: mask=on (n = 1)", "ours, boxing: mask=off (n = 2)",
    ]  # fmt: skip
    unmasked = dataclasses.replace(both, experts={}, baseline_episodes={})
    assert curves(unmasked)["pong mask=on"] == 2 and curves(unmasked)["pong mask=off"] == 1


def record(seed, axis="", value="", steps=400, **changed):
    place = {"suite": "atari", "task": "boxing", "method": "viper", "agent": "dreamer", "seed": seed}
    place |= {"axis": axis, "value": value}
    params = {"suites.atari.datasets.boxing": DATASET, "suites.atari.runs": {"steps": steps}} | changed
    shape = {"budget": 400, "action_repeat": 4, "steps": [1], "returns": [1.0], "final_returns": [2.0], "episodes": 1}
    return RunRecord(**place, **shape, params=params, commit="abc", machine="m").model_dump_json().encode()


def test_a_record_belongs_to_the_other_mask_if_nothing_else_differs():
    off = {"suites.atari.datasets.boxing": DATASET | {"mask": False}}
    elsewhere = {"suites.atari.datasets.boxing": DATASET | {"mask": False, "path": "mine.h5"}}
    files = {
        "same.json": record(0),
        "off.json": record(1, **off),
        "own.json": record(2, **off),  # the graph has a run of this seed, with the mask
        "longer.json": record(3, steps=800, **off),
        "others.json": record(4, **elsewhere),
        "fewer.json": record(5, **{"suites.atari.tasks": ["boxing", "pong"]}),
    }
    own = [run(task="boxing", suite="atari", agent="dreamer", seed=2)]
    found = match_records(own, files, {"atari": json.loads(json.dumps(BLOCK))})
    assert [r.seed for r in found.shown] == [0] and [r.seed for r in found.other_mask] == [1, 2]
    assert found.left_out == {
        "another value of datasets.boxing, runs": 1,
        "another value of datasets.boxing": 1,
        "another value of tasks": 1,
    }


def test_a_record_of_an_ablation_is_a_curve_of_fig_9_only():
    files = {
        "own.json": record(0),
        "less.json": record(0, axis="beta", value="0.5"),
        "old.json": record(0, steps=800, axis="beta"),
    }
    found = match_records([], files, {"atari": json.loads(json.dumps(BLOCK))})
    assert [r.seed for r in found.shown] == [0]
    assert [(a.axis, a.value, a.task, a.agent) for a in found.ablations] == [("beta", "0.5", "boxing", "dreamer")]
    assert found.left_out == {"another value of runs": 1}


def test_the_committed_records_can_be_read_and_are_named_after_their_runs():
    for path in (Path(__file__).parents[2] / "reports" / "runs").glob("*.json"):
        (run,) = read_run_records({path.name: path.read_bytes()})
        assert path.name.startswith(run.file.removesuffix(".json"))


def test_a_record_of_other_parameters_is_not_written_over(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from viper_pipeline.core.errors import BadData
    from viper_pipeline.pipelines.report import commands

    made = {seed: RunRecord.model_validate_json(record(seed)) for seed in (0, 1)}
    for name, value in {
        "read_params": lambda path: {},
        "stale_outputs": lambda root: {},
        "current_commit": lambda root: "c0de",
        "grid_runs": lambda root, params: [SimpleNamespace(path=f"{seed}") for seed in made],
        "record_of": lambda run, root, code: made[int(run.path)],
    }.items():
        monkeypatch.setattr(commands, name, value)
    for seed in made:
        (tmp_path / str(seed)).mkdir()
    written = commands.export_runs_command(tmp_path)
    before = [path.read_bytes() for path in written]
    assert commands.export_runs_command(tmp_path) == written  # the same runs again: nothing is lost
    made[1] = made[1].model_copy(update={"params": {"seed": 7}})
    made[0] = made[0].model_copy(update={"seconds": 1.5})
    with pytest.raises(BadData, match=rf"{written[1].name}: a record of a run with other parameters.*--force"):
        commands.export_runs_command(tmp_path)
    assert [path.read_bytes() for path in written] == before
    commands.export_runs_command(tmp_path, force=True)
    assert json.loads(written[1].read_text())["params"] == {"seed": 7}
