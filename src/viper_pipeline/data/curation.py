"""From recorded episodes to what models read: best k, some held out, masked, strided (paper 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeGroup
from viper_pipeline.envs.base import Rect, blacken


class CurationConfig(Config):
    """Which episodes are shown to the models, and how."""

    top_k: int = Field(gt=0, description="episodes kept, those of highest true return (paper: 50; Atari 100)")
    held_out: int = Field(gt=0, description="of these, how many no model is trained on, spread evenly over the ranks")
    test: int = Field(
        0,
        ge=0,
        description="of these, how many are scored once, for the report alone: no scale is fitted to them and no "
        "setting chosen by them; 0: the held-out ones are reported",
    )
    stride: int = Field(1, gt=0, description="every how many-th frame is kept (paper: RLBench 4)")
    offsets: Literal["first", "all"] = Field(
        "first",
        description="all: training videos are kept once from each of their first `stride` frames on, so that no frame "
        "is lost to a model; first: from the first alone (paper)",
    )
    min_frames: int = Field(2, gt=1, description="frames an episode must have after striding")

    def starts(self, group: str) -> range:
        """The frames from which videos of a group are kept."""
        return range(self.stride if group == "train" and self.offsets == "all" else 1)


class Chosen(NamedTuple):
    """Indices of the episodes of an expert set, best first."""

    train: list[int]
    held_out: list[int]
    test: list[int]


def choose_episodes(returns: Sequence[float], config: CurationConfig, place: str) -> Chosen:
    """Returns of all expert episodes -> which are for training, held out, and for the report's test.

    Videos of unknown return (NaN) keep their order and rank after those of known return. Both sets that no model is
    trained on are spread evenly over the ranks.
    """
    values = np.asarray(returns, np.float64)
    ranked = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")[: config.top_k].tolist()
    if len(ranked) <= config.held_out + config.test:
        fields = "curation.held_out" + (" and curation.test" if config.test else "")
        raise BadData(
            f"{place}: {len(ranked)} expert episodes, {config.held_out + config.test} of them held out ({fields}), "
            "leave none to train on; record more, or hold out fewer"
        )
    held_out = spread(ranked, config.held_out)
    rest = [i for i in ranked if i not in held_out]
    test = spread(rest, config.test)
    return Chosen([i for i in rest if i not in test], held_out, test)


def spread(ranked: Sequence[int], count: int) -> list[int]:
    """`count` of them, evenly over the ranks."""
    return [ranked[(i + 1) * len(ranked) // (count + 1)] for i in range(count)]


def show(episode: Episode, config: CurationConfig, mask: Sequence[Rect], place: str, offset: int = 0) -> Episode:
    """The episode as a model sees it, from frame `offset` on. Rewards between two kept frames are the later one's."""
    frames = blacken(episode.frames[offset :: config.stride], list(mask))
    if len(frames) < config.min_frames:
        raise BadData(
            f"{place}: an episode of {len(episode)} frames keeps {len(frames)} at curation.stride {config.stride}, "
            f"fewer than curation.min_frames {config.min_frames}"
        )
    index = -(-(np.arange(len(episode)) - offset) // config.stride)  # each frame's reward goes to the next kept frame
    index[1:] = np.maximum(index[1:], 1)  # but the first frame has no reward
    rewards = np.zeros(index[-1] + 1, np.float64)
    np.add.at(rewards, index, episode.rewards)
    if len(rewards) > len(frames):  # rewards after the last kept frame: none may be lost
        rewards[-2] += rewards[-1]
    return Episode(frames, rewards[: len(frames)].astype(np.float32), episode.seed, episode.kind)


def shown(
    episodes: Sequence[Episode] | EpisodeGroup,
    chosen: Sequence[int],
    config: CurationConfig,
    mask: Sequence[Rect],
    place: str,
    offsets: Sequence[int] = (0,),
) -> Iterator[Episode]:
    """The chosen episodes as a model sees them, one at a time: all from the first offset, all from the next."""
    for offset in offsets:
        for i in chosen:
            yield show(episodes[i], config, mask, f"{place}: episode {i}", offset)
