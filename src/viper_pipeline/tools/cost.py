"""`viper cost`: hours, memory and disk of a profile, from a few timed steps of each kind of stage."""

from __future__ import annotations

import json
import multiprocessing
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadData, BadEnvironment, BadParams
from viper_pipeline.core.files import Json, atomic_write
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.params import Params, SuiteConfig, learns_ratio, seeds_of
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.base import REWARDS, RatioConfig
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.rewards.scores import perturbed


@dataclass(frozen=True)
class Work:
    """All runs of one stage of one suite."""

    suite: str
    stage: str
    runs: int
    units: dict[str, float] = field(default_factory=dict)  # unit -> how many, over all runs
    memory: float = 0.0  # bytes of a run that grow with its settings: the replay
    disk: float = 0.0  # bytes of all outputs, uncompressed


def work_of(params: Params) -> list[Work]:
    """Every stage that takes time. Experts count as if none stopped early, and episodes as if all were whole."""
    return [work for name, suite in params.suites.items() for work in _suite(name, suite, params.seeds)]


def _suite(name: str, suite: SuiteConfig, seeds: list[int]) -> Iterator[Work]:
    simulator = SUITES.get(name)()
    tasks = suite.tasks
    frames = {task: simulator.episode_steps(task, suite.env) + 1 for task in tasks}
    pixels = suite.frames.size**2 * 3
    recipes = {task: suite.experts[task] for task in tasks if task in suite.experts}
    steps = sum(recipe.training_steps for recipe in recipes.values())
    ahead = sum(frames[task] * recipe.imagined for task, recipe in recipes.items())
    yield Work(name, "train_expert", len(tasks), {"expert step": steps} if steps else {})
    for stage, episodes in (
        ("record_episodes", suite.record.expert + suite.record.noisy),
        ("record_baselines", suite.baselines.random + suite.baselines.idle),
    ):
        drawn = episodes * sum(frames.values())
        units = {"frame drawn": drawn}
        if ahead and stage == "record_episodes":
            units["step imagined"] = episodes * ahead
        yield Work(name, stage, len(tasks), units, disk=drawn * pixels)
    curation = suite.curation
    unseen = curation.held_out + curation.test
    training_videos = (curation.top_k - unseen) * len(curation.starts("train"))
    videos_of_task = training_videos + unseen + suite.record.noisy
    kept = videos_of_task * sum(frames.values()) / curation.stride
    yield Work(name, "curate_experts", len(tasks), disk=kept * pixels)
    frames = {task: frames[task] for task in suite.learnable}
    kept = videos_of_task * sum(frames.values()) / curation.stride
    training = suite.tokenizer.training
    yield Work(name, "train_tokenizer", 1, {"image learned": training.steps * training.batch_size})
    yield Work(name, "encode_experts", len(frames), {"frame encoded": kept}, disk=kept * 2 * _codes(suite))
    stages = {model: (f"train_video_model {model}", f"evaluate_reward {model}") for model in suite.video_models}
    if learns_ratio(vars(suite)):
        stages[RATIO_MODEL] = ("train_video_model_ratio", "evaluate_reward_ratio")
    for model, (trained, judged) in stages.items():
        config = suite.components[model]
        training = config.training  # type: ignore[attr-defined]
        clips = training.steps * training.batch_size
        yield Work(name, trained, 1, {f"clip learned by {model}": clips})
        settings = suite.reward_evaluation
        scored = {}
        for task, length in frames.items():
            shown = min(settings.episodes, curation.held_out)
            copies = len(perturbed(length, settings.freeze_at, 0))
            kinds = [training_videos, suite.record.noisy]
            videos = shown * copies + unseen + sum(min(settings.episodes, kind) for kind in kinds)
            videos += suite.baselines.idle + _random_scored(suite, model)
            ways = 2 if suite.reward.mode == "joint" else 1  # single frames are scored beside windows
            scored[task] = ways * videos * length / curation.stride
        yield Work(name, judged, 1, {f"frame scored by {model}": sum(scored.values())})
    for method, learned in suite.learned.items():
        for agent in suite.agents:
            yield _agents(name, suite, method, agent, frames, len(learned) * len(seeds_of(vars(suite), method, seeds)))


