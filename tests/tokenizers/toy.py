"""Two tokenizers and a video model of a few lines, each a file, a line in a table and a block of params.yaml."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from viper_pipeline.core.errors import BadData
from viper_pipeline.tokenizers.base import TokenizerConfig, to_float, to_uint8
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.video_models.base import VideoModelConfig


class MosaicConfig(TokenizerConfig):
    """What the tokenizer reads in params.yaml."""

    kind: Literal["mosaic"] = "mosaic"
    tile: int = Field(8, gt=0, description="pixels per code, in height and in width")
    levels: int = Field(4, gt=1, description="codes: levels of gray")

    def grid(self, size: int) -> tuple[int, int]:
        return size // self.tile, size // self.tile


class Mosaic(nn.Module):
    """A code is the nearest of a few learned gray levels. One class learns, encodes and decodes."""

    Config = MosaicConfig
    continuous = False

    def __init__(self, config, tasks, size, backgrounds=None):
        super().__init__()
        self.config, self.tasks, self.size = config, tuple(tasks), size
        self.grid = config.grid(size)
        self.gray = nn.Parameter(torch.linspace(-1, 1, config.levels)[:, None] / 2)

    @property
    def codebook(self):
        return self.gray.detach()

    @property
    def parts(self):
        return {"levels": [self.gray]}

    def tiles(self, frames):
        return F.avg_pool2d(to_float(frames).mean(1, keepdim=True), self.config.tile).squeeze(1)

    def encode(self, frames):
        return (self.tiles(torch.as_tensor(frames))[..., None] - self.codebook[:, 0]).abs().argmin(-1)

    def decode(self, codes):
        x = self.codebook[torch.as_tensor(codes).long(), 0][:, None].expand(-1, 3, -1, -1)
        return to_uint8(F.interpolate(x, scale_factor=self.config.tile))

    def loss(self, batch, part):
        tiles = self.tiles(batch[0])
        chosen = self.gray[(tiles[..., None] - self.codebook[:, 0]).abs().argmin(-1), 0]
        loss = (tiles - chosen).square().mean()
        return loss, {"gray": loss.detach()}

    def to_artifact(self):
        config = {"kind": self.config.kind, "model": self.config.model_dump(mode="json"), "size": self.size}
        return ModelArtifact(
            config | {"tasks": list(self.tasks)}, {k: v.detach() for k, v in self.state_dict().items()}
        )

    @classmethod
    def from_artifact(cls, artifact):
        c = artifact.config
        if c["kind"] != cls.Config.model_fields["kind"].default:
            raise BadData(f"kind is {c['kind']}")
        module = cls(cls.Config.model_validate(c["model"]), c["tasks"], c["size"])
        module.load_state_dict(artifact.tensors)
        return module.eval().requires_grad_(False)


class PooledConfig(MosaicConfig):
    kind: Literal["pooled"] = "pooled"


class Pooled(Mosaic):
    """Continuous: a latent is the color of a tile, over a learned contrast."""

    Config = PooledConfig
    continuous = True

    def __init__(self, config, tasks, size, backgrounds=None):
        super().__init__(config, tasks, size)
        self.gray = nn.Parameter(torch.ones(1))

    @property
    def codebook(self):
        return self.gray.new_zeros(0, 3).detach()

    def encode(self, frames):
        return F.avg_pool2d(to_float(torch.as_tensor(frames)), self.config.tile).permute(0, 2, 3, 1) / self.gray

    def decode(self, codes):
        x = torch.as_tensor(codes).permute(0, 3, 1, 2) * self.gray
        return to_uint8(F.interpolate(x, scale_factor=self.config.tile))

    def loss(self, batch, part):
        loss = (self.gray - to_float(batch[0]).std()).square().sum()
        return loss, {"contrast": loss.detach()}


class InertiaConfig(VideoModelConfig):
    window: int = 2


class Inertia(nn.Module):
    """A video model of latents: the next frame is like the last one, by a learned share per task.

    Its condition is a vector per task, no id.
    """

    Config = InertiaConfig
    continuous = True
    scorings = frozenset({"full_window", "half_overlap"})

    def __init__(self, config, codebook, grid, tasks):
        super().__init__()
        self.config, self.grid, self.tasks, self.window = config, grid, tuple(tasks), config.window
        self.register_buffer("codebook", codebook.clone())
        self.share = nn.Linear(3, 1)

    @property
    def parts(self):
        return {"model": list(self.parameters())}

    def conditions(self, tasks):
        return torch.tensor([[self.tasks.index(task), len(task), 1.0] for task in tasks])

    def loss(self, batch, part="model"):
        loss = -self.log_prob(*batch)[:, 1:].mean()
        return loss, {"error": loss.detach()}

    def log_prob(self, codes, condition, per_code=False):
        assert codes.is_floating_point() and codes.shape[2:] == (*self.grid, self.codebook.shape[1])
        share = self.share(condition.float())[..., None, None, None]
        error = F.pad((codes[:, 1:] - share * codes[:, :-1]).square().sum(-1), (0, 0, 0, 0, 1, 0))
        return -error if per_code else -error.sum((2, 3))

    def log_prob_last(self, codes, condition, per_code=False):
        return self.log_prob(codes, condition, per_code)[:, -1]

    def sample(self, context, condition, frames, temperature=1.0):
        return torch.cat([context, *[context[:, -1:]] * frames], 1)

    def to_artifact(self):
        config = {"kind": "inertia", "model": self.config.model_dump(mode="json"), "grid": list(self.grid)}
        return ModelArtifact(config | {"tasks": list(self.tasks)}, dict(self.state_dict()))

    @classmethod
    def from_artifact(cls, artifact):
        c = artifact.config
        config = InertiaConfig.model_validate(c["model"])
        model = cls(config, artifact.tensors["codebook"], tuple(c["grid"]), c["tasks"])
        model.load_state_dict(artifact.tensors)
        return model.eval()
