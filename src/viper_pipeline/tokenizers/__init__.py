"""Tokenizers: a frame -> a grid of discrete codes and back, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.registry import Registry

if TYPE_CHECKING:
    from viper_pipeline.training.artifacts import Directory

TOKENIZERS = Registry("tokenizer", {"vqgan": "viper_pipeline.tokenizers.vqgan:VQGAN"})
"""Implementations by name; a new one is a file with a class like `base.Tokenizer` and a line here."""


def load_tokenizer(directory: Directory) -> Any:
    """The trained tokenizer in a folder, of whatever kind. Raises BadData if the folder holds none."""
    kind = directory.config.get("kind")
    if kind not in TOKENIZERS.names():
        raise BadData(
            f"config.json: kind is {kind!r}, no tokenizer (known: {', '.join(TOKENIZERS.names())}); "
            "give a folder that the stage train_tokenizer wrote"
        )
    return TOKENIZERS.get(kind).from_directory(directory)
