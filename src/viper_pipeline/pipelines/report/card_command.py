"""`viper card ARTIFACT`: the card of a dataset or a model, from what it carries inside."""

from __future__ import annotations

from pathlib import Path

from viper_pipeline.errors import BadData
from viper_pipeline.graph.lineage import read_steps
from viper_pipeline.results.cards import as_markdown, dataset_card, model_card
from viper_pipeline.training.artifacts import load_directory
from viper_pipeline.videos.store import EpisodeFile


def card_command(artifact: Path, root: Path) -> str:
    """Markdown. Raises BadData if there is no such artifact, or it is none of ours."""
    if not artifact.exists():
        raise BadData(f"{artifact}: there is no such file or folder")
    steps, full = read_steps(artifact), artifact.resolve()
    name = full.relative_to(root.resolve()).as_posix() if full.is_relative_to(root.resolve()) else str(artifact)
    if steps and name not in steps:  # a stray copy: the step that feeds no other is its own
        parents = {parent for step in steps.values() for parent in step["parents"]}
        steps = {**steps, name: next(step for path, step in steps.items() if path not in parents)}
    if artifact.is_dir():
        return as_markdown(model_card(name, load_directory(artifact), steps))
    return as_markdown(dataset_card(name, EpisodeFile(artifact), steps))
