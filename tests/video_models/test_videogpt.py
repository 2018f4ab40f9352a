"""VideoGPT against answers that can be computed by hand."""

import math

import numpy as np
import pytest
import torch

from viper_pipeline.core.errors import BadData
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models.scoring import score_joint, score_videos
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig

LOOP = LoopConfig(steps=300, batch_size=32, learning_rate=3e-3, schedule="onecycle", warmup=0.05, optimizer="adamw")


def make(window=3, K=5, grid=(2, 2), tasks=("a", "b"), seed=0, loop=LOOP, **kw) -> VideoGPT:
    torch.manual_seed(seed)
    sizes = {"width": 24, "feedforward": 48, "heads": 2, "layers": 2} | kw
    model = VideoGPT(VideoGPTConfig(window=window, training=loop, **sizes), torch.randn(K, 4), grid, tasks)
    with torch.no_grad():  # an untrained head says the same of every code
        model.head.weight.normal_()
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


def random_codes(B, T, K=5, grid=(2, 2), seed=1):
    return torch.randint(K, (B, T, *grid), generator=torch.Generator().manual_seed(seed))


def test_the_probabilities_of_all_continuations_add_up_to_one():
    model = make(window=2, K=3, grid=(1, 2))
    frames = torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(9, 1, 1, 2)
    before = torch.tensor([[2, 1]]).view(1, 1, 1, 2).expand(9, -1, -1, -1)
    task = torch.zeros(9, dtype=torch.long)
    with torch.no_grad():
        total = model.log_prob(torch.cat([before, frames], 1), task)[:, 1].exp().sum()
    assert math.isclose(float(total), 1.0, rel_tol=1e-5)


def test_a_later_frame_changes_no_earlier_score_and_an_earlier_one_does():
    model, codes, task = make(window=4), random_codes(2, 4), torch.tensor([0, 1])
    changed = codes.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 5
    with torch.no_grad():
        a, b = model.log_prob(codes, task), model.log_prob(changed, task)
    assert torch.equal(a[:, :2], b[:, :2])
    assert (a[:, 3] != b[:, 3]).all()


def test_the_last_frame_alone_gets_the_same_score_as_in_the_full_pass():
    model, codes, task = make(), random_codes(6, 3), torch.arange(6) % 2
    with torch.no_grad():
        full = model.log_prob(codes, task)[:, -1]
        torch.testing.assert_close(model.log_prob_last(codes, task), full, rtol=1e-5, atol=1e-5)
        per_code = model.log_prob_last(codes, task, per_code=True)
    torch.testing.assert_close(per_code.sum((1, 2)), full, rtol=1e-5, atol=1e-5)


def test_scores_depend_neither_on_the_batch_nor_on_its_other_videos():
    model, codes, task = make(), random_codes(5, 7), torch.arange(5) % 2
    whole = score_videos(model, codes, task, batch=64)
    for batch in (1, 3):
        torch.testing.assert_close(score_videos(model, codes, task, batch=batch), whole, rtol=1e-5, atol=1e-5)
    one = score_videos(model, codes[3:4], task[3:4])
    torch.testing.assert_close(one[0], whole[3], rtol=1e-5, atol=1e-5)


def test_windows_see_exactly_their_context():
    model, codes, task = make(window=3), random_codes(1, 8), torch.tensor([1])
    scores = score_videos(model, codes, task)[0]
    with torch.no_grad():
        for t in range(8):
            seen = codes[:, max(0, t - 2) : t + 1]
            torch.testing.assert_close(scores[t], model.log_prob(seen, task)[0, -1], rtol=1e-5, atol=1e-5)
    far = codes.clone()
    far[:, 0] = (far[:, 0] + 1) % 5
    assert torch.equal(score_videos(model, far, task)[0, 3:], scores[3:])


