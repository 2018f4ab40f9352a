"""`python -m viper_pipeline stage PIPELINE NODE`: run one node in a Kedro session. DVC runs this command."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.files import Json, JsonView, atomic_write
from viper_pipeline.dvc_bridge.code_yaml import source_state
from viper_pipeline.dvc_bridge.project import (
    Project,
    bootstrap,
    package_name,
    project_of,
    read_params,
    source_folder,
)

if TYPE_CHECKING:
    from kedro.pipeline import Node, Pipeline

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
    for node in nodes:
        if pickled := guard(root, pipeline, node):
            _ready.setdefault(pipeline, {})[node] = pickled
    bootstrap(root)
    from kedro.framework.session import KedroSession

    for name in ("kedro.pipeline.node", "kedro.runner"):  # DVC names the stage; a failed node raises as well
        logging.getLogger(name).setLevel(logging.CRITICAL)

    _spare_pandas()
    session = KedroSession.create(root, save_on_close=False)
    with session:
        session.run(pipeline_names=[pipeline], node_names=nodes)


_ready: dict[str, dict[str, bytes]] = {}
"""Nodes of the stage that is to be run, pickled, by pipeline: no other part of the pipelines need be built."""


def guarded() -> bool:
    """Whether `guard` has checked the parameters of this process' stage."""
    return bool(_ready)


def registered(project: Project, root: Path) -> dict[str, Pipeline]:
    """What a project's `register_pipelines` returns: every pipeline, or what the stage needs that is to be run."""
    from kedro.pipeline import Pipeline

    if _ready:
        return {name: Pipeline([pickle.loads(one) for one in nodes.values()]) for name, nodes in _ready.items()}
    built = dict(project.build(sound_params(root)))
    return {"__default__": sum(built.values(), Pipeline([])), **built}


def sound_params(root: Path) -> Json:
    """A project's params.yaml. Raises BadParams if it cannot be read, or says something that cannot be.

    Parameters that a stage's `guard` has found right are not looked at again.
    """
    params = read_params(root / "params.yaml")
    if not (root / ".viper" / "wiring" / _state(root)).is_dir():
        project_of(root).check(params)
    return params


def check_first(root: Path, here: bool) -> None:
    """Before any stage runs: refuse wrong parameters, and, if stages run `here`, what this machine lacks for them."""
    params = sound_params(root)
    if here and (lines := project_of(root).lacks(params)):
        raise BadEnvironment("\n".join(lines))


def guard(root: Path, pipeline: str, node: str) -> bytes:
    """Refuse wrong parameters, and a stage that dvc.yaml describes otherwise than the pipelines do.

    DVC would record a wrong lineage. To build the pipelines takes seconds, so what was found right is noted, and
    looked at again when a file has changed that could make a difference. Returns the node, pickled; empty if it cannot
    be.
    """
    name = node.removeprefix(f"{pipeline}.").partition(".")[0]
    folder = root / ".viper" / "wiring"
    noted = folder / _state(root) / f"{pipeline}.{name}.pickle"
    if noted.is_file():
        known: dict[str, bytes] = pickle.loads(noted.read_bytes())
        if node in known:
            return known[node]
    params, project = sound_params(root), project_of(root)
    for old in folder.glob("*"):
        if old != noted.parent:
            shutil.rmtree(old, ignore_errors=True)
    nodes = _checked(root, project, params, pipeline, node)
    atomic_write(noted, pickle.dumps(nodes))
    return nodes[node]


def _checked(root: Path, project: Project, params: JsonView, pipeline: str, node: str) -> dict[str, bytes]:
    """The nodes of `node`'s stage. Raises BadParams if it is not among them, or they are not what dvc.yaml says."""
    from viper_pipeline.core.yaml_files import read_dvc_yaml
    from viper_pipeline.dvc_bridge.code_digest import Code
    from viper_pipeline.dvc_bridge.dvc_yaml import body, entry_of, file_of
    from viper_pipeline.dvc_bridge.templates import Grid, Wiring, expand

    name = node.removeprefix(f"{pipeline}.").partition(".")[0]
    grid, code = Grid(project, params), Code.of(root)
    templates = Wiring(root).templates(grid, pipeline, name)
    if node not in {one.node for template in templates for one in expand(template, grid)}:
        raise BadParams(f"pipeline {pipeline} has no node {node}; `kedro registry describe {pipeline}` lists them")
    file = file_of(pipeline, project)
    said = read_dvc_yaml(root / file)
    for template in templates:
        if said.get("stages", {}).get(name) != body(template, grid, entry_of(template, grid, code)):
            raise BadParams(f"{file}: stage {name} is not what the pipelines say; run `viper dvc sync`, then again")
    code.save()
    nodes = project.build(params)[pipeline].nodes
    return {one.name: _pickled(one) for one in nodes if one.name.startswith(f"{pipeline}.{name}.")}


def _pickled(node: Node) -> bytes:
    try:
        return pickle.dumps(node)
    except (pickle.PicklingError, AttributeError, TypeError):  # a function in a function
        return b""


def _state(root: Path) -> str:
    """Another, when a file is another that decides what the pipelines and the dvc.yaml files say."""
    files = [
        root / "params.yaml",
        root / "dvc.yaml",
        *root.glob("pipelines/*.yaml"),
        *root.glob("pipelines/*/dvc.yaml"),
    ]
    files += [*(root / "conf").rglob("*.yml")]
    states = [(str(path), (now := path.stat()).st_mtime_ns, now.st_size) for path in sorted(files) if path.is_file()]
    return hashlib.md5(f"{states} {source_state(root)}".encode()).hexdigest()


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


def _spare_pandas() -> None:
    """Keep Kedro from importing pandas to learn that a parameter is no table: a fifth of a second of each stage."""
    from kedro.io import memory_dataset

    whole = getattr(memory_dataset, "_infer_copy_mode", None)
    plain = (dict, list, str, int, float, bool, type(None))
    if whole is not None:
        memory_dataset._infer_copy_mode = lambda data: "deepcopy" if type(data) in plain else whole(data)


def _hang_on() -> None:
    """End with the process that asked for this stage, however that one ends; nobody would commit the result."""
    handle = os.environ.get(LIFELINE)
    if handle is None:
        return

    def watch() -> None:
        if not os.read(int(handle), 1):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
