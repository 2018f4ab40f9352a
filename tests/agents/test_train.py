"""The training loop: which reward belongs to which frame, what ends an episode, and exact resuming."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from tests.agents.toy import Brightness, Toy, brightness
from viper_pipeline.agents.base import RunConfig
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.reward_mixer import RewardMixer
from viper_pipeline.agents.train import PeriodPassed, Trainer, train_in_environment
from viper_pipeline.agents.vector_env import VectorEnv
from viper_pipeline.core.errors import BadParams
from viper_pipeline.rewards.methods import ScaledTaskReward
from viper_pipeline.rewards.rnd import RND, RNDConfig

DRQ = DrQConfig(
    pixels=16, channels=(8,), kernels=(4,), strides=(4,), hidden=(32,), latent=16, shift=1, batch_size=32,
    critic_norm=True, learning_rate=2e-3, gamma=0.8, average=0.9, tau=0.05, temperature=0.01, contrast=2.0,
)  # fmt: skip
EXPLORE = partial(RND, RNDConfig(channels=(4,), kernels=(4,), strides=(4,), hidden=(16,), outputs=8, weight=0.1))
RUN = RunConfig(
    steps=96, envs=2, round_steps=12, random_steps=24, eval_every=48, eval_episodes=3, final_episodes=5,
    checkpoint_every=24,
)  # fmt: skip


def trainer(reward=None, make_env=Toy, run=RUN, **kwargs):
    torch.manual_seed(0)
    envs = VectorEnv(make_env, run.envs, 0)
    agent = DrQ(DRQ, envs.frame_shape, envs.actions)
    return Trainer(agent, envs, run, seed=0, mixer=RewardMixer(reward, **kwargs))


def same(one, two):
    return (
        one.final_returns == two.final_returns
        and [list(r.items()) for r in one.curve] == [list(r.items()) for r in two.curve]
        and all(torch.equal(one.weights[k], two.weights[k]) for k in one.weights)
        and np.array_equal(one.frames, two.frames)
    )


def test_a_reward_is_stored_with_the_frame_it_belongs_to():
    run = trainer(Brightness())
    run.play_round()
    replay = run.replay
    frames = np.concatenate([replay.frames[i, 1 : replay.count[i]] for i in range(2)])
    rewards = np.concatenate([replay.rewards[i, 1 : replay.count[i]] for i in range(2)])
    assert np.allclose(rewards, brightness(frames.transpose(0, 2, 3, 1))) and len(set(rewards)) > 2
    kinds = [entry[0] for entry in run.mixer.source.log]
    assert kinds == ["start"] + 12 * ["step"]


@pytest.mark.parametrize("scale", [None, 0.5])
def test_true_rewards_reach_the_method_task_reward_only(scale):
    run = trainer(ScaledTaskReward(scale) if scale else None)
    run.play_round()
    rewards = run.replay.rewards[:, 1:13]
    assert (rewards == 0).all() if scale is None else 0 < rewards.max() <= scale
    assert run.means.pop()["train_return"] > 0, "it is logged"


def test_an_environment_that_ends_early_restarts_alone():
    reward = Brightness()
    # Thirty steps a round: the cut at 20, and ends beyond 0.6, come inside it.
    run = trainer(reward, partial(Toy, length=20, ends_at=0.6), RUN.model_copy(update={"round_steps": 30}))
    run.play_round()
    restarts = [entry for entry in reward.log if entry[0] == "restart"]
    replay = run.replay
    begun = sum(len(set(replay.begin[i, : replay.count[i]])) for i in range(2))
    assert len(restarts) >= 2 and begun == 2 + len(restarts)
    assert replay.count.sum() == 60 + begun
    ends = [(replay.terminal[i, : replay.count[i]]).sum() for i in range(2)]
    assert 0 < sum(ends) <= len(restarts) + 2
    for _, i, frame in restarts:
        assert (replay.frames[i, : replay.count[i]] == frame.transpose(2, 0, 1)).all(axis=(1, 2, 3)).any()


def test_random_steps_learn_nothing_and_updates_keep_the_ratio():
    run = trainer(run=RUN.model_copy(update={"updates_per_step": 0.5}))
    run.play_round()
    assert (run.step, run.updates) == (24, 0)
    run.play_round()
    assert (run.step, run.updates) == (48, 12)


@pytest.mark.parametrize("ends_at", [None, 0.6])
def test_updates_in_groups_reward_and_store_the_same_steps(ends_at):
    """Before there is any learning, the policy is not asked, so that everything stored is equal."""
    runs = []
    for every in (1, 5):
        make_env = partial(Toy, length=20, ends_at=ends_at) if ends_at else Toy
        changes = {"update_every": every, "round_steps": 24, "random_steps": 48}
        runs.append(trainer(Brightness(), make_env, RUN.model_copy(update=changes)))
        runs[-1].play_round()
    one, five = (run.replay.state_dict() for run in runs)
    assert all(torch.equal(one[name].nan_to_num(), five[name].nan_to_num()) for name in one)
    updates = []
    learn = runs[1].update_agent
    runs[1].update_agent = lambda: (learn(), updates.append(runs[1].updates))
    runs[1].play_round()
    assert updates[-1] == 48 and (ends_at or updates == [10, 20, 24, 34, 44, 48])


def test_a_row_holds_means_since_the_row_before():
    run = trainer(Brightness(), exploration=EXPLORE((3, 16, 16)))
    values = iter(range(1000))
    run.agent.update = lambda batch: {"counted": torch.tensor(float(next(values)))}
    run.play_round()
    run.play_round()
    run.evaluate()
    run.play_round()
    run.evaluate()
    assert [row["counted"] for row in run.curve] == [np.mean(range(24)), np.mean(range(24, 48))]
    assert 0 < run.curve[0]["action_size"] < 1 and run.curve[0]["rnd_error"] > 0


def test_rounds_grow_to_their_final_length():
    run = RUN.model_copy(update={"round_steps": 5, "final_round_steps": 10, "steps": 1000})
    lengths = [run.round_length(step) for step in range(0, 1001, 100)]
    assert lengths == sorted(lengths) and (lengths[0], lengths[-1]) == (5, 10)
    assert RUN.round_length(0) == RUN.round_length(RUN.steps) == RUN.round_steps


def test_the_last_round_is_shortened_to_the_steps_asked_for():
    result = train_in_environment("drq", DRQ, RUN.model_copy(update={"steps": 30}), Toy, seed=0)
    assert result.curve[-1]["step"] == 30


def test_one_seed_one_result():
    one, two = (
        train_in_environment("drq", DRQ, RUN, Toy, seed=3, reward=Brightness, exploration=EXPLORE) for _ in "ab"
    )
    other = train_in_environment("drq", DRQ, RUN, Toy, seed=4, reward=Brightness, exploration=EXPLORE)
    assert same(one, two) and not same(one, other)


class Killed(Exception):
    pass


class Mortal(Toy):
    """A toy that dies at its own moment."""

    lives = 10**9

    def step(self, action):
        Mortal.lives -= 1
        if Mortal.lives < 0:
            raise Killed
        return super().step(action)


def mortal_run(scratch=None):
    return train_in_environment(
        "drq", DRQ, RUN, Mortal, seed=3, reward=Brightness, exploration=EXPLORE, scratch=scratch
    )


@pytest.fixture(scope="module")
def whole():
    return mortal_run()


# Inside the second round, in an evaluation, in the third round, in the final evaluation.
@pytest.mark.parametrize("lives", [30, 60, 100, 170])
def test_killed_and_resumed_equals_never_killed(tmp_path, monkeypatch, whole, lives):
    monkeypatch.setattr(Mortal, "lives", lives)
    with pytest.raises(Killed):
        mortal_run(tmp_path)
    monkeypatch.setattr(Mortal, "lives", 10**9)
    assert (tmp_path / "agent.pt").exists()
    assert same(mortal_run(tmp_path), whole)


def test_learns_to_go_home_from_light_alone():
    run = RUN.model_copy(update={"steps": 500, "random_steps": 100, "eval_every": 500, "final_episodes": 8})
    result = train_in_environment("drq", DRQ, run, Toy, seed=0, reward=Brightness, exploration=EXPLORE)
    idle = np.mean([12 * 0.25 for _ in range(8)])
    assert np.mean(result.final_returns) > 2 * idle


def test_discrete_actions_and_curiosity_are_refused_by_an_agent_without_them():
    for ability in ("discrete", "curious"):
        assert not getattr(DrQ, ability)
        with pytest.raises(BadParams, match="take agent dreamer"):
            train_in_environment("drq", DRQ, RUN, Toy, seed=0, **{ability: True})


@pytest.mark.parametrize("stride", [1, 3, 7, 40, 400])
def test_every_multiple_is_noticed_once_whatever_the_stride(stride):
    due, step, noticed = PeriodPassed(10, 100), 0, 0
    while step < 100:
        before, step = step, step + stride
        noticed += due(before, step)
        assert due(before, step) == any(m <= step for m in range(10, 101, 10) if m > before)
    assert due(before, step), "the last step is always due"
    assert noticed <= 10 and (stride > 10 or noticed == 10)


def test_period_0_is_due_at_the_last_step_only():
    assert [PeriodPassed(0, 5)(step, step + 1) for step in range(7)] == [False] * 4 + [True] + [False] * 2
