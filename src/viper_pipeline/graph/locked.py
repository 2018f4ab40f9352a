"""What DVC's lock files say: of every output, the stage, parameters and inputs that made it last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Steps = dict[str, dict[str, Any]]
"""path -> {stage, params, parents: {path: md5}}, in no particular order"""


def locked_steps(root: Path) -> Steps:
    """Steps by output. Source files are no parents here: an artifact's parents are data."""
    code = {".py"}
    return {
        out["path"]: {
            "stage": str(stage.get("cmd", "")).rpartition(" ")[2],
            "params": {name: value for file in stage.get("params", {}).values() for name, value in file.items()},
            "parents": {
                d["path"]: d.get("md5", "") for d in stage.get("deps", []) if Path(d["path"]).suffix not in code
            },
        }
        for stage in locked_stages(root)
        for out in stage.get("outs", [])
    }


def locked_hashes(root: Path) -> dict[str, str]:
    """md5 of every output, as DVC last committed it."""
    return {out["path"]: out["md5"] for stage in locked_stages(root) for out in stage.get("outs", []) if "md5" in out}


def locked_stages(root: Path) -> Iterator[Mapping[str, Any]]:
    """Every stage of every lock file."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in [root / "dvc.lock", *sorted(root.glob("pipelines/*/dvc.lock"))]:
        if path.is_file():
            yield from (yaml.load(path.read_text(), loader) or {}).get("stages", {}).values()
