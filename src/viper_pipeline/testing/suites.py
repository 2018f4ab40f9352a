"""`check_suite`: whether a suite says what the graph asks, and its environments keep their spaces and their seeds."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import numpy as np

from viper_pipeline.core.config import Config
from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import Feature, FrameSpec, Settings, Suite
from viper_pipeline.testing.contract import Contract, find

LONGEST = 12
"""Agent steps that are played of an episode; shorter ones are played to their end."""


def check_suite(
    part: str | type[Suite] | Suite,
    task: str | None = None,
    env: Settings | None = None,
    frames: Settings | None = None,
    simulate: bool = True,
) -> None:
    """Raise ContractError where a suite breaks the contract of `envs.base.Suite`.

    part: its name in SUITES, the class, or an object. task: the one that is played; default: the first.
    env, frames: its blocks; default: the suite's defaults. simulate: False leaves environments out, for machines
    without the simulator.

    Rules: names, labels and blocks are sound; the suite and what makes its environments pickle; observations are uint8
    (size, size, 3) and equal what is rendered, or the float32 state (D,); `reset(seed=...)` begins the same episode
    each time and in every environment; an episode is no longer than `episode_steps`; frames that were returned do not
    change.
    """
    kind, contract = find(part, SUITES)
    if isinstance(part, Suite):
        kind, contract.part = type(part), f"suite {type(part).__name__}"
    with contract.isolated():
        derived = isinstance(kind, type) and issubclass(kind, Suite)
        contract.require(derived, "a suite is a Suite", f"it is {kind}", "inherit envs.base.Suite")
        suite = part if isinstance(part, Suite) else contract.call("the constructor", kind)
        if isinstance(part, str):
            contract.require(
                suite.name == part, "name is the registered name", f"it is {suite.name!r}", f"write '{part}'"
            )
        _check_names(contract, suite)
        task = task or suite.tasks()[0]
        env = env if env is not None else suite.Env()
        spec = _check_settings(contract, suite, task, env, frames if frames is not None else suite.Frames())
        contract.pickles("a suite", suite)
        if simulate:
            _check_environments(contract, suite, task, env, spec)


def _check_names(contract: Contract, suite: Suite) -> None:
    tasks = contract.call("tasks", suite.tasks)
    once = bool(tasks) and len(set(tasks)) == len(tasks) and all(isinstance(task, str) for task in tasks)
    contract.require(once, "tasks are names, each once", f"they are {tasks!r:.80}", "return a tuple of names")
    own = [suite.canonical(task) for task in tasks]
    contract.same("canonical keeps a task's own name", list(tasks), own, "translate aliases only")
    contract.refuses(BadParams, "canonical refuses an unknown task", suite.canonical, "no such task")
    labels = {contract.call("task_label", suite.task_label, task) for task in tasks}
    contract.require(
        (len(labels) < len(tasks)) == suite.shared_labels,
        "shared_labels says whether tasks share a task_label",
        f"it is {suite.shared_labels}, and {len(tasks)} tasks have {len(labels)} labels",
        "set shared_labels, or give each task a label of its own",
    )
    unknown = set(suite.features) - set(get_args(Feature))
    known = ", ".join(get_args(Feature))
    contract.require(not unknown, "features are known", f"there is {sorted(unknown)}", f"name some of {known}")
    for schema in (suite.Env, suite.Frames):
        frozen = issubclass(schema, Config) and bool(schema.model_config.get("frozen"))
        contract.require(frozen, "Env and Frames are frozen Configs", f"{schema.__name__} is not", "inherit Config")


def _check_settings(contract: Contract, suite: Suite, task: str, env: Settings, frames: Settings) -> FrameSpec:
    spec = contract.call("frame_spec", suite.frame_spec, task, env, frames)
    stored = isinstance(spec, FrameSpec) and FrameSpec.model_validate(spec.model_dump(mode="json")) == spec
    rule = "frame_spec returns a FrameSpec that survives being stored"
    contract.require(stored, rule, f"it is {spec!r:.80}", "return envs.base.FrameSpec of plain values")
    for mask in contract.call("masks", suite.masks, task):
        high = max(mask.bottom, mask.right)
        contract.require(high <= 4096, "masks are in pixels", f"{mask} goes to {high}", "give rows and columns")
    steps = contract.call("episode_steps", suite.episode_steps, task, env)
    whole = isinstance(steps, int) and steps > 0
    contract.require(whole, "episode_steps is a number of steps", f"it is {steps!r}", "return an int above 0")
    return spec


def _check_environments(contract: Contract, suite: Suite, task: str, env: Settings, spec: FrameSpec) -> None:
    """One environment at a time, since a process may hold one only."""
    make = contract.pickles("what makes environments", partial(suite.make, task, env=env, frames=spec))
    idle = contract.call("idle_action", suite.idle_action, task)
    contract.array("idle_action", idle, "float32", ("A",), (-1.0, 1.0))
    steps = suite.episode_steps(task, env)
    rng = np.random.default_rng(0)
    plan = rng.uniform(-1, 1, (min(steps, LONGEST), len(idle))).astype(np.float32)
    plan[: len(plan) // 3] = idle
    runs = {
        pixels: [_played(contract, make, suite, spec, plan, steps, pixels) for _ in range(2)]
        for pixels in (True, False)
    }
    remedy = "seed everything random in the environment with the seed of reset"
    for (first, second), (other, _) in runs.values():
        contract.same("reset(seed=...) begins the same episode each time", first, second, remedy)
        contract.same("environments reset with one seed play the same episode", first, other, remedy)
    remedy = "draw no random numbers for a picture"
    states = [runs[pixels][0][0]["states"] for pixels in (True, False)]
    contract.same("pixels change nothing of what happens", states[0], states[1], remedy)


def _played(
    contract: Contract, make: Any, suite: Suite, spec: FrameSpec, plan: np.ndarray, steps: int, pixels: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two episodes of one environment, from the same seed, under the same actions."""
    made = contract.call("make", make, 3, pixels=pixels)
    try:
        size = made.action_space.shape
        fits = size == plan.shape[1:]
        contract.require(
            fits, "idle_action fits the action_space", f"{plan.shape[1:]} and {size}", "give both one size"
        )
        if pixels:
            carried = made.get_wrapper_attr("spec_of_frames")
            rule, remedy = "environments carry their spec_of_frames", "keep the argument frames of make"
            contract.require(carried == spec, rule, f"it is {carried}", remedy)
        if suite.discrete:
            useful = np.asarray(made.get_wrapper_attr("useful_actions"))
            sound = len(useful) > 1 and bool((np.diff(useful) > 0).all()) and useful[0] >= 0 and useful[-1] < size[0]
            rule, remedy = "useful_actions are ascending indices of actions", "list the actions that have an effect"
            contract.require(sound, rule, f"they are {useful.tolist()}", remedy)
        return tuple(_episode(contract, made, spec, plan, steps, pixels) for _ in range(2))  # type: ignore[return-value]
    finally:
        made.close()


