"""What decoding a frame's codes leaves out is taken off its likelihood, in streams and in whole videos alike."""

import numpy as np
import pytest
import torch

from tests.rewards.test_viper import Quadrants, reward, rolling, videos
from viper_pipeline.rewards.evaluation import score_kinds
from viper_pipeline.rewards.scores import EvaluationConfig
from viper_pipeline.rewards.viper import ViperConfig, reconstruction_error


def test_the_error_is_zero_where_decoding_gives_the_frame_back_and_counts_whole_white_pixels():
    codes = torch.tensor([[[0, 1], [2, 3]]])
    frames = Quadrants().decode(codes).numpy()
    assert reconstruction_error(Quadrants(), frames, codes).tolist() == [0]
    other = frames.copy()
    other[0, 0, 0] = 32 + 51  # three channels, a fifth of white each
    np.testing.assert_allclose(reconstruction_error(Quadrants(), other, codes), [0.6], rtol=1e-6)


@pytest.mark.parametrize("make", [reward, rolling])
def test_a_stream_takes_off_what_each_frames_codes_leave_out(make):
    plain, penalized = make(), make()
    penalized.config = penalized.config.model_copy(update={"reconstruction": 2.0})
    frames = videos(2, 5)
    streams = plain.stream(), penalized.stream()
    for stream in streams:
        stream.start(frames[:, 0])
    for t in range(1, 5):
        without, with_it = (stream.step(frames[:, t]) for stream in streams)
        error = reconstruction_error(Quadrants(), frames[:, t], plain.encode(frames[:, t]))
        assert (error > 0).all()
        np.testing.assert_allclose(without - with_it, 2 * error, rtol=1e-4)


def test_a_frame_shown_again_is_penalized_again():
    r = reward(config=ViperConfig(reconstruction=1.0))
    frames = videos(2, 8)
    kinds = {"held_out": [r.encode(frames[0])], "random": [r.encode(frames[1])]}
    penalties = {kind: [r.reconstruction_penalty(frames[i], codes[0])] for i, (kind, codes) in enumerate(kinds.items())}
    config = EvaluationConfig(freeze_at=(3,))
    plain, less = (score_kinds(r, kinds, config, 0, d) for d in (None, penalties))
    assert set(plain) == {"held_out", "random", "frozen_3", "shuffled", "reversed"}
    taken = {kind: plain[kind][0] - less[kind][0] for kind in plain}
    whole = penalties["held_out"][0]
    np.testing.assert_allclose(taken["reversed"], whole[::-1], rtol=1e-3)
    np.testing.assert_allclose(taken["frozen_3"], whole[np.minimum(np.arange(8), 3)], rtol=1e-3)
    np.testing.assert_allclose(np.sort(taken["shuffled"]), np.sort(whole), rtol=1e-3)
    np.testing.assert_allclose(taken["random"], penalties["random"][0], rtol=1e-3)
