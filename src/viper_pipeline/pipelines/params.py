"""params.yaml: what may stand in it. Everything wrong is found before any work begins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator, model_validator

from viper_pipeline.agents.base import AGENTS, RunConfig
from viper_pipeline.core.config import Config, ParamsBlock, component
from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json
from viper_pipeline.core.registry import Registry, did_you_mean
from viper_pipeline.data.curation import CurationConfig
from viper_pipeline.data.importers import IMPORTERS, chosen_of
from viper_pipeline.data.importers.lerobot import missing_parquet
from viper_pipeline.dvc_bridge.executors import Resources
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import EnvSettings, FrameSettings, Rect, Suite
from viper_pipeline.experts.base import DEFAULT_ALGORITHM, EXPERTS, Expert, ExpertConfig
from viper_pipeline.experts.policies import Variation
from viper_pipeline.pipelines import params_fit
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, BonusConfig, ExplorationConfig
from viper_pipeline.rewards.scores import EvaluationConfig
from viper_pipeline.rewards.viper import ViperConfig
from viper_pipeline.tokenizers import TOKENIZERS, trainable_tokenizer
from viper_pipeline.tokenizers.base import TokenizerConfig
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring, check_continuous


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
    if suite_config.reward.model not in suite_config.video_models:
        yield f"{here}.reward.model: '{suite_config.reward.model}' is not in {here}.video_models"
    elif suite_config.reward.scoring not in (offered := VIDEO_MODELS.get(suite_config.reward.model).scorings):
        yield (
            f"{here}.reward.scoring: '{suite_config.reward.model}' cannot be scored by {suite_config.reward.scoring}; "
            f"take model {STREAMED}, or one of {', '.join(sorted(offered))}"
        )
    yield from _discrete_agents(here, suite_config, simulator)
    yield from _experts(here, suite_config, simulator)
    yield from _processes(here, suite_config, simulator)
    yield from _held_out_tasks(here, suite_config, simulator)
    yield from params_fit.sizes(here, suite_config)
    yield from params_fit.unreachable(suite, suite_config.datasets)
    if not unknown:
        yield from _lengths(here, suite_config, simulator)


def _discrete_agents(here: str, suite_config: SuiteConfig, simulator: Suite) -> Iterator[str]:
    for name in suite_config.agents if simulator.discrete else []:
        if not AGENTS.get(name).discrete:
            what = "needs continuous actions"
            yield f"{here}.agents: '{name}' {what}, this suite's are discrete; take dreamer, or none: []"


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
        except BadParams as error:
            yield f"{error}"
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
        for name in suite_config.video_models:
            window = getattr(suite_config.components[name], "window", 1)
            if strided < window:
                yield (
                    f"{here}.{name}.window: {window} frames, but an episode of {task} has {frames} frames, "
                    f"{strided} at curation.stride {curation.stride}; lower one of them"
                )


def learned_tasks(suite_config: ParamsBlock) -> list[str]:
    """The tasks of a suite's block that its models and agents learn: `learned_tasks`, or all."""
    return suite_config.get("learned_tasks") or suite_config["tasks"]


def seeds_of(suite_config: ParamsBlock, method: str, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds of a method's runs, of a suite's block: its own in `method_seeds`, or those of all methods."""
    return suite_config.get("method_seeds", {}).get(method, seeds)


def learned(suite_config: ParamsBlock) -> dict[str, list[str]]:
    """Method -> the tasks it learns, of a suite's block: `methods` learn all, `more_methods` those they name."""
    return {method: learned_tasks(suite_config) for method in suite_config["methods"]} | suite_config.get(
        "more_methods", {}
    )


STREAMED = "videogpt_streaming"
"""The model for which every `reward.scoring` is possible."""


def _take_blocks(block: Json, registry: Registry) -> dict[str, Config]:
    """Take the blocks that have the names of a registry's entries out of `block`; each is read by its own schema."""
    names = [name for name in registry.names() if name in block]
    return {name: component(registry.get(name).Config, name, block.pop(name)) for name in names}


class AblationsConfig(Config):
    """One task, one agent; every list is an axis. What is not changed is the suite's own.

    The blocks of the models stand beside the lists, under their names.
    """

    suite: str = Field(description="suite whose viper runs are the reference")
    task: str = Field(description="the task whose agents are trained anew")
    agent: str = Field(description="one of the suite's agents")
    betas: list[Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="shares of the suite's exploration.weight (paper: 1, .5, 0; 1 is the suite's own run)"
    )
    models: list[str] = Field(min_length=1, description="video models in the place of the suite's")
    contexts: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="context frames k of the suite's video model, whose window is k + 1 (paper: 8, 2)"
    )
    scorings: list[Scoring] = Field(
        default_factory=list,
        description="scoring of `videogpt_streaming`, which is one of models and has full_window there",
    )
    blocks: dict[str, Config] = Field(default_factory=dict, description="settings of `models`, by name")

    @model_validator(mode="before")
    @classmethod
    def _model_blocks(cls, block: Any) -> Any:
        """Move the blocks named by `models` into `blocks`, each read by its own schema."""
        if not isinstance(block, Mapping):
            return block
        block = dict(block)
        blocks = dict(block.pop("blocks", {}))
        blocks |= _take_blocks(block, VIDEO_MODELS)
        return block | {"blocks": blocks}

    @field_validator("blocks")
    @classmethod
    def _every_model_has_one(cls, blocks: dict[str, Config], info: ValidationInfo) -> dict[str, Config]:
        for name in info.data.get("models", []):
            if name not in VIDEO_MODELS.names():
                raise ValueError(f"there is no video model '{name}'{did_you_mean(name, VIDEO_MODELS.names())}")
            if name not in blocks:
                raise ValueError(f"models: '{name}' needs a block of its settings, called ablations.{name}")
        return blocks


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


