"""Maps of surprise: they lie where the codes lie, and kinds share one scale."""

import numpy as np
import torch

from tests.rewards.test_viper import reward, videos
from viper_pipeline.rewards.evaluation import STRIP_FRAMES, surprise, surprise_film, surprise_rows


def surprises(pair):
    r = reward()
    return {kind: surprise(r, video) for kind, video in pair.items()}


def test_a_map_is_as_large_as_the_frames_and_adds_up_to_the_score():
    r, frames = reward(), videos(1, 6)[0]
    maps = surprise(r, frames)
    assert maps.shape == frames.shape[:3]
    nats = r.log_prob(r.encode(frames)[None])[0]
    # bilinear enlargement keeps the mean: 4 codes to 16 pixels
    torch.testing.assert_close(torch.as_tensor(-maps.sum((1, 2)) / 4), nats, rtol=1e-4, atol=1e-4)


def test_the_corner_that_is_surprising_is_the_bright_one():
    r, frames = reward(), videos(1, 6)[0]
    per_code = -r.log_prob(r.encode(frames)[None], per_code=True)[0].flatten(1)
    corners = surprise(r, frames)[:, [0, 0, 3, 3], [0, 3, 0, 3]]
    assert np.array_equal(corners.argmax(1), per_code.argmax(1).numpy())


def test_rows_come_in_pairs_of_frames_and_maps():
    pair = dict(zip(("held_out", "random"), videos(2, 60), strict=True))
    rows = surprise_rows(pair, surprises(pair), every=3)
    assert [row.shape for row in rows] == [(STRIP_FRAMES, 4, 4, 3)] * 4
    assert np.array_equal(rows[2], pair["random"][: 3 * STRIP_FRAMES : 3])


def test_the_film_shows_the_strips_frames_above_their_maps_side_by_side():
    pair = dict(zip(("held_out", "random"), videos(2, 60), strict=True))
    pair["random"] = pair["random"][:21]  # ends early, and so does the film
    scored = surprises(pair)
    film, rows = surprise_film(pair, scored), surprise_rows(pair, scored, every=2, count=11)
    assert film.shape == (11, 8, 8, 3)
    top, bottom = film[:, :4], film[:, 4:]
    assert np.array_equal(top, np.concatenate([rows[0], rows[2]], 2)) and np.array_equal(
        top[:, :, 4:], pair["random"][::2]
    )
    assert (bottom != top).any()
