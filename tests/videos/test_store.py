"""The store: what goes in comes out, equal episodes give equal bytes, damage never goes unnoticed."""

import numpy as np
import pytest

from tests.videos.makers import SPEC, episode, file
from viper_pipeline.errors import BadData
from viper_pipeline.videos.episode import Episode
from viper_pipeline.videos.store import EpisodeFile
from viper_pipeline.videos.verify import verify


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


def test_a_flipped_bit_in_a_frame_is_found_by_whoever_reads_it(tmp_path):
    path = file(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    frames = EpisodeFile(path).group("episodes")[0].frames
    place = bytes(content).find(frames[2, 3:5].tobytes()[:40])
    assert place > 0  # random frames do not compress, so they lie in the file as they are
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadData, match="damaged"):
        EpisodeFile(path).group("episodes")[0]


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
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = 1
    (tmp_path / "text.h5").write_text("hello")
    for name in ("other.h5", "text.h5", "absent.h5"):
        with pytest.raises(BadData, match=name):
            EpisodeFile(tmp_path / name)
