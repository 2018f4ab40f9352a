"""`viper stage PIPELINE NODE`: run one node in a Kedro session. This is the command that DVC runs."""

from __future__ import annotations

import os
from pathlib import Path

from viper_pipeline.errors import BadParams
from viper_pipeline.graph.project import read_params, registry


def run_stage(root: Path, pipeline: str, node: str) -> None:
    """Check the parameters and the wiring, then run the node and save what it makes."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # what is exact on every run is worth more than the last tenth of speed
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.chdir(root)
    params = read_params(root / "params.yaml")
    registry(root).check(params)
    guard(root)
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(root)
    with KedroSession.create(root, save_on_close=False) as session:
        session.run(pipeline_names=[pipeline], node_names=[node])


def guard(root: Path) -> None:
    """Refuse to run what dvc.yaml describes otherwise than the pipelines do: DVC would record a wrong lineage."""
    from viper_pipeline.graph.sync import differences

    if files := [str(path.relative_to(root)) for path in differences(root)]:
        raise BadParams(f"{', '.join(files)}: not what the pipelines say; run `viper dvc sync`, then again")
