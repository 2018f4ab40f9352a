"""The report's inputs, from artifacts to values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.store import EpisodeFile


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
