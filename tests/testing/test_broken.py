"""For each rule a toy that breaks it alone, and is told so: the part, the rule, the remedy."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.agents.test_contract import Bandit
from tests.experts.test_registry import DotEnv, Dots, Push, PushExpert
from tests.rewards.toy import Brightness, BrightnessMethod, LastSeen
from tests.testing.toys import BLOCK, Habit, read_npy
from tests.tokenizers.toy import Mosaic
from viper_pipeline.core.errors import ContractError, ViperError
from viper_pipeline.envs.base import checked
from viper_pipeline.experts.base import EXPERTS
from viper_pipeline.rewards.amp import AMP
from viper_pipeline.rewards.base import AMPConfig
from viper_pipeline.testing import (
    check_agent,
    check_expert,
    check_exploration,
    check_importer,
    check_reward,
    check_reward_source,
    check_suite,
    check_tokenizer,
    check_video_model,
)

NOISE = np.random.default_rng()


def changed(kind, **attributes):
    """A subclass with other attributes and methods; `old` is what a method replaces."""
    return type(f"Broken{kind.__name__}", (kind,), attributes)


def after(kind, name, change):
    """A method whose result is changed: change(result, self, *arguments)."""

    def method(self, *arguments, **keywords):
        return change(getattr(kind, name)(self, *arguments, **keywords), self, *arguments)

    return {name: method}


def tell(check, rule):
    with pytest.raises(ContractError) as caught:
        check()
    error = caught.value
    assert rule in error.rule, f"{error.rule!r} was found"
    assert error.part and error.remedy and all(text in str(error) for text in (error.part, error.rule, error.remedy))
    assert isinstance(error, ViperError)


TOKENIZERS = {
    "codes are within the codebook": after(Mosaic, "encode", lambda codes, self, frames: codes + 4),
    "what encode returns is int64": after(Mosaic, "encode", lambda codes, self, frames: codes.float()),
    "encode is deterministic": after(
        Mosaic, "encode", lambda codes, self, frames: torch.from_numpy(NOISE.integers(0, 4, codes.shape))
    ),
    "a frame's codes do not depend on its batch": after(
        Mosaic, "encode", lambda codes, self, frames: (codes + len(frames)) % 4
    ),
    "what decode returns is uint8": after(Mosaic, "decode", lambda frames, self, codes: frames.float()),
    "gradients flow from the loss to its part": after(
        Mosaic, "loss", lambda result, self, *_: (result[0].detach(), result[1])
    ),
    "metrics of loss are detached": after(Mosaic, "loss", lambda result, self, *_: (result[0], {"loss": result[0]})),
    "what was saved encodes as before": after(
        Mosaic, "to_artifact", lambda saved, self: replace(saved, tensors={"gray": saved.tensors["gray"] * 0 + 9})
    ),
    "no global state is left behind": after(Mosaic, "encode", lambda codes, self, frames: (random.random(), codes)[1]),
    "the constructor works": {"__init__": lambda self: None},
}


@pytest.mark.parametrize("rule", TOKENIZERS)
def test_a_broken_tokenizer_is_told(rule):
    tell(lambda: check_tokenizer(changed(Mosaic, **TOKENIZERS[rule]), BLOCK["tokenizer"]), rule)


def later(nats, self, codes, condition, *_):
    return nats + codes[:, -1].sum((1, 2))[:, None] if nats.ndim == 2 else nats


VIDEO_MODELS = {
    "what log_prob returns is float32 (3, 1)": after(Habit, "log_prob", lambda nats, *_: nats.double()),
    "what log_prob returns is finite": after(Habit, "log_prob", lambda nats, *_: nats - torch.inf),
    "log_prob_last is the last of log_prob": after(Habit, "log_prob_last", lambda nats, *_: nats + 1),
    "scores of codes add up to that of their frame": after(Habit, "log_prob", later),
    "a frame's score does not depend on later frames": after(
        Habit, "_codes", lambda nats, self, codes: nats + codes.long().sum(1, keepdim=True) * nats.new_tensor(0.1)
    ),
    "a video's scores do not depend on its batch": after(Habit, "_codes", lambda nats, self, codes: nats * len(nats)),
    "samples are codes of the codebook": after(
        Habit, "sample", lambda video, self, context, *_: torch.cat([context, video[:, 1:] + 9], 1)
    ),
    "samples begin with their context": after(Habit, "sample", lambda video, *_: (video + 1) % 6),
    "gradients reach every weight of a part": {
        "parts": property(lambda self: {"model": [self.first, self.table, *self.more.parameters()]}),
        "__init__": lambda self, *a: (Habit.__init__(self, *a), setattr(self, "more", torch.nn.Linear(1, 1)))[0],
    },
    "what was saved has the same weights": after(
        Habit,
        "to_artifact",
        lambda saved, self: replace(saved, tensors=saved.tensors | {"table": saved.tensors["table"] * 0}),
    ),
    "conditions refuses an unknown task": {
        "conditions": lambda self, tasks: torch.tensor([self.tasks.index(task) for task in tasks])
    },
}


@pytest.mark.parametrize("rule", VIDEO_MODELS)
def test_a_broken_video_model_is_told(rule):
    tell(lambda: check_video_model(changed(Habit, **VIDEO_MODELS[rule]), BLOCK["habit"]), rule)


REWARDS = {
    "color is #RRGGBB": {"color": "green"},
    "label is a text": {"label": ""},
    "a reward has a Config exactly if it names a block": {"block": ""},
    "inputs have names of their own": {"inputs": lambda self, *_: {"env": "dots/tokenizer"}},
}


@pytest.mark.parametrize("rule", REWARDS)
def test_a_broken_reward_is_told(rule):
    tell(lambda: check_reward(changed(BrightnessMethod, **REWARDS[rule]), BLOCK), rule)


class Late(Brightness):
    """Pays for a frame one step later."""

    def start(self, frames):
        self.last = np.zeros(len(frames), np.float32)

    def restart(self, i, frame):
        self.last[i] = 0

    def step(self, frames, true_rewards):
        paid, self.last = self.last, super().step(frames, true_rewards)
        return paid


class Sum(Brightness):
    """Pays for all frames of an episode; `restart` is forgotten."""

    def start(self, frames):
        self.total = np.zeros(len(frames), np.float32)

    def step(self, frames, true_rewards):
        self.total = self.total + super().step(frames, true_rewards)
        return self.total


SOURCES = {
    "what step returns is float32 (3,)": changed(
        Brightness, **after(Brightness, "step", lambda paid, *_: paid.astype(np.float64))
    ),
    "a reward belongs to the frame that its step was given": Late,
    "restart begins one episode anew and no other": Sum,
    "the same video is rewarded the same": changed(
        Sum, start=lambda self, frames: setattr(self, "total", self.__dict__.get("total", 0))
    ),
    "a reward does not depend on other environments": changed(
        Brightness, **after(Brightness, "step", lambda paid, *_: paid - paid.mean())
    ),
    "frames are left as they are": changed(
        Brightness, **after(Brightness, "step", lambda paid, self, frames, true: (frames.fill(0), paid)[1])
    ),
    "a restored source pays as before": changed(
        Brightness,
        state_dict=lambda self: {"scale": self.scale},
        load_state_dict=lambda self, state: setattr(self, "scale", 2 * state["scale"]),
    ),
}


@pytest.mark.parametrize("rule", SOURCES)
def test_a_broken_reward_source_is_told(rule):
    tell(lambda: check_reward_source(lambda shape: SOURCES[rule](2.0)), rule)


LEARNING = {
    "update changes the rewards": {"update": lambda self, windows, rng: {}},
    "what rewards returns is float32 (5,)": after(AMP, "rewards", lambda paid, *_: paid[:, None]),
    "a restored source continues exactly": {"load_state_dict": lambda self, state: None},
    "state_dict can be stored in a checkpoint": {"state_dict": lambda self: {"amp": np.zeros(3)}},
}


@pytest.mark.parametrize("rule", LEARNING)
def test_a_broken_source_that_learns_is_told(rule):
    small = AMPConfig(window=2, channels=(4,), kernels=(4,), strides=(4,), hidden=(8,), learning_rate=0.01)
    videos = [np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)]
    check_reward_source(lambda shape: AMP(small, shape, videos))
    tell(lambda: check_reward_source(lambda shape: changed(AMP, **LEARNING[rule])(small, shape, videos)), rule)


BONUSES = {
    "what bonus returns is float32 (6,)": after(LastSeen, "bonus", lambda bonus, *_: bonus.astype(np.float64)),
    "what bonus returns is finite": after(LastSeen, "bonus", lambda bonus, *_: bonus * np.float32(np.nan)),
    "what bonus returns is within 0.0 and inf": after(LastSeen, "bonus", lambda bonus, *_: bonus - 9),
    "the bonus of a frame falls when it is seen again": after(LastSeen, "bonus", lambda bonus, *_: bonus * 0 + 1),
    "a restored bonus continues exactly": {"load_state_dict": lambda self, state: None},
    "bonus learns nothing": after(LastSeen, "bonus", lambda bonus, self, frames: (self.update(frames), bonus)[1]),
    "config is the block that it was built with": after(
        LastSeen, "to", lambda bonus, *_: setattr(bonus, "config", bonus.config.model_copy()) or bonus
    ),
}


@pytest.mark.parametrize("rule", BONUSES)
def test_a_broken_bonus_is_told(rule):
    tell(lambda: check_exploration(changed(LastSeen, **BONUSES[rule]), BLOCK["exploration"]), rule)


AGENTS = {
    "what act returns is within -1.0 and 1.0": after(Bandit, "act", lambda actions, *_: actions + 2),
    "discrete actions are one-hot": after(
        Bandit, "act", lambda actions, self, *_: actions * 0 if self.one_hot else actions
    ),
    "without noise a policy is deterministic": after(
        Bandit, "act", lambda actions, *_: NOISE.uniform(-1, 1, actions.shape).astype(np.float32)
    ),
    "updates change the weights": {"update": lambda self, batch: {"value": torch.zeros(())}},
    "metrics of update are detached numbers": {"update": lambda self, batch: {"value": 1.0}},
    "a restored agent continues exactly": {"load_state_dict": lambda self, state, **_: None},
    "schedule works": {"schedule": lambda self: None},
    "what preprocess returns is uint8": after(Bandit, "preprocess", lambda frames, *_: frames.astype(np.float32)),
    "the class declares whether it is curious": {"curious": None},
    "an agent that is not curious refuses to be": {
        "__init__": lambda self, *a, discrete, curious: Bandit.__init__(self, *a, discrete=discrete)
    },
}


@pytest.mark.parametrize("rule", AGENTS)
def test_a_broken_agent_is_told(rule):
    tell(lambda: check_agent(changed(Bandit, **AGENTS[rule]), BLOCK["bandit"]), rule)


class Shared(DotEnv):
    """Returns its buffer, not a copy."""

    buffer = np.zeros((64, 64, 3), np.uint8)

    def render(self):
        self.buffer[:] = self.steps
        return self.buffer


class Played(Dots):
    """Dots in environments of another class."""

    environment = DotEnv

    def make(self, task, seed, env, frames, pixels=True):
        return self.environment(checked(self.Env, env), frames, pixels)


SUITES = {
    "idle_action is float32": {"idle_action": lambda self, task: np.zeros(1)},
    "idle_action fits the action_space": {"idle_action": lambda self, task: np.zeros(2, np.float32)},
    "canonical refuses an unknown task": {"canonical": lambda self, task: task},
    "shared_labels says whether tasks share a task_label": {"shared_labels": True},
    "features are known": {"features": frozenset({"magic"})},
    "an episode ends after episode_steps at the latest": {"episode_steps": lambda self, task, env: 3},
    "a suite pickles": {"__init__": lambda self: setattr(self, "simulator", lambda: None)},
}
ENVIRONMENTS = {
    "frames that were returned do not change": Shared,
    "reset(seed=...) begins the same episode each time": changed(
        DotEnv, reset=lambda self, seed=None, options=None: DotEnv.reset(self)
    ),
    "rewards are finite": changed(DotEnv, **after(DotEnv, "step", lambda seen, *_: (seen[0], np.nan, *seen[2:]))),
    "an observation is uint8": changed(DotEnv, **after(DotEnv, "render", lambda frame, *_: frame.astype(np.float32))),
    "info has the state": changed(DotEnv, **after(DotEnv, "step", lambda seen, *_: (*seen[:4], {}))),
}


@pytest.mark.parametrize("rule", SUITES)
def test_a_broken_suite_is_told(rule, monkeypatch):
    kind = changed(Dots, **SUITES[rule])
    monkeypatch.setitem(globals(), kind.__name__, kind)  # so that it pickles
    monkeypatch.setattr(kind, "__module__", __name__)
    tell(lambda: check_suite(kind, env={"max_steps": 5}), rule)


@pytest.mark.parametrize("rule", ENVIRONMENTS)
def test_a_broken_environment_is_told(rule, monkeypatch):
    kind = changed(Played, environment=ENVIRONMENTS[rule])
    monkeypatch.setitem(globals(), kind.__name__, kind)
    monkeypatch.setattr(kind, "__module__", __name__)
    tell(lambda: check_suite(kind, env={"max_steps": 5}), rule)


class Loud(Push):
    def __call__(self, states, deterministic, rng):
        return super().__call__(states, deterministic, rng) * 3


class Wide(Push):
    def __call__(self, states, deterministic, rng):
        return super().__call__(states, deterministic, rng).astype(np.float64)


class Drifting(Push):
    def __call__(self, states, deterministic, rng):
        return NOISE.uniform(-1, 1, (len(states), 1)).astype(np.float32)


class Rude(Push):
    def __call__(self, states, deterministic, rng):
        random.random()
        return super().__call__(states, deterministic, rng)


POLICIES = {
    "what a policy returns is within -1.0 and 1.0": lambda self, learned: Loud(1.0),
    "what a policy returns is float32": lambda self, learned: Wide(1.0),
    "actions follow from states and generator alone": lambda self, learned: Drifting(1.0),
    "a policy pickles": lambda self, learned: lambda states, deterministic, rng: np.zeros((len(states), 1)),
    "no global state is left behind": lambda self, learned: Rude(1.0),
}


@pytest.mark.parametrize("rule", POLICIES)
def test_a_broken_expert_is_told(rule, monkeypatch):
    kind = changed(PushExpert, policy=POLICIES[rule])
    monkeypatch.setitem(EXPERTS._targets, "push", kind)
    tell(lambda: check_expert(kind(Dots(), "right", kind.Config())), rule)


IMPORTED = {
    "frames is uint8": lambda e: replace(e, frames=e.frames.astype(np.float32)),
    "an episode has two frames or more": lambda e: replace(e, frames=e.frames[:1], rewards=e.rewards[:1]),
    "rewards are float32 (T,), one per frame": lambda e: replace(e, rewards=e.rewards[1:]),
    "the first frame has no reward": lambda e: replace(e, rewards=np.ones(len(e.frames), np.float32)),
    "kind is known": lambda e: replace(e, kind="hero"),
}


@pytest.mark.parametrize("rule", [*IMPORTED, "a path that is missing is refused with BadData", "there is an episode"])
def test_a_broken_importer_is_told(rule, tmp_path):
    np.save(tmp_path / "0.npy", np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8))

    def read(path, size, **about):
        if rule in IMPORTED:
            yield from map(IMPORTED[rule], read_npy(path, size))
        elif rule != "there is an episode" and path.exists():
            yield from read_npy(path, size)

    tell(lambda: check_importer(read, tmp_path, size=8), rule)
