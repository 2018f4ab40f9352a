"""The paper's figures and tables, one entry each; Fig 1 is a drawing of the method and has no data."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Callable, Collection, Sequence

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.reporting.paper_figures import ablations, curves, frames, reward, tables
from viper_pipeline.reporting.paper_figures.base import Drawn, Entry, Feeds, FigurePart
from viper_pipeline.reporting.plots import VECTOR, figure_files
from viper_pipeline.reporting.results import Evidence

ALL_SUITES = ("dmc", "atari", "rlbench")
TO_EXPERTS = ("train_expert", "record_episodes", "record_baselines", "curate_experts")
TO_MODELS = (*TO_EXPERTS, "train_tokenizer", "encode_experts", "train_video_model")
TO_REWARD = (*TO_MODELS, "evaluate_reward")
TO_RUNS = (*TO_REWARD, "train_agent")
FROM_EXPERTS = Feeds("the expert set of each task (curate_experts)", TO_EXPERTS)
FROM_MODELS = Feeds("the video models (train_video_model)", TO_MODELS)
FROM_REWARD = Feeds("the reward's evaluation (evaluate_reward)", TO_REWARD)
FROM_RUNS = Feeds("agent runs of each task, method and seed (train_agent_*)", TO_RUNS)
MASKS = Feeds(f"{FROM_EXPERTS.words}; {FROM_RUNS.words}", TO_RUNS)
FROM_TWO_ARMS = Feeds("a video model of two arms", TO_MODELS)
UNSEEN = Feeds("a video model of two arms, and agents on the held-out pair", TO_RUNS)
FROM_ABLATIONS = Feeds(f"{FROM_RUNS.words}; runs with one part changed (pipeline `ablations`)", TO_RUNS)
PARAMS = Feeds("the artifacts' own settings and profiles/paper.yaml")


def suite_entry(
    number: int,
    title: str,
    plots: str,
    feeds: Feeds,
    suite: str,
    parts: Callable[..., list[FigurePart]],
    draw: Callable[..., Drawn],
    *values: object,
    remark: str = "",
) -> Entry:
    """A figure of one suite; its functions take the evidence, the suite and `values`."""

    def bound(function: Callable) -> Callable:
        return lambda evidence: function(evidence, suite, *values)

    return Entry(f"fig{number:02d}", title, plots, feeds, (suite,), bound(parts), bound(draw), remark)


def table_entry(number: int) -> Entry:
    """One of the tables of settings."""
    name = f"table{number}"
    setting = tables.SETTINGS_TABLES[name]
    return Entry(
        name,
        f"Settings of {setting.name}",
        "hyperparameters of each suite",
        PARAMS,
        setting.columns,
        functools.partial(tables.table_parts, name=name),
        functools.partial(tables.draw_table, name=name),
    )


@functools.cache
def all_entries() -> tuple[Entry, ...]:
    """All of them, in the paper's order. Built when asked for: what imports this module depends on no figure."""
    return (
        Entry("fig02", "Environments", "two environments per suite", FROM_EXPERTS, ALL_SUITES,
              frames.overview_parts, frames.draw_overview),
        Entry("fig03", "Suites as a whole",
              "mean over tasks against frames: DMC with DrQ and DreamerV3, Atari, RLBench",
              FROM_RUNS, ALL_SUITES, curves.overall_parts, curves.draw_overall,
              "The paper's bands here are one standard deviation across tasks, of the tasks' means; they say nothing "
              "of seeds. Its two versions differ (DMC, DreamerV3, VIPER: 712 and 822); drawn is the second, off a "
              "picture."),
        Entry("fig04", "Rollouts of video models",
              "a video model continues one frame, T = 0 to 64, in three environments",
              FROM_MODELS, ALL_SUITES, frames.rollout_parts, frames.draw_rollouts),
        Entry("fig05", "The reward along videos", "reward against time and against true return, 40 videos of quadruped",
              FROM_REWARD, ("dmc",), reward.reward_video_parts, reward.draw_reward_along_videos,
              "The paper draws no band here, and 38 of its 40 random videos can be read."),
        Entry("fig06", "Hiding the scoreboard", "Pong with and without mask, and the oracle", MASKS,
              ("atari",), curves.mask_parts, curves.draw_mask_figure,
              "The paper's bands have no width here: probably one run per curve."),
        Entry("fig07", "Predictions for an unseen arm and task",
              "seven frames ahead, two trained pairs and one held out",
              FROM_TWO_ARMS, ("rlbench",), frames.prediction_parts, frames.draw_predictions),
        Entry("fig08", "A reward for an unseen arm and task",
              "an agent on the held-out pair; likelihood along its videos",
              UNSEEN, ("rlbench",),
              reward.held_out_reward_parts, reward.draw_held_out_reward,
              "The paper draws no band and states no number of seeds."),
        Entry("fig09", "Ablations", "bonus weight 1, 0.5, 0; VideoGPT, BYOL, MaskGIT; context 16, 8, 2",
              FROM_ABLATIONS, ("dmc",), ablations.ablation_parts, ablations.draw_ablation_figure,
              "The paper's VideoGPT and context-16 curves are the same runs; its beta = 1 is another set (812, not "
              "731)."),
        suite_entry(10, "RLBench, task by task", "success against frames, 6 tasks", FROM_RUNS, "rlbench",
                    curves.suite_curve_parts, curves.draw_suite_curves,
                    remark="Four of the paper's bands are exactly sqrt(p (1 - p)): the spread of episodes, not of "
                    "seeds."),
        suite_entry(11, "Atari, game by game", "human-normalized score against frames, 7 games", FROM_RUNS, "atari",
                    curves.suite_curve_parts, curves.draw_suite_curves,
                    remark="The paper's oracle curves have bands without width: probably one run each."),
        suite_entry(12, "DeepMind Control, task by task", "return against frames, 15 tasks", FROM_RUNS, "dmc",
                    curves.suite_curve_parts, curves.draw_suite_curves,
                    remark="Bands are one standard deviation over 3 seeds. Curves of runs that the paper stopped early "
                    "end in a constant tail (AMP, and VIPER on reacher_easy and walker_walk)."),
        suite_entry(13, "Training environments, RLBench", "20 tiles", FROM_EXPERTS, "rlbench",
                    frames.tile_parts, frames.draw_suite_tiles, 20),
        suite_entry(14, "Training environments, DMC", "12 tiles", FROM_EXPERTS, "dmc",
                    frames.tile_parts, frames.draw_suite_tiles, 12,
                    remark="The paper shows a fish, which is none of its tasks."),
        suite_entry(15, "Training environments, Atari", "7 tiles", FROM_EXPERTS, "atari",
                    frames.tile_parts, frames.draw_suite_tiles, 7),
        suite_entry(16, "What surprises the model, Atari", "per-code likelihood over frames, expert and random",
                 FROM_REWARD, "atari", frames.map_parts, frames.draw_maps, "pong"),
        suite_entry(17, "What surprises the model, DMC", "per-code likelihood over frames of cartpole_balance",
                 FROM_REWARD, "dmc", frames.map_parts, frames.draw_maps, "cartpole_balance"),
        suite_entry(18, "What surprises the model, RLBench", "per-code likelihood over frames, expert and random",
                 FROM_REWARD, "rlbench", frames.map_parts, frames.draw_maps, "take_lid_off_saucepan"),
        *(table_entry(number) for number in (1, 2, 3, 4)),
    )  # fmt: skip


