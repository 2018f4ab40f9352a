"""EXPERTS: what fits which suite, same rules in training and recording, and an expert that is one file and one line."""

from typing import Literal

import gymnasium
import numpy as np
import pytest
from pydantic import Field

from tests.pipelines.test_params import put, read
from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import EnvSettings, FrameSettings, FrameSpec, Suite, SuiteEnv, checked
from viper_pipeline.experts.base import EXPERTS, Expert, ExpertConfig, expert_algorithms, load_expert, make_expert
from viper_pipeline.pipelines.experts.nodes import record_baselines, record_episodes, train_expert
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.testing import check_expert, check_suite

HERE = {"suite": "dots", "task": "right"}


class DotRules(EnvSettings):
    """How long a game of dots is."""

    action_repeat: int = 1
    max_steps: int = Field(30, gt=0, description="agent steps of an episode")


class Dots(Suite):
    """A dot that should go to the right."""

    name = "dots"
    features = frozenset({"training", "scripts"})
    Env = DotRules

    def tasks(self):
        """One task."""
        return ("right",)

    def frame_spec(self, task, env, frames):
        """Small frames."""
        return FrameSpec(size=checked(FrameSettings, frames).size, action_repeat=checked(DotRules, env).action_repeat)

    def make(self, task, seed, env, frames, pixels=True):
        """One dot."""
        return DotEnv(checked(DotRules, env), frames, pixels)

    def idle_action(self, task):
        """Stay."""
        return np.zeros(1, np.float32)

    def episode_steps(self, task, env):
        """As the rules say."""
        return checked(DotRules, env).max_steps


class TwoActions(Dots):
    """Not a suite: its idle action does not fit."""

    def idle_action(self, task):
        """Two numbers where environments take one."""
        return np.zeros(2, np.float32)


class DotEnv(SuiteEnv):
    """The state is the dot's place. Lengths of all episodes of all environments are noted."""

    lengths: list[int] = []  # noqa: RUF012

    def __init__(self, rules, spec, pixels):
        self.rules, self.spec_of_frames, self.pixels = rules, spec, pixels
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        shape = (spec.size, spec.size, 3)
        self.observation_space = (
            gymnasium.spaces.Box(0, 255, shape, np.uint8)
            if pixels
            else gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        )

    def _observe(self):
        state = np.array([self.place], np.float32)
        return (self.render() if self.pixels else state), {"state": state}

    def render(self):
        """A bar as long as the way made."""
        size = self.spec_of_frames.size
        frame = np.zeros((size, size, 3), np.uint8)
        frame[:, : int(np.clip(self.place, 0, size))] = 255
        return frame

    def reset(self, *, seed=None, options=None):
        """To the left."""
        super().reset(seed=seed)
        self.place, self.steps = float(self.np_random.random()), 0
        return self._observe()

    def step(self, action):
        """Move."""
        self.place += float(action[0])
        self.steps += 1
        if done := self.steps >= self.rules.max_steps:
            self.lengths.append(self.steps)
        observation, info = self._observe()
        return observation, float(action[0]), False, done, info


class PushConfig(ExpertConfig):
    """How hard it pushes."""

    algorithm: Literal["push"] = "push"
    force: float = Field(1.0, gt=0, le=1, description="action")


class Push:
    """Always the same action."""

    def __init__(self, force):
        self.force = force

    def __call__(self, states, deterministic, rng):
        """States (E, D) -> actions (E, 1)."""
        return np.full((len(states), 1), self.force, np.float32)


class PushExpert(Expert):
    """The toy: a file, a line in EXPERTS, a block in params."""

    Config = PushConfig
    needs = frozenset({"scripts"})

    def policy(self, learned):
        """By the recipe alone."""
        return Push(self.config.force)


@pytest.fixture
def registered():
    SUITES.register("dots", Dots)
    EXPERTS.register("push", PushExpert)
    DotEnv.lengths.clear()
    yield
    SUITES.unregister("dots")
    EXPERTS.unregister("push")


def recorded(recipe, env, tmp_path):
    expert = train_expert(recipe, env, 0, tmp_path, **HERE)
    return record_episodes(expert, env, {"size": 8}, {"expert": 2, "noisy": 1}, 0, 0, None, **HERE)


