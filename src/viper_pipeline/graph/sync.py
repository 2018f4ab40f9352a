"""`viper dvc sync` and `viper dvc check`."""

from __future__ import annotations

import difflib
from pathlib import Path

from viper_pipeline.core.files import atomic_write
from viper_pipeline.graph.project import read_params
from viper_pipeline.graph.write_yaml import HEADER, generate


def differences(root: Path) -> dict[Path, tuple[str, str | None]]:
    """Files that are not what the pipelines say: path -> (present text, wanted text or None for `delete`)."""
    wanted = generate(root, read_params(root / "params.yaml"))
    candidates = [root / "dvc.yaml", *root.glob("pipelines/*/dvc.yaml")]
    ours = {path for path in candidates if path.exists() and path.read_text().startswith(HEADER)}
    pairs = {path: (path.read_text() if path.exists() else "", wanted.get(path)) for path in {*wanted, *ours}}
    return {path: (old, new) for path, (old, new) in sorted(pairs.items()) if old != new}


def sync(root: Path) -> list[str]:
    """Make the files agree with the pipelines; says what was done, a line each."""
    done = []
    for path, (_, new) in differences(root).items():
        if new is None:
            path.unlink()
        else:
            atomic_write(path, new.encode())
        done.append(f"{'wrote' if new else 'removed'} {path.relative_to(root)}")
    return done


def check(root: Path) -> str:
    """The differences as a unified diff; empty if there are none."""
    return "".join(
        line
        for path, (old, new) in differences(root).items()
        for line in difflib.unified_diff(
            old.splitlines(True),
            (new or "").splitlines(True),
            f"{path.relative_to(root)}",
            f"{path.relative_to(root)} (pipelines)",
        )
    )
