"""Importers: good videos come in whole; every kind of bad one is refused with its path and the reason."""

import io
import shutil
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.makers import episode, file, write_video
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode, resized
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import MARGIN, import_videos, read_source, read_videos
from viper_pipeline.envs.base import FrameSpec

SPEC = FrameSpec(size=16, library="toy 2", gl_backend="egl")


def film(length=12, size=16, seed=0):
    """Smooth pictures, so that lossy coding keeps them."""
    rng = np.random.default_rng(seed)
    base = np.linspace(0, 200, size)[None, :, None] + rng.integers(0, 20, (1, 1, 3))
    frames = np.repeat(np.repeat(base[None], length, 0), size, 1)
    return (frames + np.arange(length)[:, None, None, None]).clip(0, 255).astype(np.uint8)


@pytest.fixture
def released(tmp_path):
    """The layout of the paper's authors."""
    for split, name, seed in (
        ("train", "20230101-len12-rew512.npz", 0),
        ("train", "20230102-len12-rewm3.npz", 1),
        ("test", "plain.npz", 2),
    ):
        folder = tmp_path / "pong" / split
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / name, film(seed=seed))
    return tmp_path / "pong"


def test_released_folders_come_in_with_the_returns_of_their_names(released):
    episodes = {e.ret: e for e in read_videos("npz", released, 16) if not np.isnan(e.ret)}
    assert set(episodes) == {512.0, -3.0}
    assert np.array_equal(episodes[512.0].frames, film(seed=0))
    assert sum(np.isnan(e.ret) for e in read_videos("npz", released, 16)) == 1


def test_gifs_and_mp4s_come_in_nearly_as_they_were(tmp_path):
    (tmp_path / "b.gif").write_bytes(gif_of(film(seed=1), "RGB"))
    write_video(tmp_path / "a.mp4", film(size=64), crf=1)
    first, second = read_videos("video", tmp_path, 16)
    assert first.frames.shape == second.frames.shape == (12, 16, 16, 3)
    assert np.abs(first.frames.astype(int) - resized(film(size=64), 16)).mean() < 6
    assert np.abs(second.frames.astype(int) - film(seed=1)).mean() < 12
    assert np.isnan(first.ret)


def test_frames_are_resized_by_the_mean_of_the_area():
    frames = film(size=32)
    expected = frames.reshape(12, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(resized(frames, 16) - expected).max() <= 1
    assert resized(frames, 32) is frames


def test_an_import_can_be_read_back_and_checked(released, tmp_path):
    out = tmp_path / "out.h5"
    assert "3 episodes, 36 frames" in import_videos("npz", released, "dmc", "cartpole_balance", out, SPEC)
    group, spec = read_source("episodes", out, 16)
    assert len(group) == 3 and not SPEC.differences(spec)
    assert spec.library == spec.gl_backend == "unknown"  # whatever the suite draws with, it did not draw these
    result = CliRunner().invoke(cli, ["check", str(out)])
    assert result.exit_code == 0 and "whole" in result.output


def test_a_disk_that_fills_up_ends_an_import_before_hdf5_meets_it(released, tmp_path, monkeypatch):
    """Which would print pages and crash, with no message and half a file left."""
    frames = 12 * 16 * 16 * 3
    room = [MARGIN, MARGIN + frames, MARGIN + frames - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=room.pop(0)))
    with pytest.raises(OSError, match="No space left") as caught:
        import_videos("npz", released, "dmc", "cartpole_balance", tmp_path / "out.h5", SPEC)
    assert caught.value.filename == str(tmp_path / "out.h5") and room == []
    assert [path.name for path in tmp_path.iterdir()] == ["pong"]


def test_an_episodes_file_keeps_what_it_says_of_its_frames(tmp_path):
    made = EpisodeFile(file(tmp_path / "a.h5")).spec
    other = made.model_copy(update={"camera": 5, "action_repeat": 7, "size": 16})
    import_videos("episodes", tmp_path / "a.h5", "dmc", "cartpole_balance", tmp_path / "b.h5", other)
    assert EpisodeFile(tmp_path / "b.h5").spec == made.model_copy(update={"size": 16})


def test_a_return_stands_only_at_the_end_of_a_name(tmp_path):
    for name in ("a-rew5.npz", "b-rewm0.25.npz", "c-rew1e3.npz", "d-rew7-copy.npz"):
        np.savez(tmp_path / name, film())
    returns = [e.ret for e in read_videos("npz", tmp_path, 16)]
    assert returns[:2] == [5, -0.25] and np.isnan(returns[2:]).all()


