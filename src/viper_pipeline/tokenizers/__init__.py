"""Tokenizers: a frame -> a grid of codes (or latents) and back. `tokenizer.kind` in params.yaml chooses one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.registry import Registry

if TYPE_CHECKING:
    from viper_pipeline.tokenizers.base import Tokenizer, TrainableTokenizer
    from viper_pipeline.training.artifacts import ModelArtifact

TOKENIZERS = Registry("tokenizer", {"vqgan": "viper_pipeline.tokenizers.vqgan:VQGAN"})
"""By kind: the class that encodes and decodes, which rewards and agents load (`base.Tokenizer`)."""
TRAINABLE_TOKENIZERS = Registry("tokenizer", {"vqgan": "viper_pipeline.tokenizers.vqgan_training:VQGANTraining"})
"""By kind: the class that learns, where it is another one (`base.TrainableTokenizer`).

It may use what only a training needs, such as a discriminator: no reward and no agent depends on that code. A
tokenizer whose one class does both needs no line here.
"""


def trainable_tokenizer(kind: str) -> type[TrainableTokenizer]:
    """The class that the stage `train_tokenizer` trains. Raises BadParams for an unknown kind."""
    table = TRAINABLE_TOKENIZERS if kind in TRAINABLE_TOKENIZERS.names() else TOKENIZERS
    return table.get(kind)


def load_tokenizer(artifact: ModelArtifact, kind: str | None = None) -> Tokenizer:
    """The trained tokenizer in a folder, ready to encode and decode.

    kind: the kind it must have; None: any. Raises BadData if the folder holds another kind, or no tokenizer.
    """
    found = artifact.config.get("kind")
    if found not in TOKENIZERS.names() or found != (kind or found):
        known = kind or ", ".join(TOKENIZERS.names())
        raise BadData(
            f"config.json: kind is {found!r}, not a tokenizer of kind {known}; "
            "give a folder that the stage train_tokenizer wrote"
        )
    return TOKENIZERS.get(found).from_artifact(artifact)