def _episode(
    contract: Contract, made: Any, spec: FrameSpec, plan: np.ndarray, steps: int, pixels: bool
) -> dict[str, np.ndarray]:
    seen, copies, states, rewards, ended = [], [], [], [], False
    observation, info = contract.call("reset", made.reset, seed=7)
    for t, action in enumerate([None, *plan]):
        if action is not None:
            observation, reward, terminated, truncated, info = contract.call("step", made.step, action.copy())
            rewards.append(float(reward))
            ended = bool(terminated or truncated)
            rule, remedy = "an episode ends after episode_steps at the latest", "truncate it, or return the true length"
            contract.require(ended or t < steps, rule, f"step {t} of {steps} did not end it", remedy)
        contract.require(
            "state" in info, "info has the state", f"its keys are {sorted(info)}", 'return {"state": state}'
        )
        contract.array('info["state"]', info["state"], "float32", ("D",))
        if pixels:
            contract.array("an observation", observation, "uint8", (spec.size, spec.size, 3))
            rule, remedy = "render returns the observation", "draw the present state"
            contract.same(rule, contract.call("render", made.render), observation, remedy)
        else:
            contract.same("the observation is the state", observation, info["state"], "return the state if not pixels")
        inside = made.observation_space.contains(observation)
        contract.require(inside, "observations lie in the observation_space", "one does not", "widen the space")
        seen.append(observation)
        copies.append(observation.copy())
        states.append(info["state"].copy())
        if ended:
            break
    contract.require(bool(np.isfinite(rewards).all()), "rewards are finite", "one is NaN or inf", "mend the reward")
    contract.same("frames that were returned do not change", seen, copies, "return a copy of the simulator's buffer")
    return {"frames": np.stack(copies), "states": np.stack(states), "rewards": np.array(rewards)}
