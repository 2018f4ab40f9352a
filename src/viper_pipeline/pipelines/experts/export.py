"""`viper export-experts`: trained experts as small folders for Git, so that no other machine has to train them.

A folder is what `train_expert` made, with the returns of fresh episodes beside it. An entry of `experts` with
`algorithm: file` and the path of the folder takes it up again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, ValidationError

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, sha256_of
from viper_pipeline.dvc_bridge.lineage import stale_outputs
from viper_pipeline.dvc_bridge.provenance import machine
from viper_pipeline.dvc_bridge.run_stage import sound_params
from viper_pipeline.dvc_bridge.templates import Wiring
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Suite
from viper_pipeline.experts.base import load_expert
from viper_pipeline.experts.from_file import FileConfig
from viper_pipeline.experts.sb3 import play
from viper_pipeline.pipelines.report.commands import current_commit
from viper_pipeline.training.artifacts import LINEAGE, WEIGHTS, ModelArtifact, as_json, load_artifact, save_artifact
from viper_pipeline.training.checkpoints import derive

FOLDER = "pretrained/experts"
RECORD = "returns.json"
GIVEN = FileConfig.model_fields["algorithm"].default
"""The algorithm of experts that were read from a folder: nobody exports them again."""


class ExpertRecord(Config):
    """What an exported expert is worth: returns of episodes that its training has not seen."""

    suite: str = Field(description="of the task")
    task: str = Field(description="of the suite")
    action_repeat: int = Field(gt=0, description="environment steps per agent step")
    returns: list[float] = Field(min_length=1, description="true returns of fresh episodes under the mean action")
    commit: str = Field(
        description="of the project when it was exported; lineage.json says by what code it was trained"
    )
    machine: str = Field(description="what it was trained on")
    seconds: float | None = Field(None, description="how long the last try of its training took there, if noted")


@dataclass(frozen=True)
class Exported:
    """A folder that was written, and what it holds."""

    path: Path
    record: ExpertRecord
    sha256: str

    def entry(self, root: Path) -> str:
        """The line of a profile that takes the expert up again."""
        values = {"algorithm": "file", "path": self.path.relative_to(root).as_posix(), "sha256": self.sha256}
        return f"{self.record.task}: {json.dumps(values)}"


def export_experts_command(root: Path, episodes: int) -> list[Exported]:
    """Write every trained expert of params.yaml that is on this disk and up to date, and has not been exported yet."""
    params, stale = sound_params(root), stale_outputs(root)
    return [
        export(root, params, suite, task, path, episodes)
        for suite, task, path in trained_experts(root, params)
        if path not in stale and not is_exported(root / path, root / FOLDER / suite / task)
    ]


def trained_experts(root: Path, params: ParamsBlock) -> Iterator[tuple[str, str, str]]:
    """Suite, task and path of experts on the disk that a network was trained for."""
    catalog = Wiring(root).catalog
    for suite, block in params["suites"].items():
        for task in block["tasks"]:
            path = catalog.resolve_pattern(f"{suite}/{task}/expert")["filepath"]
            if block["experts"][task].get("algorithm") != GIVEN and (root / path / WEIGHTS).exists():
                yield suite, task, path


def is_exported(made: Path, folder: Path) -> bool:
    """Whether a folder holds the weights that lie at `made`, and their record."""
    copies = (folder / WEIGHTS, folder / RECORD)
    return all(path.exists() for path in copies) and copies[0].read_bytes() == (made / WEIGHTS).read_bytes()


def export(root: Path, params: ParamsBlock, suite: str, task: str, path: str, episodes: int) -> Exported:
    """Play fresh episodes of one expert, and write its folder."""
    artifact, env = load_artifact(root / path), params["suites"][suite]["env"]
    seeds = [derive(params["seed"], "export", suite, task, i) for i in range(episodes)]
    noted = root / ".viper" / "costs" / f"{suite}.train_expert.{task}.json"
    cost = json.loads(noted.read_text()) if noted.exists() else {}
    record = ExpertRecord(
        suite=suite,
        task=task,
        action_repeat=env["action_repeat"],
        returns=[round(value, 2) for value in fresh_returns(artifact, SUITES.get(suite)(), task, env, seeds)],
        commit=current_commit(root),
        machine=cost.get("machine") or machine(),
        seconds=cost.get("seconds"),
    )
    lineage: Json = json.loads((root / path / LINEAGE).read_text())
    files = {**artifact.files, RECORD: as_json(record.model_dump(mode="json")).encode()}
    folder = root / FOLDER / suite / task
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_artifact(folder, replace(artifact, files=files), lineage)
    return Exported(folder, record, sha256_of(folder / WEIGHTS))


def fresh_returns(artifact: ModelArtifact, suite: Suite, task: str, env: ParamsBlock, seeds: list[int]) -> list[float]:
    """True returns of one episode per seed, under the mean action; on state, so nothing is drawn."""
    _, policy = load_expert(artifact, suite)
    simulator = suite.make(task, seeds[0], env, suite.frame_spec(task, env, {}), pixels=False)
    returns = [play(simulator, policy, seed) for seed in seeds]
    simulator.close()
    return returns


def read_expert_records(root: Path) -> dict[tuple[str, str], ExpertRecord]:
    """Exported experts' records by suite and task. Raises BadData naming the file and the field."""
    found = {}
    for path in sorted((root / FOLDER).glob(f"*/*/{RECORD}")):
        try:
            record = ExpertRecord.model_validate_json(path.read_text())
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadData(f"{path.relative_to(root)}: {where}: {first['msg']}; export the expert again") from None
        found[record.suite, record.task] = record
    return found
