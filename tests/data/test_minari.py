"""Minari datasets in HDF5: pictures come in with their rewards; datasets without any are refused with the reason."""

import io
import json

import h5py
import numpy as np
import pytest
from PIL import Image

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.importers import kind_of, read_videos
from viper_pipeline.testing import check_importer

STEPS = (4, 6)


def frames(episode: int, size: int = 40) -> np.ndarray:
    """(T + 1, size, size, 3), smooth, so that JPEG keeps them."""
    ramp = np.linspace(0, 150, size, dtype=np.uint8)
    one = np.stack([np.broadcast_to(ramp, (size, size)), np.broadcast_to(ramp[:, None], (size, size))] * 2, -1)[..., :3]
    return np.stack([one + 50 * episode + 5 * t for t in range(STEPS[episode] + 1)]).astype(np.uint8)


def jpeg(frame: np.ndarray) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=95)
    return np.frombuffer(content.getvalue(), np.uint8)


def stored(group: h5py.Group, name: str, content: np.ndarray, coding: str) -> None:
    """As Minari's HDF5Storage stores them: arrays, or a JPEG each, as an array if all are equally long."""
    if coding == "array":
        group.create_dataset(name, data=content, chunks=True)
        return
    pictures = [jpeg(frame) for frame in content]
    if coding == "padded":  # a reader ends at a JPEG's own end
        length = max(map(len, pictures))
        group.create_dataset(name, data=np.stack([np.pad(p, (0, length - len(p))) for p in pictures]))
        return
    table = group.create_dataset(name, (len(pictures),), h5py.vlen_dtype(np.uint8))
    for i, picture in enumerate(pictures):
        table[i] = picture


def write(folder, coding="array", observed=frames, cameras=("",)):
    """cameras: names in a dictionary of observations; an empty one: the pictures are the observation."""
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data/main_data.hdf5", "w", track_order=True) as file:
        for number, steps in enumerate(STEPS):
            group = file.create_group(f"episode_{number}")
            group.attrs["id"], group.attrs["seed"], group.attrs["total_steps"] = number, 7 + number, steps
            for camera in cameras:
                place, name = (group.require_group("observations"), camera) if camera else (group, "observations")
                stored(place, name, observed(number), coding)
            if cameras != ("",):
                group["observations"].create_dataset("state", data=np.zeros((steps + 1, 2), np.float32))
            group.create_dataset("actions", data=np.zeros((steps, 2), np.float32))
            group.create_dataset("rewards", data=np.arange(1.0, steps + 1))
            for ended in ("terminations", "truncations"):
                group.create_dataset(ended, data=np.arange(steps) == steps - 1)
            group.create_group("infos")
    about = {"total_episodes": len(STEPS), "total_steps": sum(STEPS), "data_format": "hdf5"}
    (folder / "data/metadata.json").write_text(json.dumps(about))
    return folder


def episodes(path, size=40, **about):
    return list(read_videos("minari", path, size, **about))


@pytest.mark.parametrize("coding", ["array", "padded", "vlen"])
@pytest.mark.parametrize("cameras", [("",), ("pixels",)])
def test_pictures_come_in_with_their_rewards_and_seeds(tmp_path, coding, cameras):
    found = episodes(write(tmp_path / "set", coding, cameras=cameras))
    assert [len(e) for e in found] == [steps + 1 for steps in STEPS]
    for number, episode in enumerate(found):
        off = np.abs(episode.frames.astype(int) - frames(number))
        assert off.max() == 0 if coding == "array" else off.mean() < 2
        assert np.array_equal(episode.rewards, np.arange(STEPS[number] + 1))  # paid on arriving at a frame
        assert episode.seed == 7 + number and episode.kind == "expert"


def test_the_folder_its_data_and_the_file_are_the_same(tmp_path):
    folder = write(tmp_path / "set")
    for path in (folder, folder / "data", folder / "data/main_data.hdf5"):
        assert [len(e) for e in episodes(path)] == [5, 7]
    assert kind_of(folder) == kind_of(folder / "data") == "minari"
    with pytest.raises(BadData, match=r"name the folder of one Minari dataset \(datasets found in it: set\)"):
        episodes(tmp_path)