@pytest.mark.parametrize(
    "recipe",
    [
        {"algorithm": "sac", "steps": 60, "learning_starts": 20, "batch_size": 8, "net_arch": [8], "eval_every": 30},
        {"algorithm": "ppo", "steps": 64, "rollout_steps": 32, "batch_size": 8, "net_arch": [8], "eval_every": 32},
    ],
    ids=lambda recipe: recipe["algorithm"],
)
def test_experts_learn_and_are_recorded_by_the_rules_of_params_yaml(registered, tmp_path, recipe):
    """An expert once learned in episodes of the suite's default length, whatever params.yaml said."""
    rules = {"max_steps": 7}
    episodes = list(recorded(recipe, rules, tmp_path).groups["episodes"])
    floors = record_baselines(rules, {"size": 8}, {"random": 1, "idle": 1}, 0, 0, None, **HERE)
    episodes += list(floors.groups["episodes"])
    assert {len(e) for e in episodes} == {8}
    assert set(DotEnv.lengths) == {7} and len(DotEnv.lengths) > len(episodes), "training and evaluation too"


def test_a_new_expert_is_trained_recorded_and_read_again_by_the_same_nodes(registered, tmp_path):
    recipe = {"algorithm": "push", "force": 0.5}
    episodes = list(recorded(recipe, {"max_steps": 5}, tmp_path).groups["episodes"])
    assert [e.kind for e in episodes] == ["expert", "expert", "noisy"]
    assert [e.ret for e in episodes[:2]] == [pytest.approx(2.5)] * 2
    made = train_expert(recipe, {}, 0, tmp_path, **HERE)
    assert made.config["recipe"] == recipe and not made.tensors
    expert, policy = load_expert(made, Dots())
    assert isinstance(expert, PushExpert) and policy.force == 0.5
    assert expert_algorithms({"experts": {"right": recipe, "left": {"steps": 9}}}) == {"push", "sac"}


def test_params_yaml_knows_a_new_expert_and_what_it_needs(registered):
    tiny = read("profiles/tiny.yaml")
    params = put(tiny, "suites.tabletop.experts.panda_lift", {"algorithm": "push", "force": 0.3})
    assert validate(params).suites["tabletop"].experts["panda_lift"].force == 0.3
    with pytest.raises(BadParams, match=r"experts\.panda_lift\.forc: unknown key.*did you mean 'force'"):
        validate(put(tiny, "suites.tabletop.experts.panda_lift", {"algorithm": "push", "forc": 0.3}))
    with pytest.raises(BadParams, match=r"experts\.cartpole_balance\.algorithm: push: no scripts are written"):
        validate(put(tiny, "suites.dmc.experts.cartpole_balance", {"algorithm": "push"}))


FIT = {
    "dmc": {"sac", "ppo", "file"},
    "atari": {"ppo", "script", "rally", "search", "file"},
    "tabletop": {"script"},
    "rlbench": {"planner"},
}


@pytest.mark.parametrize("suite", SUITES.names())
def test_every_suite_keeps_its_contract_and_has_an_expert_for_some_task(suite):
    simulator = SUITES.get(suite)()
    check_suite(simulator, simulate=suite != "rlbench")
    fitting = {
        name
        for name in EXPERTS.names()
        for task in simulator.tasks()
        if EXPERTS.get(name)(simulator, task, None).problem() is None
    }
    assert fitting == FIT[suite]


TRAINED = {"steps": 40, "batch_size": 8, "net_arch": [8], "eval_every": 40, "eval_episodes": 1}
RECIPES = {
    "sac": ("dmc", "cartpole_balance", {"action_repeat": 100}, {**TRAINED, "learning_starts": 20}),
    "ppo": ("atari", "pong", {"max_frames": 80}, {**TRAINED, "rollout_steps": 20}),
    "script": ("atari", "pong", {}, {}),
    "rally": ("atari", "pong", {}, {}),
    "search": ("atari", "zaxxon", {}, {"futures": 2, "horizon": 4, "follow": 2}),
}


@pytest.mark.parametrize("algorithm", RECIPES)
def test_every_expert_keeps_its_contract(algorithm):
    suite, task, env, recipe = RECIPES[algorithm]
    check_expert(make_expert(SUITES.get(suite)(), task, {"algorithm": algorithm, **recipe}), env)


def test_the_toys_keep_the_contracts_and_what_does_not_is_told(registered):
    check_suite(Dots(), env={"max_steps": 4})
    check_expert(make_expert(Dots(), "right", {"algorithm": "push"}))
    with pytest.raises(AssertionError, match="idle_action"):
        check_suite(TwoActions())


def test_a_suite_without_a_planner_says_so():
    with pytest.raises(BadParams, match="there is no planner; use another algorithm"):
        make_expert(SUITES.get("dmc")(), "cartpole_balance", {"algorithm": "planner"})
