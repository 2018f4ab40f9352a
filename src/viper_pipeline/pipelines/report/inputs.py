"""The report's inputs, from artifacts to values."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.dvc_bridge.project import value_at
from viper_pipeline.reporting.cards import Card, dataset_card, model_card
from viper_pipeline.reporting.paper_figures.base import shortened
from viper_pipeline.reporting.results import AblationRun, Evidence, Floors, KeptRun, RunResult, kept_runs
from viper_pipeline.training.artifacts import Directory


def named(prefix: str, inputs: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Inputs called `<prefix>__a__b...`: (a, b, ...) -> value."""
    return {tuple(k.split("__")[1:]): v for k, v in inputs.items() if k.startswith(f"{prefix}__")}


def run_results(inputs: Mapping[str, Any]) -> list[RunResult]:
    """Every run."""
    return [result(key, directory) for key, directory in named("run", inputs).items()]


def result(key: tuple[str, ...], directory: Directory) -> RunResult:
    """One run's curve and end."""
    suite, task, method, agent, seed = key
    table = pd.read_csv(io.BytesIO(directory.files["curve.csv"]))
    kept = directory.config
    return RunResult(
        suite,
        task,
        method,
        agent,
        int(seed),
        table["step"].to_numpy(),
        table["eval_return"].to_numpy(),
        tuple(kept["final_returns"]),
        kept["run"]["steps"],
        kept["action_repeat"],
    )


def settings_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """suite -> its block of params.yaml."""
    return {suite: block for (suite,), block in named("settings", inputs).items()}


def floors(inputs: Mapping[str, Any]) -> list[Floors]:
    """Every task's floors and its experts' mean return."""
    experts, baselines = named("experts", inputs), named("baselines", inputs)
    return [floor(key, experts[key], baselines[key]) for key in experts]


def floor(key: tuple[str, ...], experts: EpisodeFile, baselines: EpisodeFile) -> Floors:
    """Means over episodes."""
    everything = baselines.group("episodes")
    kinds = np.array(everything.kinds)
    shown = np.concatenate([experts.group("train").returns, experts.group("held_out").returns])
    known = shown[~np.isnan(shown)]
    suite, task = key
    return Floors(
        suite=suite,
        task=task,
        random=float(everything.returns[kinds == "random"].mean()),
        idle=float(everything.returns[kinds == "idle"].mean()),
        expert=float(known.mean()) if len(known) else None,
    )


def cards_of(inputs: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> list[Card]:
    """Expert sets and baselines, tokenizers, video models and rewards; of agents, one of each task and method.

    steps: lineage; an artifact's path is that of the step whose stage made it.
    """
    path_of = {step["stage"]: path for path, step in steps.items()}
    cards = []
    for (suite, task), file in named("experts", inputs).items():
        cards.append(dataset_card(path_of.get(f"{suite}.curate_experts.{task}", f"expert set {task}"), file, steps))
    for (suite, task), file in named("baselines", inputs).items():
        cards.append(dataset_card(path_of.get(f"{suite}.record_baselines.{task}", f"floors {task}"), file, steps))
    for (suite,), directory in named("tokenizer", inputs).items():
        cards.append(model_card(path_of.get(f"{suite}.train_tokenizer.all", f"tokenizer {suite}"), directory, steps))
    for stage, prefix in (("train_video_model", "video_model"), ("evaluate_reward", "reward")):
        for (suite, model), directory in named(prefix, inputs).items():
            cards.append(model_card(path_of.get(f"{suite}.{stage}.{model}", f"{prefix} {model}"), directory, steps))
    runs = named("run", inputs)
    for key, directory in runs.items():
        suite, task, method, agent, seed = key
        if seed == min(k[4] for k in runs if k[:4] == key[:4]):
            node = f"{suite}.train_agent_{method}.{task}-{agent}-{seed}"
            cards.append(model_card(path_of.get(node, f"agent {task} {method} {agent} {seed}"), directory, steps))
    return cards


@dataclass(frozen=True)
class Kept:
    """The files of reports/runs, as a report takes them."""

    shown: Sequence[RunResult]
    other_mask: Sequence[RunResult]  # paid by models that saw what today's do not, or vice versa (Fig 6)
    ablations: Sequence[AblationRun]  # with one part changed (Fig 9)
    left_out: Mapping[str, int]  # why -> how many


def kept_beside(
    own: Sequence[RunResult], files: Mapping[str, bytes], settings: Mapping[str, Mapping[str, Any]]
) -> Kept:
    """Runs of the settings' suites and tasks; files: name -> content; settings: suite -> its block of params.yaml."""
    there = {(r.suite, r.task, r.method, r.agent, r.seed) for r in own}
    shown: list[RunResult] = []
    other_mask: list[RunResult] = []
    ablations: list[AblationRun] = []
    left_out: dict[str, int] = {}
    for run in kept_runs(files):
        block = settings.get(run.suite)
        if block is None or run.task not in block["tasks"]:
            continue
        names = differing(run, block)
        if names and not run.axis and all(mask_alone(run, block, name) for name in names):
            other_mask.append(run.result())
        elif run.key in there and not run.axis:
            continue
        elif names:
            reason = f"another value of {shortened(names)}"
            left_out[reason] = left_out.get(reason, 0) + 1
        elif run.axis:
            ablations.append(run.ablation())
        else:
            shown.append(run.result())
    return Kept(shown, other_mask, ablations, left_out)


def differing(run: KeptRun, block: Mapping[str, Any]) -> list[str]:
    """What the run and all that it comes from read of its suite's block, and has another value today."""
    own = f"suites.{run.suite}."
    return [
        name.removeprefix(own)
        for name, value in run.params.items()
        if name.startswith(own) and value_at(block, name.removeprefix(own)) != value
    ]


def mask_alone(run: KeptRun, block: Mapping[str, Any], name: str) -> bool:
    """Whether this is the block of a dataset, and the same but for its mask."""
    if not name.startswith("datasets."):
        return False
    mine, todays = run.params[f"suites.{run.suite}.{name}"], value_at(block, name) or {}
    return {**mine, "mask": None} == {**todays, "mask": None}


def evidence_of(inputs: Mapping[str, Any], paper: Mapping[str, Any], kept: Mapping[str, bytes]) -> Evidence:
    """Inputs called `run__...`, `experts__...`, `settings__<suite>`; paper: the whole of profiles/paper.yaml.

    kept: the files of reports/runs, by name.
    """
    own, settings = run_results(inputs), settings_of(inputs)
    more = kept_beside(own, kept, settings)
    return Evidence(
        runs=[*own, *more.shown],
        other_mask=more.other_mask,
        ablations=more.ablations,
        floors=floors(inputs),
        experts=named("experts", inputs),
        baselines=named("baselines", inputs),
        tokenizers=named("tokenizer", inputs),
        video_models=named("video_model", inputs),
        rewards=named("reward", inputs),
        run_configs={key: directory.config for key, directory in named("run", inputs).items()},
        settings=settings,
        paper=paper.get("suites", {}),
    )
