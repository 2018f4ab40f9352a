"""The likelihood ratio whose class agent follows the agent: what it unlearns, and that it resumes exactly."""

import numpy as np
import pytest
import torch

from tests.agents.test_train import DRQ, RUN, Killed, Mortal, same
from tests.rewards.test_viper import Quadrants, spec
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.rewards.base import RatioConfig
from viper_pipeline.rewards.viper import ViperConfig, ViperReward
from viper_pipeline.rewards.viper_ratio import FollowingStream
from viper_pipeline.testing import check_reward_source
from viper_pipeline.training.checkpoints import load_checkpoint, save_checkpoint
from viper_pipeline.training.config import LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models.videogpt_ratio import RatioVideoGPT, VideoGPTConfig

FRAMES, ENVS = 12, 2
LOOP = LoopConfig(steps=150, batch_size=24, learning_rate=0.01, schedule="onecycle", warmup=0.05)


def bright(*levels: int) -> np.ndarray:
    """Frames (T, 4, 4, 3) of one brightness each; a level is the code of all quadrants."""
    return np.broadcast_to((np.array(levels, np.uint8) * 64 + 32)[:, None, None, None], (len(levels), 4, 4, 3))


COUNTING = bright(*(t % 4 for t in range(FRAMES)))
STANDING = bright(*[3] * FRAMES)
"""Experts do either; random play is noise. So an agent that only stands is paid as an expert, at first."""


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, 4, 4, 3), dtype=np.uint8)


def codes(*videos: np.ndarray) -> list[np.ndarray]:
    return [Quadrants().encode(video).numpy().astype(np.int16) for video in videos]


@pytest.fixture(scope="module")
def weights() -> dict:
    """Of a model that was trained on both kinds of expert videos, and on noise."""
    model = empty()
    expert = model.conditions(["catch"])
    both = torch.tensor(np.stack(codes(COUNTING, STANDING) * 6))
    ids = torch.cat([expert.expand(12), model.agent_class(expert).expand(12)])

    def batch(step):
        rng = np.random.default_rng(step)
        played = torch.tensor(np.stack(codes(*(noise(seed) for seed in rng.integers(10_000, size=12)))))
        begin = rng.integers(FRAMES - 3)
        return torch.cat([both, played])[:, begin : begin + 3], ids

    train(model, batch, LOOP, seed=0)
    return model.state_dict()


def empty() -> RatioVideoGPT:
    torch.manual_seed(0)
    sizes = {"window": 3, "width": 16, "feedforward": 32, "heads": 2, "layers": 1, "training": LOOP}
    return RatioVideoGPT(VideoGPTConfig(**sizes), Quadrants.codebook, Quadrants.grid, ("swing", "catch"))


def stream(weights: dict, stride=1, **settings) -> FollowingStream:
    model = empty()
    model.load_state_dict(weights)
    reward = ViperReward(Quadrants(), model.eval(), "catch", ViperConfig(), spec(stride=stride))
    torch.manual_seed(1)
    config = {"negatives": "replay", "every": ENVS * (FRAMES - 1), "updates": 60, "learning_rate": 0.005} | settings
    return FollowingStream(reward, RatioConfig.model_validate(config), codes(COUNTING, STANDING))


def play(source: FollowingStream, video: np.ndarray, at_once=1) -> np.ndarray:
    """Rewards (T, E) of an episode in which all environments show one video."""
    frames = np.repeat(video[:, None], ENVS, 1)
    source.start(frames[0])
    parts = [frames[i : i + at_once] for i in range(1, len(frames), at_once)]
    return np.concatenate([source.steps(part, np.zeros((len(part), ENVS)))[0] for part in parts])


def test_what_the_agent_has_done_loses_its_advantage_and_what_it_has_not_keeps_it(weights):
    source = stream(weights)
    first = play(source, STANDING)[1:].mean()
    counting = source.reward.log_prob(torch.tensor(codes(COUNTING)[0])[None])[0, 2:].mean()
    assert first > 2 and counting > 2, "both look like an expert, and not like random play"
    for _ in range(4):
        later = play(source, STANDING)[1:].mean()
    after = source.reward.log_prob(torch.tensor(codes(COUNTING)[0])[None])[0, 2:].mean()
    assert source.updates == 4 * 60
    assert later < 0.1 * first
    assert after > 0.5 * counting