def _agents(name: str, suite: SuiteConfig, method: str, agent: str, frames: dict[str, int], runs: int) -> Work:
    run = suite.limits(agent)
    evaluated = (run.steps // run.eval_every * run.eval_episodes + run.final_episodes) * float(
        np.mean([*frames.values()])
    )
    units = {"frame drawn": runs * (run.steps + evaluated), f"{agent} evaluated step": runs * evaluated}
    units[step_unit(suite, method, agent)] = runs * max(run.steps - run.random_steps, 0)
    block = {"reward": suite.reward.model_dump(), "tokenizer": suite.tokenizer.model_dump()}
    if model := REWARDS.get(method)().parts(block).get("model"):
        units[f"{agent} frame rewarded by {model}"] = runs * run.steps
    if isinstance(ratio := suite.components.get("viper_ratio"), RatioConfig):
        block["viper_ratio"] = ratio.model_dump()
        if "expert_codes" in REWARDS.get(method)().inputs(block, name, suite.tasks[0], suite.tasks):  # it learns on
            clips = run.steps // ratio.every * ratio.updates * ratio.batch_size
            units[f"clip learned by {RATIO_MODEL}"] = runs * clips
    size = getattr(suite.components[agent], "pixels", suite.frames.size)
    return Work(name, f"train_agent_{method} {agent}", runs, units, min(run.capacity, run.steps) * size**2 * 3)


def step_unit(suite: SuiteConfig, method: str, agent: str) -> str:
    """The unit of an agent's step with this method: with the bonus, and with a discriminator, if it has them."""
    reward = REWARDS.get(method)()
    bonus = " with bonus" if reward.bonus and suite.exploration.explores else ""
    return f"{agent} step{bonus}{' against experts' if reward.block == 'amp' else ''}"


def units_of(suite: SuiteConfig) -> Iterator[str]:
    """Every unit that can be timed."""
    if any(recipe.training_steps for recipe in suite.experts.values()):
        yield "expert step"
    if any(recipe.imagined for recipe in suite.experts.values()):
        yield "step imagined"
    yield from ("frame drawn", "image learned", "frame encoded")
    ratio = [RATIO_MODEL] if learns_ratio(vars(suite)) else []
    for model in [*suite.video_models, *ratio]:
        yield from (f"clip learned by {model}", f"frame scored by {model}")
    for agent in suite.agents if suite.learned else ():
        yield f"{agent} evaluated step"
        yield from dict.fromkeys(step_unit(suite, method, agent) for method in suite.learned)
        if "viper" in suite.learned:
            yield f"{agent} frame rewarded by {suite.reward.model}"
        for model in ratio:
            yield f"{agent} frame rewarded by {model}"


