"""What a stage costs around its node: CPU seconds of `viper stage ...` with a node that does nothing.

python benchmarks/stage.py          three stages, five times each

The node's module is imported, parameters and inputs are looked up, hooks run; the node's function does not, nothing is
loaded or saved. Works in a fresh clone in a temporary folder; missing inputs are empty files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from noop import QUIET, ROOT, measured

STAGES = {
    "no torch, no tables": "dmc dmc.record_baselines.cartpole_balance",
    "tables": "report report.write_overview.all",
    "torch": "dmc dmc.train_tokenizer.all",
}
NOTHING = """
from kedro.io import DataCatalog
from kedro.pipeline.node import Node
from viper_pipeline.dvc_bridge import provenance

def load(self, name, *rest, whole=DataCatalog.load):
    return whole(self, name, *rest) if name == "parameters" or name.startswith("params:") else None

def check_input(node, path, root):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch()

DataCatalog.load, DataCatalog.save, provenance.check_input = load, lambda *arguments: None, check_input
Node.run = lambda self, inputs=None: dict.fromkeys(self.outputs)
from viper_pipeline.__main__ import main
main()
"""


def main() -> None:
    """Print a line a stage, the median of its runs; the first run, which checks the pipelines' wiring, is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
        env = {**os.environ, **QUIET, "PYTHONPATH": str(root / "src")}
        for name, code in (("python", "pass"), ("import torch", "import torch")):
            report(name, [measured([sys.executable, "-c", code], root, env)[0] for _ in range(arguments.runs)])
        for name, words in STAGES.items():
            command = [sys.executable, "-c", NOTHING, "stage", *words.split()]
            report(name, [measured(command, root, env)[0] for _ in range(arguments.runs + 1)][1:])


def report(name: str, seconds: list[float]) -> None:
    """Print the median, and all."""
    every = ", ".join(f"{s:.2f}" for s in seconds)
    print(f"{name:20s} {statistics.median(seconds):5.2f} CPU s   ({every})", flush=True)


if __name__ == "__main__":
    main()
