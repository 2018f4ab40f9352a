"""Two folders of videos to a reward; that it learns is seen in notebooks/02_your_own_videos.ipynb."""

from pathlib import Path

import numpy as np
import pytest

import viper_pipeline
from tests.snippets import run_blocks
from viper_pipeline.core.errors import BadData, ViperError
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.pipelines.train_reward import TOKENIZER, VIDEO_MODEL

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
    steps = {"steps": 3, "batch_size": 4, "learning_rate": 1e-3}
    sizes = {"quantizer": {"size": 8, "dim": 4, "kind": "ema"}, "channels": 8, "training": steps}
    small = {"window": 3, "width": 8, "feedforward": 8, "heads": 1, "layers": 1, "training": steps}
    chosen = {"tokenizer": TOKENIZER | sizes, "video_model": small, "size": 16, "task": "push"}
    return viper_pipeline.train_reward(videos / "experts", videos / "others", out, **chosen | changes)


def test_equal_videos_make_equal_rewards_with_a_card_and_a_lineage(videos, monkeypatch):
    model, again = (train(videos, videos / name / "push") for name in ("a", "b"))
    contents = [
        {p.relative_to(videos / name).as_posix(): p.read_bytes() for p in (videos / name).rglob("*") if p.is_file()}
        for name in ("a", "b")
    ]
    assert contents[0] == contents[1] and "push/README.md" in contents[0]
    assert model.tasks == ("push",) and model.spec().size == 16
    assert {step["stage"].split(".")[1] for step in again.lineage["steps"].values()} == {
        "import_experts", "import_baselines", "train_tokenizer", "train_video_model", "evaluate_reward",
    }  # fmt: skip
    assert np.isfinite(model.score(np.zeros((5, 16, 16, 3), np.uint8))).all()
    monkeypatch.chdir(videos / "a")
    names, _ = run_blocks((videos / "a" / "push" / "README.md").read_text())
    assert names["nats"].shape == (8,)  # the card's snippet works where no suite knows the task


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
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_are_checked_before_any_training(videos, case, monkeypatch):
    changes, said = WRONG[case]
    monkeypatch.setattr("viper_pipeline.pipelines.train_reward.train_tokenizer", None)
    with pytest.raises(ViperError, match=said):
        train(videos, videos / "out", **changes)
    assert not (videos / "out").exists()


def test_a_place_that_cannot_be_written_is_refused_first(videos, monkeypatch):
    monkeypatch.setattr("viper_pipeline.pipelines.train_reward._videos", None)
    (videos / "file").write_text("")
    for place in (videos / "file/out", Path("/proc/no/out")):
        with pytest.raises(BadData, match="name another place"):
            train(videos, place)


def test_what_cannot_be_is_refused_before_anything_is_trained(videos):
    with pytest.raises(BadData, match="none to train on"):
        train(videos, videos / "out", held_out=4)
    (videos / "out").mkdir()
    with pytest.raises(BadData, match="exists already"):
        train(videos, videos / "out")
