"""Libraries that only some uses need: which extra of the package brings each, and one message where it is missing.

`pip install viper-pipeline` brings what loads a reward and scores with it. Everything else is in extras, which
pyproject.toml lists. Modules import what they need in the usual way. The entries from outside (the command, the names
of `viper_pipeline`, a reward's environments) turn the error of a missing library into a BadEnvironment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from viper_pipeline.core.errors import BadEnvironment

LIGHT = ("av", "click", "gymnasium", "numpy", "PIL", "pydantic", "pydantic_core", "safetensors", "torch")
"""Modules that every installation has."""
EXTRA_OF = {
    "ale_py": "atari",
    "altair": "pipeline",
    "dm_control": "dmc",
    "dvc": "pipeline",
    "dvclive": "tracking",
    "filelock": "pipeline",
    "h5py": "pipeline",
    "hdf5plugin": "pipeline",
    "huggingface_hub": "hub",
    "jinja2": "pipeline",
    "kedro": "pipeline",
    "lightning_fabric": "pipeline",
    "matplotlib": "pipeline",
    "mlflow": "tracking",
    "msgpack": "pipeline",
    "mujoco": "dmc",
    "networkx": "pipeline",
    "pandas": "pipeline",
    "pyarrow": "lerobot",
    "pynvml": "pipeline",
    "pyrep": "rlbench",
    "ray": "ray",
    "rich": "pipeline",
    "rlbench": "rlbench",
    "ruamel": "pipeline",
    "scipy": "pipeline",
    "stable_baselines3": "agents",
    "submitit": "slurm",
    "vl_convert": "pipeline",
    "wandb": "tracking",
    "yaml": "pipeline",
}
"""Module -> the extra that brings it."""
ALSO = {"rlbench": "; RLBench itself is in no package index, see docs/rlbench.md"}
"""What an extra cannot bring."""


def missing_library(error: BaseException) -> BadEnvironment | None:
    """What to tell a user if `error` says that a library of an extra is not installed; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:  # PackageNotFoundError is one, too
        return None
    module = error.name.partition(".")[0].replace("-", "_")
    extra = EXTRA_OF.get(module)
    if extra is None:
        return None
    return BadEnvironment(
        f"{module} is not installed, and this needs it: pip install 'viper-pipeline[{extra}]'{ALSO.get(extra, '')}"
    )


@contextmanager
def extras_named() -> Iterator[None]:
    """Within it, a missing library of an extra raises BadEnvironment with the line that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (message := missing_library(error)) is None:
            raise
        raise message from error
