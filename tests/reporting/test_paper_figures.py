"""The registry: every figure is listed, draws what is there, and says what is not."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest

from tests.data.makers import SPEC, episode
from viper_pipeline.core.errors import BadParams
from viper_pipeline.data.episode import strip
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.reporting.cards import words
from viper_pipeline.reporting.paper_data import PAPER_TASKS
from viper_pipeline.reporting.paper_figures import ablations as ablation
from viper_pipeline.reporting.paper_figures import curves
from viper_pipeline.reporting.paper_figures import curves as overall
from viper_pipeline.reporting.paper_figures.base import FigurePart
from viper_pipeline.reporting.paper_figures.index import INDEX, all_entries, entries, entries_of_suites, paper_files
from viper_pipeline.reporting.paper_figures.tables import SETTINGS_TABLES, same
from viper_pipeline.reporting.results import (
    AblationRun,
    Baselines,
    Evidence,
    ModelKey,
    Row,
    RunKey,
    RunResult,
    TaskKey,
)
from viper_pipeline.rewards.evaluation import pack
from viper_pipeline.training.artifacts import ModelArtifact

TASK = "cartpole_balance"
BY_NAME = {entry.name: entry for entry in all_entries()}


def run(method="viper", seed=0, task=TASK, agent="drq", suite="dmc", level=500.0):
    steps = np.array([100, 200, 400])
    return RunResult(suite, task, method, agent, seed, steps, level * steps / 400, (level, level + 1), 400, 4)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """One task of one suite, one seed of two methods."""
    folder = tmp_path_factory.mktemp("evidence")
    expert = {"train": [episode(30, 1)], "held_out": [episode(30, 2), episode(30, 3)]}
    baselines = {"episodes": [episode(30, 4, "random"), episode(30, 5, "idle")]}
    for name, groups in (("experts", expert), ("baselines", baselines)):
        write_groups(folder / f"{name}.h5", groups, suite="dmc", task=TASK, spec=SPEC, clip=4)
    rng = np.random.default_rng(0)
    scores = {
        k: [rng.normal(m, 1, 30) for _ in range(2)] for k, m in (("held_out", -5), ("random", -50), ("idle", -20))
    }
    returns = {k: np.arange(2.0) for k in scores}
    picture = strip([rng.integers(0, 255, (4, 8, 8, 3), dtype=np.uint8) for _ in range(4)])
    suite = {"tasks": [TASK], "reward": {"model": "videogpt"}, "videogpt": {"window": 4}, "frames": {"size": 8}}
    task, model = TaskKey("dmc", TASK), ModelKey("dmc", "videogpt")
    return Evidence(
        runs=[run("viper"), run("oracle", level=700.0)],
        baselines=[Baselines("dmc", TASK, 100.0, 200.0, 900.0)],
        experts={task: EpisodeFile(folder / "experts.h5")},
        baseline_episodes={task: EpisodeFile(folder / "baselines.h5")},
        tokenizers={"dmc": ModelArtifact({"size": 8, "model": {"channels": 16, "quantizer": {"size": 256}}})},
        video_models={model: ModelArtifact({"model": {"window": 4}}, {}, {f"rollouts_{TASK}.png": picture})},
        rewards={
            model: ModelArtifact({"scales": {TASK: {}}}, pack(TASK, scores, returns), {f"maps_{TASK}.png": picture})
        },
        agents={RunKey("dmc", TASK, "viper", "drq", 0): ModelArtifact({"agent": {"hidden": [128, 128]}})},
        settings={"dmc": suite},
        paper={"dmc": {"tokenizer": {"channels": 128}, "videogpt": {"window": 16}, "drq": {"hidden": [256, 256]}}},
    )


@pytest.fixture(scope="module")
def files(evidence):
    return paper_files(evidence, entries())


def test_every_figure_and_table_of_the_paper_is_listed_once_in_order():
    wanted = [f"fig{n:02d}" for n in range(2, 19)] + [f"table{n}" for n in range(1, 5)]
    assert [entry.name for entry in all_entries()] == wanted
    assert all(entry.title and entry.plots and entry.feeds and entry.suites for entry in all_entries())


def test_nothing_made_is_nothing_shown_with_a_reason_for_each():
    for entry in all_entries():
        if not entry.name.startswith("table"):
            assert entry.state(Evidence()) == "missing", entry.name
            assert entry.missing(Evidence()), entry.name


def test_what_there_is_is_drawn_and_opens(evidence, files):
    index = {entry["name"]: entry for entry in json.loads(files[INDEX])}
    for name in ("fig02", "fig03", "fig04", "fig05", "fig09", "fig12", "fig14", "table1", "table2", "table3"):
        assert index[name]["state"] == "partial" and index[name]["files"] and index[name]["missing"], name
    for name in ("fig17", "table4"):
        assert index[name]["state"] == "complete" and index[name]["files"] and not index[name]["missing"], name
    for name in ("fig06", "fig07", "fig08", "fig10", "fig11", "fig13", "fig15", "fig16", "fig18"):
        assert index[name]["state"] == "missing" and not index[name]["files"] and index[name]["missing"], name
    named = {file for entry in index.values() for file in entry["files"]}
    assert named == set(files) - {INDEX}
    for name, content in files.items():
        if name.endswith(".pdf"):
            assert content.startswith(b"%PDF")
        if name.endswith(".svg"):
            assert content.lstrip().startswith(b"<?xml") and b"</svg>" in content


def test_captions_say_how_many_and_how_much(files):
    for entry in json.loads(files[INDEX]):
        if entry["name"] in ("fig03", "fig09", "fig12"):
            assert "n = 1 seed" in entry["caption"] and "400 agent steps (1,600 frames)" in entry["caption"]
        if entry["name"] in ("fig02", "fig04", "fig05", "fig14", "fig17"):
            assert re.search(r"n = \d|n = cartpole", entry["caption"])


def test_equal_evidence_gives_equal_bytes(evidence, files):
    again = paper_files(evidence, [BY_NAME["fig03"], BY_NAME["fig17"]])
    assert len(again) == 5 and all(content == files[name] for name, content in again.items() if name != INDEX)


def test_a_stale_source_makes_a_figure_stale_and_no_other(evidence):
    stale = {Row("rewards", ModelKey("dmc", "videogpt"))}
    states = {entry.name: entry.state(evidence, stale) for entry in all_entries()}
    assert {name for name, state in states.items() if state == "stale"} == {"fig05", "fig17"}
    assert BY_NAME["fig08"].state(evidence, {Row("tokenizers", "other")}) == "missing"


def test_a_figure_is_complete_with_the_papers_agent_and_seeds_only():
    methods = curves.methods_of_suite("rlbench")
    runs = [run(m, s, t, "dreamer", "rlbench", 0.5) for t in PAPER_TASKS["rlbench"] for m in methods for s in range(3)]
    assert BY_NAME["fig10"].state(Evidence(runs=runs)) == "complete"
    assert BY_NAME["fig10"].state(Evidence(runs=runs[1:])) == "partial"
    other = [run(m, s, t, "drq", "rlbench", 0.5) for t in PAPER_TASKS["rlbench"] for m in methods for s in range(3)]
    assert BY_NAME["fig10"].state(Evidence(runs=other)) == "partial"
    assert "in the place of the paper's agent" in " ".join(BY_NAME["fig10"].missing(Evidence(runs=other)))


def test_a_part_is_complete_with_enough_seeds_and_nothing_to_note():
    assert (
        FigurePart("a", 3, 3).complete
        and not FigurePart("a", 2, 3).complete
        and not FigurePart("a", 3, 3, "of another agent").complete
    )


def test_means_over_tasks_are_taken_where_all_runs_are():
    runs = [run(task="a", level=400.0), run(task="b", level=800.0, seed=1)]
    frames, means, band = overall.curve_over_tasks(runs)
    assert frames[0] == pytest.approx(400) and frames[-1] == pytest.approx(1600) and band is None
    assert means[-1] == pytest.approx(600)
    _, _, band = overall.curve_over_tasks([run(task="a", seed=s, level=400.0 + s) for s in range(3)])
    assert (band[0] <= band[1]).all()


def test_ablations_stand_beside_the_suites_own_runs():
    own = [run(seed=s) for s in range(3)]
    curve = TASK, "drq", np.array([100, 400]), np.zeros(2)
    changed = [*(AblationRun("beta", "0.0", *curve) for _ in range(3)), AblationRun("context", "1", *curve)]
    others = [run(task="other"), run(agent="dreamer")]  # not what the ablations are compared with
    evidence = Evidence(runs=[*own, *others], ablations=changed)
    assert ablation.own_runs(evidence)[0] == own
    assert ablation.own_runs(dataclasses.replace(evidence, ablations=()))[0] == [*own, others[0]]
    have = {part.name: part for part in ablation.ablation_parts(evidence)}
    assert have["beta 1.0"].complete and have["beta 0.0"].complete and have["beta 0.5"].have == 0
    assert have["context 8"].have == 1 and have["context 8"].note == "1 in its place"
    assert ablation.draw_ablation_figure(evidence).figure is not None
    _frames, returns = ablation.mean_over_tasks([*own, run(task="other", seed=0, level=100.0)])
    assert len(returns) == 1 and returns[0, -1] == pytest.approx(300)


def test_our_values_have_the_papers_ink_or_one_of_their_own():
    green, blue, orange, pink = ablation.INKS[:4]
    assert ablation.inks_of("model", ["maskgit", "videogpt_streaming", "byol"]) == {
        "maskgit": orange,
        "videogpt_streaming": pink,
        "byol": blue,
    }
    assert ablation.inks_of("beta", ["0.0", "0.5"]) == {"0.0": orange, "0.5": blue}
    assert ablation.inks_of("context", ["1", "2"]) == {"1": orange, "2": blue}  # in the places of 2 and 8
    assert green not in ablation.inks_of("model", ["a", "b", "c", "d"]).values()


def test_a_mean_over_fewer_tasks_than_the_others_says_so():
    runs = [run(task=task, method=method) for task in (TASK, "other") for method in ("viper", "oracle")]
    runs += [run(task=TASK, method="amp_multi")]
    said = [text.get_text() for panel in overall.draw_overall(Evidence(runs=runs)).figure.axes for text in panel.texts]
    assert said == ["1 of 2 tasks"]
    assert overall.draw_profiles("dmc", runs) is None  # a profile of two runs would be a list of them
    many = [run(task=r.task, method=r.method, seed=seed) for r in runs for seed in range(3)]
    drawn = overall.draw_profiles("dmc", many)
    assert len(drawn.axes[0].lines) == 2  # amp_multi has three runs
    said = [text.get_text() for text in drawn.axes[1].texts]
    assert [text.endswith(", 1 of 2 tasks") for text in said] == [False, False, True]


def test_tables_set_ours_beside_the_papers(files):
    rows = list(csv.reader(io.StringIO(files["table1.csv"].decode())))
    header, by_name = rows[0], {row[0]: row for row in rows}
    assert {"dmc: paper", "dmc: paper profile", "dmc: this run", "atari: paper"} <= set(header)
    assert "atari: this run" not in header and all(len(row) == len(header) for row in rows)
    channels = dict(zip(header, by_name["Base channels"], strict=True))
    assert channels["dmc: paper"] == channels["dmc: paper profile"] == "128" and channels["dmc: this run"] == "16"


def test_the_papers_profile_holds_the_papers_tables(root):
    """Where it sets a value, that is the table's; what differs in kind is named in docs/paper_and_code.md."""
    from viper_pipeline.reporting.paper_figures.tables import BY_DEFAULT, setting_text

    paper = read_profile(root / "profiles" / "paper.yaml")["suites"]
    differs = {"grid", "discriminator.r1_gamma", "perceptual.weight", "tasks", "shift"}
    checked = 0
    for name in ("table1", "table2", "table3", "table4"):
        table = SETTINGS_TABLES[name]
        for number, suite in enumerate(table.columns):
            for _, field, values in table.settings() if suite in paper and table.block in paper[suite] else ():
                ours = setting_text(paper[suite], paper[suite][table.block], field)
                if field not in differs and ours != BY_DEFAULT:
                    many = re.search(r"multi-task (\d+)", values[number])  # the profile's RLBench is multi-task
                    assert same(ours, many[1] if many else values[number]), (name, suite, field)
                    checked += 1
    assert checked > 50


