"""Hand-written experts: a function from state to action per task. See scripts_atari.py and scripts_arm.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.experts.base import Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy
from viper_pipeline.experts.scripts_arm import ARM_SCRIPTS, ArmScript
from viper_pipeline.experts.scripts_atari import ATARI_SCRIPTS, AtariScript

if TYPE_CHECKING:  # recording processes need no torch
    from viper_pipeline.training.artifacts import Directory


class ScriptConfig(ExpertConfig):
    """A script's only setting."""

    algorithm: Literal["script"] = "script"
    noise: float = Field(0.02, gt=0, lt=1, description="share of actions drawn at random, so that episodes differ")


class ScriptExpert(Expert):
    """Plays by the task's script. Nothing is learned."""

    Config = ScriptConfig
    needs = frozenset({"scripts"})

    def problem(self) -> str | None:
        """Also where no script is written for the task."""
        known = ATARI_SCRIPTS if self.suite.discrete else ARM_SCRIPTS
        if (found := super().problem()) or self.task in known:
            return found
        return "no script is written for this task"

    def policy(self, learned: Directory) -> Policy:
        """The task's script with `noise`."""
        return script_for(self.task, self.config.noise)


def script_for(task: str, noise: float) -> AtariScript | ArmScript:
    """The script of a game or of an arm's task. Raises BadParams where none is written."""
    if task in ARM_SCRIPTS:
        return ArmScript(task, noise)
    if task not in ATARI_SCRIPTS:
        raise BadParams(f"there is no script for task '{task}'{did_you_mean(task, ATARI_SCRIPTS)}; use algorithm ppo")
    return AtariScript(task, noise)
