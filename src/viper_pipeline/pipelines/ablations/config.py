"""The block `ablations` of params.yaml: which parts of VIPER are changed, one at a time (paper 4.4, Fig 9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from viper_pipeline.configs import Config
from viper_pipeline.pipelines.component import component
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.scoring import Way

if TYPE_CHECKING:
    from viper_pipeline.pipelines.params import SuiteConfig


STREAMED = "banded"
"""The model that can be scored in every way."""


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
    ways: list[Way] = Field(
        default_factory=list, description="ways of scoring by `banded`, which is one of models and scores exact there"
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
        for name in [name for name in VIDEO_MODELS.names() if name in block]:
            blocks[name] = component(VIDEO_MODELS.get(name).Config, name, block.pop(name))
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


def contradictions(spec: AblationsConfig, suites: Mapping[str, SuiteConfig]) -> Iterator[str]:
    """What the block and its suite disagree about: a line each."""
    if spec.suite not in suites:
        yield f"ablations.suite: there is no block suites.{spec.suite}{did_you_mean(spec.suite, list(suites))}"
        return
    suite = suites[spec.suite]
    if spec.task not in suite.learnable:
        likely = did_you_mean(spec.task, suite.learnable)
        yield f"ablations.task: '{spec.task}' is no task that suites.{spec.suite} learns{likely}"
    if spec.agent not in suite.agents:
        yield f"ablations.agent: '{spec.agent}' is not in suites.{spec.suite}.agents"
    if "viper" not in suite.methods:
        yield f"ablations.suite: suites.{spec.suite}.methods has no viper, with whose runs ablations are compared"
    own = suite.reward.model
    if own in spec.models:
        yield f"ablations.models: '{own}' is the suite's own model, with which the others are compared; remove it"
    if suite.reward.way == "streaming":
        yield f"ablations.suite: its models have no rolling cache; write suites.{spec.suite}.reward.way: exact"
    window = getattr(suite.components.get(own), "window", None)
    if own == "banded":
        yield f"ablations.contexts: banded's context is not its window; take another suites.{spec.suite}.reward.model"
    elif window and window - 1 in spec.contexts:
        yield f"ablations.contexts: {window - 1} is the suite's own, with which the others are compared; remove it"
    if spec.ways and STREAMED not in spec.models:
        yield f"ablations.ways: '{STREAMED}' is scored in these ways and is not in ablations.models; add it there"
    if "exact" in spec.ways:
        yield f"ablations.ways: exact is the way of '{STREAMED}' among the models; remove it"
    if "streaming" in spec.ways and (suite.reward.mode == "joint" or suite.reward.boundary != "growing"):
        yield f"ablations.ways: streaming takes suites.{spec.suite}.reward.mode conditional and boundary growing"
    if 1.0 in spec.betas:
        yield "ablations.betas: 1 is the suite's own run, with which the others are compared; remove it"
