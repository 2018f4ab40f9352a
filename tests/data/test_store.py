"""The store: what goes in comes out, equal episodes give equal bytes, damage never goes unnoticed."""

import h5py
import numpy as np
import pytest

from tests.data.makers import SPEC, episode, file
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import write_checksum
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, verify


def test_episodes_come_back_as_they_went_in(tmp_path):
    groups = {"train": [episode(9, 1), episode(30, 2, "noisy")], "held_out": [episode(5, 3)]}
    lineage = {"steps": {"x": {"stage": "s"}}, "long": "y" * 100_000}
    read = EpisodeFile(file(tmp_path / "a.h5", groups, lineage=lineage))
    assert (read.suite, read.task, read.spec, read.lineage) == ("dmc", "toy", SPEC, lineage)
    assert set(read.groups) == {"train", "held_out"}
    for name, episodes in groups.items():
        group = read.group(name)
        assert group.lengths.tolist() == [len(e) for e in episodes]
        np.testing.assert_allclose(group.returns, [e.ret for e in episodes], rtol=1e-6)
        for got, put in zip(group, episodes, strict=True):
            assert np.array_equal(got.frames, put.frames) and np.array_equal(got.rewards, put.rewards)
            assert (got.seed, got.kind) == (put.seed, put.kind)
    assert len(read.group("absent")) == 0


def test_codes_are_kept_like_frames(tmp_path):
    codes = Episode(np.arange(40, dtype=np.int16).reshape(10, 2, 2), np.zeros(10, np.float32))
    read = EpisodeFile(file(tmp_path / "c.h5", {"train": [codes]}, payload="codes"))
    assert read.payload == "codes" and np.array_equal(read.group("train")[0].frames, codes.frames)


def test_equal_episodes_give_equal_bytes(tmp_path):
    a, b = file(tmp_path / "a.h5"), file(tmp_path / "b.h5")
    assert a.read_bytes() == b.read_bytes()


def test_a_stream_that_breaks_leaves_the_old_file(tmp_path):
    path = file(tmp_path / "a.h5")
    before = path.read_bytes()

    def broken():
        yield episode()
        raise RuntimeError("the simulator died")

    with pytest.raises(RuntimeError):
        file(path, {"episodes": broken()})
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_every_flipped_bit_is_found(tmp_path):
    whole = file(tmp_path / "a.h5").read_bytes()
    assert "whole" in verify(tmp_path / "a.h5")
    rng = np.random.default_rng(0)
    damaged = tmp_path / "b.h5"
    for place in [0, 600, *rng.integers(len(whole), size=400)]:
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(bytes(content))
        with pytest.raises(BadData, match=r"b\.h5"):
            verify(damaged)
        with pytest.raises(BadData, match=r"b\.h5"):  # a stage that opens it neither crashes nor waits for ever
            EpisodeFile(damaged)


def resealed(path, change):
    """A file that is as it was written, by somebody who wrote nonsense."""
    with h5py.File(path, "r+") as f:
        change(f)
    write_checksum(path)
    return path


def put(name, values):
    def change(f):
        del f[name]
        f[name] = values

    return change


def attribute(name, value):
    return lambda f: f.attrs.__setitem__(name, value)


NONSENSE = {
    "no rewards": (lambda f: f.__delitem__("episodes/rewards"), "rewards"),
    "no frames": (lambda f: f.__delitem__("episodes/frames"), "frames holds 0"),
    "rewards are doubles": (put("episodes/rewards", np.zeros(86)), "rewards are float64"),
    "too few rewards": (put("episodes/rewards", np.zeros(85, np.float32)), r"rewards are float32 \(85,\)"),
    "infinite": (put("episodes/rewards", np.full(86, np.inf, np.float32)), "rewards of episode 0"),
    "partly unknown": (put("episodes/rewards", np.array([np.nan] * 30 + [0] * 56, np.float32)), "rewards of episode 1"),
    "starts fall": (put("episodes/starts", np.array([0, 20, 10, 63, 86])), "starts do not rise"),
    "starts are floats": (put("episodes/starts", np.array([0, 20, 41, 63, 86.0])), "starts are float64"),
    "starts are empty": (put("episodes/starts", np.zeros(0, np.int64)), "starts are int64"),
    "starts go too far": (put("episodes/starts", np.array([0, 20, 41, 63, 87])), "rewards are"),
    "unknown kind": (put("episodes/kinds", np.full(4, 9, np.int8)), "episodes"),
    "too few seeds": (put("episodes/seeds", np.zeros(3, np.int64)), "seeds are"),
    "frames are floats": (put("episodes/frames", np.zeros((86, 8, 8, 3), np.float32)), "frames are float32"),
    "frames are grey": (put("episodes/frames", np.zeros((86, 8, 8), np.uint8)), "frames are"),
    "frames of another size": (put("episodes/frames", np.zeros((86, 9, 8, 3), np.uint8)), "8 x 8"),
    "no specification": (lambda f: f.attrs.__delitem__("frame_spec"), "frame_spec"),
    "bad specification": (attribute("frame_spec", '{"size": "large"}'), "size"),
    "bad lineage": (put("lineage", np.frombuffer(b"{", np.uint8)), "a.h5"),
    "other payload": (attribute("payload", "sounds"), "sounds"),
    "other format": (attribute("format", "viper episodes 0"), "format"),
    "no group": (lambda f: f.__delitem__("episodes"), "no group"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused_by_field(tmp_path, case):
    change, reason = NONSENSE[case]
    path = resealed(file(tmp_path / "a.h5"), change)
    with pytest.raises(BadData, match=reason) as error:
        verify(path)
    assert str(path) in str(error.value)


def test_a_flipped_bit_in_a_frame_is_found_by_whoever_reads_it(tmp_path):
    path = file(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    frames = EpisodeFile(path).group("episodes")[0].frames
    place = bytes(content).find(frames[2, 3:5].tobytes()[:40])
    assert place > 0  # random frames do not compress, so they lie in the file as they are
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadData, match=r"a\.h5: damaged"):
        EpisodeFile(path)
    with pytest.raises(BadData, match="episodes: frames 0 to 19 are damaged"):  # by the checksum of its chunk alone
        EpisodeFile(path, verify_checksum=False).group("episodes")[0]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_a_file_cut_short_is_refused_by_name(tmp_path, share):
    path = file(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BadData, match=r"a\.h5"):
        verify(path)


def bad_frames(**changes):
    e = episode()
    return Episode(**({"frames": e.frames, "rewards": e.rewards} | changes))


@pytest.mark.parametrize(
    "episodes",
    [
        [bad_frames(frames=np.zeros((20, 8, 8, 3), np.float32))],
        [bad_frames(rewards=np.zeros(3, np.float32))],
        [bad_frames(frames=np.zeros((0, 8, 8, 3), np.uint8), rewards=np.zeros(0, np.float32))],
        [episode(size=8), episode(size=16)],
    ],
    ids=["floats", "too few rewards", "no frames", "two sizes"],
)
def test_impossible_episodes_are_not_written(tmp_path, episodes):
    with pytest.raises(BadData, match="episode"):
        file(tmp_path / "a.h5", {"episodes": episodes})
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_taken_for_episodes(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = 1
    (tmp_path / "text.h5").write_text("hello")
    for name in ("other.h5", "text.h5", "absent.h5"):
        with pytest.raises(BadData, match=name):
            EpisodeFile(tmp_path / name)
