"""What trainings did, for the programs that people watch trainings with: one run per stage, chosen by one key.

`tracking:` of params.yaml names where to. Beside results, never part of them: it is no parameter of any stage, and what
it writes lies in tracking/, which neither DVC nor Git holds. A run is what a finished stage's artifact carries: every
row of curve.csv (losses, returns, parts of the reward) at its step, its films, its metrics and its parameters.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from viper_pipeline.core.config import leaves
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.extras import EXTRA_OF
from viper_pipeline.core.files import JsonView
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.data.episode import gif_frames
from viper_pipeline.training.artifacts import ModelArtifact

FOLDER = "tracking"
"""Where all of them write, in the project."""
CURVE = "curve.csv"
FILMS = (".gif",)
NEEDS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "csv": ("lightning_fabric",),
    "dvclive": ("dvclive",),
    "tensorboard": ("lightning_fabric", "tensorboard"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Value of `tracking` -> the libraries that it takes."""


class Tracker(Protocol):
    """One run of one program."""

    def params(self, values: JsonView) -> None:
        """What the stage read, by dotted name."""

    def row(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step."""

    def film(self, name: str, gif: bytes) -> None:
        """A film."""

    def close(self) -> None:
        """Write what is not written yet."""


def check_tracking(value: object) -> str:
    """`tracking` of params.yaml. Raises BadParams for a word that is none, BadEnvironment for a missing library."""
    word = "none" if value is None else str(value)
    if word not in NEEDS:
        raise BadParams(f"params.yaml: tracking: there is no '{word}'{did_you_mean(word, NEEDS)}")
    for module in NEEDS[word]:
        if importlib.util.find_spec(module) is None:
            extra = EXTRA_OF.get(module, "tracking")  # tensorboard is imported by lightning-fabric alone
            raise BadEnvironment(
                f"params.yaml: tracking: {word} needs {module}, which is not installed: "
                f"pip install 'viper-pipeline[{extra}]', or write tracking: none"
            )
    return word


def track(word: str, node: str, key: str, params: JsonView, artifact: ModelArtifact, root: Path) -> None:
    """Write one run. node: the stage's, `dmc.train_tokenizer.all`; key: of its settings, inputs and code.

    A run of the same node and key takes the place of an earlier one, where the program lets it.
    """
    if word == "none" or CURVE not in artifact.files:
        return
    tracker = make_tracker(word, node, key, root / FOLDER)
    try:
        tracker.params(dict(leaves(params)))
        for step, values in rows(artifact.files[CURVE]):
            tracker.row(values, step)
        for name, content in sorted(artifact.files.items()):
            if name.endswith(FILMS):
                tracker.film(name.rpartition(".")[0], content)
    finally:
        tracker.close()


def make_tracker(word: str, node: str, key: str, folder: Path) -> Tracker:
    """A new run of the program that `word` names."""
    kinds: Mapping[str, Callable[[str, str, Path], Tracker]] = {
        "csv": Csv,
        "dvclive": DvcLive,
        "tensorboard": TensorBoard,
        "wandb": Wandb,
        "mlflow": MLflow,
    }
    folder.mkdir(parents=True, exist_ok=True)
    return kinds[word](node, key[:8], folder)


def rows(curve: bytes) -> Iterator[tuple[int, dict[str, float]]]:
    """Step and numbers of every row of a curve.csv; empty cells are left out."""
    for row in csv.DictReader(io.StringIO(curve.decode())):
        step = int(float(row.pop("step")))
        yield step, {name: float(value) for name, value in row.items() if value not in ("", None)}


class Csv:
    """lightning-fabric's CSVLogger: tracking/csv/<node>/<key>/metrics.csv."""

    def __init__(self, node: str, key: str, folder: Path) -> None:
        from lightning_fabric.loggers import CSVLogger

        shutil.rmtree(folder / "csv" / node / key, ignore_errors=True)
        self.logger = CSVLogger(str(folder / "csv"), name=node, version=key, flush_logs_every_n_steps=10**9)

    def params(self, values: JsonView) -> None:
        """CSVLogger takes none; lineage.json of the artifact has them."""

    def row(self, values: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(dict(values), step)

    def film(self, name: str, gif: bytes) -> None:
        """A table holds no films."""

    def close(self) -> None:
        self.logger.finalize("success")


class TensorBoard:
    """lightning-fabric's TensorBoardLogger: tracking/tensorboard/<node>/<key>."""

    def __init__(self, node: str, key: str, folder: Path) -> None:
        from lightning_fabric.loggers import TensorBoardLogger

        shutil.rmtree(folder / "tensorboard" / node / key, ignore_errors=True)
        self.logger = TensorBoardLogger(str(folder / "tensorboard"), name=node, version=key)

    def params(self, values: JsonView) -> None:
        self.logger.log_hyperparams(dict(values))

    def row(self, values: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(dict(values), step)

    def film(self, name: str, gif: bytes) -> None:
        """Frame by frame, one step each: TensorBoard shows them with a slider, and films only with moviepy."""
        for moment, frame in enumerate(gif_frames(gif)[0]):
            self.logger.experiment.add_image(name, frame, moment, dataformats="HWC")

    def close(self) -> None:
        self.logger.finalize("success")


class DvcLive:
    """tracking/dvclive/<node>/<key>, which DVC's view in VS Code shows; it commits nothing and makes no experiment."""

    def __init__(self, node: str, key: str, folder: Path) -> None:
        from dvclive import Live

        place = folder / "dvclive" / node / key
        self.live = Live(str(place), save_dvc_exp=False, dvcyaml=None, report=None)

    def params(self, values: JsonView) -> None:
        self.live.log_params({name: value for name, value in values.items() if value is not None})

    def row(self, values: Mapping[str, float], step: int) -> None:
        self.live.step = step
        for name, value in values.items():
            self.live.log_metric(name, value)

    def film(self, name: str, gif: bytes) -> None:
        frames, _ = gif_frames(gif)  # eight of them side by side: it shows no films
        self.live.log_image(f"{name}.png", np.concatenate(frames[:: max(len(frames) // 8, 1)], axis=1))

    def close(self) -> None:
        self.live.make_summary()
        self.live.end()


class Wandb:
    """Weights & Biases without network: tracking/wandb; `wandb sync` sends it."""

    def __init__(self, node: str, key: str, folder: Path) -> None:
        import wandb

        self.wandb = wandb
        self.run = wandb.init(
            mode="offline", dir=str(folder), project="viper-pipeline", name=node, id=f"{node}-{key}", resume="allow"
        )

    def params(self, values: JsonView) -> None:
        self.run.config.update(dict(values), allow_val_change=True)

    def row(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def film(self, name: str, gif: bytes) -> None:
        self.run.log({name: self.wandb.Video(io.BytesIO(gif), format="gif")})

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A store of files, tracking/mlflow: `mlflow ui --backend-store-uri tracking/mlflow`."""

    def __init__(self, node: str, key: str, folder: Path) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
        found = self.client.get_experiment_by_name("viper-pipeline")
        experiment = found.experiment_id if found else self.client.create_experiment("viper-pipeline")
        self.run = self.client.create_run(experiment, run_name=node, tags={"key": key}).info.run_id

    def params(self, values: JsonView) -> None:
        for name, value in values.items():
            self.client.log_param(self.run, name, value)

    def row(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run, name.replace(" ", "_"), value, step=step)

    def film(self, name: str, gif: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / f"{name}.gif").write_bytes(gif)
            self.client.log_artifacts(self.run, folder, "films")

    def close(self) -> None:
        self.client.set_terminated(self.run)
