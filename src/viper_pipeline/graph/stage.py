"""`viper stage PIPELINE NODE`: run one node in a Kedro session. This is the command that DVC runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from viper_pipeline.core.errors import BadParams
from viper_pipeline.graph.project import bootstrap, package_name, read_params, registry, source_folder

LIFELINE = "VIPER_LIFELINE"
"""Environment variable: a file descriptor that reaches its end when the process that wants the result is gone."""


def run_stage(root: Path, pipeline: str, nodes: list[str]) -> None:
    """Check the parameters and the wiring, then run the nodes and save what they make."""
    _hang_on()
    _use_this_checkout(root)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # what is exact on every run is worth more than the last tenth of speed
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.chdir(root)
    params = read_params(root / "params.yaml")
    registry(root).check(params)
    for node in nodes:
        guard(root, pipeline, node)
    bootstrap(root)
    from kedro.framework.session import KedroSession

    session = KedroSession.create(root, save_on_close=False)
    with session:
        session.run(pipeline_names=[pipeline], node_names=nodes)


def guard(root: Path, pipeline: str, node: str) -> None:
    """Refuse a stage that dvc.yaml describes otherwise than the pipelines do: DVC would record a wrong lineage."""
    import yaml

    from viper_pipeline.graph.stages import Wiring
    from viper_pipeline.graph.symbols import symbolic
    from viper_pipeline.graph.verify import expand
    from viper_pipeline.graph.write_yaml import body, file_of

    params, name = read_params(root / "params.yaml"), node.removeprefix(f"{pipeline}.").partition(".")[0]
    templates = Wiring(root).stages(symbolic(params), params, pipeline, name)
    if node not in {one.node for template in templates for one in expand(template, params)}:
        raise BadParams(f"pipeline {pipeline} has no node {node}; `kedro registry describe {pipeline}` lists them")
    file = file_of(pipeline, params)
    said = yaml.safe_load((root / file).read_text()) if (root / file).exists() else {}
    if any(said.get("stages", {}).get(name) != body(template, params) for template in templates):
        raise BadParams(f"{file}: stage {name} is not what the pipelines say; run `viper dvc sync`, then again")


def _use_this_checkout(root: Path) -> None:
    """Start anew with the package of this folder, where another one was imported.

    `dvc exp run --temp` and `dvc queue` work in copies of the project; an editable install points to the original.
    """
    import viper_pipeline

    here = source_folder(root)
    used = Path(viper_pipeline.__file__).resolve()
    if (here / "viper_pipeline").is_dir() and package_name(root) == "viper_pipeline":
        path = os.environ.get("PYTHONPATH", "")
        if not used.is_relative_to(here.resolve()) and str(here) not in path.split(os.pathsep):
            os.environ["PYTHONPATH"] = f"{here}{os.pathsep}{path}".rstrip(os.pathsep)
            os.execv(sys.executable, [sys.executable, "-m", "viper_pipeline", *sys.argv[1:]])


def _hang_on() -> None:
    """End with the process that asked for this stage, however that one ends; nobody would commit the result."""
    handle = os.environ.get(LIFELINE)
    if handle is None:
        return

    def watch() -> None:
        if not os.read(int(handle), 1):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
