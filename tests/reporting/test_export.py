"""A project's reward as a folder that stands alone, and scores of somebody's videos."""

import csv
import io
import json
import re
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageSequence

import viper_pipeline
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadEnvironment, BadParams
from viper_pipeline.core.files import md5_of
from viper_pipeline.data.importers import read_videos
from viper_pipeline.data.importers.film_sizes import expected_frames
from viper_pipeline.dvc_bridge.lineage import recorded_by
from viper_pipeline.reporting.cards import export_reward
from viper_pipeline.reporting.overlay import MARGIN, SIDE, TEXT, draw_overlay
from viper_pipeline.reporting.score import ScoredVideo, score_files
from viper_pipeline.rewards.evaluation import pack
from viper_pipeline.rewards.pretrained import PRETRAINED, open_package
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.progress import patient

TASK, PLACE = "cartpole_balance", "data/rewards/dmc/videogpt"
MODELS = {"tokenizer": "data/tokenizers/dmc", "video_model": "data/video_models/dmc/videogpt"}


@pytest.fixture
def project(tmp_path):
    """The folders that the pipeline would have written, with made-up scores."""
    package = open_package(PRETRAINED / "dmc-laptop")
    for part, place in MODELS.items():
        save_artifact(tmp_path / place, load_artifact(package.folders[part]))
    kept, rng, tensors = load_artifact(package.folders["reward"]).config, np.random.default_rng(0), {}
    for task in kept["specs"]:
        kinds = ("held_out", "random", "idle")
        scores = {k: [rng.normal(-100 * i, 5, 9) for _ in range(3)] for i, k in enumerate(kinds)}
        tensors |= pack(task, scores, {k: np.full(3, 10.0 - i) for i, k in enumerate(kinds)})
    parents = {place: md5_of(tmp_path / place) for place in MODELS.values()}
    steps = {k: v for k, v in package.lineage["steps"].items() if k in (*MODELS.values(), PLACE)}
    steps[PLACE] = {**steps[PLACE], "parents": parents}
    save_artifact(tmp_path / PLACE, ModelArtifact(kept, tensors), {"steps": steps})
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_equal_data_make_equal_folders_that_stand_alone(project):
    for out in ("one/cart", "two/cart"):
        export_reward(project / PLACE, project / out, "abc123")
    assert contents(project / "one/cart") == contents(project / "two/cart")
    (project / "data").rename(project / "gone")
    model = viper_pipeline.load_reward(project / "one/cart")
    shipped = viper_pipeline.load_reward("dmc-laptop")
    frames = np.random.default_rng(1).integers(0, 256, (6, 64, 64, 3), np.uint8)
    assert np.array_equal(model.score(frames, TASK), shipped.score(frames, TASK))
    card = (project / "one/cart/README.md").read_text()
    assert "abc123" in card and f"| {TASK} | 1.000 against random play | 1.000 |" in card
    with pytest.raises(BadData, match="exists already"):
        export_reward(project / "gone/rewards/dmc/videogpt", project / "one/cart")


def test_a_project_s_own_folder_is_a_reward_too_if_its_parts_belong_together(project):
    assert viper_pipeline.load_reward(project / PLACE).tasks == viper_pipeline.load_reward("dmc-laptop").tasks
    config = project / MODELS["tokenizer"] / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(BadData, match="tokenizers/dmc: not the one"):
        export_reward(project / PLACE, project / "out")
    assert not (project / "out").exists()


def test_an_export_is_no_source_of_an_export(project):
    export_reward(project / PLACE, project / "out")
    with pytest.raises(BadData, match="no scores"):
        export_reward(project / "out", project / "again")


