"""Whether params.yaml can be run as it stands: everything wrong is told in one line each, before any work begins."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.importers import IMPORTERS, chosen_of
from viper_pipeline.data.importers.hdf5 import layout_of
from viper_pipeline.data.importers.lerobot import missing_parquet
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Suite
from viper_pipeline.experts.base import DEFAULT_ALGORITHM, EXPERTS, Expert
from viper_pipeline.pipelines import params_fit
from viper_pipeline.pipelines.params import STREAMED, AblationsConfig, Params, SuiteConfig, learns_ratio, seeds_of
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, BonusConfig
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.tokenizers import TOKENIZERS, trainable_tokenizer
from viper_pipeline.tokenizers.base import TokenizerConfig
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import check_continuous


def validate(raw: ParamsBlock, name: str = "params.yaml") -> Params:
    """raw YAML values -> checked parameters. Raises BadParams with one line per mistake: file, field, remedy."""
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise BadParams(_explain(error, name, raw)) from error
    wrong = [*params_fit.other_types(raw, params), *params_fit.wrong_seeds(params), *params_fit.listed_twice(params)]
    wrong += [line for suite, suite_config in params.suites.items() for line in contradictions(suite, suite_config)]
    if params.ablations and not wrong:  # they are compared with what the suites say
        wrong += ablation_contradictions(params.ablations, params.suites)
    if wrong:
        raise BadParams("\n".join(f"{name}: {line}" for line in wrong))
    return params


def contradictions(suite: str, suite_config: SuiteConfig) -> Iterator[str]:
    """Yield one line `field: what is wrong; remedy` for everything in a suite's block that cannot be."""
    here = f"suites.{suite}"
    try:
        simulator: Suite = SUITES.get(suite)()
    except BadParams as error:
        yield f"{here}: {error}"
        return
    known = simulator.tasks()
    unknown = [task for task in suite_config.tasks if task not in known]
    for task in unknown:
        yield f"{here}.tasks: the suite has no task '{task}'{did_you_mean(task, known)}"
    meant = {task: next(iter(difflib.get_close_matches(task, known, n=1)), task) for task in unknown}
    # the rest is judged as if they were written as they were meant, or one typo would give many lines
    suite_config = suite_config.model_copy(update={"tasks": [meant.get(task, task) for task in suite_config.tasks]})
    for field, tasks in (("tasks", suite_config.tasks), ("learned_tasks", suite_config.learned_tasks or [])):
        if len(set(tasks)) != len(tasks):
            yield f"{here}.{field}: a task is listed twice"
    for task in set(suite_config.learnable) - set(suite_config.tasks):
        yield f"{here}.learned_tasks: '{task}' is not in {here}.tasks{did_you_mean(task, suite_config.tasks)}"
    yield from _tables(here, suite_config)
    yield from _datasets(suite, here, suite_config)
    for method, tasks in suite_config.more_methods.items():
        for task in set(tasks) - set(suite_config.learnable):
            likely = did_you_mean(task, suite_config.learnable)
            yield f"{here}.more_methods.{method}: '{task}' is no task that {here} learns{likely}"
        if method in suite_config.methods:
            yield f"{here}.more_methods.{method}: in {here}.methods already; delete it from one of them"
    for method, seeds in suite_config.method_seeds.items():
        if method not in suite_config.learned:
            likely = did_you_mean(method, suite_config.learned)
            yield f"{here}.method_seeds.{method}: no agents of this suite are trained on it{likely}"
        if not seeds or len(set(seeds)) < len(seeds):
            yield f"{here}.method_seeds.{method}: {seeds}; give at least one seed, each of them once"
    for method in suite_config.learned:
        block = REWARDS.get(method).block
        if block and block not in suite_config.components:
            yield f"{here}.{block}: method {method} needs this block; `{block}: {{}}` takes the default settings"
    tokenizer = TOKENIZERS.get(suite_config.tokenizer.kind)
    for name in suite_config.video_models:
        try:
            check_continuous(name, VIDEO_MODELS.get(name).continuous, tokenizer.continuous)
        except BadParams as error:
            yield f"{here}.video_models: {error}"
    if "model" not in suite_config.reward.model_fields_set:  # the pipelines read it as it stands in the file
        yield f"{here}.reward.model: missing; name one of {here}.video_models, {', '.join(suite_config.video_models)}"
    elif suite_config.reward.model not in suite_config.video_models:
        yield f"{here}.reward.model: '{suite_config.reward.model}' is not in {here}.video_models"
    elif suite_config.reward.scoring not in (offered := VIDEO_MODELS.get(suite_config.reward.model).scorings):
        yield (
            f"{here}.reward.scoring: '{suite_config.reward.model}' cannot be scored by {suite_config.reward.scoring}; "
            f"take model {STREAMED}, or one of {', '.join(sorted(offered))}"
        )
    yield from _ratio(here, suite_config)
    yield from _kinds_of_actions(here, suite_config, simulator)
    yield from _experts(here, suite_config, simulator)
    yield from _processes(here, suite_config, simulator)
    yield from _held_out_tasks(here, suite_config, simulator)
    yield from params_fit.sizes(here, suite_config)
    yield from params_fit.unreachable(suite, suite_config.datasets)
    if not unknown:
        yield from _lengths(here, suite_config, simulator)