class DatasetConfig(Config):
    """Where the expert videos of one task come from."""

    kind: str = Field(description="expert, or an importer: npz, video, rlbench, lerobot, minari, episodes")
    path: str = Field(description="file or folder; for kind expert the file that record_episodes writes")
    camera: str | None = Field(None, description="lerobot, minari: which camera of a dataset that has several")
    instruction: str | None = Field(None, description="lerobot: only episodes of this task, in the dataset's own words")
    mask: bool | list[Rect] = Field(
        True,
        description="on: the suite's own rectangles for this task (scoreboards); off: none; or a list",
    )


class RecordConfig(Config):
    """What the experts record."""

    expert: int = Field(gt=0, description="expert episodes per task (paper: 1000)")
    noisy: int = Field(ge=0, description="episodes of the expert under noise; they only test the reward")
    variation: Variation = Variation()


class BaselinesConfig(Config):
    """Returns of a policy that has learned nothing."""

    random: int = Field(gt=0, description="episodes of uniformly random actions")
    idle: int = Field(gt=0, description="episodes of zero action")


class RuntimeConfig(Config):
    """The machine's side."""

    compute: ComputeConfig = ComputeConfig()
    workers: int = Field(2, gt=0, description="simulator processes while recording")
    resources: dict[str, Resources] = Field(
        default_factory=dict,
        description="what `viper run --executor ray|slurm` asks for, by stage; `default` for all others",
    )