def gif_of(frames, mode="P"):
    buffer = io.BytesIO()
    images = [Image.fromarray(f).convert(mode) for f in frames]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=50)
    return buffer.getvalue()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999), length=st.integers(2, 5), size=st.integers(1, 20), share=st.floats(0, 1, exclude_max=True)
)
def test_a_gif_is_whole_only_with_its_last_byte(tmp_path_factory, seed, length, size, share):
    frames = np.random.default_rng(seed).integers(0, 256, (length, size, size, 3), dtype=np.uint8)
    content = gif_of(frames)
    path = tmp_path_factory.mktemp("gif") / "x.gif"
    path.write_bytes(content)
    assert [len(e) for e in read_videos("video", path, 4)] == [length]
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadData, match=r"x\.gif"):
        list(read_videos("video", path, 4))


FORMS = [{}, {"movflags": "faststart"}, {"movflags": "frag_keyframe+empty_moov"}]


@pytest.mark.parametrize("options", FORMS)
def test_a_film_cut_anywhere_is_refused_unless_all_its_frames_are_there(tmp_path, options):
    path = tmp_path / "x.mp4"
    write_video(path, film(40, 64), options=options)
    content = path.read_bytes()
    (whole,) = read_videos("video", path, 16)
    assert len(whole) == 40
    for share in (0.2, 0.6, 0.9, 0.99):
        path.write_bytes(content[: int(len(content) * share)])
        try:
            (found,) = read_videos("video", path, 16)
        except BadData as error:
            assert "x.mp4: " in str(error) and any(word in str(error) for word in ("cut short", "holds no frame"))
        else:  # what is missing says nothing of frames
            assert share == 0.99 and np.array_equal(found.frames, whole.frames)


def test_each_stored_frame_comes_in_once_whatever_its_time(tmp_path):
    frames = film(12, 64)
    write_video(tmp_path / "even.mp4", frames)
    write_video(tmp_path / "uneven.mp4", frames, times=[0, 1, 2, 9, 10, 11, 30, 31, 32, 33, 34, 50])
    even, uneven = (next(iter(read_videos("video", tmp_path / name, 16))).frames for name in ("even.mp4", "uneven.mp4"))
    assert even.shape == uneven.shape
    assert np.abs(even.astype(int) - uneven).mean() < 3  # the encoder has other rates for other times


def traced_peak(act):
    """Bytes that NumPy and Python held at most while `act` ran."""
    tracemalloc.start()
    try:
        found = act()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_does_not_depend_on_the_size_of_an_archive(tmp_path, order):
    frames = np.zeros((3000, 64, 64, 3), np.uint8, order=order)  # 37 MB
    frames[:, 1, 2, 0] = np.arange(3000)
    np.savez_compressed(tmp_path / "long.npz", frames)
    ((read,), peak) = traced_peak(lambda: list(read_videos("npz", tmp_path, 64)))
    assert peak < 16e6 < frames.nbytes
    assert np.array_equal(read.frames, frames)
    read.frames[0] = 1  # as any array


def test_memory_does_not_depend_on_the_length_of_a_film(tmp_path):
    pictures = [Image.fromarray(np.full((64, 64, 3), 40 * i, np.uint8)) for i in range(4)]
    lasting = [10, 10, 10, 30_000]  # milliseconds: 3,003 frames
    pictures[0].save(tmp_path / "long.gif", save_all=True, append_images=pictures[1:], duration=lasting)
    ((read,), peak) = traced_peak(lambda: list(read_videos("video", tmp_path, 64)))
    assert len(read) == 3003 and read.frames.nbytes > 36e6 > 16e6 > peak
    assert [int(read.frames[t].mean().round(-1)) for t in (0, 1, 2, -1)] == [0, 40, 80, 120]


def test_a_long_import_is_written_as_a_short_one(released, tmp_path, monkeypatch):
    def written(name):
        import_videos("npz", released, "dmc", "toy", tmp_path / name, FrameSpec(size=16))
        return (tmp_path / name).read_bytes()

    short = written("a.h5")
    monkeypatch.setattr("viper_pipeline.data.importers.spool.IN_MEMORY", 1)
    assert written("b.h5") == short


def test_a_film_without_pictures_is_named(tmp_path):
    import av

    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(BadData, match=r"x\.mp4: has no pictures in it"):
        list(read_videos("video", tmp_path, 16))


def npz(array):
    return lambda path: np.savez(path / "x.npz", array)


def write(name, content):
    return lambda path: (path / name).write_bytes(content)


def truncated(path):
    np.savez_compressed(path / "x.npz", film())
    (path / "x.npz").write_bytes((path / "x.npz").read_bytes()[:-200])


