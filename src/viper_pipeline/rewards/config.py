"""Settings of exploration bonuses and of AMP, apart from their networks: reading parameters needs no torch."""

from __future__ import annotations

from pydantic import Field

from viper_pipeline.core.config import Config


class ExplorationConfig(Config):
    """What every block `exploration` has; `kind` chooses the class that reads the rest."""

    kind: str = Field("rnd", description="exploration bonus of the agents: rnd, or none")

    @property
    def explores(self) -> bool:
        """False: no bonus, and agents that can explore by themselves do not."""
        return True


class NoExplorationConfig(ExplorationConfig):
    """`kind: none`; nothing else may be said."""

    kind: str = Field("none", description="no exploration bonus")

    @property
    def explores(self) -> bool:
        """No."""
        return False


class BonusConfig(ExplorationConfig):
    """The weight of a bonus, beta of Eq 6, which may change in the course of training."""

    weight: float = Field(1.0, ge=0, description="beta: weight of the bonus beside the reward (Table 4)")
    final_weight: float | None = Field(
        None, ge=0, description="beta at the end, reached linearly; null: as at the beginning"
    )
    final_at: float = Field(1.0, gt=0, le=1, description="fraction of training after which beta is final_weight")

    batch_size: int | None = Field(
        None, gt=0, description="frames per update of the bonus; null: as many as the agent's batch has returns"
    )
    update_every: int = Field(1, gt=0, description="updates of the agent per update of the bonus")

    def weight_at(self, progress: float) -> float:
        """Beta when a fraction `progress` (0 to 1) of training is done."""
        first, last = self.weight, self.final_weight
        return first if last is None else first + (last - first) * min(progress / self.final_at, 1.0)


class RNDConfig(BonusConfig):
    """Sizes of RND's two networks and weight of its bonus; the defaults are the paper's Table 4."""

    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions (Table 4)")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions; not given in the paper")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions; not given in the paper")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP (Table 4)")
    outputs: int = Field(512, gt=0, description="outputs of both networks; not given in the paper")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam (Table 4)")
    clip: float = Field(5.0, gt=0, description="largest bonus, in running standard deviations")
    decay: float = Field(0.999, gt=0, lt=1, description="of the running standard deviation")


class AMPConfig(Config):
    """Sizes of the discriminator and weight of its penalty. The paper gives none; defaults are its code's."""

    window: int = Field(5, gt=1, description="consecutive frames that the discriminator sees at once")
    channels: tuple[int, ...] = Field((32, 64, 64), description="of the convolutions")
    kernels: tuple[int, ...] = Field((6, 4, 3), description="of the convolutions")
    strides: tuple[int, ...] = Field((3, 2, 1), description="of the convolutions")
    hidden: tuple[int, ...] = Field((512, 512), description="layers of the MLP")
    learning_rate: float = Field(1e-4, gt=0, description="of Adam")
    penalty: float = Field(
        0.5, ge=0, description="weight of the squared gradient at expert windows, summed over pixels"
    )
    low: float = Field(-2.0, description="smallest reward of a window")
    high: float = Field(2.0, description="largest reward of a window; the formula gives at most 1")
    batch_size: int = Field(64, gt=0, description="expert windows, and agent windows, per update of the discriminator")
