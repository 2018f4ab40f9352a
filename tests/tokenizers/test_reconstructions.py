"""Pictures and numbers of reconstructions, and backgrounds."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from viper_pipeline.tokenizers.quality import (
    Foreground,
    foreground_l1,
    median_background,
    median_backgrounds,
    picture,
    psnr,
    quality,
)


def moving_dot(count=9, size=16):
    frames = np.full((count, size, size, 3), 50, np.uint8)
    for i in range(count):
        frames[i, i, i] = 250
    return frames


def test_the_median_background_forgets_what_moves():
    assert (median_background(moving_dot()) == 50).all()
    assert (median_background(moving_dot(), most=3) == 50).all()
    still = moving_dot()
    still[:, 4, 4] = 200
    assert (median_background(still)[4, 4] == 200).all()


def test_each_task_has_its_own_foreground():
    dark, bright = moving_dot(), 255 - moving_dot()
    foreground = Foreground(median_backgrounds([dark, bright]))
    frames = torch.as_tensor(np.stack([dark[2], bright[3]]))
    right = foreground.mask(frames, torch.tensor([0, 1]))[:, 0]
    assert right.sum((1, 2)).tolist() == [1, 1] and right[0, 2, 2] and right[1, 3, 3]
    assert foreground.mask(frames, torch.tensor([1, 0])).float().mean() > 0.9


def test_psnr_of_a_known_error():
    frames = np.full((2, 4, 4, 3), 100, np.uint8)
    assert psnr(frames, frames) == float("inf")
    assert psnr(frames, frames + 1) == pytest.approx(20 * np.log10(255))
    assert psnr(frames, frames - 1) == psnr(frames, frames + 1)


def test_a_dropped_dot_hardly_shows_in_psnr_but_in_the_foreground():
    frames = moving_dot(size=64)
    again = np.full_like(frames, 50)
    mask = (frames != 50).any(-1)
    numbers = quality(frames, again, mask)
    assert numbers["psnr"] > 30 and numbers["background_l1"] == 0 and numbers["foreground_l1"] == 200
    assert np.isnan(foreground_l1(frames, again, mask & False))


def test_the_picture_shows_frames_above_reconstructions():
    frames = moving_dot(3)
    page = np.asarray(Image.open(io.BytesIO(picture([(frames, 255 - frames), (frames[:2], frames[:2])], zoom=1))))
    assert page.shape == (4 * 16, 3 * 16, 3)
    assert np.array_equal(page[:16, 16:32], frames[1]) and np.array_equal(page[16:32, 16:32], 255 - frames[1])
    assert (page[32:, 32:] == 0).all()
