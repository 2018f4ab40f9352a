"""The reward: conventions, streams against whole videos, scales."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from viper_pipeline.core.errors import BadData
from viper_pipeline.envs.base import FrameSpec, Rect
from viper_pipeline.rewards.scores import perturbed
from viper_pipeline.rewards.viper import Scale, ScaleConfig, ViperConfig, ViperReward, fit_scale
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig
from viper_pipeline.video_models.videogpt_streaming import StreamingVideoGPT, StreamingVideoGPTConfig


class Quadrants:
    """A tokenizer of 4x4 grey frames: one code a quadrant, its mean brightness in quarters."""

    grid = (2, 2)
    codebook = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    def encode(self, frames):
        x = torch.as_tensor(np.ascontiguousarray(frames)).float()[..., 0]
        return (x.view(-1, 2, 2, 2, 2).mean((2, 4)) / 64).long().clamp(0, 3)

    def decode(self, codes):
        grey = (codes * 64 + 32).to(torch.uint8).repeat_interleave(2, 1).repeat_interleave(2, 2)
        return grey[..., None].expand(-1, -1, -1, 3)


def spec(**changes) -> FrameSpec:
    base = {
        "size": 4,
        "camera": 0,
        "action_repeat": 2,
        "shadows": False,
        "antialiasing": False,
        "gl_backend": "egl",
        "library": "toy 1",
    }
    return FrameSpec.model_validate(base | changes)


def reward(window=3, config=None, scale=None, **changes) -> ViperReward:
    torch.manual_seed(0)
    loop = LoopConfig(steps=1, batch_size=1, learning_rate=1)
    sizes = VideoGPTConfig(window=window, width=12, feedforward=16, heads=2, layers=2, training=loop)
    model = VideoGPT(sizes, Quadrants.codebook, Quadrants.grid, ("swing", "catch")).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return ViperReward(Quadrants(), model, "catch", config or ViperConfig(), spec(**changes), scale)


def videos(n, T, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, T, 4, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "boundary"), [("conditional", "growing"), ("conditional", "repeat"), ("joint", "growing")]
)
def test_a_stream_gives_each_transition_the_score_of_the_frame_it_leads_to(mode, boundary):
    r = reward(config=ViperConfig(mode=mode, boundary=boundary))
    frames = videos(3, 7)
    codes = torch.stack([r.encode(video) for video in frames])
    whole = r.log_prob(codes).numpy()
    stream = r.stream()
    stream.start(frames[:, 0])
    for t in range(6):
        np.testing.assert_allclose(stream.step(frames[:, t + 1]), whole[:, t + 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize(
    ("mode", "boundary"), [("conditional", "growing"), ("conditional", "repeat"), ("joint", "growing")]
)
def test_many_steps_at_once_are_rewarded_as_one_by_one(mode, boundary, window, stride):
    made = [reward(window, ViperConfig(mode=mode, boundary=boundary), stride=stride) for _ in "ab"]
    frames = np.moveaxis(videos(3, 24), 1, 0)
    one, many = (r.stream() for r in made)
    for stream in (one, many):
        stream.start(frames[0])
    begin = 1
    for count in (1, 2, 7, 5, 8):
        if count == 5:  # an episode begins in the middle
            for stream in (one, many):
                stream.restart(1, frames[0, 2])
        part = frames[begin : begin + count]
        rewards, metrics = many.steps(part, np.zeros((count, 3)))
        expected = [one.step(now) for now in part]
        assert rewards.dtype == np.float32 and rewards.shape == metrics["log_prob"].shape == (count, 3)
        np.testing.assert_allclose(rewards, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            many.step_metrics()["log_prob"], one.step_metrics()["log_prob"], rtol=1e-4, atol=1e-4
        )
        begin += count


def test_half_overlap_scores_several_frames_per_window_when_there_are_several():
    r = reward(4, ViperConfig(scoring="half_overlap"))
    frames, calls = videos(2, 13), []
    forward = r.model.log_prob
    r.model.log_prob = lambda codes, *rest: calls.append(len(codes)) or forward(codes, *rest)
    stream = r.stream()
    stream.start(frames[:, 0])
    rewards, _ = stream.steps(np.moveaxis(frames[:, 1:], 1, 0), np.zeros((12, 2)))
    whole = r.log_prob(torch.stack([r.encode(video) for video in frames])).numpy()
    assert np.allclose(rewards.T, whole[:, 1:], rtol=1e-4, atol=1e-4) and sum(calls[: len(calls) // 2]) < 20


def test_a_joint_score_has_no_repeated_frames():
    with pytest.raises(ValueError, match="boundary"):
        ViperConfig(mode="joint", boundary="repeat")


def test_a_strided_model_never_sees_the_frames_in_between():
    r, frames = reward(stride=2), videos(1, 9)
    stream, other = r.stream(), r.stream()
    changed = frames.copy()
    changed[:, 1::2] = 255 - changed[:, 1::2]
    stream.start(frames[:, 0])
    other.start(changed[:, 0])
    scores = [(stream.step(frames[:, t])[0], other.step(changed[:, t])[0]) for t in range(1, 9)]
    assert all(a == b for a, b in scores[1::2])
    assert all(a != b for a, b in scores[0::2])


def test_one_environment_may_begin_anew_while_the_others_go_on():
    r, frames = reward(), videos(2, 8)
    stream = r.stream()
    stream.start(frames[:, 0])
    for t in range(1, 4):
        stream.step(frames[:, t])
    stream.restart(1, frames[1, 4])
    got = [stream.step(frames[:, t]) for t in range(5, 8)]
    # environment 0 skipped frame 4, environment 1 began with it
    first = r.log_prob(r.encode(np.delete(frames[0], 4, 0))[None])[0, -3:]
    second = r.log_prob(r.encode(frames[1, 4:])[None])[0, -3:]
    np.testing.assert_allclose(np.stack(got).T, torch.stack([first, second]).numpy(), rtol=1e-4, atol=1e-4)


def test_a_stream_resumes_in_mid_episode():
    r, frames = reward(), videos(2, 6)
    stream, other = r.stream(), r.stream()
    stream.start(frames[:, 0])
    stream.step(frames[:, 1])
    other.load_episode_state(stream.episode_state())
    assert np.array_equal(stream.step(frames[:, 2]), other.step(frames[:, 2]))


def test_what_is_masked_does_not_matter_and_what_is_not_does():
    r = reward(mask=[Rect(top=0, left=0, bottom=2, right=4)])
    frames = videos(1, 3)
    masked, seen = frames.copy(), frames.copy()
    masked[:, :, :2] = 255 - masked[:, :, :2]
    seen[:, :, 2:] = 255 - seen[:, :, 2:]
    assert torch.equal(r.encode(frames[0]), r.encode(masked[0]))
    assert not torch.equal(r.encode(frames[0]), r.encode(seen[0]))


def test_frames_made_otherwise_are_refused_by_name():
    r = reward(stride=2)
    r.check(spec())  # an environment has no stride or mask of its own
    with pytest.raises(BadData, match="action_repeat"):
        r.check(spec(action_repeat=4))


def test_a_task_the_model_does_not_know_is_refused():
    r = reward()
    with pytest.raises(BadData, match="juggle"):
        ViperReward(r.tokenizer, r.model, "juggle", r.config, r.spec)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-500, -5), min_size=3, max_size=20),
    st.lists(st.floats(-900, -5), min_size=3, max_size=20),
    st.sampled_from(["range", "standard", "none"]),
)
def test_scales_keep_the_order_and_the_limits(expert, random, kind):
    scale = fit_scale(ScaleConfig(kind=kind), np.array(expert), np.array(random))
    nats = np.linspace(-1000, 0, 50)
    rewards = scale(nats)
    assert rewards.dtype == np.float32
    assert (np.diff(rewards) >= 0).all()
    assert rewards.min() >= -1 and rewards.max() <= np.float32(1.2)


def test_range_puts_the_better_floor_at_zero_and_experts_at_one():
    floors = np.array([-100.0, -140.0]), np.array([-200.0])
    scale = fit_scale(ScaleConfig(low=None, high=None), np.array([-10.0, -20.0]), *floors)
    assert scale == fit_scale(ScaleConfig(low=None, high=None), np.array([-10.0, -20.0]), *floors[::-1])
    np.testing.assert_allclose(scale(np.array([-15.0, -120.0])), [1.0, 0.0], atol=1e-6)
    assert Scale.model_validate_json(scale.model_dump_json()) == scale


def test_below_the_floor_rewards_fall_more_slowly():
    fitted = np.array([-10.0]), np.array([-110.0])
    straight, bent = (fit_scale(ScaleConfig(slope_below=s, low=None), *fitted) for s in (1.0, 0.2))
    above, below = np.linspace(-110, -10, 9), np.linspace(-400, -110, 9)
    assert np.array_equal(straight(above), bent(above))
    np.testing.assert_allclose(bent(below), 0.2 * straight(below), atol=1e-6)


def test_perturbed_videos_hold_the_right_frames():
    indices = perturbed(10, (0, 4, 99), seed=0)
    assert set(indices) == {"frozen_0", "frozen_4", "shuffled", "reversed"}
    assert (indices["frozen_0"] == 0).all()
    assert indices["frozen_4"].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]
    assert sorted(indices["shuffled"]) == list(range(10)) and indices["shuffled"].tolist() != list(range(10))
    assert indices["reversed"].tolist() == list(range(9, -1, -1))


def rolling(stride=1) -> ViperReward:
    torch.manual_seed(0)
    loop = LoopConfig(steps=1, batch_size=1, learning_rate=1)
    sizes = StreamingVideoGPTConfig(window=6, context=2, width=16, feedforward=16, heads=2, layers=2, training=loop)
    model = StreamingVideoGPT(sizes, Quadrants.codebook, Quadrants.grid, ("swing", "catch")).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return ViperReward(
        Quadrants(), model, "catch", ViperConfig(model="videogpt_streaming", scoring="kv_cache"), spec(stride=stride)
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_rolling_stream_scores_as_whole_videos_are_scored(stride):
    r, frames = rolling(stride), videos(3, 9)
    codes = torch.stack([r.encode(video) for video in frames])
    stream = r.stream()
    stream.start(frames[:, 0])
    for t in range(1, 9):
        whole = r.log_prob(codes[:, t % stride : t + 1 : stride])[:, -1]
        np.testing.assert_allclose(stream.step(frames[:, t]), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_in_a_rolling_stream_one_environment_may_begin_anew_and_all_may_be_resumed(stride):
    r, frames = rolling(stride), videos(2, 12)
    stream = r.stream()
    stream.start(frames[:, 0])
    for t in range(1, 5):
        stream.step(frames[:, t])
    stream.restart(1, frames[1, 5])
    again = r.stream()
    again.load_episode_state(stream.episode_state())
    fresh = r.stream()
    fresh.start(frames[1:, 5])
    for t in range(6, 12):
        got, alone = stream.step(frames[:, t]), fresh.step(frames[1:, t])
        assert np.array_equal(again.step(frames[:, t]), got)
        np.testing.assert_allclose(got[1:], alone, rtol=1e-4, atol=1e-4)


def test_a_way_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="boundary growing"):
        ViperConfig(scoring="kv_cache", boundary="repeat")
    with pytest.raises(ValueError, match="scoring full_window"):
        ViperConfig(scoring="half_overlap", mode="joint")


@pytest.mark.parametrize("scoring", ["full_window", "half_overlap"])
def test_half_precision_keeps_the_order_of_scores(scoring):
    codes = torch.stack([reward().encode(video) for video in videos(6, 8)])
    full, half = (reward(config=ViperConfig(scoring=scoring, precision=p)).log_prob(codes) for p in ("32", "bf16"))
    assert not torch.equal(full, half)
    assert np.corrcoef(full.numpy().ravel(), half.float().numpy().ravel())[0, 1] > 0.99
