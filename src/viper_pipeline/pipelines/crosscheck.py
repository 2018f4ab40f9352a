"""Pairs of parameters that cannot both be: found before any work, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.errors import BadParams
from viper_pipeline.oracles.planner import PlannerConfig
from viper_pipeline.oracles.scripts import SCRIPTS, ScriptConfig
from viper_pipeline.oracles.search import SearchConfig
from viper_pipeline.oracles.waypoints import WAYPOINTS
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.suites import SUITES
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.videos.importers import IMPORTERS

if TYPE_CHECKING:
    from viper_pipeline.pipelines.params import SuiteConfig


def contradictions(suite: str, spec: SuiteConfig) -> Iterator[str]:
    """Yield one line `field: what is wrong; remedy` for everything in a suite's block that cannot be."""
    here = f"suites.{suite}"
    try:
        simulator = SUITES.get(suite)()
    except BadParams as error:
        yield f"{here}: {error}"
        return
    known = simulator.tasks()
    unknown = [task for task in spec.tasks if task not in known]
    for task in unknown:
        yield f"{here}.tasks: the suite has no task '{task}'{did_you_mean(task, known)}"
    for field, tasks in (("tasks", spec.tasks), ("learned_tasks", spec.learned_tasks or [])):
        if len(set(tasks)) != len(tasks):
            yield f"{here}.{field}: a task is listed twice"
    for task in set(spec.learnable) - set(spec.tasks):
        yield f"{here}.learned_tasks: '{task}' is not in {here}.tasks{did_you_mean(task, spec.tasks)}"
    yield from _tables(here, spec)
    yield from _datasets(suite, here, spec)
    for method, tasks in spec.more_methods.items():
        for task in set(tasks) - set(spec.learnable):
            likely = did_you_mean(task, spec.learnable)
            yield f"{here}.more_methods.{method}: '{task}' is no task that {here} learns{likely}"
        if method in spec.methods:
            yield f"{here}.more_methods.{method}: in {here}.methods already; delete it from one of them"
    if {"amp", "amp_multi"} & spec.learned.keys() and spec.amp is None:
        yield f"{here}.amp: methods amp and amp_multi need this block; `amp: {{}}` takes the paper's code's settings"
    if spec.reward.model not in spec.video_models:
        yield f"{here}.reward.model: '{spec.reward.model}' is not in {here}.video_models"
    elif spec.reward.way == "streaming" and not hasattr(VIDEO_MODELS.get(spec.reward.model), "session"):
        yield f"{here}.reward.way: '{spec.reward.model}' keeps no rolling cache; take model banded, or way exact"
    yield from _buttons(here, spec, simulator)
    yield from _processes(here, spec, simulator)
    yield from _held_out_tasks(here, spec, simulator)
    yield from _planned(here, spec, simulator)
    if not unknown:
        yield from _lengths(here, spec, simulator)


def _buttons(here: str, spec: SuiteConfig, simulator: Any) -> Iterator[str]:
    buttons, scripted = getattr(simulator, "discrete", False), getattr(simulator, "scripted", False)
    for name in spec.agents if buttons else []:
        if not AGENTS.get(name).discrete:
            yield f"{here}.agents: '{name}' moves actuators, and this suite has buttons; take dreamer, or none: []"
    for task, recipe in spec.oracles.items():
        field = f"{here}.oracles.{task}.algorithm"
        written = (SCRIPTS if buttons else WAYPOINTS) if buttons or scripted else {}
        if isinstance(recipe, ScriptConfig) and task not in written:
            yield f"{field}: no script is written for this task; use another algorithm"
        elif scripted and not isinstance(recipe, ScriptConfig):
            yield f"{field}: experts of this suite are scripts; write algorithm: script"
        elif buttons and getattr(recipe, "algorithm", "") == "sac":
            yield f"{field}: sac moves actuators, and this suite has buttons; use ppo, script or search"
        elif isinstance(recipe, SearchConfig) and not getattr(simulator, "imagines", False):
            yield f"{field}: search plays games ahead in an emulator, and this suite has none; use another algorithm"


