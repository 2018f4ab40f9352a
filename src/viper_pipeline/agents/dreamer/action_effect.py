"""Does a world model know that actions matter? What it imagines of two held actions, beside what the world does.

A policy that learns in imagination is worth what imagination says of its actions. Good predictions of reward are no
proof of that: most of a reward follows from where the world already is. So two actions are held for some steps from
the same states, in the simulator and in imagination, and the differences in reward are compared. A model that is right
has a slope of 1; one that believes that actions do nothing has 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from viper_pipeline.agents.dreamer.world_model import RSSMState, WorldModel


@dataclass(frozen=True)
class Seen:
    """What was seen of N episodes up to a moment: T rows each, time first."""

    pictures: Tensor  # (T, N, C, h, w) uint8
    actions: Tensor  # (T, N, A) that led there
    is_first: Tensor  # (T, N) bool: an episode begins


@dataclass(frozen=True)
class Effect:
    """Differences in reward between the first and the second of two held actions, (H, N): row h - 1 after h steps."""

    real: np.ndarray
    imagined: np.ndarray

    def slope(self, steps: int) -> float:
        """Of imagined on real differences after `steps` steps, by least squares: 1 is right, 0 knows of no effect."""
        real, imagined = (rows[steps - 1] - rows[steps - 1].mean() for rows in (self.real, self.imagined))
        return float((real * imagined).sum() / (real**2).sum())

    def correlation(self, steps: int) -> float:
        """Of the two after `steps` steps: near 1 where the model knows the kind of effect, if not its size."""
        return float(np.corrcoef(self.real[steps - 1], self.imagined[steps - 1])[0, 1])

    def spread(self, steps: int) -> tuple[float, float]:
        """Standard deviation over the states of the real and of the imagined difference."""
        return float(self.real[steps - 1].std()), float(self.imagined[steps - 1].std())


@torch.no_grad()
def states_of(model: WorldModel, seen: Seen) -> RSSMState:
    """The states (T, N, ...) that the model draws while it sees."""
    return model.rssm.observe(model.encoder(seen.pictures), seen.actions, seen.is_first)[0]


@torch.no_grad()
def imagined_rewards(model: WorldModel, start: RSSMState, actions: Tensor) -> Tensor:
    """start (N, ...), actions (H, N, A) -> rewards (H, N) of the states arrived at, unseen."""
    state, rewards = start, []
    for action in actions:
        state = model.rssm.img_step(state, action)
        rewards.append(model.reward(state.features))
    return torch.stack(rewards)


def imagined_effect(
    model: WorldModel, seen: Seen, held: tuple[Tensor, Tensor], steps: int, *, samples: int = 8, seed: int = 0
) -> np.ndarray:
    """Differences in reward (steps, N) between the actions (A,) of `held`, imagined from what was seen.

    samples: how often latents are drawn; the differences are means over them. `seed` gives the draws: the two actions
    share theirs, and the generator of others is left as it was.
    """
    count = seen.is_first.shape[1]
    with drawing(seed):
        many = Seen(*(part.repeat_interleave(samples, 1) for part in (seen.pictures, seen.actions, seen.is_first)))
        last = RSSMState(*(part[-1] for part in states_of(model, many)))
    results = []
    for action in held:
        with drawing(seed):
            rewards = imagined_rewards(model, last, action.expand(steps, count * samples, -1))
        results.append(rewards.unflatten(1, (count, samples)).mean(-1))
    return (results[0] - results[1]).cpu().double().numpy()


def open_loop_fit(
    model: WorldModel, seen: Seen, actions: Tensor, rewards: np.ndarray, *, seed: int = 0
) -> dict[int, float]:
    """Share of the variance of rewards that is predicted (R2), by steps without pictures.

    seen ends where imagination begins; actions (H, N, A) that were then done; rewards (H + 1, N): of the last row seen,
    and of those that followed. Keys 0 to H; 0 is the reward of the row seen last.
    """
    with drawing(seed), torch.no_grad():
        last = RSSMState(*(part[-1] for part in states_of(model, seen)))
        guesses = torch.cat([model.reward(last.features)[None], imagined_rewards(model, last, actions)])
    found = guesses.cpu().double().numpy()
    return {step: explained(rewards[step], found[step]) for step in range(len(rewards))}


def explained(real: np.ndarray, guessed: np.ndarray) -> float:
    """R2: 1 for right guesses, 0 for those no better than the mean, negative for worse."""
    return float(1 - ((real - guessed) ** 2).sum() / ((real - real.mean()) ** 2).sum())


class Probe:
    """A linear map from a state's features to numbers: what can be read from them without effort."""

    def __init__(self, features: Tensor, targets: np.ndarray, ridge: float = 1.0) -> None:
        """features (N, F), targets (N, K); ridge: weight of the squared length of the map."""
        x = features.cpu().double()
        self.mean = x.mean(0)
        x = self._with_one(features)
        self.map = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]), x.T @ torch.from_numpy(targets))

    def __call__(self, features: Tensor) -> np.ndarray:
        """features (N, F) -> numbers (N, K)."""
        return (self._with_one(features) @ self.map).numpy()

    def _with_one(self, features: Tensor) -> Tensor:
        x = features.cpu().double() - self.mean
        return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Draw by `seed` within, and leave the generators as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
