"""A folder's videos: all of them, each once, or a reason; and what a film says of its time and its size."""

import io
import os
import struct
import subprocess
import sys
import zipfile

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.makers import file, write_video
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.importers import import_videos, kind_of, read_videos
from viper_pipeline.data.importers.folders import files_of, listed
from viper_pipeline.data.importers.video import repeats_of
from viper_pipeline.envs.base import FrameSpec


def clip(length=6, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (length, size, size, 3), dtype=np.uint8)


def save(path, **kw):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, clip(**kw))
    if path.suffix != ".npz":
        os.rename(f"{path}.npz", path)


def test_linked_folders_are_entered_capitals_read_and_hidden_names_passed_over(tmp_path):
    save(tmp_path / "here/b.NPZ", seed=1)
    save(tmp_path / "elsewhere/a.npz", seed=2)
    save(tmp_path / "here/.hidden/c.npz")
    save(tmp_path / "here/__MACOSX/d.npz")
    (tmp_path / "here/._b.NPZ").write_bytes(b"\0\5\x16\7 Mac OS X")
    (tmp_path / "here/notes.txt").write_text("")
    (tmp_path / "here/clip.npz").mkdir()
    save(tmp_path / "here/clip.npz/0.npz", seed=3)
    (tmp_path / "here/linked").symlink_to(tmp_path / "elsewhere")
    found = listed(tmp_path / "here")
    assert [f.relative_to(tmp_path / "here").as_posix() for f in found.files] == [
        "b.NPZ",
        "clip.npz/0.npz",
        "linked/a.npz",
    ]
    assert found.kinds == ("npz",) and kind_of(tmp_path / "here") == "npz"
    assert found.count() == "3 .npz files; 1 other files passed over (notes.txt ...)"
    assert [e.frames[0, 0, 0].tolist() for e in read_videos("npz", tmp_path / "here", 16)] == [
        clip(seed=s)[0, 0, 0].tolist() for s in (1, 3, 2)
    ]
    line = import_videos("npz", tmp_path / "here", "dmc", "toy", tmp_path / "x.h5", FrameSpec(size=16))
    assert line.endswith("from 3 .npz files; 1 other files passed over (notes.txt ...)")


def test_a_stage_says_in_its_log_how_many_files_it_reads(tmp_path, capsys):
    from viper_pipeline.pipelines.datasets import SourcePath

    save(tmp_path / "a.npz")
    (tmp_path / "b.tif").write_text("")
    assert SourcePath(filepath=str(tmp_path)).load() == tmp_path
    assert capsys.readouterr().out == f"{tmp_path}: 1 .npz files; 1 other files passed over (b.tif ...)\n"


def test_a_folder_in_itself_ends_and_a_file_of_two_names_is_taken_once(tmp_path):
    save(tmp_path / "a.npz")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "b.npz").symlink_to(tmp_path / "a.npz")
    assert files_of("npz", tmp_path) == (tmp_path / "a.npz",)
    (tmp_path / "gone.npz").symlink_to(tmp_path / "nothing")
    with pytest.raises(BadData, match=r"gone\.npz: a link that leads nowhere"):
        listed(tmp_path)


@pytest.mark.parametrize("kind", ["npz", "video"])
def test_a_mixture_is_refused_with_its_counts(tmp_path, kind):
    save(tmp_path / "a.npz")
    save(tmp_path / "b.npz")
    (tmp_path / "c.MP4").write_bytes(b"x")
    for ask in (lambda: files_of(kind, tmp_path), lambda: kind_of(tmp_path)):
        with pytest.raises(BadData, match=r"1 \.mp4 and 2 \.npz files.*a folder of its own"):
            ask()