@pytest.fixture
def root(request):
    return request.config.rootpath


def test_values_are_printed_alike_whatever_their_type():
    assert words([1, 2.0, 0.5]) == "1, 2, 0.5" and words(None) == "" and words(1e-4) == "0.0001"
    assert same("0", "0.0") and not same("0", "off") and same("a", "a")


def test_a_suite_without_figures_is_refused_with_a_hint():
    with pytest.raises(BadParams, match="did you mean 'dmc'"):
        entries("dcm")
    assert entries_of_suites(["no suite"]) == [] and entries_of_suites(["tabletop"]) == entries_of_suites(["rlbench"])


def test_a_pdf_that_is_too_large_is_left_out_and_the_index_says_so(evidence):
    entries = [BY_NAME["fig03"], BY_NAME["fig17"]]
    files = paper_files(evidence, entries)
    sizes = sorted(len(content) for name, content in files.items() if name.endswith(".pdf"))
    assert len(sizes) == 2 and sizes[0] < sizes[1]
    fewer = paper_files(evidence, entries, largest=sizes[0])
    (gone,) = set(files) - set(fewer)
    assert gone.endswith(".pdf") and len(files[gone]) == sizes[1]
    named = {name for entry in json.loads(fewer["paper.json"]) for name in entry["files"]}
    assert named == set(fewer) - {"paper.json"}
