"""How long an agent lives, how it explores, and how it is judged."""

from __future__ import annotations

from pydantic import Field

from viper_pipeline.configs import Config


class RunConfig(Config):
    """How long an agent lives and how it is judged. Steps are agent steps, summed over the environments."""

    steps: int = Field(gt=0, description="agent steps of training")
    envs: int = Field(1, gt=0, description="environments that step together")
    processes: bool = Field(
        False, description="each environment in a process of its own: the same results, sooner where cores are free"
    )
    round_steps: int = Field(gt=0, description="steps an environment plays before all are cut and begin anew")
    final_round_steps: int | None = Field(
        None, gt=0, description="the same at the end of training, reached linearly; null: as in the beginning"
    )
    noise_correlation: float = Field(
        0.0, ge=0, lt=1, description="of the exploration noise of one step with that of the next; 0: white, as usual"
    )
    random_steps: int = Field(
        1000, ge=0, description="steps of random actions before learning; rounded up to whole rounds"
    )
    updates_per_step: float = Field(1.0, gt=0, description="updates for every agent step after these")
    capacity: int = Field(1_000_000, gt=0, description="frames the replay holds")
    eval_every: int = Field(gt=0, description="agent steps between evaluations")
    eval_episodes: int = Field(5, gt=0, description="episodes of an evaluation on the way")
    final_episodes: int = Field(30, gt=0, description="episodes of the one at the end, which is reported")
    checkpoint_every: int = Field(2000, gt=0, description="agent steps between checkpoints")

    def round_length(self, step: int) -> int:
        """Steps of a round that begins after `step` steps. Short ones see more beginnings, long ones more ends."""
        first, last = self.round_steps, self.final_round_steps or self.round_steps
        return round(first + (last - first) * step / self.steps)
