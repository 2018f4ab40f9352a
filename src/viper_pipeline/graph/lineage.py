"""Where an artifact comes from: read from what it carries inside, and compared with what is there now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadData
from viper_pipeline.files import md5_of

Steps = dict[str, dict[str, Any]]
"""path -> {stage, params, parents: {path: md5}}; parents come before children nowhere in particular"""


def read_steps(path: Path) -> Steps:
    """The lineage that a file or folder carries inside; empty for sources, which have none."""
    path = Path(path)
    if path.is_dir():
        kept = path / "lineage.json"
        return json.loads(kept.read_text()).get("steps", {}) if kept.exists() else {}
    if path.suffix != ".h5" or not path.exists():
        return {}
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return json.loads(file["lineage"][()].tobytes() or b"{}").get("steps", {}) if "lineage" in file else {}
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: its lineage cannot be read ({error})") from error


def chain(artifact: str, steps: Steps) -> list[str]:
    """The artifact and all it comes from, nearest first, each once."""
    order: list[str] = []
    todo = [artifact]
    while todo:
        path = todo.pop(0)
        if path not in order:
            order.append(path)
            todo += sorted(steps.get(path, {}).get("parents", {}))
    return order


def trace(artifact: Path, root: Path) -> dict[str, Any]:
    """Everything `viper lineage` shows. A stray file is known by its last own step, wherever it lies now."""
    if not Path(artifact).exists():
        raise BadData(f"{artifact}: there is no such file or folder")
    steps = read_steps(artifact)
    full = Path(artifact).resolve()
    name = full.relative_to(root).as_posix() if full.is_relative_to(root) else str(artifact)
    if name not in steps:
        parents = {p for step in steps.values() for p in step["parents"]}
        last = [path for path in steps if path not in parents]
        if last:
            steps = {**steps, name: steps[last[0]] | {"recorded_as": last[0]}}
    recorded = {path: md5 for step in steps.values() for path, md5 in step["parents"].items()}
    rows = []
    for path in chain(name, steps):
        step = steps.get(path, {})
        here = Path(artifact) if path == name else root / path
        rows.append(
            {
                "artifact": path,
                "stage": step.get("stage", "source"),
                "params": step.get("params", {}),
                "md5": recorded.get(path) or (md5_of(here) if here.exists() else None),
                "parents": step.get("parents", {}),
                "state": _state(path, here, recorded.get(path)),
            }
        )
    return {"artifact": name, "steps": rows}


def _state(path: str, here: Path, recorded: str | None) -> str:
    """Whether what lies at `path` now is what the artifact was made from."""
    if not here.exists():
        return "absent"
    if recorded is None:
        return "present"
    return "up to date" if md5_of(here) == recorded else "changed since"


def as_text(traced: Mapping[str, Any]) -> str:
    """For people."""
    return "\n".join(line for row in traced["steps"] for line in _lines(row)) + "\n"


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{row['artifact']}  [{row['state']}]"
    yield f"  made by {row['stage']}  md5 {row['md5'] or 'unknown'}"
    for name, value in row["params"].items():
        yield f"  {name}: {json.dumps(value)}"
    for path in row["parents"]:
        yield f"  from {path}"


def as_mermaid(traced: Mapping[str, Any]) -> str:
    """A flow chart; https://mermaid.js.org draws it, and so does every Git host."""
    number = {row["artifact"]: f"n{i}" for i, row in enumerate(traced["steps"])}
    lines = ["flowchart TD"]
    lines += [f'  {number[r["artifact"]]}["{r["artifact"]}<br/>{r["stage"]}"]' for r in traced["steps"]]
    lines += [
        f"  {number[parent]} --> {number[row['artifact']]}" for row in traced["steps"] for parent in row["parents"]
    ]
    return "\n".join(lines) + "\n"
