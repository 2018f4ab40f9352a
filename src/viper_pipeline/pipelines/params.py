"""params.yaml: what may stand in it. Everything wrong is found before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.agents.config import RunConfig
from viper_pipeline.configs import Config
from viper_pipeline.errors import BadParams
from viper_pipeline.graph.resources import Resources
from viper_pipeline.oracles.behaviour import Behaviour
from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.planner import PlannerConfig
from viper_pipeline.oracles.scripts import ScriptConfig
from viper_pipeline.oracles.search import SearchConfig
from viper_pipeline.pipelines.ablations.config import AblationsConfig
from viper_pipeline.pipelines.ablations.config import contradictions as ablation_contradictions
from viper_pipeline.pipelines.component import component
from viper_pipeline.pipelines.crosscheck import contradictions
from viper_pipeline.pipelines.methods import learned, learned_tasks
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.rewards.amp import AMPConfig
from viper_pipeline.rewards.evaluate import EvaluationConfig
from viper_pipeline.rewards.rnd import RNDConfig
from viper_pipeline.rewards.viper import ViperConfig
from viper_pipeline.suites import SUITES
from viper_pipeline.suites.frames import FrameSettings, Rect
from viper_pipeline.tokenizers.vqgan import VQGANConfig
from viper_pipeline.training.compute import ComputeConfig
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.videos.curate import CurationConfig

UNLEARNED: dict[str, type[Config]] = {"script": ScriptConfig, "search": SearchConfig, "planner": PlannerConfig}
"""Algorithms of oracles that do not learn, and what may be said of each."""
Method = Literal["viper", "oracle", "exploration", "amp", "amp_multi"]


class DatasetConfig(Config):
    """Where the expert videos of one task come from."""

    kind: str = Field(description="oracle, or an importer: npz, video, rlbench, episodes")
    path: str = Field(description="file or folder; for kind oracle the file that record_episodes writes")
    mask: bool | list[Rect] = Field(
        True,
        description="on: the suite's own rectangles for this task (scoreboards); off: none; or a list",
    )


class RecordConfig(Config):
    """What the oracle records."""

    expert: int = Field(gt=0, description="expert episodes a task (paper: 1000)")
    noisy: int = Field(ge=0, description="episodes of the oracle under noise; they only test the reward")
    behaviour: Behaviour = Behaviour()


class BaselinesConfig(Config):
    """Floors: what a task returns to an agent that has learned nothing."""

    random: int = Field(gt=0, description="episodes of uniformly random actions")
    idle: int = Field(gt=0, description="episodes of zero action")


class RuntimeConfig(Config):
    """The machine's side."""

    compute: ComputeConfig = ComputeConfig()
    workers: int = Field(2, gt=0, description="simulator processes while recording")
    resources: dict[str, Resources] = Field(
        default_factory=dict,
        description="what `viper run --engine ray|slurm` asks for, by stage; `default` for all others",
    )


class SuiteConfig(Config):
    """One suite: a tokenizer, its video models, its agents."""

    tasks: list[str] = Field(min_length=1, description="tasks of the suite; the order gives the task ids")
    learned_tasks: list[str] | None = Field(
        None,
        min_length=1,
        description="those of `tasks` that models and agents learn; of the others there are experts and floors alone. "
        "null: all",
    )
    held_out_tasks: list[str] | None = Field(
        None,
        description="suites with arms: tasks whose videos neither tokenizer nor video model is trained on (Figs 7, 8)",
    )
    frames: FrameSettings
    datasets: dict[str, DatasetConfig]
    oracles: dict[str, OracleConfig | ScriptConfig | SearchConfig | PlannerConfig]
    record: RecordConfig
    baselines: BaselinesConfig
    curation: CurationConfig
    tokenizer: VQGANConfig
    video_models: list[str] = Field(min_length=1, description="each has a block of its own name")
    reward: ViperConfig
    reward_evaluation: EvaluationConfig
    exploration: RNDConfig
    amp: AMPConfig | None = Field(None, description="AMP's discriminator; needed by methods amp and amp_multi")
    methods: list[Method] = Field(
        description="viper; oracle: the true reward; exploration: the bonus alone; amp: a discriminator shown expert "
        "videos of the task; amp_multi: of every task"
    )
    more_methods: dict[Method, list[str]] = Field(
        default_factory=dict, description="by method: the tasks it learns; each of `methods` learns all"
    )
    agents: list[str] = Field(description="each has a block of its own name")
    runs: RunConfig
    components: dict[str, Config] = Field(default_factory=dict, description="the blocks of models and agents")

    @model_validator(mode="before")
    @classmethod
    def _component_blocks(cls, block: Any) -> Any:
        """Move the blocks named by `video_models` and `agents` into `components`, each read by its own schema."""
        if not isinstance(block, Mapping):
            return block
        block = dict(block)
        components = dict(block.pop("components", {}))
        for plugs, key in ((VIDEO_MODELS, "video_models"), (AGENTS, "agents")):
            for name in plugs.names():
                if name in block:
                    components[name] = component(plugs.get(name).Config, name, block.pop(name))
            for name in block.get(key) or []:
                if name not in plugs.names():
                    raise ValueError(f"{key}: there is no {plugs.kind} '{name}'{did_you_mean(name, plugs.names())}")
                if name not in components:
                    raise ValueError(f"{key}: '{name}' needs a block of its settings, called {name}")
        return block | {"components": components}

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

    @field_validator("oracles", mode="before")
    @classmethod
    def _oracle_recipes(cls, table: Any) -> Any:
        """Each recipe read by the schema of its algorithm, so that mistakes are named once."""
        if not isinstance(table, Mapping):
            return table
        return {
            task: component(UNLEARNED.get(recipe.get("algorithm", ""), OracleConfig), task, recipe)
            if isinstance(recipe, Mapping)
            else recipe
            for task, recipe in table.items()
        }


