"""What stands around the figures: answers in short, cards, lineage, settings, costs, films."""

from __future__ import annotations

import dataclasses
import io
import json

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.makers import episode, file
from tests.reporting.test_page import BASELINES, TASK, metrics, run, scores  # noqa: F401 (fixtures)
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import gif
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.reporting.cards import as_markdown, dataset_card, model_card
from viper_pipeline.reporting.films import Film, episode_film, film_of_gif
from viper_pipeline.reporting.metrics import build_metrics
from viper_pipeline.reporting.page import Origins, depths, draw_lineage, measurements, render_page, stage_graph
from viper_pipeline.reporting.paper_figures.tables import differing_settings
from viper_pipeline.reporting.plots import compact, figure_files
from viper_pipeline.reporting.summary import answers, by_stage
from viper_pipeline.training.artifacts import ModelArtifact

STEPS = {
    "data/episodes/a.h5": {"stage": "dmc.record_episodes.a", "params": {"seed": 0}, "parents": {}},
    "data/experts/a.h5": {
        "stage": "dmc.curate_experts.a",
        "params": {"suites.dmc.datasets.a": {"kind": "oracle", "path": "x"}, "suites.dmc.curation": {"top_k": 5}},
        "parents": {"data/episodes/a.h5": "1"},
    },
    "data/experts/b.h5": {
        "stage": "dmc.curate_experts.b",
        "params": {"suites.dmc.datasets.b": {"kind": "video", "path": "mine"}},
        "parents": {"mine": "2"},
    },
    "data/tokenizers/dmc": {
        "stage": "dmc.train_tokenizer.all",
        "params": {},
        "parents": {"data/experts/a.h5": "3", "data/experts/b.h5": "4"},
    },
}


def said(question, found):
    return next(a.answer for a in found if question in a.question)


def test_the_short_answers_follow_the_numbers():
    def of(level, seeds=5):
        runs = [run("viper", level, s) for s in range(seeds)] + [run("oracle", 950, s) for s in range(seeds)]
        return answers(build_metrics(runs, [BASELINES], {}, {}), {"dmc": 12})

    good, bad, few = of(900), of(300), of(900, seeds=4)
    assert "On 1 of 1 tested task VIPER's return is above that of random and of idle" in said("work", good)
    assert "On 0 of 1" in said("work", bad) and "does worse than one of the two on cartpole" in said("work", bad)
    assert "Not tested, for fewer than 5 seeds" in said("work", few) and "above" not in said("work", few)
    assert "1 of the paper's 15 tasks" in said("On what", good)
    assert "trained on 1 of them (cartpole_balance), for 5,000 steps" in said("On what", good)
    assert "n = 5 seeds" in said("sure", good) and "tests take 5 seeds" in said("sure", good)
    assert "12 settings" in said("differs", good) and "DreamerV3" in said("differs", good)
    assert "Nothing was measured" in said("cost", good)
    assert "Not tried" in said("work", answers(build_metrics([], [BASELINES], {}, {})))


def test_two_agents_on_a_task_are_told_apart():
    other = [dataclasses.replace(run("viper", 900, 0), agent="dreamer")]
    found = answers(build_metrics([run("viper", 400, s) for s in range(3)] + other, [BASELINES], {}, {}))
    task = BASELINES.task
    assert f"{task} (drq), {task} (dreamer)" in said("work", found)
    sure = said("sure", found)
    assert "By drq, n = 3 seeds" in sure and "By dreamer, n = 1 seed " in sure


def test_costs_of_a_stage_are_added_and_old_records_have_no_machine():
    costs = {
        "dmc.train_agent_viper.a-0": {"seconds": 10.0, "peak_rss_mb": 5, "machine": "2 cores"},
        "dmc.train_agent_viper.a-1": {"seconds": 30.0, "peak_rss_mb": 7},
        "dmc.train_tokenizer.all": {"seconds": 1.0, "peak_rss_mb": 1},
    }
    agents, tokenizer = by_stage(costs)
    assert (agents.runs, agents.seconds, agents.longest, agents.peak_rss_mb) == (2, 40, 30, 7)
    assert agents.machines == ("2 cores", "not recorded") and tokenizer.runs == 1