def _random_scored(suite: SuiteConfig, model: str) -> int:
    """Random episodes of a task that a reward is judged by; the ratio's model has learned from the others."""
    from viper_pipeline.pipelines.models.ratio import KEPT

    return max(suite.baselines.random // KEPT, 1) if model == RATIO_MODEL else suite.baselines.random


def _codes(suite: SuiteConfig) -> int:
    """Codes of a frame."""
    h, w = suite.tokenizer.grid(suite.frames.size)
    return h * w


STORED = Path(__file__).with_name("measured.json")
"""Measurements made before: {profile: {hardware: {"suite: unit": {seconds, peak_gb, batch}}}}."""

Measured = dict[str, Json]


def measured_machine(device: str) -> str:
    """What is being measured, in words."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"one core of {name}"


def measure(
    params: Params, device: str, say: Callable[[str], object], known: Measured, keep: Callable[[Measured], None]
) -> Measured:
    """Time every unit that is not known, each in a process of its own, so that peaks of memory are its own.

    keep: is called with all that is known, after every unit.
    """
    from viper_pipeline.tools.cost_probes import probe

    context, found = multiprocessing.get_context("spawn"), dict(known)
    for name, suite in params.suites.items():
        for unit in units_of(suite):
            if f"{name}: {unit}" in known:
                continue
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                try:
                    row = pool.submit(probe, params, name, unit, device).result()
                except BadEnvironment as error:
                    say(f"  {name}: {unit}: not timed: {str(error).splitlines()[0]}")
                    continue
            found[f"{name}: {unit}"] = row
            keep(found)
            say(f"  {name}: {unit}: {1000 * row['seconds']:.2f} ms")
    return found


def stored(profile: str) -> dict[str, Measured]:
    """Measurements by hardware."""
    return json.loads(STORED.read_text()).get(profile, {})


def _begun(path: Path) -> dict[str, dict[str, Measured]]:
    """What was kept before: profile -> hardware -> measurements."""
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise BadData(f"{path}: not JSON ({error}); delete it, and everything is measured anew") from None


def hours(work: Work, measured: Mapping[str, ParamsBlock]) -> float | None:
    """Of all runs of a stage, one after the other; None where a unit has not been timed."""
    rows = [(measured.get(f"{work.suite}: {unit}"), count) for unit, count in work.units.items()]
    if any(row is None for row, _ in rows):
        return None
    return sum(row["seconds"] * count for row, count in rows if row) / 3600


def table(works: list[Work], measured: Mapping[str, ParamsBlock]) -> Iterator[str]:
    """A line a stage, a suite, and one for all: hours, GB of memory of a run, GB on disk."""
    yield f"{'suite':10s}{'stage':38s}{'runs':>6s}{'hours':>13s}{'memory':>9s}{'disk':>9s}"
    for suite in dict.fromkeys(work.suite for work in works):
        own = [work for work in works if work.suite == suite]
        for work in own:
            yield _line(suite, work.stage, hours(work, measured), measured, [work])
        yield _line(suite, "all", total_hours(own, measured), measured, own)
    yield _line("all", "", total_hours(works, measured), measured, works)


def gigabytes(work: Work, measured: Mapping[str, ParamsBlock]) -> float:
    """Memory of a run: the greatest peak of its units, and what it holds beside them."""
    peaks = [measured.get(f"{work.suite}: {unit}", {}).get("peak_gb", 0.0) for unit in work.units]
    return max(peaks, default=0.0) + work.memory / 1e9


def total_hours(works: list[Work], measured: Mapping[str, ParamsBlock]) -> float:
    """Hours of stages, one after the other; those that could not be timed count nothing."""
    return sum(hours(work, measured) or 0.0 for work in works)


def _line(suite: str, stage: str, took: float | None, measured: Mapping[str, ParamsBlock], works: list[Work]) -> str:
    text = "not timed" if took is None else _readable(took)
    memory, disk = max(gigabytes(work, measured) for work in works), sum(work.disk for work in works) / 1e9
    runs = sum(work.runs for work in works)
    return f"{suite:10s}{stage:38s}{runs:6d}{text:>13s}{f'{memory:.1f} GB':>9s}{f'{disk:,.0f} GB':>9s}"


def _readable(took: float) -> str:
    """Hours: half a minute is visible, too."""
    return f"{took:,.1f}" if took >= 10 else f"{took:.2f}"


def figure_lines(works: list[Work], measured: Mapping[str, ParamsBlock]) -> Iterator[str]:
    """A line a figure of the paper: hours of the stages of its suites that it is drawn from, from the experts on."""
    from viper_pipeline.reporting.paper_figures.index import all_entries

    yield f"{'figure':48s}{'hours':>11s}"
    for entry in all_entries():
        taken = [work for work in works if work.suite in entry.suites and work.stage.startswith(entry.feeds.stages)]
        if taken:
            yield f"{entry.name:8s}{entry.title:40s}{_readable(total_hours(taken, measured)):>11s}"


def of_suites(params: Params, suites: Sequence[str]) -> Params:
    """The parameters with these suites alone, or as they are if none is named."""
    for name in suites:
        if name not in params.suites:
            likely = did_you_mean(name, list(params.suites))
            raise BadParams(f"--suite {name}: profile {params.profile} has no such suite{likely}")
    kept = {name: block for name, block in params.suites.items() if name in suites}
    return params.model_copy(update={"suites": kept}) if suites else params


def cost_command(
    root: Path,
    profile: str | None,
    on: str | None,
    keep: str | None,
    say: Callable[[str], object],
    suites: Sequence[str] = (),
) -> None:
    """Measure this machine, or take what was measured on another; print the table.

    suites: those that are counted; none: all. Raises BadParams for one that the profile has not.
    """
    path = root / "profiles" / f"{profile}.yaml" if profile else root / "params.yaml"
    params = of_suites(validate(read_profile(path), str(path)), suites)
    if on is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        hardware = measured_machine(device)
        say(f"profile {params.profile} on {hardware}:")
        begun = _begun(Path(keep)) if keep else {}

        def write(found: Measured) -> None:
            if keep:
                whole = {**begun, params.profile: {**begun.get(params.profile, {}), hardware: found}}
                atomic_write(Path(keep), (json.dumps(whole, indent=1) + "\n").encode())

        measured = measure(params, device, say, begun.get(params.profile, {}).get(hardware, {}), write)
    else:
        known = stored(params.profile)
        if on not in known:
            raise BadParams(
                f"profile {params.profile} has not been measured on '{on}' (known: {', '.join(known) or 'none'}); "
                "without --on this machine is measured"
            )
        measured = known[on]
    works = work_of(params)
    for line in (*table(works, measured), "", *figure_lines(works, measured)):
        say(line)
    say("Figures share stages, so they do not add up; fig09 is without the ablations' own.\n")
    say("One run after the other on this hardware. Experts as if none stopped early, episodes as if all were whole.")
    say("Memory: the timed process and the replay; on a CPU with small batches, where whole ones would take minutes.")
    say("Disk: at most; videos compress.")
