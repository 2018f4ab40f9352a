"""`check_agent`: whether an agent acts, learns, and goes on after a checkpoint as the training loop needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from viper_pipeline.agents.base import AGENTS, Agent, AgentConfig
from viper_pipeline.agents.replay import Replay
from viper_pipeline.agents.vector_env import one_hot_actions
from viper_pipeline.core.errors import BadParams
from viper_pipeline.testing.contract import Contract, ParamsOrConfig, find
from viper_pipeline.testing.tokenizers import check_metrics

ENVS, ACTIONS = 2, 3
UPDATES = 3
"""How often an agent learns before its weights must have changed."""
ACTION_TOLERANCE = 1e-4
"""By how much actions of one environment alone and of several may differ."""


def check_agent(part: Any, config: ParamsOrConfig, size: int = 16) -> None:
    """Raise ContractError where an agent breaks the contract of `agents.base.AgentClass`.

    part: its name in AGENTS, or the class. config: its block, as small as can be. size: of frames (size, size, 3).

    Rules: abilities that the class does not declare are refused; actions are float32 (E, A) in [-1, 1], one-hot if
    discrete; without noise there is no chance; environments do not depend on each other; batches can be relabeled;
    updates change the weights, and a policy follows them; the same seed gives the same agent; a restored agent
    continues exactly.
    """
    kind, contract = find(part, AGENTS)
    with contract.isolated():
        settings = contract.config(kind, AgentConfig, config)
        for ability in ("continuous", "discrete", "curious"):
            declared = getattr(kind, ability, None)
            rule = f"the class declares whether it is {ability}"
            contract.require(
                isinstance(declared, bool), rule, f"it says {declared!r}", f"write {ability} = True or False"
            )
            if not declared:
                rule = f"an agent that is not {ability} refuses to be"
                discrete = ability == "discrete" or (ability == "curious" and not kind.continuous)
                abilities = {"discrete": discrete, "curious": ability == "curious"}
                contract.refuses(BadParams, rule, kind, settings, (size, size, 3), ACTIONS, **abilities)
        for discrete in [False] * kind.continuous + [True] * kind.discrete:
            for curious in (False, True)[: 1 + kind.curious]:
                abilities = {"discrete": discrete, "curious": curious}
                _check_acting(contract, _built(contract, kind, settings, size, abilities), size, discrete)
                _check_learning(contract, kind, settings, size, abilities)


def _built(contract: Contract, kind: Any, settings: AgentConfig, size: int, abilities: dict[str, bool]) -> Agent:
    torch.manual_seed(0)
    built = contract.call("the constructor", kind, settings, (size, size, 3), ACTIONS, **abilities)
    moved = contract.call("to", built.to, "cpu")
    contract.require(moved is built, "to returns the agent", f"it returned {type(moved).__name__}", "return self")
    return built


def _check_acting(contract: Contract, agent: Agent, size: int, discrete: bool) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (ENVS, size, size, 3), dtype=np.uint8)
    kept = frames.copy()
    small = contract.call("preprocess", agent.preprocess, frames)
    contract.array("what preprocess returns", small, "uint8", (ENVS, *agent.frame_shape))
    contract.same("frames are left as they are", kept, frames, "work on a copy")
    alone = np.concatenate([agent.preprocess(frames[i : i + 1]) for i in range(ENVS)])
    contract.same("a frame is preprocessed by itself", small, alone, "mix no rows of the batch")
    noise = np.random.default_rng(1).standard_normal((ENVS, ACTIONS), np.float32)
    for given in (None, noise):
        actions = _episode(contract, agent, small, given)
        contract.array("what act returns", actions, "float32", (ENVS, ACTIONS), (-1.0, 1.0))
        if discrete:
            one_hot = set(np.unique(actions)) <= {-1, 1} and bool((actions.sum(1) == 2 - ACTIONS).all())
            rule, remedy = "discrete actions are one-hot", "return 1 for the chosen action and -1 for the others"
            contract.require(one_hot, rule, f"an action is {actions[0].tolist()}", remedy)
    acted = [_episode(contract, agent, small, None) for _ in range(2)]
    contract.same(
        "without noise a policy is deterministic", acted[0], acted[1], "draw no random numbers if noise is None"
    )
    alone = np.concatenate([_episode(contract, agent, small[i : i + 1], None) for i in range(ENVS)])
    remedy = "keep what is remembered of an episode per environment"
    contract.same("an action does not depend on other environments", acted[0], alone, remedy, ACTION_TOLERANCE)


def _episode(contract: Contract, agent: Agent, frames: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
    """Actions (E, A) in the second step of an episode with frames (E, *frame_shape)."""
    policy = contract.call("policy", agent.policy, len(frames))
    for i, frame in enumerate(frames):
        contract.call("start of a policy", policy.start, i, frame)
    noise = None if noise is None else noise[: len(frames)]
    contract.call("act", policy.act, noise)
    contract.call("push", policy.push, 255 - frames)
    return contract.call("act", policy.act, noise).copy()


def _check_learning(
    contract: Contract, kind: Any, settings: AgentConfig, size: int, abilities: dict[str, bool]
) -> None:
    agent, twin = (_built(contract, kind, settings, size, abilities) for _ in range(2))
    remedy = "draw random numbers from torch's global generator alone"
    contract.same("the same seed gives the same weights", agent.weights(), twin.weights(), remedy)
    replay, rng = _filled(agent, size, abilities["discrete"]), np.random.default_rng(2)
    contract.call("prepare", agent.prepare, replay)
    _check_batch(contract, agent, replay)
    before = {name: value.clone() for name, value in contract.call("weights", agent.weights).items()}
    contract.require(bool(before), "weights has weights", "it is empty", "return the policy's weights by name")
    frames = np.random.default_rng(4).integers(0, 256, (ENVS, *agent.frame_shape), dtype=np.uint8)
    running = agent.policy(ENVS)
    for i, frame in enumerate(frames):
        running.start(i, frame)
    for i in range(UPDATES):
        contract.call("schedule", agent.schedule, (i + 1) / UPDATES)
        batch = contract.call("sample", agent.sample, replay, rng)
        check_metrics(contract, "update", contract.call("update", agent.update, batch))
    after = agent.weights()
    contract.require(
        any(not torch.equal(before[name], after[name]) for name in before),
        "updates change the weights",
        f"they are the same after {UPDATES} updates",
        "let update take a step of the policy's optimizer",
    )
    fresh = agent.policy(ENVS)
    for i, frame in enumerate(frames):
        fresh.start(i, frame)
    remedy = "let a policy read the agent's weights, and copy none"
    contract.same("a policy follows the updates", running.act(), fresh.act(), remedy, ACTION_TOLERANCE)
    state = contract.checkpointed(contract.call("state_dict", agent.state_dict))
    contract.call("load_state_dict", twin.load_state_dict, state)
    batch = agent.sample(replay, rng)
    for one in (agent, twin):
        torch.manual_seed(5)
        one.schedule(0.75)
        one.update(batch)
    remedy = "keep weights, optimizers and counters in state_dict"
    contract.same("a restored agent continues exactly", agent.weights(), twin.weights(), remedy)


def _check_batch(contract: Contract, agent: Agent, replay: Replay) -> None:
    batches = [contract.call("sample", agent.sample, replay, np.random.default_rng(3), window=2) for _ in range(2)]
    batch, shape = batches[0], agent.frame_shape
    remedy = "draw from the generator that sample is given"
    contract.same("the same seed gives the same batch", batch.reward, batches[1].reward, remedy)
    contract.array("a batch's reward", batch.reward, "float32", ("N",))
    count = len(batch.reward)
    contract.array("a batch's places", batch.places, "int64", (count, "n"))
    contract.array("a batch's windows", batch.windows, "uint8", (*batch.places.shape, 2, *shape))
    ends = contract.call("frames_at of the replay", replay.frames_at, batch.places)
    remedy = "order windows in time, each up to the frame that its reward belongs to"
    contract.same("a window ends in the frame of its reward", batch.windows[:, :, -1], ends, remedy)
    wanted = batch.reward + 1
    given = contract.call("with_reward", batch.with_reward, wanted).reward
    kept = given.shape == wanted.shape and bool(((given == wanted) | (given == 0)).all()) and bool(given.any())
    remedy = "return a copy with these rewards (0 where an episode only starts)"
    contract.require(kept, "with_reward takes new rewards", "the copy has others", remedy)
    zero = contract.call("relabel", batch.relabel, lambda windows: np.zeros(len(windows), np.float32))
    added = contract.call("add_rewards", batch.add_rewards, np.ones(batch.places.shape, np.float32)).reward
    rule, remedy = "add_rewards adds to every step of a return", "weight each step as the batch's own rewards are"
    more = added.shape == wanted.shape and bool((added >= batch.reward).all()) and bool((added > batch.reward).any())
    contract.require(more, rule, "the copy's rewards are not larger", remedy)
    rule, remedy = "relabel computes rewards from windows", "call reward_fn on windows (M, window, *frame_shape)"
    contract.same(rule, zero.reward, np.zeros_like(batch.reward), remedy)


def _filled(agent: Agent, size: int, discrete: bool) -> Replay:
    """Four short episodes of noise per environment, half of which end."""
    rng, replay = np.random.default_rng(3), Replay(ENVS, 80, agent.frame_shape, ACTIONS)
    for i in range(ENVS):
        for step in range(40):
            frame = agent.preprocess(rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8))[0]
            actions = rng.uniform(-1, 1, (1, ACTIONS)).astype(np.float32)
            action = (one_hot_actions(actions) if discrete else actions)[0]
            if step % 10:
                replay.add(i, action, float(rng.random()), frame, step % 20 == 19)
            else:
                replay.start(i, frame)
    return replay
