"""An expert trained before: the network of a folder that `train_expert` or `viper export-experts` wrote.

Nothing is trained, so an expert that took hours makes videos on another machine within minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import gymnasium
from pydantic import Field

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, sha256_of
from viper_pipeline.experts.base import EXPERT_FORMAT, Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy, categorical_policy, mlp_policy
from viper_pipeline.training.artifacts import CONFIG, WEIGHTS, ModelArtifact, load_artifact
from viper_pipeline.training.progress import Progress, silent

CURVE = "curve.csv"


class FileConfig(ExpertConfig):
    """Where the expert lies."""

    algorithm: Literal["file"] = "file"
    path: str = Field(min_length=1, description="folder of the expert, relative to the project's root")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="of its weights.safetensors: other weights are refused. Without it, a change of the folder's "
        "content makes nothing stale",
    )


class FileExpert(Expert):
    """Plays what a trained network of the same suite and task plays."""

    Config = FileConfig
    needs = frozenset({"training"})

    def train(
        self,
        make_env: Callable[[int], gymnasium.Env],
        seed: int,
        scratch: Path | None = None,
        progress: Progress = silent,
    ) -> ModelArtifact:
        """Read the folder; `trained_by` is the recipe that its network was trained with.

        Raises BadData naming the file and what is wrong: it is missing, of another suite or task, a script, or changed.
        """
        folder = Path(self.config.path)
        given = load_artifact(folder)
        about = given.config
        if about.get("format") != EXPERT_FORMAT:
            raise BadData(f"{folder / CONFIG}: format {about.get('format')!r} is not '{EXPERT_FORMAT}'; give an expert")
        if (theirs := (about["suite"], about["task"])) != (self.suite.name, self.task):
            raise BadData(f"{folder / CONFIG}: an expert of {'/'.join(theirs)}, not of {self.suite.name}/{self.task}")
        if "actor" not in about or not given.tensors:
            raise BadData(f"{folder / WEIGHTS}: missing; experts without a network need no file: name their algorithm")
        found = sha256_of(folder / WEIGHTS)
        if self.config.sha256 not in (None, found):
            raise BadData(f"{folder / WEIGHTS}: sha256 is {found}, not {self.config.sha256}; correct one of them")
        kept: Json = {name: about[name] for name in ("actor", "steps", "steps_trained", "return") if name in about}
        files = {CURVE: given.files[CURVE]} if CURVE in given.files else {}
        by = about.get("trained_by", about["recipe"])
        return ModelArtifact({**kept, "trained_by": by}, given.tensors, files)

    def policy(self, learned: ModelArtifact) -> Policy:
        """The network's policy. Raises KeyError if a part of it is missing."""
        arrays = {name: tensor.float().numpy() for name, tensor in learned.tensors.items()}
        actor = learned.config["actor"]
        return categorical_policy(actor, arrays) if "numbers" in actor else mlp_policy(actor, arrays)
