"""Pictures: what they show, and equal bytes for equal frames."""

import io

import numpy as np
from PIL import Image, ImageSequence

from tests.data.makers import episode
from viper_pipeline.data.episode import gif, png, strip


def test_a_png_shows_each_pixel_zoomed():
    frame = episode().frames[0]
    shown = np.asarray(Image.open(io.BytesIO(png(frame, 3))))
    assert np.array_equal(shown[1::3, 1::3], frame) and shown.shape == (24, 24, 3)


def test_a_strip_has_a_row_a_video_and_black_where_one_ends():
    long, short = episode(6).frames, episode(4, 1).frames
    shown = np.asarray(Image.open(io.BytesIO(strip([long, short]))))
    assert shown.shape == (16, 48, 3)
    assert np.array_equal(shown[:8, 16:24], long[2]) and np.array_equal(shown[8:, 24:32], short[3])
    assert not shown[8:, 32:].any()


def test_a_gif_has_every_frame_and_the_same_bytes_each_time():
    frames = np.zeros((7, 8, 8, 3), np.uint8)
    frames[np.arange(7), :, np.arange(7)] = 255
    first = gif(frames, zoom=2)
    assert first == gif(frames.copy(), zoom=2)
    shown = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(Image.open(io.BytesIO(first)))]
    assert len(shown) == 7 and shown[0].shape == (16, 16, 3)
    for t, picture in enumerate(shown):
        assert picture[:, 2 * t].min() > 200 and picture[:, (2 * t + 4) % 16].max() < 60
