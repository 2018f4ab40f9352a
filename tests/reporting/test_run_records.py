"""Run records: those of Fig 6's other mask, and those of Fig 9 with a part changed."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.makers import SPEC, episode
from tests.reporting.test_paper_figures import BY_NAME, run
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.envs.base import Rect
from viper_pipeline.pipelines.report import commands
from viper_pipeline.pipelines.report.commands import FinishedRun
from viper_pipeline.reporting.metrics import made_by
from viper_pipeline.reporting.results import (
    Build,
    Evidence,
    RunKey,
    RunTable,
    TaskKey,
    baselines,
    in_columns,
    run_digest,
    run_result,
)
from viper_pipeline.reporting.run_records import RunRecord, match_records, read_run_records
from viper_pipeline.training.artifacts import ModelArtifact, save_artifact

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
    assert [what for what, _ in found.other_settings] == ["tasks", "datasets.boxing, runs", "datasets.boxing"]
    told = found.as_metrics()["other_settings"]
    assert [(row["differs"], row["seeds"], row["final_return"]) for row in told] == [
        ("tasks", 1, 2.0), ("datasets.boxing, runs", 1, 2.0), ("datasets.boxing", 1, 2.0),
    ]  # fmt: skip


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
        assert path.name.startswith(run.file.rpartition("-")[0])


PLACE = "data/agents/atari/boxing/viper-dreamer/0"


def lineage(place=PLACE, stage="atari.train_agent_viper.boxing-dreamer-0", code="c1", model_code="m1", **read):
    """Of a run that was trained on a video model."""
    model = "data/video_models/atari/videogpt"
    made = {
        "stage": "atari.train_video_model.videogpt",
        "params": {"seed": 0},
        "code": model_code,
        "parents": {"x": "1"},
    }
    own = {
        "stage": stage,
        "params": {"suites.atari.runs": {"steps": 400}} | read,
        "code": code,
        "parents": {model: "2"},
    }
    return {place: own, model: made}


def test_a_digest_is_of_all_code_and_parameters_that_a_run_comes_from_but_not_of_its_seed_or_machine():
    first = run_digest(PLACE, lineage())
    seed = PLACE.replace("/0", "/1")
    assert first == run_digest(seed, lineage(seed, "atari.train_agent_viper.boxing-dreamer-1"))
    assert first == run_digest(PLACE, lineage(**{"runtime.compute": {"threads": 9}}))
    others = [lineage(code="c2"), lineage(model_code="m2"), lineage(**{"suites.atari.runs": {"steps": 401}})]
    others.append(lineage(stage="atari.train_agent_amp.boxing-dreamer-0"))
    digests = {run_digest(PLACE, steps) for steps in others}
    assert len(digests) == len(others) and first not in digests
    assert run_digest(PLACE, {PLACE: {"stage": "x", "params": {}}}) == run_digest(PLACE, {}) == ""


def build_of(digest, machine="m"):
    return {"digest": digest, "machine": machine}


def rewritten(content, **changed):
    return json.dumps(json.loads(content) | changed).encode()


def test_records_of_other_code_or_machines_are_columns_of_their_own_and_join_no_cell():
    own = [
        dataclasses.replace(run(task="boxing", suite="atari", agent="dreamer", seed=s), build=Build("d1", "m"))
        for s in (0, 1)
    ]
    files = {
        "copy.json": rewritten(record(0), **build_of("d1")),
        "joins.json": rewritten(record(2), **build_of("d1")),
        "code.json": rewritten(record(0), **build_of("d2"), commit="old"),
        "machine.json": rewritten(record(3), **build_of("d1", "other")),
        "undated.json": rewritten(record(4), commit="older"),
        "undated2.json": rewritten(record(5), commit="oldest"),
    }
    found = match_records(own, files, {"atari": BLOCK})
    assert found.left_out == {"the same run is there already": 1}
    runs = in_columns([*own, *found.shown])
    columns = {}
    for r in runs:
        columns.setdefault(r.column, []).append(r.seed)
    assert columns == {
        "viper": [0, 1, 2],
        "viper [commit old, m]": [0],
        "viper [commit abc, other]": [3],
        "viper [commit older, m]": [4],
        "viper [commit oldest, m]": [5],
    }
    assert [r.seed for r in Evidence(runs=runs).runs_of("atari", "boxing", "viper")] == [0, 1, 2]


def test_without_runs_of_its_own_a_graph_shows_the_build_with_most_seeds_first():
    files = {f"{s}.json": rewritten(record(s), **build_of("d1" if s else "d2"), commit=f"c{s > 0:d}") for s in range(3)}
    runs = in_columns(match_records([], files, {"atari": BLOCK}).shown)
    assert [r.column for r in runs] == ["viper [commit c0, m]", "viper", "viper"]


def test_a_run_whose_machine_was_not_noted_is_known_by_its_digest():
    own = [dataclasses.replace(run(task="boxing", suite="atari", agent="dreamer", seed=0), build=Build("d1"))]
    found = match_records(own, {"copy.json": rewritten(record(0), **build_of("d1"))}, {"atari": BLOCK})
    assert not found.shown and found.left_out


@pytest.mark.parametrize("field, value", [("digest", "d2"), ("machine", "other"), ("digest", "")])
def test_records_of_two_builds_have_two_names(field, value):
    build = build_of("d1")
    other = RunRecord.model_validate_json(rewritten(record(0), **(build | {field: value})))
    one = RunRecord.model_validate_json(rewritten(record(0), **build))
    assert other.file != one.file == RunRecord.model_validate_json(rewritten(record(0), **build, commit="later")).file
    assert {other.file.rpartition("-")[0], one.file.rpartition("-")[0]} == {"atari-boxing-viper-dreamer-0"}


def test_exporting_twice_changes_nothing_and_other_code_overwrites_nothing(tmp_path, monkeypatch):
    """Two finished runs; then one of them is made again by other code: neither record is written."""
    keys = [RunKey("atari", "boxing", "viper", "dreamer", seed) for seed in (0, 1)]
    runs = [FinishedRun(key, PLACE.replace("/0", f"/{key.seed}")) for key in keys]

    def store(run, code):
        config = {"final_returns": [2.0, 4.0], "run": {"steps": 400}, "action_repeat": 4}
        files = {"curve.csv": b"step,eval_return\n400,3.0\n"}
        steps = lineage(run.path, f"atari.train_agent_viper.boxing-dreamer-{run.key.seed}", code)
        save_artifact(tmp_path / run.path, ModelArtifact(config, {}, files), {"steps": steps})

    for run_ in runs:
        store(run_, "c1")
    monkeypatch.setattr(commands, "sound_params", lambda root: {})
    monkeypatch.setattr(commands, "stale_outputs", lambda root: set())
    monkeypatch.setattr(commands, "grid_runs", lambda root, params: iter(runs))
    paths = commands.export_runs_command(tmp_path)
    first = [path.read_bytes() for path in paths]
    assert commands.export_runs_command(tmp_path) == paths and [path.read_bytes() for path in paths] == first
    store(runs[1], "c2")
    again = commands.export_runs_command(tmp_path)
    assert again[0] == paths[0] and again[1] != paths[1]
    assert [path.read_bytes() for path in paths] == first
    records = read_run_records({path.name: path.read_bytes() for path in paths[0].parent.iterdir()})
    assert sorted((r.seed, r.digest == json.loads(first[0])["digest"]) for r in records) == [
        (0, True), (1, False), (1, True),
    ]  # fmt: skip


def test_in_suites_of_tasks_that_succeed_the_result_is_success(tmp_path):
    key = RunKey("tabletop", "panda_lift", "viper", "drq", 0)
    curve = b"step,eval_return,eval_success\n400,30.0,0.5\n"
    config = {"final_returns": [60.0, 0.0, 5.0], "run": {"steps": 400}, "action_repeat": 1}
    told = run_result(key, ModelArtifact(config | {"final_successes": [1.0, 0.0, 1.0]}, {}, {"curve.csv": curve}))
    assert told.final_returns == (1.0, 0.0, 1.0) and told.returns.tolist() == [0.5]
    assert run_result(key, ModelArtifact(config, {}, {"curve.csv": curve})).final_returns == (1.0, 0.0, 1.0)
    other = run_result(key._replace(suite="dmc"), ModelArtifact(config, {}, {"curve.csv": curve}))
    assert other.final_returns == (60.0, 0.0, 5.0) and other.returns.tolist() == [30.0]


def test_baselines_of_tasks_that_succeed_count_episodes_that_did(tmp_path):
    def rewarded(first, kind="expert"):
        """Nine frames; the task is done from frame `first` on."""
        made = episode(9, 1, kind)
        return dataclasses.replace(made, rewards=(np.arange(9) >= first).astype(np.float32))

    groups = {
        "experts": {"train": [rewarded(3)], "held_out": [rewarded(5)], "test": [rewarded(9)]},
        "baselines": {"episodes": [rewarded(8, "random"), rewarded(9, "random"), rewarded(9, "idle")]},
    }
    for name, group in groups.items():
        write_groups(tmp_path / f"{name}.h5", group, suite="tabletop", task="panda_lift", spec=SPEC, clip=4)
    files = [EpisodeFile(tmp_path / f"{name}.h5") for name in groups]
    found = baselines(TaskKey("tabletop", "panda_lift"), *files)
    assert (found.expert, found.random, found.idle) == (pytest.approx(2 / 3), 0.5, 0.0)
    assert found.episodes == {"random": (1.0, 0.0), "idle": (0.0,)}
    assert baselines(TaskKey("dmc", "x"), *files).random == 0.5 * 1


def test_a_run_out_of_the_cache_counts_to_its_siblings_machine_and_is_marked():
    config = {"final_returns": [2.0], "run": {"steps": 400}, "action_repeat": 4}
    artifact = ModelArtifact(config, {}, {"curve.csv": b"step,eval_return\n400,3.0\n"})
    keys = [RunKey("atari", "boxing", "viper", "dreamer", seed) for seed in range(3)]
    steps = {}
    for key in keys:
        steps |= lineage(PLACE.replace("/0", f"/{key.seed}"), f"atari.train_agent_viper.boxing-dreamer-{key.seed}")
    table = RunTable(agents=dict.fromkeys(keys, artifact))

    def costs(*machines):
        return {f"atari.train_agent_viper.boxing-dreamer-{i}": {"machine": m} for i, m in enumerate(machines)}

    runs = table.run_results(steps, costs("m", "m"))
    assert len({r.build for r in runs}) == 1 and made_by(runs) == ["this graph", "this graph, machine not recorded"]
    apart = in_columns(table.run_results(steps, costs("m", "other")))
    assert len({r.column for r in apart}) == 3
    assert {r.build.machine for r in table.run_results(steps, {})} == {""}


def test_what_reports_show_of_a_figure_counts_without_its_data(tmp_path):
    for suite, states in {"one": ("partial", "missing"), "two": ("partial", "complete"), "three": ("missing",)}.items():
        place = tmp_path / "reports" / suite / "figures" / "paper.json"
        place.parent.mkdir(parents=True)
        shown = [{"name": f"fig{i}", "state": state, "missing": [suite]} for i, state in enumerate(states)]
        place.write_text(json.dumps(shown))
    found = commands.committed_figures(tmp_path)
    assert found["fig0"] == ("partial", ("one", "two"), ["one"])
    assert found["fig1"] == ("complete", ("two",), ["two"])
    assert commands.committed_figures(tmp_path, "three")["fig0"].state == "missing"
