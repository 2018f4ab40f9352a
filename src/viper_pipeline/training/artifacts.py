"""A model as a folder: config.json, weights.safetensors, pictures and tables, lineage.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView, atomic_dir

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS, LINEAGE = "config.json", "weights.safetensors", "lineage.json"


@dataclass(frozen=True)
class ModelArtifact:
    """What a training stage makes: plain values, tensors by name, and small files by name."""

    config: Json
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def as_json(value: object) -> str:
    """JSON with sorted keys and a last newline: equal values give equal bytes."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def save_artifact(path: Path, artifact: ModelArtifact, lineage: JsonView | None = None) -> None:
    """Write the folder atomically; it replaces an older one whole.

    Raises BadData, and writes nothing, if a weight is not a finite number.
    """
    taken = {CONFIG, WEIGHTS, LINEAGE} & set(artifact.files)
    if taken:
        raise ValueError(f"these names are the folder's own: {sorted(taken)}")
    check_finite(path, artifact)
    with atomic_dir(Path(path)) as folder:
        (folder / CONFIG).write_text(as_json(artifact.config))
        if lineage is not None:
            (folder / LINEAGE).write_text(as_json(lineage))
        if artifact.tensors:
            tensors = {name: t.detach().cpu().contiguous().clone() for name, t in artifact.tensors.items()}
            import safetensors.torch  # takes a second, and reading a table of numbers needs none of it

            (folder / WEIGHTS).write_bytes(safetensors.torch.save(dict(sorted(tensors.items()))))
        for name, content in artifact.files.items():
            (folder / name).write_bytes(content)


def check_finite(path: Path, artifact: ModelArtifact) -> None:
    """Raises BadData if a training has diverged: what would be made from such weights would fail, or mean nothing."""
    for name, tensor in artifact.tensors.items():
        if name.endswith("/returns"):  # true returns of scored videos; NaN where a film tells none
            continue
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise BadData(
                f"{path}: {name} of its weights is no longer a finite number, so the training has diverged: lower its "
                "learning_rate in params.yaml, or set grad_clip; nothing was written"
            )


def load_artifact(path: Path) -> ModelArtifact:
    """Read a folder that `save_artifact` wrote. Raises BadData naming the file that is missing or broken."""
    path = Path(path)
    try:
        config = json.loads((path / CONFIG).read_text())
    except FileNotFoundError as error:
        raise BadData(f"{path / CONFIG}: missing; is {path} a model folder written by this pipeline?") from error
    except ValueError as error:
        raise BadData(f"{path / CONFIG}: not JSON ({error})") from error
    tensors = {}
    if (path / WEIGHTS).exists():
        import safetensors.torch

        try:
            tensors = safetensors.torch.load((path / WEIGHTS).read_bytes())
        except safetensors.SafetensorError as error:
            raise BadData(f"{path / WEIGHTS}: not a safetensors file ({error})") from error
    own = {CONFIG, WEIGHTS, LINEAGE}
    files = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.is_file() and p.name not in own}
    return ModelArtifact(config, tensors, files)


def history_csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Rows of metrics -> CSV; columns in the order of the first row, missing values empty."""
    if not rows:
        return b""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names)]
    lines += [",".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in rows]
    return ("\n".join(lines) + "\n").encode()