def test_of_several_cameras_one_must_be_named(tmp_path):
    folder = write(tmp_path / "set", cameras=("views/front", "views/wrist"))
    assert len(episodes(folder, source_camera="wrist")) == 2
    with pytest.raises(BadData, match=r"2 cameras; datasets.<task>.camera or --camera can be views/front, views/wrist"):
        episodes(folder)


def test_the_importer_keeps_its_contract(tmp_path):
    check_importer("minari", write(tmp_path / "set"), size=8)


def of(number, *shape, dtype=np.uint8):
    return np.zeros((STEPS[number] + 1, *shape), dtype)


NO_PICTURES = {
    "states": (lambda n: of(n, 17, dtype=np.float32), r"observations float32 \(5, 17\)"),
    "symbols of a grid": (lambda n: of(n, 7, 7, 3), r"observations uint8 \(5, 7, 7, 3\)"),
    "memory of a console": (lambda n: of(n, 128), r"observations uint8 \(5, 128\)"),
    "colors first": (lambda n: of(n, 3, 64, 64), r"observations uint8 \(5, 3, 64, 64\)"),
    "gray": (lambda n: of(n, 64, 64, 1), r"observations uint8 \(5, 64, 64, 1\)"),
}


@pytest.mark.parametrize("what", NO_PICTURES)
def test_observations_without_pictures_are_refused_with_what_they_are(tmp_path, what):
    observed, message = NO_PICTURES[what]
    with pytest.raises(BadData, match=rf"episode_0: its observations hold no pictures \({message}\); record"):
        episodes(write(tmp_path / "set", observed=observed))


def drop(name):
    def spoil(file):
        del file[name]

    return spoil


def replace(name, values):
    def spoil(file):
        del file[name]
        file[name] = values

    return spoil


def link(name, target):
    def spoil(file):
        del file[name]
        file[name] = target

    return spoil


def outside(file):
    """Bytes of any file of this machine, as pictures."""
    del file["episode_0/observations"]
    file.create_dataset(
        "episode_0/observations", (5, 40, 40, 3), np.uint8, external=[(file.filename, 0, h5py.h5f.UNLIMITED)]
    )


BROKEN = {
    "an episode of another file": (link("episode_1", h5py.ExternalLink("other.hdf5", "/x")), "episode_1 is a link"),
    "rewards of another file": (link("episode_1/rewards", h5py.ExternalLink("other.hdf5", "/x")), "rewards is a link"),
    "a circle": (link("episode_0/observations", h5py.SoftLink("/episode_0")), "observations is a link"),
    "pictures of another file": (outside, "observations lies in another file"),
    "no rewards": (drop("episode_1/rewards"), "episode_1: has no observations and rewards"),
    "an episode is missing": (drop("episode_0"), "episode_0 is missing, but episodes go on up to 1"),
    "a reward too many": (replace("episode_0/rewards", np.ones(5)), "5 pictures for 5 rewards"),
    "a reward that is no number": (
        replace("episode_0/rewards", np.full(4, np.nan)),
        "episode_0: rewards are not finite",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_refused_with_its_path(tmp_path, how):
    spoil, message = BROKEN[how]
    folder = write(tmp_path / "set")
    with h5py.File(folder / "data/main_data.hdf5", "r+") as file:
        spoil(file)
    with pytest.raises(BadData, match=message) as refused:
        episodes(folder)
    assert str(folder) in str(refused.value)


def test_a_file_that_is_cut_and_another_format_are_refused(tmp_path):
    folder = write(tmp_path / "set")
    file = folder / "data/main_data.hdf5"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(BadData, match=r"main_data\.hdf5: damaged"):
        episodes(folder)
    file.unlink()
    (folder / "data/metadata.json").write_text('{"data_format": "arrow"}')
    with pytest.raises(BadData, match="is stored as arrow; only Minari's format hdf5"):
        episodes(folder)


def test_a_jpeg_that_is_damaged_is_refused(tmp_path):
    folder = write(tmp_path / "set", "padded")
    with h5py.File(folder / "data/main_data.hdf5", "r+") as file:
        file["episode_0/observations"][2] = 0
    with pytest.raises(BadData, match="picture 2 is not a readable JPEG"):
        episodes(folder)
