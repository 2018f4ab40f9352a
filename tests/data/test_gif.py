"""Damaged GIFs: what decoders fill up or leave out in silence is refused, and what every writer writes is read."""

import io
import random

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import gif
from viper_pipeline.data.importers import read_videos
from viper_pipeline.data.importers.gif_stream import refuse_damaged_gif


def noise(length=4, size=16, seed=0, values=256):
    return np.random.default_rng(seed).integers(0, values, (length, size, size, 3), dtype=np.uint8)


def smooth(length=6, size=32):
    y, x, t = np.meshgrid(np.arange(size), np.arange(size), np.arange(length), indexing="ij")
    return np.stack([x * 5 + t, y * 5, (x + y + 4 * t) % 256], -1).transpose(2, 0, 1, 3).astype(np.uint8)


def pillow_decodes(content):
    """Frames, or what Pillow alone says; it is asked for every picture."""
    try:
        with Image.open(io.BytesIO(content), formats=["GIF"]) as image:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    except Exception as error:
        return error


def parts(content):
    """The first byte of every picture's descriptor, and of its compressed data, in a GIF."""
    at = 13 + (3 * 2 ** ((content[10] & 7) + 1) if content[10] & 0x80 else 0)
    found = []
    while content[at] != 0x3B:
        if content[at] == 0x2C:
            flags = content[at + 9]
            data = at + 10 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
            found.append((at, data))
            at = data + 1
        else:
            at += 2
        while content[at]:
            at += content[at] + 1
        at += 1
    return found


def changed(content, at, *new):
    return content[:at] + bytes(new) + content[at + len(new) :]


def refused(path, content, said):
    path.write_bytes(content)
    with pytest.raises(BadData, match=said) as caught:
        list(read_videos("video", path, 16))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99), length=st.integers(2, 4), size=st.integers(1, 90), values=st.sampled_from([2, 8, 256]),
    options=st.sampled_from([{}, {"interlace": 0}, {"interlace": 1}, {"optimize": True}, {"disposal": 2}]),
)  # fmt: skip
def test_whatever_pillow_writes_is_whole(tmp_path_factory, seed, length, size, values, options):
    """Beyond 64 pixels noise fills the table of codes, which then starts anew."""
    path = tmp_path_factory.mktemp("gif") / "x.gif"
    first, *more = [Image.fromarray(frame).convert("P") for frame in noise(length, size, seed, values)]
    first.save(path, "GIF", save_all=True, append_images=more, duration=50, **options)
    refuse_damaged_gif(path)


def test_so_is_what_ffmpeg_writes(tmp_path):
    with av.open(str(tmp_path / "x.gif"), "w") as out:
        stream = out.add_stream("gif", rate=20)
        stream.height = stream.width = 96
        stream.pix_fmt = "rgb8"
        for frame in noise(5, 96):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="rgb8")))
        out.mux(stream.encode())
    (found,) = read_videos("video", tmp_path / "x.gif", 96)
    assert len(found) == 5 and np.abs(found.frames.astype(int) - noise(5, 96)).mean() < 30


def test_a_byte_behind_the_codes_and_a_missing_code_of_the_end_are_harmless(tmp_path):
    codes = (0b01_000_100, 0b101_0)  # of three bits each, from the right: begin, 0, 1, end
    head = (
        b"GIF89a" + bytes([2, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]) + b"," + bytes([0, 0, 0, 0, 2, 0, 1, 0, 0])
    )
    for data in (codes, (*codes, 77), (codes[0], 0)):
        content = head + bytes([2, len(data), *data, 0]) + b";"
        (tmp_path / "x.gif").write_bytes(content)
        refuse_damaged_gif(tmp_path / "x.gif")
        assert pillow_decodes(content)[0].tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize(("width", "said"), [(15, "picture 2: more than 240 pixels"), (17, "picture 2: 256 of 272")])
def test_pixels_that_do_not_add_up_are_noticed(tmp_path, width, said):
    content = gif(noise(), zoom=1)
    (_, _), (at, _), *_ = parts(content)
    wrong = changed(content, at + 5, width)
    if width < 16:
        assert len(pillow_decodes(wrong)) == 4  # what is too much is left out in silence
    refused(tmp_path / "x.gif", wrong, said)


def test_an_end_before_the_end_and_bytes_after_it_are_noticed(tmp_path):
    content = gif(noise(), zoom=1)
    (_, _), (_, _), (at, _), _ = parts(content)
    early = changed(content, at, 0x3B)
    assert len(pillow_decodes(early)) < 4
    refused(tmp_path / "x.gif", early, "bytes follow its end")
    refused(tmp_path / "x.gif", content + b";", "bytes follow its end")
    refused(tmp_path / "x.gif", content[:-1], "its end is missing")
    refused(tmp_path / "x.gif", changed(content, at, 0x55), "byte 0x55")
    refused(tmp_path / "x.gif", b"GIF88a" + content[6:], "does not begin as a GIF")


def test_most_flipped_bits_in_compressed_pixels_are_noticed(tmp_path):
    """More than Pillow notices; what is left changes one code into another that stands for as many pixels."""
    content = gif(smooth(), zoom=1)
    whole, rng = pillow_decodes(content), random.Random(0)
    ends = [at for at, _ in parts(content)[1:]] + [len(content)]
    inside = [at for (_, data), end in zip(parts(content), ends, strict=True) for at in range(data + 2, end - 12)]
    noticed, by_pillow = 0, 0
    for at in rng.sample(inside, 60):
        (tmp_path / "x.gif").write_bytes(changed(content, at, content[at] ^ 1 << rng.randrange(8)))
        found = pillow_decodes((tmp_path / "x.gif").read_bytes())
        by_pillow += isinstance(found, Exception)
        try:
            (read,) = read_videos("video", tmp_path / "x.gif", 32)
        except BadData:
            noticed += 1
        else:
            assert not isinstance(found, Exception) and read.frames.shape == np.stack(whole).shape
    assert noticed > 30 and noticed > by_pillow + 5
