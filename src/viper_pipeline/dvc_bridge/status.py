"""Which outputs are stale, by the lock files alone, without hashing any data; and which commit recorded an artifact.

DVC's own status hashes what changed on the disk; this takes its lock files at their word, so it answers at once.
Outputs that somebody changed by hand are not found, and of sources that no stage makes only the size is looked at.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import md5_of
from viper_pipeline.dvc_bridge import code_yaml
from viper_pipeline.dvc_bridge.lineage import locked_stages
from viper_pipeline.dvc_bridge.project import project_root, read_params, value_at

SMALL = 2**20
"""Bytes up to which a file that no stage makes is hashed: code, parameters, tables."""


def stale_outputs(root: Path) -> dict[str, str]:
    """path -> why: of every output whose stage, or one that it reads from, would run again today."""
    stages = [stage for stage in locked_stages(root) if not str(stage.get("cmd", "")).endswith("dvc code")]
    made = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
    codes = code_yaml.nested(code_yaml.known_digests(root))
    today = {"params.yaml": read_params(root / "params.yaml"), code_yaml.FILE: codes}
    stale: dict[str, str] = {}
    for stage in stages:
        if reason := _reason(stage, made, today, root):
            stale |= dict.fromkeys((out["path"] for out in stage.get("outs", [])), reason)
    parents = {out["path"]: [d["path"] for d in s.get("deps", [])] for s in stages for out in s.get("outs", [])}
    while spread := {p: f"{d} is stale" for p, deps in parents.items() if p not in stale for d in deps if d in stale}:
        stale |= spread
    return stale


def _reason(
    stage: Mapping[str, Any], made: Mapping[str, str | None], today: Mapping[str, Any], root: Path
) -> str | None:
    """What has changed since the stage ran, or None."""
    for dep in stage.get("deps", []):
        path = dep["path"]
        if path in made:
            if made[path] and dep.get("md5") and made[path] != dep["md5"]:
                return f"{path} was made anew"
        elif not (root / path).exists():
            return f"{path} is gone"
        elif _differs(root / path, dep):
            return f"{path} has changed"
    for file, values in stage.get("params", {}).items():
        for name, value in values.items():
            if value_at(today.get(file, {}), name) != value:
                return "its code has changed" if file == code_yaml.FILE else f"{name} has another value"
    return None


def _differs(path: Path, dep: Mapping[str, Any]) -> bool:
    """Whether a file or folder is another than the lock file says; large ones by their size alone."""
    size = dep.get("size", 0)
    if size <= SMALL and "md5" in dep:
        return md5_of(path) != dep["md5"]
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return sum(p.stat().st_size for p in files) != size


def recorded_by(artifact: Path) -> str | None:
    """The commit, of the project that we are in; None outside of one, or if none recorded this artifact."""
    try:
        root = project_root()
    except BadParams:
        return None
    if not Path(artifact).exists():
        return None
    words = [
        "git",
        "log",
        "--reverse",
        "--format=%H",
        f"-S{md5_of(artifact)}",
        "--",
        "dvc.lock",
        "pipelines/*/dvc.lock",
    ]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout else None
