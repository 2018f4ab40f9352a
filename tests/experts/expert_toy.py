"""A tiny environment with pixels and state, and a tiny trained actor; importable by spawned processes."""

import os
import time

import gymnasium
import numpy as np

from viper_pipeline.experts.policies import MlpPolicy

STEPS = 12


class Toy(gymnasium.Env):
    """Push a point to the origin; the frame is the point's place as a color."""

    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, seed, pixels=True):
        self.rng, self.pixels = np.random.default_rng(seed), pixels
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.place, self.steps = self.rng.uniform(-1, 1, 2), 0
        return self.observe()

    def observe(self):
        state = self.place.astype(np.float32)
        frame = np.full((8, 8, 3), 128, np.uint8)
        frame[..., :2] = np.clip(128 + 60 * self.place, 0, 255)
        return (frame if self.pixels else state), {"state": state}

    def step(self, action):
        self.place = self.place + 0.3 * np.clip(action, -1, 1)
        self.steps += 1
        reward = float(np.exp(-np.abs(self.place).sum()))
        observation, info = self.observe()
        return observation, reward, False, self.steps >= STEPS, info


class Fatal(Toy):
    """Kills its process in the third step, as the kernel does to a process that is too large."""

    def step(self, action):
        if self.steps == 2:
            os._exit(9)
        return super().step(action)


def state_toy(seed):
    """The toy as an expert in training sees it."""
    return Toy(seed, pixels=False)


def homing_policy():
    """An actor that pushes towards the origin (relu(x) and relu(-x) are its hidden units)."""
    weight = np.concatenate([np.eye(2), -np.eye(2)]).astype(np.float32)
    zeros = np.zeros(2, np.float32)
    return MlpPolicy(
        hidden=((weight, np.zeros(4, np.float32)),),
        mean=(-3 * weight.T, zeros),
        log_std=(0 * weight.T, zeros - 2),
        activation="relu",
        squash=True,
        center=zeros,
        scale=zeros + 1,
    )


class Slow(Toy):
    """Takes its time, so that there is time to interrupt it."""

    def step(self, action):
        time.sleep(0.05)
        return super().step(action)


def record_slowly():
    """Record until interrupted; what the test of interruptions runs in a process of its own."""
    from viper_pipeline.experts.record import record  # not for the workers, who would wait for torch

    for _ in record(Slow, None, 1000, "random", 0, workers=2):
        print("recording", flush=True)