def test_the_commit_is_the_first_that_recorded_the_reward(project, monkeypatch):
    monkeypatch.chdir(project)

    def git(*words):
        author = ["-c", "user.name=x", "-c", "user.email=x@x"]
        done = subprocess.run(["git", *author, *words], cwd=project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-qm", "before")
    assert recorded_by(project / PLACE) is None
    for text in (f"md5: {md5_of(project / PLACE)}\n", f"more\nmd5: {md5_of(project / PLACE)}\n"):
        (project / "dvc.lock").write_text(text)
        git("add", "dvc.lock")
        git("commit", "-qm", "recorded")
    assert recorded_by(project / PLACE) == git("rev-parse", "HEAD~1")


@pytest.fixture
def films(tmp_path):
    """The same 7 frames as .npz and, losslessly, as .gif; grey squares that wander."""
    frames = np.zeros((7, 64, 64, 3), np.uint8)
    for t in range(7):
        frames[t, 10 : 20 + t, 4 * t : 4 * t + 12] = 200
    np.savez(tmp_path / "film.npz", arr_0=frames)
    first, *others = [Image.fromarray(f) for f in frames]
    first.save(tmp_path / "film.gif", save_all=True, append_images=others)
    return tmp_path, frames


def test_scores_of_videos_as_json_are_those_of_the_library(films):
    folder, frames = films
    words = [str(folder / "film.npz"), str(folder / "film.gif"), "--reward", "dmc-laptop", "--task", TASK]
    result = CliRunner().invoke(cli, ["score", *words, "--json", "-"], catch_exceptions=False)
    npz, gif = json.loads(result.output)
    model = viper_pipeline.load_reward("dmc-laptop")
    nats = model.score(frames, TASK)
    for video in (npz, gif):
        np.testing.assert_allclose(video["nats"], nats, rtol=1e-5)
        np.testing.assert_allclose(video["rewards"], model.of(TASK).scaled(nats[1:]), rtol=1e-5)
    files = [str(folder / name) for name in ("scores.csv", "scores.json")]
    lines = CliRunner().invoke(cli, ["score", *words, "--csv", files[0], "--json", files[1]]).output.splitlines()
    assert len(lines) == 2 and all("7 frames" in line for line in lines)
    assert json.loads((folder / "scores.json").read_text()) == [npz, gif]
    with open(files[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], int(row["frame"])) for row in rows] == [
        (v["video"], t) for v in (npz, gif) for t in range(7)
    ]
    assert [float(row["nats"]) for row in rows] == npz["nats"] + gif["nats"]
    assert [float(row["reward"] or "nan") for row in rows[1:7]] == npz["rewards"] and rows[0]["reward"] == ""
    printed = CliRunner().invoke(cli, ["score", *words, "--csv", "-"], catch_exceptions=False).output
    with open(files[0]) as file:
        assert printed == file.read()


def test_scores_as_a_table_and_a_picture(films):
    folder, frames = films
    plot = folder / "scores.png"
    words = ["score", str(folder / "film.npz"), "--reward", "dmc-laptop", "--task", TASK, "--plot", str(plot)]
    lines = CliRunner().invoke(cli, words, catch_exceptions=False).output.splitlines()
    assert f"7 frames, {TASK}" in lines[0] and len(lines) == 2 + len(frames)
    assert Image.open(plot).width > 400
    with pytest.raises(BadData, match="2 tasks"):
        CliRunner().invoke(cli, words[:4], catch_exceptions=False)


def test_many_videos_are_scored_with_an_estimate_and_without_their_frames(films, monkeypatch):
    folder, frames = films
    longer = np.concatenate([frames, frames])
    np.savez(folder / "longer.npz", arr_0=longer)
    (folder / "film.gif").unlink()
    told = []
    scored = score_files(
        viper_pipeline.load_reward("dmc-laptop"), [folder], TASK, lambda *said: told.append(said), keep_frames=False
    )
    assert told == [(0, 21), (7, 21, "film.npz"), (21, 21, "longer.npz")]
    assert [len(video.nats) for video in scored] == [7, 14] and not any(len(video.frames) for video in scored)
    said = io.StringIO()
    report = patient("scores", after=0.0, every=0.0, stream=said)
    for one in told[:2]:
        report(*one)
    assert re.search(r"scores  7/21  0:\d\d < \d:\d\d  film.npz\n$", said.getvalue())
    hasty = io.StringIO()
    patient("scores", after=60.0, stream=hasty)(21, 21)
    assert hasty.getvalue() == ""


