"""What a video model offers to the training loop, to scoring and to the reward (paper 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.checkpoints import StateDict
from viper_pipeline.training.config import LoopConfig

Scoring = Literal["full_window", "half_overlap", "kv_cache"]
"""How a whole video is scored, see `scoring.score_videos`."""


class VideoModelConfig(Config):
    """What the block of every video model holds; each model adds its own fields."""

    window: int = Field(ge=1, description="frames of a training clip")
    training: LoopConfig


class VideoModel(Protocol):
    """p(frame | earlier frames, condition), for several tasks.

    Shapes: B batch, T frames (at most `window`), h w the grid of a frame. Codes are (B, T, h, w); a model with
    `continuous` also takes a continuous tokenizer's latents (B, T, h, w, D).
    A condition is a tensor (B, ...), one row per video: what it is made of is the model's own affair, `conditions`
    makes it. Today's models take task ids (B,) and look up an embedding; a text's embedding (B, D) fits as well.
    """

    Config: ClassVar[type[VideoModelConfig]]
    continuous: ClassVar[bool]
    """Whether it can be trained on a continuous tokenizer: on latents, with an empty codebook (0, D)."""
    scorings: ClassVar[frozenset[Scoring]]
    """How it can be scored; with `kv_cache` it is a `StreamingVideoModel`."""
    window: int
    tasks: tuple[str, ...]

    def __init__(self, config: VideoModelConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook, grid: the tokenizer's (`Tokenizer.codebook`); tasks: names of the tasks that it will know."""

    @property
    def parts(self) -> Mapping[str, list[nn.Parameter]]:
        """The parameters of each part, in the order of their updates."""
        ...

    def conditions(self, tasks: Sequence[str]) -> Tensor:
        """Names of tasks (n,) -> their conditions (n, ...), on the CPU. Raises BadData for an unknown task."""
        ...

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a part on clips (B, config.window, h, w) with conditions (B, ...), and detached metrics.

        Likelihood models: the mean negative log-likelihood of a code, in nats.
        """
        ...

    def log_prob(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """ln p(x_t | x_0..x_{t-1}) in nats: (B, T), or (B, T, h, w) per code, for codes (B, T, h, w)."""
        ...

    def log_prob_last(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """The last frame's log-likelihood alone, (B,) or (B, h, w): equal to `log_prob(...)[:, -1]`, cheaper."""
        ...

    def sample(self, context: Tensor, condition: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Continue videos (B, t, h, w) by `frames` frames: (B, t + frames, h, w)."""
        ...

    def to(self, device: str) -> Self:
        """Move to a device."""
        ...

    def state_dict(self) -> StateDict:
        """Weights by name."""
        ...

    def to_artifact(self) -> ModelArtifact:
        """Weights and configuration, for the disk. `config["kind"]` is the name in the registry."""
        ...

    @classmethod
    def from_artifact(cls, artifact: ModelArtifact) -> Self:
        """The model that `to_artifact` described, in evaluation mode. Raises BadData for anything else."""
        ...


class Session(Protocol):
    """Scores running videos frame by frame from a cache of keys and values, one video per row."""

    def step(self, codes: Tensor) -> Tensor:
        """The next frame (B, h, w) of every video -> nats of each code (B, h, w)."""
        ...

    def restart(self, rows: Sequence[int], codes: Tensor) -> Tensor:
        """These rows start a new video: codes (len(rows), h, w), its first frames, replace their last step. Nats."""
        ...

    def forget(self, rows: Sequence[int]) -> None:
        """The next frame of these rows is the first of a new video."""
        ...

    def state_dict(self) -> StateDict:
        """Everything that later scores depend on."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Continue from `state_dict`."""
        ...


class StreamingVideoModel(VideoModel, Protocol):
    """A video model whose `scorings` contain `kv_cache`."""

    def session(self, condition: Tensor) -> Session:
        """A session of as many videos as the condition (B, ...) has rows."""
        ...


def check_continuous(name: str, accepts: bool, continuous: bool) -> None:
    """Raise BadParams if the tokenizer is continuous and the model called `name` does not accept that."""
    if continuous and not accepts:
        raise BadParams(
            f"video model '{name}' predicts codes, and the tokenizer is continuous: it has no codebook; take a "
            "discrete tokenizer (tokenizer.kind) or a video model of latents"
        )


class CodeModel(nn.Module):
    """Base of the models that predict codes and are conditioned on task ids: what they share, and their files."""

    Config: ClassVar[type[VideoModelConfig]]
    KIND: ClassVar[str]
    """Name in the registry."""
    continuous: ClassVar[bool] = False
    scorings: ClassVar[frozenset[Scoring]] = frozenset({"full_window", "half_overlap"})
    codebook: Tensor

    def __init__(self, config: VideoModelConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """codebook (K, E): the tokenizer's vectors; grid: (h, w) codes per frame; tasks: names, by task id."""
        super().__init__()
        check_continuous(self.KIND, self.continuous, continuous=not len(codebook))
        self.config = config
        self.grid, self.tasks, self.window = (grid[0], grid[1]), tuple(tasks), config.window
        self.register_buffer("codebook", codebook.detach().clone().float())

    @property
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """One part: everything that learns by gradient."""
        return {"model": [p for p in self.parameters() if p.requires_grad]}

    @property
    def codes_per_frame(self) -> int:
        """Z of the paper."""
        return self.grid[0] * self.grid[1]

    def conditions(self, tasks: Sequence[str]) -> Tensor:
        """Names of tasks (n,) -> their ids (n,) int64. Raises BadData for an unknown task."""
        if unknown := [task for task in tasks if task not in self.tasks]:
            known = ", ".join(self.tasks)
            raise BadData(f"the video model knows no task '{unknown[0]}': it was trained on {known}")
        return torch.tensor([self.tasks.index(task) for task in tasks])

    def to_artifact(self) -> ModelArtifact:
        """config.json holds sizes, grid and task names; weights include the codebook."""
        model = self.config.model_dump(mode="json")
        config = {"kind": self.KIND, "model": model, "grid": list(self.grid), "tasks": list(self.tasks)}
        return ModelArtifact(config, dict(self.state_dict()))

    @classmethod
    def from_artifact(cls, artifact: ModelArtifact) -> Self:
        """Rebuild a model in evaluation mode. Raises BadData if the folder holds something else."""
        try:
            c = artifact.config
            if c["kind"] != cls.KIND:
                raise ValueError(f"kind is '{c['kind']}'")
            config = cls.Config.model_validate(c["model"])
            model = cls(config, artifact.tensors["codebook"], tuple(c["grid"]), c["tasks"])
            model.load_state_dict(artifact.tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise BadData(f"this folder holds no {cls.KIND}: {error}") from error
        return model.eval()


def for_every_task(kind: type[VideoModel], artifact: ModelArtifact, classes: Mapping[str, str]) -> ModelArtifact:
    """A model trained on classes, as one that knows tasks: each task gets the weights learned for its class.

    kind: the model's class; artifact: what its `to_artifact` made, its tasks being classes; classes: task -> class,
    by task id. Tasks of one class, seen in training or not, get equal scores for equal codes.
    """
    known, tasks = list(artifact.config["tasks"]), tuple(classes)
    rows = [known.index(classes[task]) for task in tasks]
    settings = kind.Config.model_validate(artifact.config["model"])
    larger = kind(settings, artifact.tensors["codebook"], tuple(artifact.config["grid"]), tasks).state_dict()
    # what has another shape in a model of more tasks is a table with one row per task
    tensors = {
        name: value if value.shape == larger[name].shape else value[rows] for name, value in artifact.tensors.items()
    }
    config = artifact.config | {"tasks": list(tasks), "classes": dict(classes)}
    return ModelArtifact(config, tensors, artifact.files)
