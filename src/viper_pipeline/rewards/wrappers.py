"""VIPER rewards for any RL library: gymnasium wrappers whose reward is ln p(next frame | earlier frames) (paper Eq 7).

The environment's own reward is not used; it is passed on as `info["true_reward"]`, for evaluation.
"""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from viper_pipeline.core.errors import BadData, BadEnvironment
from viper_pipeline.data.episode import resized
from viper_pipeline.envs.base import FrameSpec, Info
from viper_pipeline.rewards.viper import ViperReward


def fitted(frames: Any, spec: FrameSpec) -> np.ndarray:
    """Frames uint8 (N, H, W, 3) at the model's size: (N, size, size, 3). Raises BadData for anything else.

    Imported videos (library `unknown`) were resized by the importer, and so are the frames of live environments then.
    Otherwise resizing would change pixel statistics, so rendered frames must already have the model's size.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise BadData(f"frames are {frames.dtype} of shape {frames.shape}; a reward needs uint8 of shape (T, H, W, 3)")
    if frames.shape[1:3] == (spec.size, spec.size):
        return frames
    if spec.library != "unknown":
        height, width = frames.shape[1:3]
        raise BadData(
            f"frames are {height}x{width}; the reward was trained on {spec.size}x{spec.size}: render them at that size"
        )
    return resized(frames, spec.size)


def require_spec(reward: ViperReward, live: FrameSpec | None) -> None:
    """Raise BadData for frames that are made otherwise than the reward's; warn of unknown or minor differences."""
    if live is None:
        warnings.warn(
            "this environment does not say how its frames are made (attribute spec_of_frames), so only their size is "
            f"checked; the reward of {reward.task} was trained on {reward.spec}",
            stacklevel=4,
        )
        return
    reward.check(live)
    if reward.spec.library != "unknown" and (lines := live.warnings(reward.spec)):  # here: live, there: the videos'
        warnings.warn("pixels may differ slightly from those of the reward's videos: " + "; ".join(lines), stacklevel=4)


def observes_frames(space: gymnasium.Space, render_mode: str | None, size: int) -> bool:
    """True: observations are frames. False: frames come from `render()`. Raises BadEnvironment if there are none."""
    if space.shape == (size, size, 3) and space.dtype == np.uint8:
        return True
    if render_mode == "rgb_array":
        return False
    raise BadEnvironment(
        f"no frames: observations ({space}) are not uint8 images of {size}x{size}x3, and render_mode is "
        f"{render_mode!r}; make the environment with render_mode='rgb_array'"
    )


class ViperWrapper(gymnasium.Wrapper):
    """One environment, rewarded by a video model. Observations and actions are the environment's own.

    Frames are the observations if these are images of the reward's size, else what `render()` returns. `info` has
    `log_prob` (nats) and `true_reward`.
    """

    def __init__(self, env: gymnasium.Env, reward: ViperReward, spec: FrameSpec | None = None) -> None:
        """spec: how the frames are made; default: the environment's `spec_of_frames`.

        Raises BadData if the reward was trained on other frames, BadEnvironment if there are none.
        """
        super().__init__(env)
        self.viper, self._stream = reward, reward.stream()
        if spec is None and env.has_wrapper_attr("spec_of_frames"):
            spec = env.get_wrapper_attr("spec_of_frames")
        require_spec(reward, spec)
        self._observed = observes_frames(env.observation_space, env.render_mode, reward.spec.size)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._stream.start(self._frame(observation))
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Info]:  # type: ignore[override]
        """The reward is that of the frame that the action led to."""
        observation, true, terminated, truncated, info = self.env.step(action)
        reward = float(self._stream.step(self._frame(observation))[0])
        said = {"true_reward": true, "log_prob": self._stream.log_prob[0]}
        info = {**info, **{name: np.float64(value) for name, value in said.items()}}  # torchrl reads no plain floats
        return observation, reward, terminated, truncated, info

    def _frame(self, observation: Any) -> np.ndarray:
        frame = observation if self._observed else self.env.render()
        return fitted(np.asarray(frame)[None], self.viper.spec)


class VectorViperWrapper(VectorWrapper):
    """Several environments, whose frames are scored in one batch, which is much faster than one by one.

    As `ViperWrapper`; `info["log_prob"]` and `info["true_reward"]` are arrays (E,). All autoreset modes are supported,
    but SAME_STEP only where observations are frames: `render()` would show the next episode's first one.
    """

    def __init__(self, env: VectorEnv, reward: ViperReward, spec: FrameSpec | None = None) -> None:
        """As `ViperWrapper`; the frame specification is that of the first environment."""
        super().__init__(env)
        self.viper, self._stream = reward, reward.stream()
        require_spec(reward, spec or _spec_of(env))
        self._observed = observes_frames(env.single_observation_space, env.render_mode, reward.spec.size)
        self._mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        if self._mode == AutoresetMode.SAME_STEP and not self._observed:
            raise BadEnvironment("autoreset_mode SAME_STEP hides the last frame of an episode; use NEXT_STEP")
        self._ended = np.zeros(env.num_envs, bool)

    def reset(self, *, seed: int | list[int | None] | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Begin episodes in all environments, or in those of options["reset_mask"]."""
        only = (options or {}).get("reset_mask")
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        frames = self._frames(observations)
        if only is None:
            self._stream.start(frames)
        else:
            self._restart(only, frames)
        self._ended = np.zeros(self.num_envs, bool)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, Info]:  # type: ignore[override]
        """Rewards (E,) float64 of the frames that the actions led to; 0 for a step that only resets an environment."""
        observations, true, terminated, truncated, infos = self.env.step(actions)
        done, frames = terminated | truncated, self._frames(observations)
        next_frames = frames
        if self._mode == AutoresetMode.SAME_STEP and done.any():
            next_frames = frames.copy()
            next_frames[done] = fitted(np.stack(list(infos["final_obs"][done])), self.viper.spec)
        rewards = self._stream.step(next_frames).astype(np.float64)
        nats = self._stream.log_prob.copy()
        if self._mode == AutoresetMode.NEXT_STEP:
            rewards[self._ended] = 0.0
            nats[self._ended] = np.nan
            self._restart(self._ended, frames)
            self._ended = done
        elif self._mode == AutoresetMode.SAME_STEP:
            self._restart(done, frames)
        infos = {**infos, "true_reward": np.array(true), "log_prob": nats}
        return observations, rewards, terminated, truncated, infos

    def _restart(self, which: np.ndarray, frames: np.ndarray) -> None:
        for i in np.flatnonzero(which):
            self._stream.restart(int(i), frames[i])

    def _frames(self, observations: Any) -> np.ndarray:
        frames = observations if self._observed else np.stack(list(self.env.render() or ()))
        return fitted(frames, self.viper.spec)


def _spec_of(env: VectorEnv) -> FrameSpec | None:
    """The frame specification of the first environment, if it has one."""
    try:
        return env.get_attr("spec_of_frames")[0]  # type: ignore[attr-defined]
    except AttributeError:
        return None
