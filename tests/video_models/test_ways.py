"""What must hold for every video model and every way of scoring."""

import itertools
import math

import numpy as np
import pytest
import torch

from tests.video_models.test_videogpt import markov_clips
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.reporting.reward_metrics import auroc
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.maskgit import groups
from viper_pipeline.video_models.scoring import score_videos
from viper_pipeline.video_models.videogpt_streaming import StreamingVideoGPTConfig

LOOP = LoopConfig(steps=400, batch_size=128, learning_rate=5e-3, schedule="onecycle", warmup=0.05, optimizer="adamw")
SIZES = {"width": 24, "feedforward": 48, "heads": 2, "layers": 2}
CONFIGS = {
    "videogpt": {"window": 4, **SIZES},
    "videogpt_streaming": {"window": 8, "context": 3, **SIZES},
    "maskgit": {"window": 4, "passes": 3, **SIZES},
    "byol": {"window": 4, "width": 16, "horizon": 2},
}
WAYS = [*itertools.product(CONFIGS, ("full_window", "half_overlap")), ("videogpt_streaming", "kv_cache")]
each_way = pytest.mark.parametrize(("name", "way"), WAYS)


def make(name, K=5, grid=(2, 2), tasks=("a", "b"), loop=LOOP, **changes):
    torch.manual_seed(0)
    kind = VIDEO_MODELS.get(name)
    config = kind.Config.model_validate(CONFIGS[name] | changes | {"training": loop.model_dump()})
    model = kind(config, torch.randn(K, 4), grid, tasks)
    with torch.no_grad():  # an untrained head says the same of every code
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model.eval()


def random_codes(B, T, K=5, grid=(2, 2), seed=1):
    return torch.randint(K, (B, T, *grid), generator=torch.Generator().manual_seed(seed))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@each_way
def test_scores_depend_neither_on_the_batch_nor_on_neighbours(name, way):
    model, codes, task = make(name), random_codes(5, 9), torch.arange(5) % 2
    whole = score_videos(model, codes, task, scoring=way)
    close(score_videos(model, codes, task, scoring=way, batch=2), whole)
    close(score_videos(model, codes[3:4], task[3:4], scoring=way)[0], whole[3])


@each_way
def test_a_later_frame_and_padding_change_no_earlier_score(name, way):
    model, codes, task = make(name), random_codes(2, 11), torch.tensor([0, 1])
    changed = codes.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % 5
    whole = score_videos(model, codes, task, scoring=way)
    close(score_videos(model, changed, task, scoring=way)[:, :8], whole[:, :8])
    if way != "half_overlap":  # there, the end of a video decides where windows lie
        close(score_videos(model, codes[:, :8], task, scoring=way), whole[:, :8])
    assert (score_videos(model, changed, task, scoring=way)[:, 8] != whole[:, 8]).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_exact_scores_do_not_depend_on_how_an_episode_is_cut_into_calls(name):
    model, codes, task = make(name), random_codes(2, 12), torch.tensor([0, 1])
    whole, k = score_videos(model, codes, task), model.window - 1
    for cut in (4, 7, 9):  # the second call is given the context of its first frame
        close(score_videos(model, codes[:, cut - k :], task)[:, k:], whole[:, cut:])


@each_way
def test_codes_add_up_to_frames(name, way):
    model, codes, task = make(name), random_codes(2, 7), torch.tensor([0, 1])
    per_code = score_videos(model, codes, task, scoring=way, per_code=True)
    assert per_code.shape == codes.shape
    close(per_code.sum((2, 3)), score_videos(model, codes, task, scoring=way))


@each_way
def test_every_way_is_exact_as_long_as_the_context_grows(name, way):
    model, codes, task = make(name), random_codes(2, 8), torch.tensor([0, 1])
    exact = score_videos(model, codes, task)
    close(score_videos(model, codes, task, scoring=way)[:, :4], exact[:, :4])
    if way == "half_overlap":  # a window ends with the video
        close(score_videos(model, codes, task, scoring=way)[:, -1], exact[:, -1])


