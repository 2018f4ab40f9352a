"""VIPER rewards as gymnasium wrappers: the frame that an action led to is paid for, in every way of resetting."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.rewards.test_viper import reward, spec, videos
from viper_pipeline import VectorViperWrapper, ViperWrapper
from viper_pipeline.core.errors import BadData, BadEnvironment

LENGTH = 4


class Film(gymnasium.Env):
    """Shows the frames of a known video, (episodes, LENGTH + 1, 4, 4, 3); its true reward is 7."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, film, observed=True, spec_of_frames=None, render_mode="rgb_array"):
        self.film, self.observed, self.render_mode = film, observed, render_mode
        self.episode, self.t = -1, 0
        if spec_of_frames is not None:
            self.spec_of_frames = spec_of_frames
        shape, kind = (film.shape[2:], np.uint8) if observed else ((1,), np.float32)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, kind)

    def render(self):
        return self.film[self.episode, self.t]

    def _observe(self):
        return self.render() if self.observed else np.full(1, self.t, np.float32)

    def reset(self, *, seed=None, options=None):
        self.episode, self.t = self.episode + 1, 0
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        return self._observe(), 7.0, False, self.t == LENGTH, {}


def scores(r, film):
    """Nats of every transition of each episode, (episodes, LENGTH)."""
    return np.stack([r.log_prob(r.encode(video)[None])[0, 1:].numpy() for video in film])


@pytest.mark.parametrize("observed", [True, False])
def test_every_transition_is_paid_for_the_frame_it_leads_to(observed):
    r, film = reward(), videos(2, LENGTH + 1)
    env = ViperWrapper(Film(film, observed, spec()), r)
    for expected in scores(r, film):
        env.reset()
        for t in range(LENGTH):
            _, paid, _, truncated, info = env.step(0)
            assert paid == pytest.approx(expected[t], rel=1e-4) and info["log_prob"] == pytest.approx(paid)
            assert info["true_reward"] == 7
        assert truncated


def vector(r, films, mode, observed=True):
    makers = [lambda film=film: Film(film, observed, spec()) for film in films]
    return VectorViperWrapper(SyncVectorEnv(makers, autoreset_mode=mode), r)


def films():
    """Of two environments, three episodes each."""
    return np.stack([videos(3, LENGTH + 1, seed) for seed in (1, 2)])


@pytest.mark.parametrize("observed", [True, False])
def test_a_step_that_only_begins_an_episode_pays_nothing(observed):
    r, shown = reward(), films()
    env = vector(r, shown, AutoresetMode.NEXT_STEP, observed)
    env.reset()
    for episode in range(2):
        for t in range(LENGTH):
            _, paid, _, _, info = env.step(np.zeros(2, int))
            np.testing.assert_allclose(paid, [scores(r, f)[episode, t] for f in shown], rtol=1e-4)
        _, paid, _, _, info = env.step(np.zeros(2, int))
        assert (paid == 0).all() and np.isnan(info["log_prob"]).all()


def test_same_step_resets_still_pay_for_the_last_frame():
    r, shown = reward(), films()
    env = vector(r, shown, AutoresetMode.SAME_STEP)
    env.reset()
    for episode in range(2):
        for t in range(LENGTH):
            _, paid, *_ = env.step(np.zeros(2, int))
            np.testing.assert_allclose(paid, [scores(r, f)[episode, t] for f in shown], rtol=1e-4)
    with pytest.raises(BadEnvironment, match="SAME_STEP"):
        vector(r, shown, AutoresetMode.SAME_STEP, observed=False)


def test_one_environment_may_be_reset_by_hand():
    r, shown = reward(), films()
    env = vector(r, shown, AutoresetMode.DISABLED)
    env.reset()
    env.step(np.zeros(2, int))
    env.reset(options={"reset_mask": np.array([True, False])})
    _, paid, *_ = env.step(np.zeros(2, int))
    np.testing.assert_allclose(paid, [scores(r, shown[0])[1, 0], scores(r, shown[1])[0, 1]], rtol=1e-4)


def test_frames_made_otherwise_are_refused_and_unknown_ones_warned_of():
    r, film = reward(), videos(1, LENGTH + 1)
    with pytest.raises(BadData, match="action_repeat"):
        ViperWrapper(Film(film, spec_of_frames=spec(action_repeat=4)), r)
    with pytest.raises(BadData, match="action_repeat"):
        ViperWrapper(Film(film), r, spec=spec(action_repeat=4))
    with pytest.warns(UserWarning, match="spec_of_frames"):
        ViperWrapper(Film(film), r)
    with pytest.warns(UserWarning, match=f"library: toy 2 here, {r.spec.library} there"):
        ViperWrapper(Film(film), r, spec=spec(library="toy 2"))


def test_frames_of_another_size_are_refused_unless_the_videos_were_resized_too():
    large = videos(1, LENGTH + 1).repeat(2, 2).repeat(2, 3)
    env = ViperWrapper(Film(large, observed=False), reward(), spec=spec())
    with pytest.raises(BadData, match="8x8"):
        env.reset()
    imported = reward(library="unknown")
    env = ViperWrapper(Film(large, observed=False), imported, spec=spec())
    env.reset()
    assert env.step(0)[1] == pytest.approx(scores(imported, videos(1, LENGTH + 1))[0, 0], rel=1e-4)


def test_an_environment_without_frames_is_refused():
    with pytest.raises(BadEnvironment, match="render_mode"):
        ViperWrapper(Film(videos(1, 3), observed=False, render_mode=None), reward(), spec=spec())
