"""Two folders of videos to a reward; that it learns is seen in notebooks/02_your_own_videos.ipynb."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pytest
from click.testing import CliRunner

import viper_pipeline
from tests.snippets import run_blocks
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadEnvironment, ViperError
from viper_pipeline.data.episode import gif
from viper_pipeline.data.importers.film_sizes import FilmSize, film_sizes, remarks
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.train_reward import TOKENIZER, VIDEO_MODEL
from viper_pipeline.reporting.overlay import write_mp4

LAPTOP = read_profile(Path(__file__).parents[2] / "profiles" / "laptop.yaml")["suites"]["dmc"]


def test_its_sizes_are_the_laptop_profile_s():
    assert LAPTOP["tokenizer"] == TOKENIZER and LAPTOP["videogpt"] == VIDEO_MODEL


@pytest.fixture
def videos(tmp_path):
    """Experts move a square to the right; others leave it anywhere."""
    rng = np.random.default_rng(0)
    for folder, count in (("experts", 4), ("others", 2)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            frames = np.zeros((8, 16, 16, 3), np.uint8)
            for t in range(8):
                column = t if folder == "experts" else rng.integers(8)
                frames[t, 4:8, column : column + 4] = 255
            np.savez(tmp_path / folder / f"{i}.npz", arr_0=frames)
    return tmp_path


def train(videos, out, **changes):
    steps = {"steps": 3, "batch_size": 4, "learning_rate": 1e-3, "checkpoint_every": 1}
    sizes = {"quantizer": {"size": 8, "dim": 4, "kind": "ema"}, "channels": 8, "training": steps}
    small = {"window": 3, "width": 8, "feedforward": 8, "heads": 1, "layers": 1, "training": steps}
    chosen = {"tokenizer": TOKENIZER | sizes, "video_model": small, "size": 16, "task": "push"}
    return viper_pipeline.train_reward(videos / "experts", videos / "others", out, **chosen | changes)


class Killed(BaseException):
    """Nothing catches it."""


def kill_at(monkeypatch, name, calls=1):
    """The `calls`-th call of `viper_pipeline.<name>` does its work, and is the last thing that happens."""
    module, _, function = f"viper_pipeline.{name}".rpartition(".")
    real, left = getattr(importlib.import_module(module), function), [calls]

    def last(*args, **kwargs):
        result = real(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            raise Killed
        return result

    monkeypatch.setattr(f"{module}.{function}", last)


KILLS = {
    "while videos are read": ("pipelines.reward_stages.choose_episodes", 2),
    "at a checkpoint of the tokenizer": ("training.loop.save_checkpoint", 2),
    "with the tokenizer saved": ("pipelines.reward_stages.encode_experts", 1),
    "at a checkpoint of the video model": ("training.loop.save_checkpoint", 2),
    "with everything made": ("pipelines.train_reward.export_reward", 1),
}


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_killed_again_and_again_it_ends_as_if_it_never_was(videos, monkeypatch, capsys):
    model = train(videos, videos / "a" / "push")
    for name, calls in KILLS.values():
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, name, calls)
            train(videos, videos / "b" / "push")
        assert (videos / "b" / "push.unfinished").is_dir()
    assert "going on where the last run stopped" in capsys.readouterr().err
    again = train(videos, videos / "b" / "push")
    assert [p.name for p in (videos / "b").iterdir()] == ["push"]
    assert files_in(videos / "a") == files_in(videos / "b") and "push/README.md" in files_in(videos / "a")
    assert model.tasks == ("push",) and model.spec().size == 16
    assert {step["stage"].split(".")[1] for step in again.lineage["steps"].values()} == {
        "import_experts", "import_baselines", "train_tokenizer", "train_video_model", "evaluate_reward",
    }  # fmt: skip
    assert np.isfinite(model.score(np.zeros((5, 16, 16, 3), np.uint8))).all()
    monkeypatch.chdir(videos / "a")
    names, _ = run_blocks((videos / "a" / "push" / "README.md").read_text())
    assert names["nats"].shape == (8,)  # the card's snippet works where no suite knows the task


def test_what_was_begun_is_not_taken_for_something_else(videos, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, "pipelines.reward_stages.choose_episodes", 2)
        train(videos, videos / "push")
    with pytest.raises(
        BadData, match=r"push.unfinished: was begun with other held_out \(2 there\), tokenizer, video_model; "
    ):
        train(videos, videos / "push", held_out=1, steps=4)
    np.savez(videos / "experts" / "another.npz", arr_0=np.zeros((8, 16, 16, 3), np.uint8))
    with pytest.raises(BadData, match=r"other experts \(other videos\); repeat that call, delete the folder"):
        train(videos, videos / "push")
    lock = filelock.FileLock(videos / "push.unfinished" / ".lock")
    with lock, pytest.raises(BadData, match="another process is training"):
        train(videos, videos / "push")
    (videos / "taken.unfinished").mkdir()
    (videos / "taken.unfinished" / "diary.txt").write_text("")
    with pytest.raises(BadData, match="is something else"):
        train(videos, videos / "taken")


def test_the_command_trains_where_no_project_is(videos, monkeypatch):
    monkeypatch.chdir(videos)
    words = "experts others push --task push --size 16 --steps 8 --held-out 1 --device cpu"
    small = [
        "tokenizer.training.batch_size=4", "tokenizer.quantizer.size=8", "tokenizer.channels=8", "video_model.window=3",
        "video_model.width=8", "video_model.heads=1", "video_model.layers=1", "video_model.feedforward=8",
    ]  # fmt: skip
    done = CliRunner().invoke(cli, ["train-reward", *words.split(), *small], catch_exceptions=False)
    assert done.exit_code == 0 and "push: a reward of push; how good it is stands in push/README.md" in done.output
    steps = viper_pipeline.load_reward("push").lineage["steps"]
    trained = {step["stage"]: step["params"] for step in steps.values()}
    assert trained["own.train_tokenizer.all"]["suites.own.tokenizer"]["training"]["steps"] == 3  # 1000 of 2600
    assert trained["own.train_video_model.videogpt"]["suites.own.videogpt"]["training"]["steps"] == 5
    for text in ("videomodel.width=8", "tokenizer", "size=3"):
        with pytest.raises(ViperError, match=text):
            CliRunner().invoke(cli, ["train-reward", "experts", "others", "new", text], catch_exceptions=False)


def test_its_lineage_leads_from_the_reward_to_the_folders_and_its_card_tells_of_both(videos, monkeypatch):
    from viper_pipeline.core.files import md5_of
    from viper_pipeline.dvc_bridge.lineage import trace

    train(videos, videos / "push")
    monkeypatch.chdir(videos)
    rows = trace(videos / "push", videos, {})["steps"]
    assert rows[0]["recorded_as"] == "data/rewards/own/videogpt"
    sources = {row["artifact"]: row for row in rows if row["stage"] == "source"}
    assert set(sources) == {(videos / name).as_posix() for name in ("experts", "others")}
    assert all(row["md5"] == md5_of(Path(path)) for path, row in sources.items())
    films = {row["artifact"]: row["files"] for row in rows if "files" in row}
    assert films["data/experts/own/push.h5"] == {f"{i}.npz": md5_of(videos / f"experts/{i}.npz") for i in range(4)}
    assert set(films["data/baselines/own/push.h5"]) == {"0.npz", "1.npz"}
    card = (videos / "push/README.md").read_text()
    assert "model.environment" not in card and "their owner's license" in card and "recorded in simulation" not in card


WRONG = {
    "a path for a task": ({"task": "a/b"}, "task: 'a/b'"),
    "a separator in a task": ({"task": "a__b"}, "task: 'a__b'"),
    "frames that do not divide": ({"size": 18}, "size: frames of 18 pixels"),
    "nothing held out": ({"held_out": 0}, "held_out: 0"),
    "a misspelt setting": ({"video_model": {**VIDEO_MODEL, "windw": 3}}, "video_model.windw"),
    "a window beyond the videos": ({"video_model": {**VIDEO_MODEL, "window": 9}}, "8 frames is shorter than .* 9"),
    "a seed beyond 32 bits": ({"seed": 2**32}, "seed: 4294967296"),
    "a GPU that is not there": ({"device": "cuda"}, "device cuda: .* finds no GPU; take device cpu"),
    "no device": ({"device": "gpu"}, "device: 'gpu' is none of auto, cpu, cuda"),
    "no thread": ({"threads": 0}, "threads: 0"),
    "a single step": ({"steps": 1}, "steps: 1; two models"),
    "a camera of plain films": ({"camera": "top"}, "camera: neither .* is a dataset that has a choice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_are_checked_before_any_training(videos, case, monkeypatch):
    changes, said = WRONG[case]
    monkeypatch.setattr("viper_pipeline.pipelines.reward_stages.read_videos", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ViperError, match=said):
        train(videos, videos / "out", **changes)
    assert not list(videos.glob("out*"))


def test_a_place_that_cannot_be_written_is_refused_first(videos, monkeypatch):
    monkeypatch.setattr("viper_pipeline.pipelines.reward_stages.Stages.make", None)
    (videos / "file").write_text("")
    for place in (videos / "file/out", Path("/proc/no/out")):
        with pytest.raises(BadData, match="name another place"):
            train(videos, place)


FILMS = {
    "too few": (
        ["experts/0.npz", "experts/1.npz"],
        (8, 16, 16, 3),
        "others/new",
        "2 expert episodes, 2 of them held out",
    ),
    "too short": ([], (2, 16, 16, 3), "experts/new", "experts/new.npz: a video of 2 frames is shorter than .* 3"),
    "another shape": ([], (8, 16, 24, 3), "others/new", "others/new.npz: frames of 24x16 have another shape"),
    "of floats": ([], (8, 16, 16, 4), "others/new", "others/new.npz: frames have shape"),
}


@pytest.mark.parametrize("case", FILMS)
def test_films_that_cannot_do_are_named_before_any_is_decoded(videos, case, monkeypatch):
    gone, shape, name, said = FILMS[case]
    monkeypatch.setattr("viper_pipeline.pipelines.reward_stages.read_videos", None)
    for file in gone:
        (videos / file).unlink()
    np.savez(videos / f"{name}.npz", arr_0=np.zeros(shape, np.uint8))
    with pytest.raises(BadData, match=said):
        train(videos, videos / "out")
    assert not list(videos.glob("out*"))


def test_a_full_disk_is_told_first(videos, monkeypatch):
    monkeypatch.setattr("viper_pipeline.pipelines.reward_stages.read_videos", None)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10**6))
    with pytest.raises(BadEnvironment, match=r"1 MB free, and 48 frames of 16x16 .* name a place on another disk"):
        train(videos, videos / "out")
    assert not list(videos.glob("out*"))


def test_an_out_that_exists_is_refused(videos):
    (videos / "out").mkdir()
    with pytest.raises(BadData, match="exists already"):
        train(videos, videos / "out")


def test_films_say_how_large_they_are(tmp_path):
    frames = np.zeros((5, 20, 30, 3), np.uint8)
    write_mp4(frames, tmp_path / "a.mp4", 10)
    (tmp_path / "b.gif").write_bytes(gif(frames + np.arange(5, dtype=np.uint8)[:, None, None, None] * 50, zoom=1))
    np.savez(tmp_path / "c.npz", arr_0=frames)
    sizes = {name: film_sizes(kind, tmp_path / name)[0] for kind, name in KINDS}
    assert {name: (s.frames, s.height, s.width) for name, s in sizes.items()} == dict.fromkeys(sizes, (5, 20, 30))
    assert film_sizes("lerobot", tmp_path) == ()
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:100])
    with pytest.raises(BadData, match=r"a.mp4: not a readable video"):
        film_sizes("video", tmp_path / "a.mp4")


KINDS = (("video", "a.mp4"), ("video", "b.gif"), ("npz", "c.npz"))


def test_what_is_allowed_but_unwise_is_said():
    experts, baselines = (FilmSize(Path("e"), 9, 32, 32),), (FilmSize(Path("b"), 9, 64, 64),)
    assert remarks(experts, experts, 32) == []
    one, other = remarks(experts, baselines, 64)
    assert "experts are 32x32 pixels, baselines 64x64" in one and "of 32 pixels are enlarged to 64" in other