@pytest.mark.parametrize("name", ["maskgit", "byol", "videogpt_streaming"])
def test_the_last_frame_alone_gets_the_score_of_the_full_pass(name):
    model, codes, task = make(name), random_codes(4, 3), torch.arange(4) % 2
    with torch.no_grad():
        for length in (1, 2, 3):
            full = model.log_prob(codes[:, :length], task, per_code=True)[:, -1]
            close(model.log_prob_last(codes[:, :length], task, per_code=True), full)


@pytest.mark.parametrize("name", ["videogpt", "videogpt_streaming", "maskgit"])
def test_the_probabilities_of_all_continuations_add_up_to_one(name):
    model = make(name, K=3, grid=(1, 2))
    frames = torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(9, 1, 1, 2)
    before = random_codes(1, 4, K=3, grid=(1, 2)).expand(9, -1, -1, -1)
    videos, task = torch.cat([before, frames], 1), torch.zeros(9, dtype=torch.long)
    for way in ("full_window", "half_overlap", "kv_cache")[: 3 if name == "videogpt_streaming" else 2]:
        total = score_videos(model, videos, task, scoring=way)[:, -1].exp().sum()
        assert math.isclose(float(total), 1.0, rel_tol=1e-4)


def test_streaming_is_the_band_in_one_pass():
    model, codes, task = make("videogpt_streaming"), random_codes(3, 12), torch.tensor([0, 1, 1])
    with torch.no_grad():
        close(score_videos(model, codes, task, scoring="kv_cache"), model.log_prob(codes, task))


def test_a_session_does_not_care_how_a_video_is_cut_and_rows_begin_anew_alone():
    model, codes, task = make("videogpt_streaming"), random_codes(3, 12), torch.tensor([0, 1, 0])
    whole = score_videos(model, codes, task, scoring="kv_cache", per_code=True)
    first, second = model.session(task), model.session(task)
    for t in range(5):
        close(first.step(codes[:, t]), whole[:, t])
    second.load_state_dict(first.state_dict())
    for t in range(5, 9):
        close(second.step(codes[:, t]), whole[:, t])
    close(second.restart([1], codes[1:2, 0]), whole[1:2, 0])
    for t in range(9, 12):
        new = second.step(torch.stack([codes[0, t], codes[1, t - 8], codes[2, t]]))
        close(new, torch.stack([whole[0, t], whole[1, t - 8], whole[2, t]]))


@pytest.mark.parametrize(("name", "way"), [w for w in WAYS if w[0] in ("videogpt_streaming", "maskgit")])
def test_a_two_state_video_is_scored_with_its_true_likelihood(name, way, trained={}):  # noqa: B006
    stay = {0: 0.9, 1: 0.6}
    if name not in trained:
        trained[name] = model = make(name, K=2, grid=(1, 1))

        def batch(step: int):
            rng = np.random.default_rng([7, step])
            clips = [markov_clips(rng, 64, model.config.window, stay[t]) for t in (0, 1)]
            return np.concatenate(clips), np.repeat([0, 1], 64)

        train(model, batch, LOOP, seed=0)
    rng = np.random.default_rng(0)
    for t in (0, 1):
        codes = torch.as_tensor(markov_clips(rng, 400, 12, stay[t]))
        kept = (codes[:, 1:] == codes[:, :-1]).float().mean()
        truth = kept * math.log(stay[t]) + (1 - kept) * math.log(1 - stay[t])
        scored = score_videos(trained[name], codes, torch.full((400,), t), scoring=way)[:, 1:].mean()
        assert abs(float(scored) / float(truth) - 1) < 0.02


def orbits(first, length):
    """(N,) places -> videos (N, length, 2, 2): a lit code goes round the four places."""
    at = torch.tensor([0, 1, 3, 2])[(torch.as_tensor(first)[:, None] + torch.arange(length)) % 4]
    return torch.nn.functional.one_hot(at, 4).view(len(at), length, 2, 2)