def test_what_cannot_be_is_refused_before_the_reward_is_loaded(films, monkeypatch):
    folder, _ = films
    monkeypatch.setattr("viper_pipeline.rewards.pretrained.load_reward", lambda _: pytest.fail("loaded"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = ["score", str(folder / "film.npz"), "--reward", "dmc-laptop", "--task", TASK]
    many = [str(folder / "film.npz")] * 2 + [str(folder / "x")]
    (folder / "x").mkdir()
    for number in range(17):
        (folder / f"x/{number}.npz").write_bytes((folder / "film.npz").read_bytes())
    for error, match, line in (
        (BadEnvironment, "device cuda: .* finds no GPU", [*words, "--device", "cuda"]),
        (BadData, "is a folder", [*words, "--csv", str(folder)]),
        (BadParams, "standard output", [*words, "--csv", "-", "--json", "-"]),
        (BadParams, "18 videos do not fit", ["score", *many, *words[2:], "--overlay", str(folder / "film.mp4")]),
        (BadData, "film.npz is a file", [*words, "--overlay", str(folder / "film.npz/film.mp4")]),
    ):
        with pytest.raises(error, match=match):
            CliRunner().invoke(cli, line, catch_exceptions=False)


@pytest.mark.parametrize("kind", ["lerobot", "minari"])
def test_datasets_say_how_many_frames_to_expect(tmp_path, kind):
    about, unit = ("meta/info.json", "frames") if kind == "lerobot" else ("data/metadata.json", "steps")
    (tmp_path / about).parent.mkdir()
    (tmp_path / about).write_text(json.dumps({"total_episodes": 3, f"total_{unit}": 34}))
    assert expected_frames(kind, tmp_path) == [11, 11, 11]
    (tmp_path / about).write_text("{")
    assert expected_frames(kind, tmp_path) == []


class Alarmed:
    """A model that is surprised by frame 4 alone, in one corner of its 8 x 8 grid."""

    def surprise(self, frames, task):
        nats = np.random.default_rng(0).uniform(0, 0.01, (len(frames), 8, 8))
        nats[4, 5:7, 5:7] = 100
        return nats


def test_a_film_is_red_where_and_when_the_model_is_surprised(tmp_path):
    gray = np.full((7, 64, 64, 3), 90, np.uint8)
    nats = -np.arange(7.0)
    videos = [ScoredVideo(name, TASK, nats[:n], nats[1:n], gray[:n]) for name, n in (("long", 7), ("short", 5))]
    draw_overlay(videos, Alarmed(), tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 7 and image.width == 2 * (SIDE + 2 * MARGIN)
        film = np.stack([np.asarray(frame.convert("RGB"), np.int16) for frame in ImageSequence.Iterator(image)])
    for start, last in ((MARGIN, 6), (SIDE + 3 * MARGIN, 4)):
        shown = film[:, TEXT : TEXT + SIDE, start : start + SIDE]
        red = (shown[..., 0] - shown[..., 2]).reshape(7, 8, SIDE // 8, 8, SIDE // 8).mean((2, 4))
        assert (red[4, 5:7, 5:7] > 100).all() and (red[4, :4] < 20).all() and (red[:4] < 20).all()
        assert np.abs(shown[last:] - shown[last]).max() < 10  # its last frame stays, up to the colors of a GIF


def test_the_film_of_the_command_has_every_frame(films):
    folder, frames = films
    words = ["score", str(folder / "film.npz"), "--reward", "dmc-laptop", "--task", TASK, "--overlay"]
    CliRunner().invoke(cli, [*words, str(folder / "film.mp4")], catch_exceptions=False)
    (episode,) = read_videos("video", folder / "film.mp4", 64)
    assert len(episode.frames) == len(frames)
    with pytest.raises(BadParams, match=r"\.mp4 or \.gif"):
        CliRunner().invoke(cli, [*words, str(folder / "film.avi")], catch_exceptions=False)


def test_surprise_adds_up_to_the_scores_of_a_conditional_reward():
    model = viper_pipeline.load_reward("dmc-laptop")
    assert model.of(TASK).config.mode == "conditional" and not model.of(TASK).config.reconstruction
    frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    where = model.surprise(frames, TASK)
    np.testing.assert_allclose(where.sum((1, 2)), -model.score(frames, TASK), rtol=1e-4)
