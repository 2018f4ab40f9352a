"""Stage `write_cards`: a card of every dataset and model, to be read where the repository is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from viper_pipeline.graph.recipe import current_recipe
from viper_pipeline.pipelines.report.cards import cards_of
from viper_pipeline.results.cards import PICTURE, Card, as_markdown
from viper_pipeline.videos.pictures import png


def write_cards(**inputs: Any) -> dict[str, bytes]:
    """-> README.md, which lists the others; one file an artifact, and the sample pictures of those that have some.

    A stage of its own, so that no model is trained anew when the words of its card change.
    """
    recipe = current_recipe()
    return files_of(cards_of(inputs, recipe.lineage["steps"] if recipe else {}))


def files_of(cards: Sequence[Card]) -> dict[str, bytes]:
    """Every card as Markdown, called after its artifact's path."""
    files, rows = {}, []
    for card in cards:
        name = card.name.removeprefix("data/").removesuffix(".h5").replace("/", "-").replace(" ", "-")
        pictures = {}
        if card.picture is not None:
            files[f"{name}.png"] = png(card.picture)
            pictures[f"{name}.png"] = PICTURE
        files[f"{name}.md"] = as_markdown(card, pictures).encode()
        rows.append(f"| [{card.name}]({name}.md) | {card.what} |")
    files["README.md"] = "\n".join(["# Cards", "", "| artifact | what it is |", "|---|---|", *rows, ""]).encode()
    return files