def test_byol_tells_what_moves_as_in_its_videos_from_the_same_frames_in_another_order():
    loop = LOOP.model_copy(update={"learning_rate": 2e-3, "steps": 300, "batch_size": 32})
    model = make("byol", K=3, tasks=("a",), loop=loop, window=5, width=24, decay=0.95)

    def batch(step: int):
        return orbits(np.random.default_rng([1, step]).integers(0, 4, 32), 5), np.zeros(32, np.int64)

    history = train(model, batch, loop, seed=0)
    assert history[-1]["distance"] < history[0]["distance"] / 2
    videos, task = orbits(np.arange(4), 12), torch.zeros(4, dtype=torch.long)
    order = torch.stack([torch.randperm(12, generator=torch.Generator().manual_seed(i)) for i in range(4)])
    shuffled = videos.gather(1, order[..., None, None].expand_as(videos))
    true, mixed, back = (score_videos(model, v, task) for v in (videos, shuffled, videos.flip(1)))
    wrong = (order[:, 4:] - order[:, 3:-1]) % 4 != 1  # by chance, some frames follow each other rightly
    assert auroc(true[:, 4:].numpy(), mixed[:, 4:][wrong].numpy()) > 0.9
    assert auroc(true[:, 4:].numpy(), back[:, 4:].numpy()) > 0.95
    assert (true.sum(1) > mixed.sum(1)).all()
    assert (true[:, 0] == 0).all()


def test_byols_target_follows_and_is_not_trained():
    model = make("byol")
    before = [p.clone() for p in model.target.parameters()]
    assert not {id(p) for p in model.parts["model"]} & {id(p) for p in model.target.parameters()}
    model.train().loss((random_codes(2, 3), torch.tensor([0, 1])))
    moved = zip(model.target.parameters(), before, model.encoder.parameters(), strict=True)
    assert all((new - fast).abs().sum() < (old - fast).abs().sum() for new, old, fast in moved)


def test_maskgit_reveals_few_codes_first_and_all_at_last():
    sizes = groups(64, 8).bincount()
    assert len(sizes) == 8 and sizes.sum() == 64 and (sizes.diff() >= 0).all()
    assert groups(3, 8).sort().values.tolist() == [0, 1, 2]
    assert (groups(5, 1) == 0).all()


def test_maskgits_samples_follow_its_own_distribution():
    model = make("maskgit", K=3, grid=(1, 2))
    context, n = random_codes(1, 2, K=3, grid=(1, 2), seed=3), 4000
    torch.manual_seed(0)
    drawn = model.sample(context.expand(n, -1, -1, -1), torch.zeros(n, dtype=torch.long), 1)[:, -1].view(n, 2)
    frames = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    clips = torch.cat([context.expand(9, -1, -1, -1), frames.view(9, 1, 1, 2)], 1)
    with torch.no_grad():
        expected = model.log_prob(clips, torch.zeros(9, dtype=torch.long))[:, -1].exp()
    found = (drawn[:, None] == frames[None]).all(-1).float().mean(0)
    assert (found - expected).abs().max() < 4 * (0.25 / n) ** 0.5


@pytest.mark.parametrize("name", ["videogpt_streaming", "maskgit", "byol"])
def test_a_model_survives_the_disk_and_continues_videos(name):
    model, codes, task = make(name), random_codes(2, 3), torch.tensor([0, 1])
    again = type(model).from_artifact(model.to_artifact())
    with torch.no_grad():
        assert torch.equal(again.log_prob(codes, task), model.log_prob(codes, task))
    assert again.sample(codes, task, 4).shape == (2, 7, 2, 2)
    with pytest.raises(BadData):
        type(model).from_artifact(ModelArtifact({"kind": "something else"}))


def test_what_cannot_stream_says_so():
    with pytest.raises(BadParams, match="videogpt_streaming"):
        score_videos(make("videogpt"), random_codes(1, 4), torch.tensor([0]), scoring="kv_cache")
    with pytest.raises(ValueError, match="exceed context"):
        StreamingVideoGPTConfig(window=4, context=3, training=LOOP)
