"""Where an artifact comes from: read from what it carries inside, and compared with what is there now.

What carries nothing (a table, a page) is looked up in DVC's lock files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import begins_as_episodes, check_seal, md5_of
from viper_pipeline.graph.locked import Steps, locked_hashes, locked_steps


def read_steps(path: Path) -> Steps:
    """The lineage that a file or folder carries inside; empty for sources, which have none."""
    path = Path(path)
    if path.is_dir():
        kept = path / "lineage.json"
        return json.loads(kept.read_text()).get("steps", {}) if kept.exists() else {}
    if path.suffix != ".h5" or not path.exists():
        return {}
    import h5py

    if begins_as_episodes(path):
        check_seal(path)  # HDF5 may read without end where a file is damaged
    try:
        with h5py.File(path, "r") as file:
            text = file["lineage"][()].tobytes() if "lineage" in file else file.attrs.get("lineage", "")
        return json.loads(text or "{}").get("steps", {})
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: its lineage cannot be read ({error})") from error


def chain(artifact: str, steps: Steps) -> list[str]:
    """The artifact and all it comes from, nearest first, each once."""
    order, todo = [artifact], [artifact]
    while todo:
        new = [p for path in todo for p in sorted(steps.get(path, {}).get("parents", {})) if p not in order]
        todo = list(dict.fromkeys(new))
        order += todo
    return order


def trace(artifact: Path, root: Path) -> dict[str, Any]:
    """Everything `viper lineage` shows: {"artifact": path, "steps": [nearest first]}.

    A stray file is known by its last own step, wherever it lies now. Each step is compared with the working tree:
    whether the file is still the one that was read, and which parameters have another value today.
    """
    if not Path(artifact).exists():
        raise BadData(f"{artifact}: there is no such file or folder")
    full, root = Path(artifact).resolve(), root.resolve()
    name = full.relative_to(root).as_posix() if full.is_relative_to(root) else str(artifact)
    carried, hashes = read_steps(full), locked_hashes(root)
    recorded_as = name
    if carried and name not in carried:
        parents = {parent for step in carried.values() for parent in step["parents"]}
        recorded_as = next(path for path in carried if path not in parents)
        carried = {**carried, name: carried[recorded_as] | {"recorded_as": recorded_as}}
    steps = {**locked_steps(root), **carried}
    for path in chain(name, steps):  # what the lock file says of a folder, the folder itself may say in more detail
        if path not in carried and (root / path).exists():
            steps |= {key: step for key, step in read_steps(root / path).items() if key not in carried}
    order = chain(name, steps)
    read = {parent: md5 for path in reversed(order) for parent, md5 in steps.get(path, {}).get("parents", {}).items()}
    return {
        "artifact": name,
        "steps": [
            _row(
                path,
                steps,
                read.get(path) or hashes.get(recorded_as),
                full if path == name else root / path,
                root,
            )
            for path in order
        ],
    }


def _row(path: str, steps: Steps, recorded: str | None, here: Path, root: Path) -> dict[str, Any]:
    step = steps.get(path, {})
    present = md5_of(here) if here.exists() else None
    row = {
        "artifact": path,
        "stage": step.get("stage", "source"),
        "params": step.get("params", {}),
        "changed_params": _changed(step.get("params", {}), root),
        "md5": recorded or present,
        "parents": step.get("parents", {}),
        "state": _state(present, recorded),
    }
    return row | {key: step[key] for key in ("recorded_as",) if key in step}


def _state(present: str | None, recorded: str | None) -> str:
    """Whether what lies there now is what the artifact was made from."""
    if present is None:
        return "absent"
    if recorded is None:
        return "present"
    return "up to date" if present == recorded else "changed since"


def _changed(params: Mapping[str, Any], root: Path) -> list[str]:
    """The parameters whose value in params.yaml is another today."""
    from viper_pipeline.graph.project import read_params, value_at

    if not (root / "params.yaml").is_file():
        return []
    today = read_params(root / "params.yaml")
    return [dotted for dotted, value in params.items() if value_at(today, dotted) != value]


def as_text(traced: Mapping[str, Any]) -> str:
    """For people."""
    return "\n".join(line for row in traced["steps"] for line in _lines(row)) + "\n"


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{row['artifact']}  [{row['state']}]"
    if "recorded_as" in row:
        yield f"  was written as {row['recorded_as']}"
    yield f"  {'made by ' if row['parents'] or row['params'] else ''}{row['stage']}, md5 {row['md5'] or 'unknown'}"
    for name, value in row["params"].items():
        now = "  [has another value now]" if name in row["changed_params"] else ""
        yield f"  {name}: {json.dumps(value)}{now}"
    for path in row["parents"]:
        yield f"  from {path}"


def as_mermaid(traced: Mapping[str, Any]) -> str:
    """A flow chart; https://mermaid.js.org draws it, and so do many Git hosts."""
    number = {row["artifact"]: f"n{i}" for i, row in enumerate(traced["steps"])}
    lines = ["flowchart TD"]
    lines += [f'  {number[row["artifact"]]}["{row["artifact"]}<br/>{row["stage"]}"]' for row in traced["steps"]]
    lines += [
        f"  {number[parent]} --> {number[row['artifact']]}" for row in traced["steps"] for parent in row["parents"]
    ]
    return "\n".join(lines) + "\n"
