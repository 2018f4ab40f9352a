"""RLBench's demonstrations: whole folders come in, in the order of time; broken ones are refused with the path."""

import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.data.gadgets import calls
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import import_videos, read_videos
from viper_pipeline.envs.rlbench import RLBench

FIXTURE = Path(__file__).parents[1] / "fixtures" / "rlbench_demos.tar.gz"
TASK = "panda_push_button"
EPISODE = "push_button/variation1/episodes/episode1"


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """Two tasks, two variations of each, two demonstrations of each: RLBench's own writer, made-up pictures."""
    folder = tmp_path_factory.mktemp("demos")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def copy(demos, tmp_path):
    """One variation, to be spoilt."""
    shutil.copytree(demos / "push_button" / "variation1", tmp_path / "demos" / "push_button" / "variation1")
    return tmp_path / "demos"


def videos(path, size=64, **about):
    return list(read_videos("rlbench", path, size, **{"camera": "front", "task": TASK} | about))


def test_demonstrations_come_in_whole_and_in_the_order_of_time(demos):
    episodes = videos(demos)
    pictures = sorted(demos.glob("push_button/*/episodes/*"))
    assert len(episodes) == len(pictures) == 4
    for episode, folder in zip(episodes, pictures, strict=True):
        assert len(episode) == len(list((folder / "front_rgb").iterdir()))
        for t, frame in enumerate(episode.frames):
            assert np.array_equal(frame, np.asarray(Image.open(folder / "front_rgb" / f"{t}.png"))), t
    assert max(map(len, episodes)) > 10  # else the order of names would do


def test_a_demonstration_succeeds_in_its_last_frame(demos):
    for episode in videos(demos):
        assert episode.ret == episode.rewards[-1] == 1 and episode.kind == "expert"


def test_the_camera_is_chosen_and_pictures_are_resized(demos):
    front, wrist, small = (videos(demos, **about)[0].frames for about in ({}, {"camera": "wrist"}, {"size": 16}))
    assert front.shape == wrist.shape and not np.array_equal(front, wrist)
    assert small.shape == (*front.shape[:1], 16, 16, 3)


def test_a_task_is_found_by_its_name_or_by_its_folder(demos):
    first = videos(demos)[0].frames
    for path, task in ((demos, "sawyer_push_button"), (demos / "push_button", TASK), (demos, "push_button")):
        assert np.array_equal(videos(path, task=task)[0].frames, first)


def test_the_command_writes_an_episodes_file(demos, tmp_path):
    out = tmp_path / "out.h5"
    words = ["import", "rlbench", str(demos), "--suite", "rlbench", "--task", TASK, "--out", str(out)]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "4 episodes, 61 frames of 64x64" in result.output
    file = EpisodeFile(out)
    spec = RLBench().frame_spec(TASK, {}, {})
    assert file.task == TASK and not spec.differences(file.spec) and file.spec.camera == "front"
    assert RLBench().frame_spec(TASK, {}, {"camera": "wrist"}).differences(file.spec)
    file.close()


def spoilt(name, change):
    return lambda root: change(root / EPISODE / name)


def replaced(path, content):
    path.write_bytes(content)


def link(target):
    def change(path):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target)

    return change


def picture(mode="RGB", size=(64, 64)):
    return lambda path: Image.new(mode, size).save(path)


def longer(path):
    shutil.copy(path / "0.png", path / f"{len(list(path.iterdir()))}.png")


def words(content):
    return lambda root: (root / EPISODE / "../../variation_descriptions.pkl").write_bytes(pickle.dumps(content))


def linked_within(root):
    path = root / EPISODE / "front_rgb" / "5.png"
    path.unlink()
    path.symlink_to("4.png")