def test_nothing_is_learned_before_it_is_time(weights):
    source = stream(weights, every=2 * ENVS * (FRAMES - 1))
    given = [play(source, STANDING) for _ in range(3)]
    assert np.array_equal(given[0], given[1]) and source.updates == 60
    assert not np.array_equal(given[1], given[2])


def test_a_resumed_stream_pays_as_an_uninterrupted_one(weights, tmp_path):
    """The checkpoint lies between two rounds, as the training loop's do."""
    videos = [STANDING, noise(1), COUNTING, noise(2), STANDING]
    whole, begun = stream(weights), stream(weights)
    expected = [play(whole, video) for video in videos]
    given = [play(begun, video) for video in videos[:3]]
    save_checkpoint(tmp_path / "state.pt", begun.state_dict())
    resumed = stream(weights, every=1, recent=1)  # the settings of another run: what counts is in the state
    resumed.config = begun.config
    torch.manual_seed(77)
    resumed.load_state_dict(load_checkpoint(tmp_path / "state.pt"))
    given += [play(resumed, video) for video in videos[3:]]
    for one, other in zip(expected, given, strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_seeds_learn_equally_and_steps_at_once_are_paid_as_one_by_one(weights):
    videos = [STANDING, noise(3), COUNTING]
    one, many = stream(weights), stream(weights)
    for video in videos:
        np.testing.assert_allclose(play(one, video), play(many, video, at_once=5), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), many.model.parameters(), strict=True))
    torch.manual_seed(2)
    other = FollowingStream(one.reward, one.config, codes(COUNTING))
    assert other.seed != one.seed


def test_what_is_kept_of_the_agent_is_what_it_played(weights):
    """Also where an episode begins in the middle of a round, and of the newest frames alone."""
    source = stream(weights, stride=2, every=10_000, recent=30)
    video = noise(5)
    frames = np.repeat(video[:, None], ENVS, 1)
    source.start(frames[0])
    source.steps(frames[1:5], np.zeros((4, ENVS)))
    source.restart(1, video[7])
    source.steps(frames[8:], np.zeros((4, ENVS)))
    (known,) = codes(video)
    played = [known[:5], np.delete(known, [5, 6, 7], 0), known[7:]]
    kept = [part.numpy() for part in source.state_dict()["played"]]
    assert len(kept) == 3 and all(np.array_equal(a, b) for a, b in zip(kept, played, strict=True))
    play(source, video)
    assert sum(map(len, source.state_dict()["played"])) < 30 + FRAMES + 9


class Small(Quadrants):
    """Of frames of 16 x 16: every fourth pixel."""

    def encode(self, frames):
        return super().encode(frames[:, ::4, ::4])


def of_agent(weights: dict, made: list, every=24):
    """What `build` returns, for frames of 16 x 16; every stream is appended to `made`."""

    def make(shape):
        model = empty()
        model.load_state_dict(weights)
        reward = ViperReward(Small(), model.eval(), "catch", ViperConfig(), spec())
        config = RatioConfig(negatives="replay", every=every, updates=2)
        made.append(FollowingStream(reward, config, codes(COUNTING)))
        return made[-1]

    return make


def test_it_keeps_the_contract_of_rewards(weights):
    check_reward_source(of_agent(weights, [], every=1000))


def test_an_agent_that_was_killed_ends_as_one_that_was_not(weights, tmp_path, monkeypatch):
    made = []

    def run(scratch=None):
        reward = of_agent(weights, made)
        return train_in_environment("drq", DRQ, RUN, Mortal, seed=3, reward=reward, scratch=scratch)

    whole = run()
    assert made[0].updates == 2 * 3, "24 of 96 steps apart, never after the last round"
    monkeypatch.setattr(Mortal, "lives", 100)
    with pytest.raises(Killed):
        run(tmp_path)
    monkeypatch.setattr(Mortal, "lives", 10**9)
    assert (tmp_path / "agent.pt").exists() and same(run(tmp_path), whole)
    ends = (one.model.parameters() for one in (made[0], made[2]))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
