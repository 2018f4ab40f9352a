"""The paper's figures and tables, one entry each; Fig 1 is a drawing of the method and has no data."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Callable, Collection, Sequence

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.reporting.paper_figures import ablations, curves, frames, tables
from viper_pipeline.reporting.paper_figures.base import Drawn, Entry, Feeds, Part
from viper_pipeline.reporting.plots import as_png, as_svg
from viper_pipeline.reporting.results import Evidence

ALL = ("dmc", "atari", "rlbench")
TO_EXPERTS = ("train_expert", "record_episodes", "record_baselines", "curate_experts")
TO_MODELS = (*TO_EXPERTS, "train_tokenizer", "encode_experts", "train_video_model")
TO_REWARD = (*TO_MODELS, "evaluate_reward")
TO_RUNS = (*TO_REWARD, "train_agent")
EXPERTS = Feeds("the expert set of each task (curate_experts)", TO_EXPERTS)
MODELS = Feeds("the video models (train_video_model)", TO_MODELS)
REWARD = Feeds("the reward's evaluation (evaluate_reward)", TO_REWARD)
RUNS = Feeds("agent runs of each task, method and seed (train_agent_*)", TO_RUNS)
MASKS = Feeds(f"{EXPERTS.words}; {RUNS.words}", TO_RUNS)
ARMS = Feeds("a video model of two arms", TO_MODELS)
UNSEEN = Feeds("a video model of two arms, and agents on the held-out pair", TO_RUNS)
PARTS = Feeds(f"{RUNS.words}; runs with one part changed (pipeline `ablations`)", TO_RUNS)
PARAMS = Feeds("the artifacts' own settings and profiles/paper.yaml")


def of_suite(
    number: int,
    title: str,
    plots: str,
    feeds: Feeds,
    suite: str,
    parts: Callable[..., list[Part]],
    draw: Callable[..., Drawn],
    *values: object,
    remark: str = "",
) -> Entry:
    """A figure of one suite, whose functions take the suite and `values` after the evidence."""

    def bound(function: Callable) -> Callable:
        return lambda evidence: function(evidence, suite, *values)

    return Entry(f"fig{number:02d}", title, plots, feeds, (suite,), bound(parts), bound(draw), remark)


def table(number: int) -> Entry:
    """One of the tables of settings."""
    name = f"table{number}"
    setting = tables.TABLES[name]
    return Entry(
        name,
        f"Settings of {setting.name}",
        "hyperparameters a suite",
        PARAMS,
        setting.columns,
        functools.partial(tables.parts, name=name),
        functools.partial(tables.draw, name=name),
    )


FIGURES: tuple[Entry, ...] = (
    Entry("fig02", "Environments", "two environments a suite", EXPERTS, ALL,
          frames.overview_parts, frames.draw_overview),
    Entry("fig03", "Suites as a whole", "mean over tasks against frames: DMC with DrQ and DreamerV3, Atari, RLBench",
          RUNS, ALL, curves.overall_parts, curves.draw_overall,
          "The paper's bands here are one standard deviation across tasks, of the tasks' means; they say nothing of "
          "seeds. Its two versions differ (DMC, DreamerV3, VIPER: 712 and 822); drawn is the second, off a picture."),
    Entry("fig04", "Rollouts of video models", "a video model continues one frame, T = 0 to 64, in three environments",
          MODELS, ALL, frames.rollout_parts, frames.draw_rollouts),
    Entry("fig05", "The reward along videos", "reward against time and against true return, 40 videos of quadruped",
          REWARD, ("dmc",), frames.parts, frames.draw,
          "The paper draws no band here, and 38 of its 40 random videos can be read."),
    Entry("fig06", "Hiding the scoreboard", "Pong with and without mask, and the oracle", MASKS,
          ("atari",), curves.mask_parts, curves.draw_masks,
          "The paper's bands have no width here: probably one run a curve."),
    Entry("fig07", "Predictions for an unseen arm and task", "seven frames ahead, two trained pairs and one held out",
          ARMS, ("rlbench",), frames.prediction_parts, frames.draw_predictions),
    Entry("fig08", "A reward for an unseen arm and task", "an agent on the held-out pair; likelihood along its videos",
          UNSEEN, ("rlbench",),
          frames.reward_parts, frames.draw_reward,
          "The paper draws no band and states no number of seeds."),
    Entry("fig09", "Ablations", "bonus weight 1, 0.5, 0; VideoGPT, BYOL, MaskGIT; context 16, 8, 2",
          PARTS, ("dmc",), ablations.parts, ablations.draw,
          "The paper's VideoGPT and context-16 curves are the same runs; its beta = 1 is another set (812, not 731)."),
    of_suite(10, "RLBench, task by task", "success against frames, 6 tasks", RUNS, "rlbench",
             curves.suite_parts, curves.draw_suite,
             remark="Four of the paper's bands are exactly sqrt(p (1 - p)): the spread of episodes, not of seeds."),
    of_suite(11, "Atari, game by game", "human-normalised score against frames, 7 games", RUNS, "atari",
             curves.suite_parts, curves.draw_suite,
             remark="The paper's oracle curves have bands without width: probably one run each."),
    of_suite(12, "DeepMind Control, task by task", "return against frames, 15 tasks", RUNS, "dmc",
             curves.suite_parts, curves.draw_suite,
             remark="Bands are one standard deviation over 3 seeds. Curves of runs that the paper stopped early end in "
             "a constant tail (AMP, and VIPER on reacher_easy and walker_walk)."),
    of_suite(13, "Training environments, RLBench", "20 tiles", EXPERTS, "rlbench",
             frames.suite_parts, frames.draw_suite, 20),
    of_suite(14, "Training environments, DMC", "12 tiles", EXPERTS, "dmc",
             frames.suite_parts, frames.draw_suite, 12,
             remark="The paper shows a fish, which is none of its tasks."),
    of_suite(15, "Training environments, Atari", "7 tiles", EXPERTS, "atari",
             frames.suite_parts, frames.draw_suite, 7),
    of_suite(16, "What surprises the model, Atari", "per-code likelihood over frames, expert and random", REWARD,
             "atari", frames.map_parts, frames.draw_maps, "pong"),
    of_suite(17, "What surprises the model, DMC", "per-code likelihood over frames of cartpole_balance", REWARD, "dmc",
             frames.map_parts, frames.draw_maps, "cartpole_balance"),
    of_suite(18, "What surprises the model, RLBench", "per-code likelihood over frames, expert and random", REWARD,
             "rlbench", frames.map_parts, frames.draw_maps, "take_lid_off_saucepan"),
    *(table(number) for number in (1, 2, 3, 4)),
)  # fmt: skip


STAND_INS = {"tabletop": "rlbench"}


def entries(suite: str | None = None) -> list[Entry]:
    """All of them, or those that show something of a suite. Raises BadParams for a suite of no figure."""
    if suite is None:
        return list(FIGURES)
    chosen = of_suites([suite])
    if not chosen:
        raise BadParams(f"--suite {suite}: the paper has no figure of it{did_you_mean(suite, [*ALL, *STAND_INS])}")
    return chosen


def of_suites(suites: Collection[str]) -> list[Entry]:
    """The entries that show something of any of these."""
    wanted = {STAND_INS.get(suite, suite) for suite in suites}
    return [entry for entry in FIGURES if wanted & set(entry.suites)]


INDEX = "paper.json"


def paper_files(evidence: Evidence, entries: Sequence[Entry]) -> dict[str, bytes]:
    """Every entry that has anything to show, and INDEX: name, state, caption, files and what is missing of each."""
    files: dict[str, bytes] = {}
    index = []
    for entry in entries:
        state, caption, names = entry.state(evidence), "", []
        if state != "missing":
            drawn = entry.draw(evidence)
            mine = as_files(entry.name, drawn)
            files |= mine
            caption, names = drawn.caption, sorted(mine)
        index.append(
            {
                "name": entry.name,
                "title": entry.title,
                "plots": entry.plots,
                "feeds": entry.feeds.words,
                "remark": entry.remark,
                "state": state,
                "missing": entry.missing(evidence),
                "caption": caption,
                "files": names,
            }
        )
    return files | {INDEX: (json.dumps(index, indent=1) + "\n").encode()}


def as_files(name: str, drawn: Drawn) -> dict[str, bytes]:
    """The figure is used up."""
    if drawn.rows:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(drawn.rows)
        return {f"{name}.csv": buffer.getvalue().encode()}
    svg = {f"{name}.svg": as_svg(drawn.figure)} if drawn.vector else {}
    return svg | {f"{name}.png": as_png(drawn.figure) if drawn.vector else as_png(drawn.figure, 75, 32)}
