"""Which commit recorded an artifact: the first whose lock files hold its hash."""

from __future__ import annotations

import subprocess
from pathlib import Path

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import md5_of
from viper_pipeline.graph.project import project_root


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