def test_the_wrong_kind_says_which_kind_reads_what_is_there(tmp_path):
    save(tmp_path / "a.npz")
    with pytest.raises(BadData, match=r"holds no video .* 1 \.npz files, which kind npz reads"):
        list(read_videos("video", tmp_path, 16))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mp4", b"", r"empty \(0 bytes\)"),
        ("a.mp4", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.mov", b"\n<!DOCTYPE html><html>", "web page"),
        ("a.mkv", b"PK\x03\x04rest", "zip archive"),
        ("a.avi", b"viper episodes 1\n", "kind episodes"),
        ("a.npz", b"", r"empty \(0 bytes\)"),
        ("a.npz", b"\x93NUMPY\x01\x00", r"is a \.npy"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=rf"{name}: .*{said}"):
        list(read_videos(kind_of(tmp_path / name), tmp_path / name, 16))


def gif(path, frames, durations):
    buffer = io.BytesIO()
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    path.write_bytes(buffer.getvalue())


def test_equal_frames_that_a_gif_writer_merged_come_back(tmp_path):
    frames = clip(9)
    frames[1:5] = frames[0]
    frames[7:] = frames[6]
    gif(tmp_path / "x.gif", frames, 40)
    with Image.open(tmp_path / "x.gif") as stored:
        assert stored.n_frames == 3
    (found,) = read_videos("video", tmp_path, 16)
    same = [bool((a == b).all()) for a, b in zip(found.frames, found.frames[1:], strict=False)]
    assert same == [True] * 4 + [False, False, True, True]


def test_a_gif_of_uneven_time_is_refused(tmp_path):
    gif(tmp_path / "x.gif", clip(3), [40, 100, 40])
    with pytest.raises(BadData, match=r"x\.gif: its frames last from 40 to 100 ms"):
        list(read_videos("video", tmp_path, 16))


@given(st.lists(st.integers(0, 655_350), min_size=1, max_size=30))
def test_a_gifs_time_is_kept_exactly_or_refused(milliseconds):
    try:
        repeats = repeats_of(milliseconds, "x.gif")
    except BadData:
        return
    assert len({one / times for one, times in zip(milliseconds, repeats, strict=True)}) == 1
    assert sum(repeats) <= 100_000 and min(repeats) >= 1


def test_frames_that_an_edit_hides_stay_hidden_and_the_film_is_whole(tmp_path):
    """What a phone does that cuts a film: the index promises frames that no player shows."""
    frames = np.stack([np.full((64, 64, 3), 6 * t, np.uint8) for t in range(40)])
    write_video(tmp_path / "whole.mp4", frames)
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stored = source.streams.video[0]
        stream = target.add_stream_from_template(stored)
        for packet in source.demux(stored):
            if packet.dts is not None:
                step = packet.duration
                packet.pts, packet.dts, packet.stream = packet.pts - 5 * step, packet.dts - 5 * step, stream
                target.mux(packet)
    with av.open(str(tmp_path / "cut.mp4")) as film:
        stream = film.streams.video[0]
        hidden = sum(bool(packet.is_discard) for packet in film.demux(stream))
        assert stream.frames == 40 and hidden > 0
    (found,) = read_videos("video", tmp_path / "cut.mp4", 16)
    assert len(found) == 40 - hidden
    assert abs(int(found.frames[0].mean()) - 6 * hidden) < 6


def test_archives_are_read_frame_by_frame_and_give_what_numpy_gives(tmp_path):
    frames = clip(5, 20)
    np.savez(tmp_path / "c.npz", frames)
    np.savez(tmp_path / "f.npz", np.asfortranarray(frames))
    np.savez_compressed(tmp_path / "z.npz", frames)
    for episode in read_videos("npz", tmp_path, 20):
        assert np.array_equal(episode.frames, frames)


def archive(path, shape, content, descr="'|u1'"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("arr_0.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content)


@pytest.mark.parametrize(
    ("shape", "descr", "said"),
    [
        ((10**9, 64, 64, 3), "'|u1'", "damaged: 1 of 1000000000 frames"),
        ((2, 10**6, 10**6, 3), "'|u1'", "larger than any"),
        ((2, 64, 64, 3), "'|O'", "plain arrays"),
        ((2, 64, 64, 3), "'<f4'", "float32, not uint8"),
        ((2, 3, 64, 64), "'|u1'", "moveaxis"),
    ],
)
def test_hostile_archives_are_refused_before_they_fill_memory(tmp_path, shape, descr, said):
    archive(tmp_path / "x.npz", shape, bytes(64 * 64 * 3), descr)
    with pytest.raises(BadData, match=said):
        list(read_videos("npz", tmp_path / "x.npz", 64))


PEAK = """
import resource, sys
from pathlib import Path
from viper_pipeline.data.importers import kind_of, read_videos
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lengths = [len(e) for e in read_videos(kind_of(path), path, 16)]
print(lengths, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_pixels_of_an_archive(tmp_path):
    """180 MB of frames, of which little else than one is in memory at a time."""
    archive(tmp_path / "x.npz", (60, 1000, 1000, 3), bytes(60 * 1000 * 1000 * 3))
    done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path / "x.npz")], capture_output=True, text=True)
    lengths, megabytes = done.stdout.rsplit(" ", 1)
    assert lengths == "[60]" and int(megabytes) < 60, done.stdout + done.stderr


def test_memory_does_not_grow_with_a_film_s_file(tmp_path):
    """A box of free space, 1 GB that is on no disk, as editors leave behind."""
    path = tmp_path / "x.mp4"
    write_video(path, clip(20, 64))
    length, free = path.stat().st_size, 2**30
    with path.open("ab") as film:
        film.write(struct.pack(">I4sQ", 1, b"free", free))
        film.truncate(length + free)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True)
    lengths, megabytes = done.stdout.rsplit(" ", 1)
    assert lengths == "[20]" and int(megabytes) < 100, done.stdout + done.stderr


def test_episodes_are_read_while_another_process_holds_the_file_locked(tmp_path):
    """Or where nothing can be locked: files appear whole, so nobody writes what is read."""
    import fcntl

    path = file(tmp_path / "a.h5")
    with path.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", "viper_pipeline", "check", str(path)], capture_output=True, text=True
        )
    assert done.returncode == 0 and "whole" in done.stdout, done.stderr


def test_a_path_that_is_not_there_is_named(tmp_path):
    for ask in (kind_of, listed, lambda path: list(read_videos("video", path, 16))):
        with pytest.raises(BadData, match="nothing: there is no such file or folder"):
            ask(tmp_path / "nothing")
