"""Stage `film_agents`: an episode of each method, of random actions and of the expert, as the films of a suite's page.

Every frame is there, in full color. Agents play their episode again (`reporting.replays`), so of all stages of a report
this one alone runs agents and a simulator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from itertools import islice

import gymnasium

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.data.episode import Episode
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Suite
from viper_pipeline.pipelines.wiring import run_table
from viper_pipeline.reporting.films import INDEX, Film, episode_film
from viper_pipeline.reporting.replays import EXPERTS, RANDOM, median_episode, replay
from viper_pipeline.reporting.results import RunKey, RunTable, score_of

TASKS = 2
"""Tasks of a suite that have films; they are a good part of a page's size."""
FIRST = ("viper", "task_reward")
"""Methods that are shown before random actions and the expert; others come after them."""
LONGEST = 1000
"""Frames of a film; of a longer episode, its beginning is shown."""


def film_agents(env: ParamsBlock, frames: ParamsBlock, *, suite: str, **inputs: object) -> dict[str, bytes]:
    """Agents, expert sets and baseline episodes -> films of the first tasks as MP4 by name, and films.json.

    Of each task, method and agent the first seed is shown.
    env, frames: the suite's blocks of params.yaml. Raises BadEnvironment if the suite's simulator is not installed or
    cannot draw, BadData for an agent whose weights do not fit today's code.
    """
    made: dict[str, bytes] = {}
    listed: list[Film] = []
    for key, episode, stride in _episodes(run_table(inputs), SUITES.get(suite)(), env, frames):
        run = (key.agent, str(key.seed)) if key.agent else ()
        file, shown = f"{'-'.join((key.task, key.method, *run))}.mp4", episode.frames[: LONGEST // stride]
        made[file] = episode_film(shown, stride)
        score = score_of(suite, episode.ret, float(episode.rewards[-1]))
        known = None if math.isnan(score) else round(score, 3)
        listed.append(Film(key.task, key.method, file, known, len(shown), len(episode), key.agent, key.seed))
    made[INDEX] = (json.dumps([film._asdict() for film in listed], indent=1) + "\n").encode()
    return made


def _episodes(
    table: RunTable, simulator: Suite, env: ParamsBlock, frames: ParamsBlock
) -> Iterator[tuple[RunKey, Episode, int]]:
    """Whose episode it is, the episode, and how many steps of the environment each of its frames stands for."""
    for task, experts in islice(table.experts.items(), TASKS):
        make = partial(_make, simulator, task.task, env, frames)
        runs = [key for key in table.agents if key[:2] == task]
        mine = [key for key in runs if key.seed == min(other.seed for other in runs if other[:4] == key[:4])]
        for key in sorted((key for key in mine if key.method in FIRST), key=lambda key: FIRST.index(key.method)):
            yield key, replay(table.agents[key], make, simulator.discrete), 1
        if task in table.baseline_episodes:
            yield RunKey(*task, "random", "", 0), median_episode(table.baseline_episodes[task], RANDOM), 1
        yield RunKey(*task, "expert", "", 0), median_episode(experts, EXPERTS), experts.spec.stride
        for key in mine:
            if key.method not in FIRST:
                yield key, replay(table.agents[key], make, simulator.discrete), 1


def _make(simulator: Suite, task: str, env: ParamsBlock, frames: ParamsBlock, seed: int) -> gymnasium.Env:
    return simulator.make(task, seed, env, simulator.frame_spec(task, env, frames))