class Params(Config):
    """The whole of params.yaml."""

    profile: str = Field(description="name of the profile; shown in the report")
    seed: int = Field(ge=0, description="seed of oracles, recordings and models")
    seeds: list[int] = Field(min_length=1, description="seeds of agent runs")
    runtime: RuntimeConfig
    suites: dict[str, SuiteConfig] = Field(min_length=1)
    ablations: AblationsConfig | None = Field(None, description="Fig 9; null: none")

    @model_validator(mode="before")
    @classmethod
    def _frames_of_suites(cls, raw: Any) -> Any:
        """Each suite reads its own block `frames`."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("suites"), Mapping):
            return raw
        suites = dict(raw["suites"])
        for name, block in suites.items():
            kind = getattr(SUITES.get(name), "Frames", FrameSettings) if name in SUITES.names() else FrameSettings
            if isinstance(block, Mapping) and isinstance(block.get("frames"), Mapping):
                suites[name] = {**block, "frames": component(kind, ("suites", name, "frames"), block["frames"])}
        return {**raw, "suites": suites}


def validate(raw: Mapping[str, Any], name: str = "params.yaml") -> Params:
    """raw YAML values -> checked parameters. Raises BadParams with one line a mistake: file, field, remedy."""
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise BadParams(_explain(error, name)) from error
    wrong = [line for suite, spec in params.suites.items() for line in contradictions(suite, spec)]
    if params.ablations:
        wrong += ablation_contradictions(params.ablations, params.suites)
    if wrong:
        raise BadParams("\n".join(f"{name}: {line}" for line in wrong))
    return params


def _explain(error: ValidationError, name: str) -> str:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown key{did_you_mean(str(item['loc'][-1]), _known(item['loc'][:-1]))}"
        elif item["type"] == "missing":
            message = "missing"
        lines.append(f"{name}: {field}: {message}" if field else f"{name}: {message}")
    return "\n".join(lines)


def _known(path: tuple[Any, ...]) -> set[str]:
    """The keys that may stand in the block at `path`."""
    kind: Any = Params
    for part in path:
        fields = getattr(kind, "model_fields", None)
        plugs = {SuiteConfig: (VIDEO_MODELS, AGENTS), AblationsConfig: (VIDEO_MODELS,)}.get(kind, ())
        if (table := next((p for p in plugs if part in p.names()), None)) is not None:
            kind = table.get(part).Config
            continue
        if fields is None or part not in fields:
            kind = _inner(kind)  # a key of a mapping such as `suites.dmc`
            continue
        kind = fields[part].annotation
        kind = _inner(kind) if type(None) in getattr(kind, "__args__", ()) else kind
    kind = _inner(kind)
    known = set(getattr(kind, "model_fields", {})) - {"components", "blocks"}
    if kind is SuiteConfig:
        known |= {*VIDEO_MODELS.names(), *AGENTS.names()}
    return known


def _inner(annotation: Any) -> Any:
    """The model class inside `dict[str, X]`, `X | None` or X."""
    arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, Config)]
    return arguments[-1] if arguments else annotation


def check_command(paths: list[str]) -> None:
    """`viper params check [FILE...]`: print one line a file, or raise BadParams."""
    from viper_pipeline.graph.project import project_root, read_params

    for path in paths or [str(project_root() / "params.yaml")]:
        params = validate(read_params(path), path)
        runs = sum(
            len(tasks) * len(s.agents) * len(params.seeds)
            for s in params.suites.values()
            for tasks in s.learned.values()
        )
        print(f"{path}: profile {params.profile}, {', '.join(params.suites)}: {runs} agent runs. It is sound.")