def test_the_boundary_options_differ_only_in_the_first_frames():
    model, codes, task = make(window=3), random_codes(2, 6), torch.tensor([0, 1])
    growing, repeat = (score_videos(model, codes, task, boundary=b) for b in ("growing", "repeat"))
    assert repeat.shape == growing.shape
    torch.testing.assert_close(repeat[:, 2:], growing[:, 2:], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(repeat[:, :2], growing[:, :2])


def test_a_joint_score_is_the_sum_of_the_windows_conditionals():
    model, codes, task = make(window=3), random_codes(2, 5), torch.tensor([0, 1])
    joint = score_joint(model, codes, task)
    with torch.no_grad():
        torch.testing.assert_close(joint[:, 4], model.log_prob(codes[:, 2:5], task).sum(1), rtol=1e-5, atol=1e-5)
        # fewer frames at the beginning, in the measure of a whole window
        torch.testing.assert_close(joint[:, 0], 3 * model.log_prob(codes[:, :1], task)[:, 0], rtol=1e-5, atol=1e-5)


def test_to_begin_an_episode_is_paid_like_any_other_moment_where_all_frames_are_as_likely():
    model, codes, task = make(window=3), random_codes(2, 6), torch.tensor([0, 1])
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    joint = score_joint(model, codes, task)
    torch.testing.assert_close(joint, joint[:1, :1].expand(2, 6))
    assert float(joint[0, 0]) == pytest.approx(-3 * codes[0, 0].numel() * np.log(len(model.codebook)), rel=1e-5)


def markov_clips(rng: np.random.Generator, n: int, T: int, stay: float) -> np.ndarray:
    """Videos of one code a frame with two states; the state stays with probability `stay`."""
    flips = rng.random((n, T - 1)) >= stay
    first = rng.integers(0, 2, (n, 1))
    return ((first + np.concatenate([np.zeros((n, 1)), flips.cumsum(1)], 1)) % 2).astype(np.int64)[..., None, None]


def test_a_two_state_video_is_scored_with_its_true_likelihood():
    stay = {0: 0.9, 1: 0.6}  # task 0 is calm, task 1 is not
    loop = LOOP.model_copy(update={"steps": 400, "batch_size": 128, "learning_rate": 5e-3})
    model = make(window=3, K=2, grid=(1, 1), loop=loop)

    def batch(step: int):
        rng = np.random.default_rng([7, step])
        clips = np.concatenate([markov_clips(rng, 64, 3, stay[t]) for t in (0, 1)])
        return clips, np.repeat([0, 1], 64)

    train(model, batch, loop, seed=0)
    rng = np.random.default_rng(0)
    for t in (0, 1):
        codes = torch.as_tensor(markov_clips(rng, 400, 12, stay[t]))
        kept = (codes[:, 1:] == codes[:, :-1]).float().mean()
        truth = kept * math.log(stay[t]) + (1 - kept) * math.log(1 - stay[t])
        scored = score_videos(model, codes, torch.full((400,), t))[:, 1:].mean()
        assert abs(float(scored) / float(truth) - 1) < 0.02


def test_a_batch_can_be_learned_by_heart():
    model, codes, task = make(), random_codes(4, 3, seed=5), torch.tensor([0, 0, 1, 1])
    history = train(model, lambda _: (codes, task), LOOP, seed=0)
    # the first frames differ: their choice among two videos a task costs ln 2 a video
    assert history[-1]["nats_per_code"] < 0.5 * math.log(2) < history[0]["nats_per_code"]


def test_samples_with_a_cache_follow_the_models_own_distribution():
    model = make(window=3, K=3, grid=(1, 2))
    context = random_codes(1, 2, K=3, grid=(1, 2), seed=3)
    n = 4000
    torch.manual_seed(0)
    drawn = model.sample(context.expand(n, -1, -1, -1), torch.zeros(n, dtype=torch.long), 1)[:, -1].view(n, 2)
    frames = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    clips = torch.cat([context.expand(9, -1, -1, -1), frames.view(9, 1, 1, 2)], 1)
    with torch.no_grad():
        expected = model.log_prob(clips, torch.zeros(9, dtype=torch.long))[:, -1].exp()
    found = (drawn[:, None] == frames[None]).all(-1).float().mean(0)
    assert (found - expected).abs().max() < 4 * (0.25 / n) ** 0.5


def test_sampling_goes_on_beyond_the_window():
    model = make(window=3)
    video = model.sample(random_codes(2, 1), torch.tensor([0, 1]), 6)
    assert video.shape == (2, 7, 2, 2)
    assert video.min() >= 0 and video.max() < 5


def test_a_model_survives_the_disk_bit_for_bit():
    model, codes, task = make(), random_codes(2, 3), torch.tensor([0, 1])
    again = VideoGPT.from_artifact(model.to_artifact())
    with torch.no_grad():
        assert torch.equal(again.log_prob(codes, task), model.log_prob(codes, task))
    with pytest.raises(BadData):
        VideoGPT.from_artifact(ModelArtifact({"kind": "something else"}))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads"):
        VideoGPTConfig(window=3, width=25, heads=2, training=LOOP)