def decoded(film):
    with av.open(io.BytesIO(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return np.stack(frames), float(container.streams.video[0].average_rate)


def test_a_film_keeps_every_frame_in_full_color():
    shades = np.random.default_rng(0).integers(40, 200, (5, 8, 8, 3), dtype=np.uint8)
    frames = shades.repeat(4, 1).repeat(4, 2)
    film = episode_film(frames, stride=2)
    shown, rate = decoded(film)
    assert shown.shape == (5, 64, 64, 3) and rate == pytest.approx(1000 / 60) and film == episode_film(frames, 2)
    error = np.abs(shown.astype(int) - frames.repeat(2, 1).repeat(2, 2)).mean()
    assert error < 8
    shown, rate = decoded(film_of_gif(gif(frames, milliseconds=40, zoom=2)))
    assert shown.shape == (5, 64, 64, 3) and rate == pytest.approx(25)


def test_a_page_keeps_line_drawings_exactly_and_frames_nearly_in_fewer_bytes():
    light = np.random.default_rng(0).normal(90, 12, (120, 160, 1))
    frame = (light * [1, 1.1, 1.3] + np.random.default_rng(1).normal(0, 1, (120, 160, 3))).astype(np.uint8)
    lines = np.full((120, 160, 3), 255, np.uint8)
    lines[::9] = [0, 158, 115]
    for picture, far in ((Image.fromarray(frame), 6), (Image.fromarray(lines).quantize(256), 0)):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        kept = compact(buffer.getvalue())
        again = np.asarray(Image.open(io.BytesIO(kept)).convert("RGB"))
        assert len(kept) < 0.6 * len(buffer.getvalue()) and kept == compact(buffer.getvalue())
        assert np.abs(again.astype(int) - np.asarray(picture.convert("RGB"))).mean() <= far


def test_equal_settings_do_not_differ_and_tasks_that_were_not_run_do_not_count():
    ours = {"tasks": ["a"], "runs": {"steps": 5, "envs": 1.0}, "experts": {"a": {"steps": 3}}}
    paper = {"tasks": ["a", "b"], "runs": {"steps": 7, "envs": 1}, "experts": {"a": {"steps": 3}, "b": {"steps": 9}}}
    found = {d.field: (d.ours, d.paper) for d in differing_settings(ours, paper)}
    assert found == {"tasks": ("a", "a, b"), "runs.steps": ("5", "7")}
    assert differing_settings(paper, paper) == []
    assert differing_settings({"x": 1}, {"y": 1}) == [("x", "1", "not set"), ("y", "not set", "1")]


def test_every_stage_has_a_box_right_of_what_it_reads():
    counts, edges = stage_graph(STEPS)
    assert counts == {"dmc.record_episodes": 1, "dmc.curate_experts": 2, "mine": 1, "dmc.train_tokenizer": 1}
    depth = depths(counts, edges)
    assert all(depth[a] < depth[b] for a, b in edges) and depth["mine"] == 0
    drawn = draw_lineage(STEPS)
    assert drawn.count("<rect") == len(counts) and drawn.count("<path") == len(edges) and "curate_experts x 2" in drawn
    assert draw_lineage({}) == ""


def test_a_dataset_s_card_tells_its_numbers_its_parents_and_its_license(tmp_path):
    groups = {"train": [episode(20, 1, ret=4.0)], "held_out": [episode(10, 2, ret=6.0)]}
    videos = EpisodeFile(file(tmp_path / "a.h5", groups))
    ours, theirs = (dataset_card(f"data/experts/{task}.h5", videos, STEPS) for task in "ab")
    text = as_markdown(ours)
    for words in ("20 frames", "true return 6.0", "data/episodes/a.h5", "dmc.curate_experts.a", "top_k", "Apache"):
        assert words in text
    assert "is to be filled in" in as_markdown(theirs) and "is to be filled in" not in text
    assert ours.picture.shape == (8, 64, 3)


def test_a_model_s_card_inherits_the_license_of_its_videos():
    model = ModelArtifact({"metrics": {"a": {"psnr": 30.0}}, "curve": list(range(40))}, {"w": torch.zeros(3, 4)})
    card = model_card("data/tokenizers/dmc", model, STEPS)
    assert "is to be filled in" in card.license
    assert ("weights", "12 numbers") in card.facts and ("metrics.a.psnr", "30") in card.facts
    assert any("of 40" in text for _, text in card.facts)


@pytest.fixture(scope="module")
def page(metrics, scores, tmp_path_factory):  # noqa: F811
    from viper_pipeline.reporting.plots import draw_learning_curves, draw_reward_figure

    runs = [run("viper", 900, s) for s in range(3)]
    entry = {
        "name": "fig12",
        "title": "DMC",
        "state": "partial",
        "caption": "c.",
        "plots": "p",
        "remark": "",
        "files": [],
    }
    table = entry | {"name": "table1", "files": ["table1.csv"], "missing": []}
    figures = {
        **figure_files(
            "curves-dmc-cartpole_balance", draw_learning_curves("cartpole_balance", runs, BASELINES), ["svg"]
        ),
        **figure_files("fig12", draw_reward_figure("cartpole_balance", *scores), ["svg"]),
        "table1.csv": ("setting,field,a long column of the paper\n" + "Base channels,channels,128\n" * 9).encode(),
        "paper.json": json.dumps([entry | {"missing": ["x: y"]}, table]).encode(),
    }
    card = model_card("data/tokenizers/dmc", ModelArtifact({"metrics": {"a": 1.0}}), STEPS)
    block = {"tasks": ["cartpole_balance"], "runs": {"steps": 5}}
    origins = Origins([card], STEPS, {"dmc": block}, {"dmc": block | {"runs": {"steps": 7}}})
    films = [Film("cartpole_balance", "viper", "cartpole_balance-viper-drq-0.mp4", 812.4, 1000, 1500, "drq")]
    return render_page("dmc", "laptop", metrics, figures, films, {}, {}, {}, origins)


def test_the_page_tells_settings_figures_cards_and_lineage(page):
    for words in (
        "runs.steps",
        "What it lacks",
        "Base channels",
        "data/tokenizers/dmc",
        "<svg",
        'src="films/cartpole_balance-viper-drq-0.mp4"',
        "drq, seed 0: 812; the first 1000 of 1500 frames",
        "leaving out one episode",
    ):
        assert words in page
    assert len(page) < 25e6


def test_a_page_shows_what_benchmarks_found_about_its_suites_and_a_bad_file_is_named():
    rows = [{"stride": 1, "AUROC": 0.4}, {"stride": 4, "AUROC": 0.9}]
    good = json.dumps({"suite": "dmc", "title": "Strides compared", "text": "By hand.", "rows": rows}).encode()
    files = {"README.md": b"words", "stride.json": good}
    found = measurements(files, {"dmc"})
    assert found and not measurements(files, {"atari"})
    empty = {"baselines": {}, "agents": {}, "rewards": {}, "costs": {}}
    page = render_page("dmc", "tiny", empty, {}, [], {}, {}, {}, measured=found)
    assert "Strides compared" in page and "<td>4</td><td>0.9</td>" in page
    with pytest.raises(BadData, match=r"reports/measured/stride.json: rows: .*correct or delete"):
        measurements(
            {"stride.json": json.dumps({"suite": "dmc", "title": "", "text": "", "rows": []}).encode()}, {"dmc"}
        )
