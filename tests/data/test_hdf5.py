"""HDF5 files of other projects: what holds what is named in params.yaml, and errors name file and dataset."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import read_videos
from viper_pipeline.testing import check_importer

LENGTHS = (3, 70, 4)
"""One is longer than what is read at a time."""


def frames(number: int) -> np.ndarray:
    """(T, 8, 8, 3), each frame of one gray."""
    grays = (50 * number + np.arange(LENGTHS[number])).astype(np.uint8)
    return np.broadcast_to(grays[:, None, None, None], (LENGTHS[number], 8, 8, 3)).copy()


def robomimic(path):
    """One group per episode, names without leading zeros, several cameras, a reward per frame."""
    with h5py.File(path, "w") as file:
        for number, name in enumerate(("demo_2", "demo_10", "demo_11")):
            group = file.create_group(f"data/{name}")
            for camera in ("agentview_image", "robot0_eye_in_hand_image"):
                pixels = frames(number) if camera.startswith("agent") else 255 - frames(number)
                group.create_dataset(f"obs/{camera}", data=pixels, chunks=True, compression="gzip")
            group.create_dataset("obs/joints", data=np.zeros((LENGTHS[number], 7)))
            group.create_dataset("rewards", data=np.arange(LENGTHS[number], dtype=np.float64))
            group.create_dataset("score", data=10.0 * number)
        file.create_group("mask").create_dataset("train", data=[b"demo_2"])
    return path


def end_to_end(path, **more):
    """All frames in one array, with the lengths of episodes beside it."""
    with h5py.File(path, "w") as file:
        file["images"] = np.concatenate([frames(n) for n in range(3)])
        file["episode/length"] = np.array(LENGTHS)
        file["episode/end"] = np.cumsum(LENGTHS)
        file["episode/return"] = np.array([1.5, -2.0, 7.0])
        file["reward"] = np.arange(sum(LENGTHS), dtype=np.float32)
        for name, value in more.items():
            file[name] = value
    return path


def read(path, camera=None):
    return list(read_videos("hdf5", path, 8, source_camera=camera))


def same(found):
    return [len(e) for e in found] == list(LENGTHS) and all(
        np.array_equal(e.frames, frames(number)) for number, e in enumerate(found)
    )


def test_one_group_per_episode(tmp_path):
    path = robomimic(tmp_path / "demos.hdf5")
    layout = {"episodes": "data/*", "frames": "obs/agentview_image", "rewards": "rewards"}
    found = read(path, layout)
    assert same(found), "demo_2 comes before demo_10"
    assert found[0].rewards.tolist() == [0, 0, 3], "reward t leads to frame t + 1, the last one is kept"
    assert all(e.ret == sum(range(len(e))) for e in found)
    other = read(path, {"episodes": "data/demo_1*", "frames": "obs/robot0_eye_in_hand_image", "returns": "score"})
    assert [e.ret for e in other] == [10.0, 20.0] and np.array_equal(other[0].frames, 255 - frames(1))


@pytest.mark.parametrize("places", [{"lengths": "episode/length"}, {"ends": "episode/end"}])
def test_frames_end_to_end(tmp_path, places):
    path = end_to_end(tmp_path / "all.h5")
    found = read(path, {"frames": "images", **places, "returns": "/episode/return"})
    assert same(found) and [e.ret for e in found] == [1.5, -2.0, 7.0]
    paid = read(path, {**places, "rewards": "reward"})
    assert same(paid), "the only pictures need no name"
    assert paid[2].rewards.tolist() == [0, 73, 74, 75 + 76] and np.isnan(read(path)[0].ret)


@pytest.mark.parametrize("channels_first", [False, True])
def test_episodes_on_an_axis_of_their_own(tmp_path, channels_first):
    padded = np.zeros((3, 70, 8, 8, 3), np.uint8)
    for number in range(3):
        padded[number, : LENGTHS[number]] = frames(number)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["pixels"] = np.moveaxis(padded, -1, 2) if channels_first else padded
        file["valid"] = np.array(LENGTHS)
        file["rewards"] = np.ones((3, 70))
    found = read(tmp_path / "x.h5", {"lengths": "valid", "rewards": "rewards"})
    assert same(found) and [e.ret for e in found] == list(LENGTHS)
    assert [len(e) for e in read(tmp_path / "x.h5", "pixels")] == [70] * 3


def test_it_keeps_the_contract_of_importers(tmp_path):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["video"] = frames(1)
    check_importer("hdf5", tmp_path / "one.h5", size=4)


def test_the_command_takes_the_names(tmp_path):
    path = robomimic(tmp_path / "demos.hdf5")
    words = ["import", "hdf5", str(path), "--suite", "dmc", "--task", "cartpole_balance"]
    layout = ["--layout", "episodes=data/*", "--layout", "frames=obs/agentview_image", "--layout", "rewards=rewards"]
    out = tmp_path / "out.h5"
    said = CliRunner().invoke(cli, [*words, "--out", str(out), *layout], catch_exceptions=False).output
    assert "3 episodes, 77 frames" in said
    kept = EpisodeFile(out)
    assert kept.group("episodes").returns.tolist() == [3.0, 2415.0, 6.0]
    assert kept.lineage["imported"]["camera"]["frames"] == "obs/agentview_image"
    for more, match in ((["--layout", "frames"], "give PART=NAME"), ([*layout, "--camera", "a"], "without --camera")):
        with pytest.raises(BadParams, match=match):
            CliRunner().invoke(cli, [*words, "--out", str(out), *more], catch_exceptions=False)


ALL = {"frames": "images", "lengths": "episode/length"}
WRONG = {
    "no such dataset": (ALL | {"frames": "image"}, r"all.h5: holds no .* 'image' \(did you mean 'images'"),
    "a group": ({"frames": "episode"}, "episode is a group and no dataset"),
    "not pictures": ({"frames": "reward"}, r"reward is float32 \(77,\), not uint8 \(T, H, W, 3\) or \(E, T, H, W, 3\)"),
    "floats": ({"frames": "floats"}, r"floats is float64 .*round\(\)"),
    "too few frames": (ALL | {"lengths": "short"}, "short speaks of 5 frames in all, .*all.h5: images has 77"),
    "no lengths": (ALL | {"lengths": "zero"}, "zero must hold whole numbers above 0"),
    "ends that fall": ({"frames": "images", "ends": "fall"}, "fall must hold whole numbers that rise"),
    "returns": (ALL | {"returns": "short"}, "short has 2 values for 3 episodes"),
    "rewards": (ALL | {"rewards": "short"}, "short has 2 values for 77 frames"),
    "words": (ALL | {"lengths": "words"}, "words is object .* holds no numbers"),
    "not finite": ({"frames": "images", "rewards": "nan"}, "nan holds numbers that are not finite"),
    "no groups": ({"episodes": "data/*"}, r"no group is called data/\* \(at the top: .*images"),
    "no frames": ({"episodes": "episode"}, r"all.h5: episode: no dataset looks like frames; .*length int64 \(3,\)"),
    "elsewhere": ({"frames": "outside"}, "outside lies in another file, other.h5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_file_and_dataset(tmp_path, name):
    layout, match = WRONG[name]
    path = end_to_end(
        tmp_path / "all.h5", short=[2, 3], zero=[0, 77], fall=[70, 60, 77], words="no", nan=np.full(77, np.nan),
        floats=np.zeros((4, 8, 8, 3)), outside=h5py.ExternalLink("other.h5", "images"),
    )  # fmt: skip
    with pytest.raises(BadData, match=match) as raised:
        read(path, layout)
    assert str(path) in str(raised.value)


def test_what_is_no_layout_is_refused(tmp_path):
    path = end_to_end(tmp_path / "all.h5")
    for layout, match in (
        ({"frame": "images"}, "frame: .*known are frames, episodes"),
        ({"lengths": "a", "ends": "b"}, "lengths and ends say the same"),
    ):
        with pytest.raises(BadParams, match=match):
            read(path, layout)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadData, match="damaged, or no HDF5 file"):
        read(path)
