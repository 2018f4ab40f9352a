"""Frames of somebody's running environments, made fit for a reward, or refused."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np

from viper_pipeline.errors import BadData, BadEnvironment
from viper_pipeline.rewards.viper import ViperReward
from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.videos.resize import resized


def fitted(frames: Any, spec: FrameSpec) -> np.ndarray:
    """Frames uint8 (N, H, W, 3) at the size of the model: (N, size, size, 3). Raises BadData for all else.

    Imported videos (library `unknown`) were resized by the importer, so frames beside them are resized likewise. What
    a simulator drew at its size is refused at any other: a picture that was made smaller is another picture.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise BadData(f"frames are {frames.dtype} of shape {frames.shape}; a reward reads uint8 of shape (T, H, W, 3)")
    if frames.shape[1:3] == (spec.size, spec.size):
        return frames
    if spec.library != "unknown":
        height, width = frames.shape[1:3]
        raise BadData(
            f"frames are {height}x{width}; the reward was trained on {spec.size}x{spec.size}: draw them at that size"
        )
    return resized(frames, spec.size)


def require_spec(reward: ViperReward, live: FrameSpec | None) -> None:
    """Refuse an environment whose frames are made in another way; warn if nobody can know, or of lesser matters."""
    if live is None:
        warnings.warn(
            "this environment does not say how its frames are made (attribute spec_of_frames), so only their size is "
            f"checked; the reward of {reward.task} was trained on {reward.spec}",
            stacklevel=4,
        )
        return
    reward.check(live)
    if reward.spec.library != "unknown" and (lines := reward.spec.warnings(live)):
        warnings.warn("pixels may differ a little from those of the videos: " + "; ".join(lines), stacklevel=4)


def observes_frames(space: gymnasium.Space, render_mode: str | None, size: int) -> bool:
    """True: the observations are the frames. False: `render()` gives them. Raises BadEnvironment if neither does."""
    if space.shape == (size, size, 3) and space.dtype == np.uint8:
        return True
    if render_mode == "rgb_array":
        return False
    raise BadEnvironment(
        f"where are the frames? Observations ({space}) are no uint8 pictures of {size}x{size}x3, and render_mode is "
        f"{render_mode!r}; make the environment with render_mode='rgb_array'"
    )
