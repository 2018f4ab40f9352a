"""What a video model offers to the training loop, to scoring and to the reward (paper 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from viper_pipeline.training.artifacts import Directory


class VideoModel(Protocol):
    """p(frame | earlier frames) of grids of codes, for several tasks.

    Shapes: B batch, T frames (at most `window`), h w the grid of codes of a frame; task ids are positions in `tasks`.
    """

    window: int
    tasks: tuple[str, ...]

    @property
    def parts(self) -> Mapping[str, list[nn.Parameter]]:
        """The parameters of each part, in the order of their updates."""
        ...

    def loss(self, batch: tuple[Tensor, Tensor], part: str = "model") -> tuple[Tensor, dict[str, Tensor]]:
        """Mean negative log-likelihood of a code, in nats, of clips (B, window, h, w) with task ids (B,)."""

    def log_prob(self, codes: Tensor, task: Tensor, per_code: bool = False) -> Tensor:
        """ln p(x_t | x_0..x_{t-1}) in nats: (B, T), or (B, T, h, w) per code, for codes (B, T, h, w)."""

    def log_prob_last(self, codes: Tensor, task: Tensor, per_code: bool = False) -> Tensor:
        """The last frame's log-likelihood alone, (B,) or (B, h, w): equal to `log_prob(...)[:, -1]`, cheaper."""

    def sample(self, context: Tensor, task: Tensor, frames: int, temperature: float = 1.0) -> Tensor:
        """Continue videos (B, t, h, w) by `frames` frames: (B, t + frames, h, w)."""

    def to_directory(self) -> Directory:
        """Weights and configuration, for the disk."""

    @classmethod
    def from_directory(cls, directory: Directory) -> Any:
        """The model that `to_directory` described."""


def for_every_task(kind: Any, directory: Directory, classes: Mapping[str, str]) -> Directory:
    """A model trained on classes, as one that answers to tasks: each task has what was learned for its class.

    kind: the model's class; directory: what its `to_directory` made, its tasks being classes; classes: task -> class,
    by task id. Tasks of one class, seen in training or not, get equal scores for equal codes.
    """
    known, tasks = list(directory.config["tasks"]), tuple(classes)
    rows = [known.index(classes[task]) for task in tasks]
    settings = kind.Config.model_validate(directory.config["model"])
    larger = kind(settings, directory.tensors["codebook"], tuple(directory.config["grid"]), tasks).state_dict()
    # what has another shape in a model of more tasks is a table with a row a task
    tensors = {
        name: value if value.shape == larger[name].shape else value[rows] for name, value in directory.tensors.items()
    }
    config = directory.config | {"tasks": list(tasks), "classes": dict(classes)}
    return Directory(config, tensors, directory.files)