def _ratio(here: str, suite_config: SuiteConfig) -> Iterator[str]:
    if RATIO_MODEL in suite_config.video_models:
        yield (
            f"{here}.video_models: '{RATIO_MODEL}' learns random play as well, in a stage of its own; list viper_ratio "
            f"in {here}.methods instead"
        )
    if not learns_ratio(vars(suite_config)):
        return
    if RATIO_MODEL not in suite_config.components:
        yield f"{here}.{RATIO_MODEL}: method viper_ratio needs this block, with settings as in `videogpt`"
    if suite_config.baselines.random < 2:
        yield f"{here}.baselines.random: method viper_ratio learns from some and is judged by others; record 2 or more"
    if TOKENIZERS.get(suite_config.tokenizer.kind).continuous:
        yield f"{here}.methods: viper_ratio needs a discrete tokenizer ({here}.tokenizer.kind)"


def _kinds_of_actions(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    own, other = ("discrete", "continuous") if simulator.discrete else ("continuous", "discrete")
    for name in suite_config.agents:
        if not getattr(AGENTS.get(name), own):
            fit = " or ".join(one for one in AGENTS.names() if getattr(AGENTS.get(one), own))
            yield f"{here}.agents: '{name}' needs {other} actions, this suite's are {own}; take {fit}, or none: []"


def _experts(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    for task, recipe in suite_config.experts.items():
        expert: Expert = EXPERTS.get(recipe.algorithm)(simulator, task, recipe)
        if problem := expert.problem():
            likely = [name for name in EXPERTS.names() if _possible(name, simulator, task)]
            remedy = (
                f"use {' or '.join(likely)}" if likely else "no algorithm makes one; take a dataset of another kind"
            )
            yield f"{here}.experts.{task}.algorithm: {recipe.algorithm}: {problem}; {remedy}"
        if "noisy" not in expert.kinds and suite_config.record.noisy:
            yield f"{here}.record.noisy: algorithm {recipe.algorithm} of {task} records no noisy episodes; write 0"
            return


def _possible(algorithm: str, simulator: Suite, task: str) -> bool:
    kind: type[Expert] = EXPERTS.get(algorithm)
    return kind(simulator, task, None).problem() is None


def _processes(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    for name in suite_config.agents if simulator.one_process_only else []:
        limits = suite_config.limits(name)
        if limits.envs > 1 and not limits.processes:
            field = f"{here}.runs" if limits is suite_config.runs else f"{here}.{name}.runs"
            yield f"{field}.processes: a process can run one simulator of this suite; write true, or envs: 1"


def _held_out_tasks(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    field, held_out = f"{here}.held_out_tasks", suite_config.held_out_tasks
    if not simulator.shared_labels:
        if held_out is not None:
            yield f"{field}: every task of this suite has a label of its own; none can be held out, delete the line"
        return
    if held_out is None:
        yield f"{field}: missing; name the tasks that no model is trained on, or write []"
    unknown = [task for task in held_out or [] if task not in suite_config.learnable]
    for task in unknown:
        yield f"{field}: '{task}' is no task that {here} learns{did_you_mean(task, suite_config.learnable)}"
    if unknown or not set(suite_config.learnable) <= set(simulator.tasks()):
        return
    label = simulator.task_label
    trained = {label(task) for task in suite_config.learnable if task not in (held_out or [])}
    for task in held_out or []:
        if label(task) not in trained:
            yield f"{field}: no other task with label '{label(task)}' is left to train on; keep '{task}' in training"


def _tables(here: str, suite_config: SuiteConfig) -> Iterator[str]:
    for name in ("datasets", "experts"):
        table = getattr(suite_config, name)
        for task in suite_config.tasks:
            if task not in table:
                yield f"{here}.{name}: no entry for task '{task}'; add one"
        for task in table:
            if task not in suite_config.tasks:
                yield f"{here}.{name}.{task}: not in {here}.tasks{did_you_mean(task, suite_config.tasks)}"


def _datasets(suite: str, here: str, suite_config: SuiteConfig) -> Iterator[str]:
    for task, dataset in suite_config.datasets.items():
        field = f"{here}.datasets.{task}"
        if dataset.kind == "expert":
            own = f"data/episodes/{suite}/expert/{task}.h5"
            if dataset.path != own:
                yield f"{field}.path: kind expert reads {own}; write that, or use kind episodes for another file"
        elif dataset.kind not in IMPORTERS.names():
            known = ("expert", *IMPORTERS.names())
            yield f"{field}.kind: no importer '{dataset.kind}'{did_you_mean(dataset.kind, known)}"
            continue
        try:
            chosen_of("episodes" if dataset.kind == "expert" else dataset.kind, dataset.model_dump(), f"{field}.")
            if dataset.kind == "hdf5":
                layout_of(dataset.camera)
            elif isinstance(dataset.camera, dict):
                raise BadParams("only kind hdf5 takes several names; give the name of one camera")
        except BadParams as error:
            yield f"{error}" if f"{error}".startswith(field) else f"{field}.camera: {error}"
        if dataset.kind == "lerobot" and (missing := missing_parquet()):
            yield f"{field}.kind: {missing}"


def _lengths(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    curation, kept = suite_config.curation, suite_config.curation.top_k
    if suite_config.record.expert < kept and any(d.kind == "expert" for d in suite_config.datasets.values()):
        recorded = f"{suite_config.record.expert} recorded episodes ({here}.record.expert)"
        yield f"{here}.curation.top_k: {kept} of {recorded}; lower it"
    unseen = curation.held_out + curation.test
    if unseen >= kept:
        with_test = " with curation.test" if curation.test else ""
        yield f"{here}.curation.held_out: {unseen} of {kept} kept episodes{with_test} leave none to train on"
    for task in suite_config.tasks:
        frames = simulator.episode_steps(task, suite_config.env) + 1
        strided = -(-(frames - curation.starts("train")[-1]) // curation.stride)
        ratio = [RATIO_MODEL] if learns_ratio(vars(suite_config)) else []
        for name in [*suite_config.video_models, *ratio]:
            window = getattr(suite_config.components.get(name), "window", 1)
            if strided < window:
                yield (
                    f"{here}.{name}.window: {window} frames, but an episode of {task} has {frames} frames, "
                    f"{strided} at curation.stride {curation.stride}; lower one of them"
                )


def ablation_contradictions(config: AblationsConfig, suites: Mapping[str, SuiteConfig]) -> Iterator[str]:
    """What the block and its suite disagree about: a line each."""
    if config.suite not in suites:
        yield f"ablations.suite: there is no block suites.{config.suite}{did_you_mean(config.suite, list(suites))}"
        return
    suite = suites[config.suite]
    if config.task not in suite.learnable:
        likely = did_you_mean(config.task, suite.learnable)
        yield f"ablations.task: '{config.task}' is no task that suites.{config.suite} learns{likely}"
    if config.agent not in suite.agents:
        yield f"ablations.agent: '{config.agent}' is not in suites.{config.suite}.agents"
    if "viper" not in suite.methods:
        yield f"ablations.suite: suites.{config.suite}.methods has no viper, with whose runs ablations are compared"
    if RATIO_MODEL in config.models:
        yield f"ablations.models: '{RATIO_MODEL}' is no model of ablations; list viper_ratio in the suite's methods"
    own = suite.reward.model
    if own in config.models:
        yield f"ablations.models: '{own}' is the suite's own model, with which the others are compared; remove it"
    if suite.reward.scoring == "kv_cache":
        yield f"ablations.suite: its models have no KV cache; write suites.{config.suite}.reward.scoring: full_window"
    window = getattr(suite.components.get(own), "window", None)
    if own == STREAMED:
        yield f"ablations.contexts: {own}'s context is not its window; take another suites.{config.suite}.reward.model"
    elif window and window - 1 in config.contexts:
        yield f"ablations.contexts: {window - 1} is the suite's own, with which the others are compared; remove it"
    if config.scorings and STREAMED not in config.models:
        yield f"ablations.scorings: '{STREAMED}' is scored like this and is not in ablations.models; add it there"
    if "full_window" in config.scorings:
        yield f"ablations.scorings: full_window is the scoring of '{STREAMED}' among the models; remove it"
    if "kv_cache" in config.scorings and (suite.reward.mode == "joint" or suite.reward.boundary != "growing"):
        yield f"ablations.scorings: kv_cache takes suites.{config.suite}.reward.mode conditional and boundary growing"
    if not isinstance(suite.exploration, BonusConfig):
        yield f"ablations.betas: exploration kind '{suite.exploration.kind}' has no weight to change; take rnd"
    if 1.0 in config.betas:
        yield "ablations.betas: 1 is the suite's own run, with which the others are compared; remove it"


def _explain(error: ValidationError, name: str, raw: ParamsBlock) -> str:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown key{did_you_mean(str(item['loc'][-1]), _known(item['loc'][:-1], raw))}"
        elif item["type"] == "missing":
            message = "missing"
        lines.append(f"{name}: {field}: {message}" if field else f"{name}: {message}")
    return "\n".join(lines)


def _known(path: tuple[Any, ...], raw: Any) -> set[str]:
    """The keys that may stand in the block at `path` of the values in `raw`."""
    kind: Any = Params
    if found := _own_schema(path, raw):
        return set(found.model_fields)
    for part in path:
        raw = raw.get(part) if isinstance(raw, Mapping) else None
        fields = getattr(kind, "model_fields", None)
        registry = {SuiteConfig: (VIDEO_MODELS, AGENTS), AblationsConfig: (VIDEO_MODELS,)}.get(kind, ())
        if (table := next((p for p in registry if part in p.names()), None)) is not None:
            kind = table.get(part).Config
            continue
        if kind is SuiteConfig and part in _reward_blocks():
            kind = _reward_blocks()[part]
            continue
        if kind is SuiteConfig and part == "exploration":
            return {key for name in EXPLORATION.names() for key in EXPLORATION.get(name).Config.model_fields}
        if fields is None or part not in fields:
            kind = _inner(kind)  # a key of a mapping such as `suites.dmc`
            continue
        kind = fields[part].annotation
        kind = _inner(kind) if type(None) in getattr(kind, "__args__", ()) else kind
        if kind is TokenizerConfig and isinstance(raw, Mapping) and raw.get("kind") in TOKENIZERS.names():
            kind = trainable_tokenizer(raw["kind"]).Config
    kind = _inner(kind)
    known = set(getattr(kind, "model_fields", {}))
    if kind is SuiteConfig:
        known |= {*VIDEO_MODELS.names(), *AGENTS.names(), *_reward_blocks()}
    return known - {SuiteConfig: {"components"}, AblationsConfig: {"blocks"}}.get(kind, set())


def _reward_blocks() -> dict[str, type[Config]]:
    """Blocks of a suite that rewards read, and their schemas."""
    methods = [REWARDS.get(name) for name in REWARDS.names()]
    return {method.block: method.Config for method in methods if method.Config}


def _own_schema(path: tuple[Any, ...], raw: Any) -> type[Config] | None:
    """The schema of a block that the suite (`env`, `frames`) or the algorithm of an expert chooses."""
    if len(path) == 3 and path[0] == "suites" and path[1] in SUITES.names() and path[2] in ("env", "frames"):
        kind: type[Suite] = SUITES.get(path[1])
        return kind.Env if path[2] == "env" else kind.Frames
    if len(path) == 4 and path[0] == "suites" and path[2] == "experts":
        for key in path:
            raw = raw.get(key) if isinstance(raw, Mapping) else None
        name = raw.get("algorithm", DEFAULT_ALGORITHM) if isinstance(raw, Mapping) else DEFAULT_ALGORITHM
        return EXPERTS.get(name).Config if name in EXPERTS.names() else None
    return None


def _inner(annotation: Any) -> Any:
    """The model class inside `dict[str, X]`, `X | None` or X."""
    arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, Config)]
    return arguments[-1] if arguments else annotation


def check_command(paths: list[str]) -> None:
    """`viper params check [FILE...]`: print one line per file, or raise BadParams.

    Of the project's own params.yaml, which this machine is to run, its videos and devices are checked as well.
    """
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.profiles import read_profile

    for path in paths or [str(project_root() / "params.yaml")]:
        raw = read_profile(path)
        params = validate(raw, path)
        if not paths:
            lacking = [*params_fit.missing_sources(params, project_root())]
            lacking += params_fit.missing_devices(raw["runtime"].get("compute") or {})
            if lacking:
                raise BadParams("\n".join(lacking))
        runs = sum(
            len(tasks) * len(s.agents) * len(seeds_of(vars(s), method, params.seeds))
            for s in params.suites.values()
            for method, tasks in s.learned.items()
        )
        print(f"{path}: profile {params.profile}, {', '.join(params.suites)}: {runs} agent runs. It is sound.")