class SuiteConfig(Config):
    """One suite: a tokenizer, its video models, its agents."""

    tasks: list[str] = Field(min_length=1, description="tasks of the suite; the order gives the task ids")
    learned_tasks: list[str] | None = Field(
        None,
        min_length=1,
        description="those of `tasks` that models and agents learn; the others have experts and baselines only. "
        "null: all",
    )
    held_out_tasks: list[str] | None = Field(
        None,
        description="suites with arms: tasks whose videos neither tokenizer nor video model is trained on (Figs 7, 8)",
    )
    env: EnvSettings
    frames: FrameSettings
    datasets: dict[str, DatasetConfig]
    experts: dict[str, ExpertConfig]
    record: RecordConfig
    baselines: BaselinesConfig
    curation: CurationConfig
    tokenizer: SerializeAsAny[TokenizerConfig]
    video_models: list[str] = Field(min_length=1, description="each has a block of its own name")
    reward: ViperConfig
    reward_evaluation: EvaluationConfig
    exploration: ExplorationConfig = Field(description="`kind` chooses the bonus, which reads the rest of the block")
    methods: list[str] = Field(
        description="rewards that agents are trained on, all tasks each. viper; task_reward: the environment's own; "
        "task_reward_plain: that without the exploration bonus, which all others get; "
        "exploration: the bonus alone; amp: a discriminator shown expert videos of the task; amp_multi: of every task"
    )
    more_methods: dict[str, list[str]] = Field(
        default_factory=dict, description="rewards that agents of some tasks are trained on: reward -> tasks"
    )
    method_seeds: dict[str, list[int]] = Field(
        default_factory=dict,
        description="seeds of a reward's agents, where they are not the profile's: reward -> seeds",
    )
    agents: list[str] = Field(description="each has a block of its own name")
    runs: RunConfig
    components: dict[str, Config] = Field(default_factory=dict, description="the blocks of models, agents and rewards")

    @model_validator(mode="before")
    @classmethod
    def _component_blocks(cls, block: Any) -> Any:
        """Move the blocks of models, agents and rewards into `components`; each is read by its own schema."""
        if not isinstance(block, Mapping):
            return block
        block = dict(block)
        components = dict(block.pop("components", {}))
        for registry, key in ((VIDEO_MODELS, "video_models"), (AGENTS, "agents")):
            components |= _take_blocks(block, registry)
            listed = block.get(key)
            for name in listed if isinstance(listed, list) else []:
                if not isinstance(name, str):  # said by the schema of the list
                    continue
                if name not in registry.names():
                    raise ValueError(
                        f"{key}: there is no {registry.kind} '{name}'{did_you_mean(name, registry.names())}"
                    )
                if name not in components:
                    raise ValueError(f"{key}: '{name}' needs a block of its settings, called {name}")
        for method in (REWARDS.get(name) for name in REWARDS.names()):
            if method.Config and block.get(method.block) is not None:
                components[method.block] = component(method.Config, method.block, block.pop(method.block))
        if isinstance(bonus := block.get("exploration"), Mapping):
            kind = str(bonus.get("kind", "rnd"))
            if kind not in EXPLORATION.names():
                likely = did_you_mean(kind, EXPLORATION.names())
                raise ValueError(f"exploration.kind: there is no {EXPLORATION.kind} '{kind}'{likely}")
            block["exploration"] = component(EXPLORATION.get(kind).Config, "exploration", bonus)
        return block | {"components": components}

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _tokenizer_of_its_kind(cls, block: Any) -> Any:
        """The block read by the schema of its kind."""
        if not isinstance(block, Mapping) or "kind" not in block:
            return block
        if block["kind"] not in TOKENIZERS.names():
            likely = did_you_mean(str(block["kind"]), TOKENIZERS.names())
            raise ValueError(f"kind: there is no tokenizer '{block['kind']}'{likely}")
        return trainable_tokenizer(block["kind"]).Config.model_validate(block)

    @field_validator("methods", "more_methods")
    @classmethod
    def _methods_are_rewards(cls, methods: Iterable[str]) -> Iterable[str]:
        """Each is in the table of rewards."""
        for name in methods:
            if name not in REWARDS.names():
                raise ValueError(f"there is no reward '{name}'{did_you_mean(name, REWARDS.names())}")
        return methods

    @property
    def learned(self) -> dict[str, list[str]]:
        """Method -> the tasks it learns."""
        return learned(vars(self))

    @property
    def learnable(self) -> list[str]:
        """The tasks that models and agents learn."""
        return learned_tasks(vars(self))

    def limits(self, agent: str) -> RunConfig:
        """How long an agent lives: the `runs` of its own block, or those of all."""
        return getattr(self.components[agent], "runs", None) or self.runs

    @field_validator("experts", mode="before")
    @classmethod
    def _expert_recipes(cls, table: Any) -> Any:
        """Each recipe read by the schema of its algorithm, so that mistakes are named once."""
        if not isinstance(table, Mapping):
            return table
        recipes = {}
        for task, recipe in table.items():
            if isinstance(recipe, Mapping):
                name = recipe.get("algorithm", DEFAULT_ALGORITHM)
                if name not in EXPERTS.names():
                    message = f"there is no {EXPERTS.kind} '{name}'{did_you_mean(str(name), EXPERTS.names())}"
                    raise ValueError(f"{task}.algorithm: {message}")
                recipe = component(EXPERTS.get(name).Config, task, recipe)
            recipes[task] = recipe
        return recipes


class Params(Config):
    """The whole of params.yaml."""

    profile: str = Field(description="name of the profile; shown in the report")
    seed: int = Field(ge=0, description="seed of experts, recordings and models")
    seeds: list[int] = Field(min_length=1, description="seeds of agent runs")
    runtime: RuntimeConfig
    suites: dict[str, SuiteConfig] = Field(min_length=1)
    ablations: AblationsConfig | None = Field(None, description="Fig 9; null: none")

    @model_validator(mode="before")
    @classmethod
    def _blocks_of_suites(cls, raw: Any) -> Any:
        """Each suite reads its own blocks `env` and `frames`."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("suites"), Mapping):
            return raw
        suites = dict(raw["suites"])
        for name, block in suites.items():
            if not isinstance(block, Mapping) or name not in SUITES.names():
                continue
            kind: type[Suite] = SUITES.get(name)
            for field, schema in (("env", kind.Env), ("frames", kind.Frames)):
                if isinstance(block.get(field), Mapping):
                    checked_block = component(schema, ("suites", name, field), block[field])
                    suites[name] = {**suites[name], field: checked_block}
        return {**raw, "suites": suites}


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