def _processes(here: str, spec: SuiteConfig, simulator: Any) -> Iterator[str]:
    for name in spec.agents if getattr(simulator, "alone", False) else []:
        limits = spec.limits(name)
        if limits.envs > 1 and not limits.processes:
            field = f"{here}.runs" if limits is spec.runs else f"{here}.{name}.runs"
            yield f"{field}.processes: a process can run one simulator of this suite; write true, or envs: 1"


def _held_out_tasks(here: str, spec: SuiteConfig, simulator: Any) -> Iterator[str]:
    field, held_out = f"{here}.held_out_tasks", spec.held_out_tasks
    class_of = getattr(simulator, "class_of", None)
    if class_of is None:
        if held_out is not None:
            yield f"{field}: every task of this suite is a class of its own; none can be left out, delete the line"
        return
    if held_out is None:
        yield f"{field}: missing; name the tasks that no model is trained on, or write []"
    unknown = [task for task in held_out or [] if task not in spec.learnable]
    for task in unknown:
        yield f"{field}: '{task}' is no task that {here} learns{did_you_mean(task, spec.learnable)}"
    if unknown or not set(spec.learnable) <= set(simulator.tasks()):
        return
    trained = {class_of(task) for task in spec.learnable if task not in (held_out or [])}
    for task in held_out or []:
        if class_of(task) not in trained:
            yield f"{field}: no other task of class '{class_of(task)}' is left to train on; keep '{task}' in training"


def _planned(here: str, spec: SuiteConfig, simulator: Any) -> Iterator[str]:
    planned = hasattr(simulator, "make_demos")
    for task, recipe in spec.oracles.items():
        if isinstance(recipe, PlannerConfig) != planned:
            remedy = "experts are planned; write algorithm: planner" if planned else "there is no planner"
            yield f"{here}.oracles.{task}.algorithm: in this suite {remedy}"
    if planned and spec.record.noisy:
        yield f"{here}.record.noisy: a planner makes no noisy demonstrations; write 0"


def _tables(here: str, spec: SuiteConfig) -> Iterator[str]:
    for name in ("datasets", "oracles"):
        table = getattr(spec, name)
        for task in spec.tasks:
            if task not in table:
                yield f"{here}.{name}: no entry for task '{task}'; add one"
        for task in table:
            if task not in spec.tasks:
                yield f"{here}.{name}.{task}: not in {here}.tasks{did_you_mean(task, spec.tasks)}"


def _datasets(suite: str, here: str, spec: SuiteConfig) -> Iterator[str]:
    for task, dataset in spec.datasets.items():
        field = f"{here}.datasets.{task}"
        if dataset.kind == "oracle":
            own = f"data/episodes/{suite}/oracle/{task}.h5"
            if dataset.path != own:
                yield f"{field}.path: kind oracle reads {own}; write that, or use kind episodes for another file"
        elif dataset.kind not in IMPORTERS.names():
            known = ("oracle", *IMPORTERS.names())
            yield f"{field}.kind: no importer '{dataset.kind}'{did_you_mean(dataset.kind, known)}"


def _lengths(here: str, spec: SuiteConfig, simulator: Any) -> Iterator[str]:
    curation, kept = spec.curation, spec.curation.top_k
    if spec.record.expert < kept and any(d.kind == "oracle" for d in spec.datasets.values()):
        recorded = f"{spec.record.expert} recorded episodes ({here}.record.expert)"
        yield f"{here}.curation.top_k: {kept} of {recorded}; lower it"
    if curation.held_out >= kept:
        yield f"{here}.curation.held_out: {curation.held_out} of {kept} kept episodes leave none to train on"
    for task in spec.tasks:
        frames = simulator.episode_steps(task, simulator.frame_spec(task, spec.frames.model_dump())) + 1
        strided = -(-(frames - curation.starts("train")[-1]) // curation.stride)
        for name in spec.video_models:
            window = getattr(spec.components[name], "window", 1)
            if strided < window:
                yield (
                    f"{here}.{name}.window: {window} frames, but an episode of {task} has {frames} frames, "
                    f"{strided} at curation.stride {curation.stride}; lower one of them"
                )
