"""What `viper run` costs when nothing is to be done: CPU seconds and peak memory over a profile's whole graph.

python benchmarks/noop.py                    the paper's profile: 1,081 stages
python benchmarks/noop.py --profile tiny

Works in a fresh clone in a temporary folder. Outputs are small files that stand for the real ones; DVC records them as
if the stages had made them, so that every stage is up to date.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUIET = {"DVC_NO_ANALYTICS": "1", "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}


def pretend(root: Path) -> int:
    """Make every output of every stage and record it. Returns the number of stages."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo, repo.lock:
        stages = [stage for stage in repo.index.stages if stage.cmd]
        for stage in stages:
            for out in stage.outs:
                path = Path(out.fs_path)
                if path.suffix:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(stage.addressing)
                else:  # a folder, with the files that a model has
                    path.mkdir(parents=True, exist_ok=True)
                    for name in ("config.json", "lineage.json", "weights.safetensors", "curve.csv"):
                        (path / name).write_text(f"{stage.addressing} {name}")
        locks: dict[str, dict] = {}
        for stage in stages:
            stage.save(run_cache=False)
            stage.commit()
            locks.setdefault(f"{Path(stage.path).parent}/dvc.lock", {})[stage.name] = lock_entry(stage)
        for path, entries in locks.items():
            write_lock(Path(path), entries)
    return len(stages)


def lock_entry(stage: object) -> dict:
    """What dvc.lock says of a stage."""
    from dvc.stage.serialize import to_single_stage_lockfile

    return to_single_stage_lockfile(stage)


def write_lock(path: Path, entries: dict) -> None:
    """All at once: one by one DVC would write the file anew for every stage."""
    from dvc.utils.serialize import dump_yaml

    dump_yaml(str(path), {"schema": "2.0", "stages": entries})


def measured(command: list[str], cwd: Path, env: dict[str, str]) -> tuple[float, float, str]:
    """CPU seconds, peak GB and output of a command."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}\n{text}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, text


def main() -> None:
    """Print a line a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="paper")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
        for made in (root / "reports").iterdir():
            if made.name not in ("measured", "runs"):  # which no stage makes
                shutil.rmtree(made) if made.is_dir() else made.unlink()
        for lock in [root / "dvc.lock", *root.glob("pipelines/*/dvc.lock")]:
            lock.unlink(missing_ok=True)
        shutil.copy(ROOT / "profiles" / f"{arguments.profile}.yaml", root / "params.yaml")
        env = {**os.environ, **QUIET, "PYTHONPATH": str(root / "src")}
        viper = [sys.executable, "-m", "viper_pipeline"]
        subprocess.run([*viper, "dvc", "sync"], cwd=root, env=env, check=True, stdout=subprocess.DEVNULL)
        stages = pretend(root)
        for name, command in (
            ("viper run", [*viper, "run"]),  # asks DVC about each stage
            ("again", [*viper, "run"]),  # finds that no file has changed since
            ("dvc repro", [sys.executable, "-m", "dvc", "repro", "--all-pipelines"]),
        ):
            seconds, gigabytes, text = measured(command, root, env)
            print(f"{name:10s} {stages} stages: {seconds:5.1f} CPU s, {gigabytes:4.2f} GB   {text.splitlines()[-1]}")


if __name__ == "__main__":
    main()
