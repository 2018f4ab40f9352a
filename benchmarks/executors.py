"""A sweep of tiny agents on Ray: one node, two nodes, and two of which one is killed in the middle.

python benchmarks/executors.py                       24 agent stages, nodes of one core each, all on this machine
python benchmarks/executors.py --runs 4              a shorter one
python benchmarks/executors.py --sweeps one replaced    some of SWEEPS; replaced: a new node follows the killed one

Every sweep starts from nothing in a fresh clone; its agents are compared with those of `dvc repro`, byte by byte.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from viper_pipeline.core.files import md5_of
from viper_pipeline.pipelines.profiles import read_profile

ROOT = Path(__file__).parents[1]
METHODS = ["task_reward", "exploration"]  # they need no video model
TARGETS = [f"pipelines/dmc/dvc.yaml:train_agent_{method}" for method in METHODS]
SWEEPS = {"one": 1, "two": 2, "killed": 2, "replaced": 2}  # name -> nodes
QUIET = {"DVC_NO_ANALYTICS": "1", "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}


def clone(folder: Path, runs: int) -> dict[str, str]:
    """The tiny profile with as many seeds as it takes. Returns the environment of its commands."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    for lock in [folder / "dvc.lock", *folder.glob("pipelines/*/dvc.lock")]:
        lock.unlink(missing_ok=True)
    params = read_profile(ROOT / "profiles/tiny.yaml")
    params["seeds"] = list(range(-(-runs // len(METHODS))))
    params["suites"] = {"dmc": {**params["suites"]["dmc"], "methods": ["viper", *METHODS]}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, **QUIET, "PATH": path, "PYTHONPATH": str(folder / "src")}
    shutil.rmtree(folder / "pipelines", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "viper_pipeline", "dvc", "sync"], cwd=folder, env=env, check=True)
    return env


def agents(folder: Path) -> dict[str, str]:
    """Every agent's folder -> its md5."""
    return {p.relative_to(folder).as_posix(): md5_of(p) for p in sorted(folder.glob("data/agents/*/*/*/*"))}


def sweep(folder: Path, runs: int, name: str) -> tuple[float, dict[str, str]]:
    """Seconds from the start of `viper run` to its end, and what it made."""
    from ray.cluster_utils import Cluster

    env = clone(folder, runs)
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 4 * 2**30}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    others = [cluster.add_node(**node) for _ in range(SWEEPS[name] - 1)]
    kill = name in ("killed", "replaced")
    command = [sys.executable, "-m", "viper_pipeline", "run", "--executor", "ray", "--address", cluster.address]
    begun = time.monotonic()
    driver = subprocess.Popen([*command, *TARGETS], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert driver.stdout
    for line in driver.stdout:
        if kill and line.startswith("done") and len(agents(folder)) >= runs // 3:
            kill = False
            time.sleep(5)  # by now it has its next agent in hand
            cluster.remove_node(others.pop(), allow_graceful=False)
            if name == "replaced":
                others.append(cluster.add_node(**node))
        if line.startswith(("again", "FAILED")):
            print("   ", line.strip())
    if driver.wait():
        raise SystemExit(f"viper run ended with {driver.returncode}; its logs are in {folder}/.viper/logs")
    seconds = time.monotonic() - begun
    cluster.shutdown()
    stale = subprocess.run([sys.executable, "-m", "dvc", "status", *TARGETS], cwd=folder, env=env, capture_output=True)
    assert b"up to date" in stale.stdout, stale.stdout.decode()
    return seconds, agents(folder)


def main() -> None:
    """Print one line per sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        env = clone(Path(folder) / "repro", arguments.runs)
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "dvc", "repro", "-q", *TARGETS], cwd=Path(folder) / "repro", env=env, check=True
        )
        wanted = agents(Path(folder) / "repro")
        print(f"dvc repro            {len(wanted)} agents in {time.monotonic() - begun:.0f} s", flush=True)
        alone = 0.0
        for name in arguments.sweeps:
            seconds, made = sweep(Path(folder) / name, arguments.runs, name)
            alone = alone or seconds
            same = "the same bytes" if made == wanted else "OTHER BYTES"
            print(
                f"ray, {name:9s} {len(made)} agents in {seconds:.0f} s, {seconds / alone:.2f} of the first; {same}",
                flush=True,
            )


if __name__ == "__main__":
    main()
