"""Trackers are told what a stage made: numbers at their steps, and films. Libraries that are missing are named."""

import csv
import importlib.util
import json
import sys
import types

import numpy as np
import pytest

from viper_pipeline.core.config import leaves
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.data.episode import gif, gif_frames
from viper_pipeline.reporting import tracking
from viper_pipeline.reporting.tracking import check_tracking, track
from viper_pipeline.training.artifacts import ModelArtifact, history_csv

CURVE = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25, "eval_return": 3.0}]
FILM = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), dtype=np.uint8)
PARAMS = {"suites.dmc.drq": {"batch_size": 64, "hidden": [8, 8]}, "seed": 0}


@pytest.fixture
def artifact():
    rows = [{"step": 10, "loss": 0.5, "eval_return": 1.0}, CURVE[1]]
    return ModelArtifact({}, {}, {"curve.csv": history_csv(rows), "episode.gif": gif(FILM, milliseconds=60)})


def told(word, artifact, root):
    track(word, "dmc.train.a", "0123456789abcdef", PARAMS, artifact, root)
    return root / "tracking" / word


def test_none_writes_nothing_and_so_does_what_was_not_trained(tmp_path, artifact):
    told("none", artifact, tmp_path)
    told("csv", ModelArtifact({}, {}, {}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_csv_holds_every_number_at_its_step(tmp_path, artifact):
    for _ in range(2):  # again: in its own place
        place = told("csv", artifact, tmp_path)
    with (place / "dmc.train.a" / "01234567" / "metrics.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    assert rows == [{"step": 10, "loss": 0.5, "eval_return": 1.0}, CURVE[1]]


def test_dvclive_gets_numbers_parameters_and_a_strip_of_the_film(tmp_path, artifact, monkeypatch):
    pytest.importorskip("dvclive")
    monkeypatch.chdir(tmp_path)
    place = told("dvclive", artifact, tmp_path) / "dmc.train.a" / "01234567"
    assert json.loads((place / "metrics.json").read_text()) == {"eval_return": 3.0, "loss": 0.25, "step": 20}
    (loss,) = (place / "plots" / "metrics").glob("loss.tsv")
    assert [line.split("\t") for line in loss.read_text().splitlines()] == [
        ["step", "loss"],
        ["10", "0.5"],
        ["20", "0.25"],
    ]
    assert (place / "plots" / "images" / "episode.png").exists() and "batch_size: 64" in (
        place / "params.yaml"
    ).read_text()
    assert not (tmp_path / "dvc.yaml").exists() and not (tmp_path / "dvclive").exists()


def test_tensorboard_gets_numbers_and_the_film(tmp_path, artifact):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    place = told("tensorboard", artifact, tmp_path) / "dmc.train.a" / "01234567"
    events = EventAccumulator(str(place), {"images": 0, "scalars": 0}).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(10, 0.5), (20, 0.25)]
    assert len(events.Images("episode")) == len(FILM)


class Heard(list):
    """Calls by name."""

    def hear(self, name, answer=None):
        return lambda *args, **named: (self.append((name, args, named)), answer)[1]

    def of(self, name):
        return [(args, named) for said, args, named in self if said == name]


def test_wandb_is_offline_and_gets_all(tmp_path, artifact, monkeypatch):
    heard = Heard()
    config = types.SimpleNamespace(update=heard.hear("config"))
    run = types.SimpleNamespace(log=heard.hear("log"), finish=heard.hear("finish"), config=config)
    fake = types.SimpleNamespace(init=heard.hear("init", run), Video=lambda data, format: (data.read()[:4], format))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    told("wandb", artifact, tmp_path)
    ((_, settings),) = heard.of("init")
    assert settings["mode"] == "offline" and settings["dir"] == str(tmp_path / "tracking")
    assert heard.of("config")[0][0][0]["suites.dmc.drq.batch_size"] == 64
    *numbers, film = heard.of("log")
    assert [(args[0], named["step"]) for args, named in numbers][1] == ({"loss": 0.25, "eval_return": 3.0}, 20)
    assert film[0][0] == {"episode": (b"GIF8", "gif")}
    assert len(heard.of("finish")) == 1


def test_mlflow_is_local_and_gets_all(tmp_path, artifact, monkeypatch):
    heard, films = Heard(), []
    run = types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    class Client:
        def __init__(self, tracking_uri):
            assert tracking_uri == (tmp_path / "tracking/mlflow").as_uri()

        get_experiment_by_name = staticmethod(heard.hear("find"))
        create_experiment = staticmethod(heard.hear("make", "1"))
        create_run = staticmethod(heard.hear("run", run))
        log_param = staticmethod(heard.hear("param"))
        log_metric = staticmethod(heard.hear("metric"))
        set_terminated = staticmethod(heard.hear("end"))

        def log_artifacts(self, run_id, folder, place):
            films.extend(path.name for path in tracking.Path(folder).iterdir())

    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=Client))
    told("mlflow", artifact, tmp_path)
    assert ("r", "suites.dmc.drq.batch_size", 64) in [args for args, _ in heard.of("param")]
    assert next((*args[1:], named["step"]) for args, named in heard.of("metric")) == ("loss", 0.5, 10)
    assert films == ["episode.gif"] and len(heard.of("end")) == 1


def test_a_tracker_that_fails_is_closed(tmp_path, artifact, monkeypatch):
    heard = Heard()

    class Full:
        params = staticmethod(heard.hear("params"))
        close = staticmethod(heard.hear("close"))

        def row(self, values, step):
            raise OSError("no space left")

    monkeypatch.setattr(tracking, "make_tracker", lambda *whole: Full())
    with pytest.raises(OSError, match="no space"):
        told("csv", artifact, tmp_path)
    assert heard.of("close")


def test_a_wrong_word_and_a_missing_library_are_named_with_the_remedy(monkeypatch):
    assert check_tracking(None) == check_tracking("none") == "none" and check_tracking("csv") == "csv"
    with pytest.raises(BadParams, match="did you mean 'tensorboard'"):
        check_tracking("tensorbord")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    with pytest.raises(
        BadEnvironment, match=r"wandb, which is not installed: pip install 'viper-pipeline\[tracking\]'"
    ):
        check_tracking("wandb")


def test_values_are_flat_and_films_come_back():
    assert dict(leaves(PARAMS)) == {"suites.dmc.drq.batch_size": 64, "suites.dmc.drq.hidden": [8, 8], "seed": 0}
    frames, _ = gif_frames(gif(FILM, milliseconds=60))
    assert len(frames) == len(FILM) and frames.dtype == np.uint8 and frames.shape[3] == 3
