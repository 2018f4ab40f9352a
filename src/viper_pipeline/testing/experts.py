"""`check_expert` and `check_importer`: whether what makes videos, or reads somebody else's, keeps its contract."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gymnasium
import numpy as np

from viper_pipeline.core.errors import BadData
from viper_pipeline.data.episode import KINDS, Kind
from viper_pipeline.data.importers import IMPORTERS, Importer
from viper_pipeline.envs.base import Settings
from viper_pipeline.experts.base import EXPERTS, Expert, ExpertConfig
from viper_pipeline.experts.policies import Policy
from viper_pipeline.testing.contract import Contract, find
from viper_pipeline.training.artifacts import ModelArtifact

STEPS, ROWS = 3, 4
"""Steps that a policy plays in its environment, and states that it acts on together."""


def check_expert(expert: Expert, env: Settings | None = None, frames: Settings | None = None, seed: int = 0) -> None:
    """Raise ContractError where an expert breaks the contract of `experts.base.Expert`.

    expert: made for a suite and a task, `make_expert(suite, task, recipe)`, with a recipe that trains in seconds.
    env, frames: blocks of the suite; default: its defaults.

    Rules: it can have this task; the same seed gives the same training; what it learned is read back from the disk; its
    policy pickles, and so does what makes its environments; actions are float32 (E, A) in [-1, 1] and follow from
    states and generator alone; nothing global is changed.
    """
    kind, suite, task = type(expert), expert.suite, expert.task
    contract = Contract(f"expert {kind.__name__}")
    contract.config(kind, ExpertConfig, expert.config)
    algorithm = kind.Config.model_fields["algorithm"].default
    named = algorithm in EXPERTS.names() and EXPERTS.get(algorithm) is kind
    contract.require(
        named,
        "the algorithm of its Config is its registered name",
        f"EXPERTS has no line '{algorithm}' for it",
        f"give Config the field algorithm: Literal['{algorithm}'], and EXPERTS a line of this name",
    )
    known = bool(expert.kinds) and set(expert.kinds) <= set(get_args(Kind)) and "expert" in expert.kinds
    contract.require(
        known, "kinds are kinds of episodes", f"they are {expert.kinds}", "name expert, and noisy if it can"
    )
    problem = contract.call("problem", expert.problem)
    contract.require(
        problem is None, "the expert can have this task", f"{problem}", "check it on another suite or task"
    )
    env, frames = env if env is not None else suite.Env(), frames if frames is not None else suite.Frames()
    spec = suite.frame_spec(task, env, frames)

    def make_env(seed: int) -> gymnasium.Env:
        return suite.make(task, seed, env, spec, pixels=False)

    with contract.isolated(generators=False):
        learned = _trained(contract, expert, make_env, seed)
        again = kind(suite, task, expert.config)
        policy = contract.pickles("a policy", contract.call("policy", again.policy, contract.on_disk(learned)))
    with contract.isolated():
        place = contract.pickles("recording_env", contract.call("recording_env", expert.recording_env, env, spec))
        _check_acting(contract, policy, place(seed), seed)


def _trained(contract: Contract, expert: Expert, make_env: Callable[[int], gymnasium.Env], seed: int) -> ModelArtifact:
    """What was learned, which must be the same twice."""
    learned = [contract.call("train", expert.train, make_env, seed) for _ in range(2)]
    about = [ModelArtifact({}) if one is None else one for one in learned]
    rule, remedy = "the same seed gives the same training", "seed everything random with the seed of train"
    contract.same(rule, about[0].tensors, about[1].tensors, remedy)
    return about[0]


def _check_acting(contract: Contract, policy: Policy, place: gymnasium.Env, seed: int) -> None:
    try:
        _, info = contract.call("reset of its environment", place.reset, seed=seed)
        states = [info["state"]]
        size = int(np.prod(place.action_space.shape or ()))
        for deterministic in (True, False):
            act = partial(policy, deterministic=deterministic)
            for t in range(STEPS):
                actions = contract.call("the policy", act, states[-1][None], rng=np.random.default_rng(t))
                contract.array("what a policy returns", actions, "float32", (1, size), (-1.0, 1.0))
                _, _, ended, cut, info = contract.call("step of its environment", place.step, actions[0])
                states.append(info["state"])
                if ended or cut:
                    _, info = place.reset(seed=seed)
                    states.append(info["state"])
            batch = np.stack(states[-ROWS:])
            runs = [act(batch, rng=np.random.default_rng(1)) for _ in range(2)]
            contract.array("what a policy returns", runs[0], "float32", (len(batch), size), (-1.0, 1.0))
            rule, remedy = "actions follow from states and generator alone", "draw from the generator that it is given"
            contract.same(rule, runs[0], runs[1], remedy)
    finally:
        place.close()


def check_importer(part: str | Importer, path: Path, size: int = 16, **about: Any) -> None:
    """Raise ContractError where an importer breaks the contract of `data.importers.Importer`.

    part: its name in IMPORTERS, or the function. path: videos that it can read. about: the `camera` and `task` wanted.

    Rules: there is an episode; frames are uint8 (T, size, size, 3), two or more; rewards are float32 (T,), of which the
    first is 0, or all NaN; the same path is read the same twice; a path that is missing is refused with BadData.
    """
    importer, contract = find(part, IMPORTERS)
    with contract.isolated():
        first, second = (contract.call("reading", lambda: list(importer(Path(path), size, **about))) for _ in range(2))
        contract.require(bool(first), "there is an episode", f"none in {path}", "yield an Episode for every video")
        for episode in first:
            contract.array("frames", episode.frames, "uint8", ("T", size, size, 3))
            length = len(episode.frames)
            contract.require(
                length > 1, "an episode has two frames or more", f"it has {length}", "use importers.checked"
            )
            rule, remedy = "rewards are float32 (T,), one per frame", "use data.episode.unknown_rewards if unknown"
            kept = episode.rewards.dtype == np.float32 and episode.rewards.shape == (length,)
            contract.require(kept, rule, f"they are {episode.rewards.dtype} {episode.rewards.shape}", remedy)
            unknown = bool(np.isnan(episode.rewards).all())
            rule, remedy = (
                "the first frame has no reward",
                "rewards[t] was paid on arriving at frame t; rewards[0] is 0",
            )
            contract.require(unknown or episode.rewards[0] == 0, rule, f"it has {episode.rewards[0]}", remedy)
            contract.require(episode.kind in KINDS, "kind is known", f"it is '{episode.kind}'", f"use one of {KINDS}")
        rule, remedy = "the same path is read the same twice", "sort what a folder holds"
        contract.same(rule, [e.frames for e in first], [e.frames for e in second], remedy)
        missing = Path(path).parent / "no such file or folder"
        rule = "a path that is missing is refused with BadData"
        contract.refuses(BadData, rule, lambda: list(importer(missing, size, **about)))
