"""The card that lies with an artifact: README.md in a model's folder; NAME.md and NAME.png beside a file of episodes.

Their words are no input of a stage, so rewording a card trains nothing anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from viper_pipeline.files import atomic_write
from viper_pipeline.graph.recipe import current_recipe
from viper_pipeline.results.cards import PICTURE, as_markdown, dataset_card, model_card
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.pictures import png
from viper_pipeline.videos.store import EpisodeFile

CARD = "README.md"


def with_card(directory: Directory, path: Path) -> Directory:
    """The model as the running stage is about to save it at `path`, with its card; without a stage, as it is."""
    recipe = current_recipe()
    if recipe is None:
        return directory
    pictures = {name: name for name in sorted(directory.files) if name.endswith((".png", ".gif"))}
    text = as_markdown(model_card(recipe.name(path), directory, recipe.lineage["steps"]), pictures)
    return replace(directory, files={**directory.files, CARD: text.encode()})


def card_beside(path: Path, suffixes: Collection[str]) -> None:
    """Write the card of the episodes that the running stage has saved at `path`: Markdown, and a picture for `.png`."""
    recipe = current_recipe()
    if recipe is None:
        return
    card = dataset_card(recipe.name(path), EpisodeFile(path), recipe.lineage["steps"])
    pictures = {}
    if ".png" in suffixes and card.picture is not None:
        picture = path.with_suffix(".png")
        atomic_write(picture, png(card.picture))
        pictures[picture.name] = PICTURE
    atomic_write(path.with_suffix(".md"), as_markdown(card, pictures).encode())
