"""params.yaml: what may stand in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from viper_pipeline.agents.base import AGENTS, RunConfig
from viper_pipeline.core.config import Config, ParamsBlock, component
from viper_pipeline.core.files import Json
from viper_pipeline.core.registry import Registry, did_you_mean
from viper_pipeline.data.curation import CurationConfig
from viper_pipeline.dvc_bridge.executors import Resources
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import EnvSettings, FrameSettings, Rect, Suite
from viper_pipeline.experts.base import DEFAULT_ALGORITHM, EXPERTS, ExpertConfig
from viper_pipeline.experts.policies import Variation
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, ExplorationConfig
from viper_pipeline.rewards.methods import RATIO_METHODS
from viper_pipeline.rewards.scores import EvaluationConfig
from viper_pipeline.rewards.viper import ViperConfig
from viper_pipeline.tokenizers import TOKENIZERS, trainable_tokenizer
from viper_pipeline.tokenizers.base import TokenizerConfig
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring


def learned_tasks(suite_config: ParamsBlock) -> list[str]:
    """The tasks of a suite's block that its models and agents learn: `learned_tasks`, or all."""
    return suite_config.get("learned_tasks") or suite_config["tasks"]


def learns_ratio(suite_config: ParamsBlock) -> bool:
    """Whether a method of a suite's block is paid by the likelihood ratio: then its model is trained."""
    return any(method in learned(suite_config) for method in RATIO_METHODS)


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


class DatasetConfig(Config):
    """Where the expert videos of one task come from."""

    kind: str = Field(description="expert, or an importer: npz, video, rlbench, lerobot, minari, hdf5, episodes")
    path: str = Field(description="file or folder; for kind expert the file that record_episodes writes")
    camera: str | dict[str, str] | None = Field(
        None,
        description="lerobot, minari: which camera of a dataset that has several; hdf5: the dataset of the frames, or "
        "the names of several: frames, episodes, lengths, ends, rewards, returns",
    )
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
        description="rewards that agents are trained on, all tasks each. viper; viper_ratio: the likelihood "
        "ratio of expert and agent, by a model of its own (block videogpt_ratio); viper_ratio_replay: the same with "
        "`negatives: replay`, whatever the block viper_ratio says; task_reward: the environment's own; "
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
    tracking: Literal["none", "csv", "dvclive", "tensorboard", "wandb", "mlflow"] = Field(
        "none",
        description="where trainings are logged besides, in tracking/; changes no result and makes nothing stale",
    )
    suites: dict[str, SuiteConfig] = Field(min_length=1)
    ablations: AblationsConfig | None = Field(None, description="Fig 9; null: none")
    other_reports: list[str] = Field(
        default_factory=list,
        description="folders of reports/ with another profile's report, as `viper export-report` wrote them; pages "
        "link to them, and the overview counts them in",
    )

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