def flipped(path):
    np.savez(path / "x.npz", film())
    content = bytearray((path / "x.npz").read_bytes())
    content[len(content) // 2] ^= 4
    (path / "x.npz").write_bytes(bytes(content))


def scrambled_film(path):
    write_video(path / "x.mp4", film(40, 64), options={"movflags": "faststart"})
    content = bytearray((path / "x.mp4").read_bytes())
    content[-300:-100] = bytes(255 - b for b in content[-300:-100])  # pictures come last
    (path / "x.mp4").write_bytes(bytes(content))


def gif_without_end(path):
    (path / "x.gif").write_bytes(gif_of(film())[:-1])


def recorded(groups, **kw):
    return lambda path: file(path / "x.h5", groups, **kw)


def codes(path):
    episodes = [Episode(np.zeros((9, 2, 2), np.int16), np.zeros(9, np.float32))]
    file(path / "x.h5", {"episodes": episodes}, payload="codes")


def cut_film(path):
    write_video(path / "x.mp4", film(size=64))
    (path / "x.mp4").write_bytes((path / "x.mp4").read_bytes()[:300])


BAD = {
    "npz: no file": ("npz", lambda path: None, "no .npz"),
    "npz: floats": ("npz", npz(np.zeros((9, 16, 16, 3))), "float64, not uint8"),
    "npz: grey": ("npz", npz(np.zeros((9, 16, 16), np.uint8)), "shape"),
    "npz: four channels": ("npz", npz(np.zeros((9, 16, 16, 4), np.uint8)), "shape"),
    "npz: one frame": ("npz", npz(np.zeros((1, 16, 16, 3), np.uint8)), "1 frames"),
    "npz: no frames": ("npz", npz(np.zeros((0, 16, 16, 3), np.uint8)), "0 frames"),
    "npz: no pixels": ("npz", npz(np.zeros((5, 0, 16, 3), np.uint8)), "empty"),
    "npz: objects": ("npz", npz(np.array([{}, {}], object)), "plain arrays"),
    "npz: other name": ("npz", lambda p: np.savez(p / "x.npz", video=film()), "arr_0"),
    "npz: not a zip": ("npz", write("x.npz", b"hello"), "x.npz"),
    "npz: empty": ("npz", write("x.npz", b""), "x.npz"),
    "npz: truncated": ("npz", truncated, "x.npz"),
    "npz: flipped bit": ("npz", flipped, "x.npz"),
    "video: no file": ("video", write("x.txt", b"hello"), "no video"),
    "video: not a film": ("video", write("x.mp4", b"hello"), "x.mp4"),
    "video: empty": ("video", write("x.gif", b""), "x.gif"),
    "video: cut short": ("video", cut_film, "x.mp4"),
    "video: scrambled": ("video", scrambled_film, "x.mp4"),
    "video: one frame": ("video", write("x.gif", gif_of(film(1))), "1 frames"),
    "video: gif without its end": ("video", gif_without_end, "cut short"),
    "episodes: an expert set": ("episodes", recorded({"train": [episode()]}), "'episodes'"),
    "episodes: none": ("episodes", recorded({"episodes": iter(())}), "'episodes'"),
    "episodes: codes": ("episodes", codes, "x.h5"),
    "episodes: a folder": ("episodes", lambda path: (path / "x.h5").mkdir(), "x.h5"),
    "episodes: nothing": ("episodes", lambda path: None, "x.h5"),
    "episodes: not HDF5": ("episodes", write("x.h5", b"hello"), "x.h5"),
}


def curate_source(kind, source):
    videos, _ = read_source(kind, source, 16)
    if kind == "episodes" and videos.shape[-1:] != (3,):
        raise AssertionError("codes were taken for frames")


@pytest.mark.parametrize("case", BAD)
def test_bad_videos_are_refused_with_path_and_reason(case, tmp_path):
    kind, make, reason = BAD[case]
    folder = tmp_path / "videos"
    folder.mkdir()
    make(folder)
    source = folder / "x.h5" if kind == "episodes" else folder
    with pytest.raises(BadData) as error:
        import_videos(kind, source, "dmc", "cartpole_balance", tmp_path / "out.h5", SPEC)
    assert str(folder) in str(error.value) and reason in str(error.value)
    assert not (tmp_path / "out.h5").exists()
    with pytest.raises(BadData) as error:  # nor does a stage take them
        curate_source(kind, source)
    assert str(folder) in str(error.value)


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadData, match=r"nowhere: there is no such file.*params\.yaml"):
        read_source("npz", tmp_path / "nowhere", 16)


def test_a_damaged_file_ends_the_command_with_a_message_and_a_bad_code(tmp_path, capfd):
    import subprocess
    import sys

    path = file(tmp_path / "a.h5", {"episodes": [episode()]})
    path.write_bytes(path.read_bytes()[:-100])
    done = subprocess.run([sys.executable, "-m", "viper_pipeline", "check", str(path)], capture_output=True, text=True)
    assert done.returncode != 0 and "a.h5" in done.stderr and "Traceback" not in done.stderr
    assert EpisodeFile(file(tmp_path / "b.h5")).task == "toy"