BAD = {
    "a frame is missing": (spoilt("front_rgb/5.png", Path.unlink), "front_rgb: 5.png is missing"),
    "the first frame is missing": (spoilt("front_rgb/0.png", Path.unlink), "front_rgb: 0.png is missing"),
    "the last frame is missing": (spoilt("front_rgb/16.png", Path.unlink), "17 moments, but there are 16 pictures"),
    "a frame too many": (spoilt("front_rgb", longer), "17 moments, but there are 18 pictures"),
    "a padded number": (spoilt("front_rgb/5.png", lambda p: p.rename(p.with_name("05.png"))), "05.png: only"),
    "a stranger's file": (spoilt("front_rgb/x.txt", lambda p: p.touch()), "x.txt: only 0.png, 1.png"),
    "no frames": (spoilt("front_rgb", lambda p: [f.unlink() for f in p.iterdir()]), "front_rgb: is empty"),
    "no camera": (
        spoilt("front_rgb", shutil.rmtree),
        "no camera 'front'; frames.camera can be left_shoulder, overhead",
    ),
    "no state": (spoilt("low_dim_obs.pkl", Path.unlink), "low_dim_obs.pkl: is missing"),
    "damaged state": (
        spoilt("low_dim_obs.pkl", lambda p: replaced(p, p.read_bytes()[:-9])),
        "low_dim_obs.pkl: refused",
    ),
    "empty state": (spoilt("low_dim_obs.pkl", lambda p: replaced(p, b"")), "low_dim_obs.pkl: refused"),
    "another state": (spoilt("low_dim_obs.pkl", lambda p: replaced(p, pickle.dumps([1]))), "not a demonstration"),
    "no sentences": (words({"a": 1}), "not a list of sentences"),
    "a picture cut short": (
        spoilt("front_rgb/5.png", lambda p: replaced(p, p.read_bytes()[:-40])),
        "5.png: not a read",
    ),
    "no picture": (spoilt("front_rgb/5.png", lambda p: replaced(p, b"hello")), "5.png: not a readable PNG"),
    "a grey picture": (spoilt("front_rgb/5.png", picture("L")), "5.png: a picture of mode L"),
    "a larger picture": (spoilt("front_rgb/5.png", picture(size=(65, 64))), "5.png: is 65 x 64 pixels"),
    "a picture linked from outside": (spoilt("front_rgb/5.png", link(FIXTURE)), "5.png: is a link to"),
    "a folder linked from outside": (spoilt("front_rgb", link(FIXTURE.parent)), "front_rgb: is a link to"),
    "a state linked from outside": (spoilt("low_dim_obs.pkl", link("/etc/hostname")), "low_dim_obs.pkl: is a link to"),
    "an episode linked from outside": (spoilt("", link("/tmp")), "episode1: is a link to /tmp, outside of"),
    "a link in a circle": (spoilt("front_rgb/5.png", link("5.png")), "5.png: is missing, or a link that leads nowhere"),
    "a padded episode": (
        spoilt("", lambda p: p.rename(p.with_name("episode01"))),
        "episode01: only episode0, episode1",
    ),
    "no episodes": (lambda root: shutil.rmtree((root / EPISODE).parent), "episodes: is missing"),
    "another task": (
        lambda root: (root / "push_button").rename(root / "open_box"),
        "called push_button (tasks found: open",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_folders_are_refused_with_path_and_reason(case, copy, tmp_path):
    spoil, reason = BAD[case]
    spoil(copy)
    with pytest.raises(BadData) as error:
        import_videos("rlbench", copy, "rlbench", TASK, tmp_path / "out.h5", RLBench().frame_spec(TASK, {}, {}))
    assert reason in str(error.value) and str(error.value).startswith(str(copy))
    assert not (tmp_path / "out.h5").exists()


def test_links_within_the_folder_and_hidden_files_do_no_harm(copy):
    linked_within(copy)
    (copy / EPISODE / "front_rgb" / ".DS_Store").touch()
    last = videos(copy)[-1].frames
    assert np.array_equal(last[5], last[4])


@pytest.mark.parametrize("name", ["low_dim_obs.pkl", "../../variation_descriptions.pkl"])
def test_a_program_in_either_pickle_is_refused_and_not_run(name, copy, tmp_path):
    canary = tmp_path / "canary"
    (copy / EPISODE / name).write_bytes(pickle.dumps(calls(canary)["os.system"]))
    with pytest.raises(BadData, match=r"\.pkl: refused, and nothing in it was run: it asks for posix\.system"):
        videos(copy)
    assert not canary.exists()


def test_a_camera_that_no_demonstration_has_is_named(demos):
    with pytest.raises(BadData, match=r"no camera '0'; frames\.camera can be front, left_shoulder"):
        videos(demos, camera=0)