STAND_INS = {"tabletop": "rlbench"}


def entries(suite: str | None = None) -> list[Entry]:
    """All of them, or those that show something of a suite. Raises BadParams for a suite of no figure."""
    if suite is None:
        return list(all_entries())
    chosen = entries_of_suites([suite])
    if not chosen:
        raise BadParams(
            f"--suite {suite}: the paper has no figure of it{did_you_mean(suite, [*ALL_SUITES, *STAND_INS])}"
        )
    return chosen


def entries_of_suites(suites: Collection[str]) -> list[Entry]:
    """The entries that show something of any of these."""
    wanted = {STAND_INS.get(suite, suite) for suite in suites}
    return [entry for entry in all_entries() if wanted & set(entry.suites)]


INDEX = "paper.json"


def paper_files(
    evidence: Evidence, entries: Sequence[Entry], formats: Sequence[str] = VECTOR, largest: float = float("inf")
) -> dict[str, bytes]:
    """Every entry that has anything to show, and INDEX: name, state, caption, files and what is missing of each.

    largest: bytes, of a PDF; a larger one is left out.
    """
    files: dict[str, bytes] = {}
    index = []
    for entry in entries:
        state, caption, names = entry.state(evidence), "", []
        if state != "missing":
            drawn = entry.draw(evidence)
            mine = drawn_files(entry.name, drawn, formats)
            mine = {name: content for name, content in mine.items() if len(content) <= largest or name[-4:] != ".pdf"}
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


def drawn_files(name: str, drawn: Drawn, formats: Sequence[str] = VECTOR) -> dict[str, bytes]:
    """File name -> content; the figure is closed."""
    if drawn.figure is None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(drawn.rows)
        return {f"{name}.csv": buffer.getvalue().encode()}
    return figure_files(name, drawn.figure, formats)
