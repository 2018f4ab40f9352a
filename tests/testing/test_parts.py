"""Every registered part keeps the contract of its kind, and so does a toy of each kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.agents.dreamer.small import SMALL
from tests.agents.test_dqn import SMALL as DQN_SMALL
from tests.agents.test_train import DRQ
from tests.data.makers import file
from tests.testing.toys import BLOCK, LOOP
from viper_pipeline.agents.base import AGENTS
from viper_pipeline.data.episode import gif
from viper_pipeline.data.importers import IMPORTERS
from viper_pipeline.envs import SUITES
from viper_pipeline.experts.base import EXPERTS, make_expert
from viper_pipeline.rewards.base import EXPLORATION, REWARDS, RewardContext
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
from viper_pipeline.tokenizers import TOKENIZERS
from viper_pipeline.video_models import VIDEO_MODELS

VQGAN = {
    "kind": "vqgan",
    "architecture": "light",
    "channels": 4,
    "multipliers": [1, 2],
    "quantizer": {"size": 8, "dim": 4, "kind": "ema", "restart_below": 0.5},
    "discriminator": {"weight": 0.0},
    "training": LOOP,
}
GPT = {"window": 4, "width": 8, "feedforward": 16, "heads": 2, "layers": 1, "training": LOOP}
RND = {"channels": [4], "kernels": [3], "strides": [2], "hidden": [8], "clip": 1e3, "learning_rate": 0.003}
GIVEN = Path(__file__).parents[2] / "pretrained/experts/dmc"
TRAINED = {"steps": 40, "batch_size": 8, "net_arch": [8], "eval_every": 40, "eval_episodes": 1}

SMALLEST = {
    "suite": {"dmc": {"action_repeat": 100}, "atari": {"max_frames": 40}, "tabletop": {}, "rlbench": {}, "dots": {}},
    "expert": {
        "sac": ("dots", "right", {}, {**TRAINED, "learning_starts": 20}),
        "ppo": ("dots", "right", {}, {**TRAINED, "rollout_steps": 20, "batch_size": 10}),
        "script": ("atari", "pong", {}, {}),
        "rally": ("atari", "pong", {}, {}),
        "search": ("atari", "zaxxon", {}, {"futures": 2, "horizon": 4, "follow": 2}),
        "planner": None,
        "file": ("dmc", "point_mass_easy", {"action_repeat": 100}, {"path": str(GIVEN / "point_mass_easy")}),
        "push": ("dots", "right", {}, {}),
    },
    "tokenizer": {"vqgan": VQGAN, "mosaic": BLOCK["tokenizer"]},
    "video model": {
        "videogpt": GPT,
        "videogpt_ratio": GPT,
        "videogpt_streaming": GPT | {"window": 6, "context": 2},
        "maskgit": GPT | {"passes": 3},
        "byol": {"window": 4, "width": 8, "horizon": 2, "training": LOOP},
        "habit": BLOCK["habit"],
    },
    "exploration": {"rnd": RND, "none": {"kind": "none"}, "last_seen": BLOCK["exploration"]},
    "agent": {
        "drq": DRQ,
        "dreamer": SMALL.model_copy(update={"batch_size": 3, "batch_length": 5, "horizon": 3}),
        "dqn": DQN_SMALL,
        "bandit": BLOCK["bandit"],
    },
}
"""Kind -> name of a part -> settings with which it is checked in seconds."""
ELSEWHERE = ("rlbench", "lerobot", "minari", "hdf5")
REGISTRIES = {
    "suite": SUITES,
    "expert": EXPERTS,
    "tokenizer": TOKENIZERS,
    "video model": VIDEO_MODELS,
    "exploration": EXPLORATION,
    "agent": AGENTS,
}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_registered_part_is_checked(kind):
    assert set(SMALLEST[kind]) == set(REGISTRIES[kind].names())


@pytest.mark.parametrize("name", SMALLEST["suite"])
def test_a_suite(name):
    if name == "rlbench":
        check_suite(name, simulate=False)
        pytest.skip("the simulator of rlbench is not installed: its environments were not played")
    check_suite(name, env=SMALLEST["suite"][name])


@pytest.mark.parametrize("name", SMALLEST["expert"])
def test_an_expert(name):
    if name == "planner":
        pytest.skip("the planner is that of rlbench, whose simulator is not installed")
    suite, task, env, recipe = SMALLEST["expert"][name]
    check_expert(make_expert(SUITES.get(suite)(), task, {"algorithm": name, **recipe}), env)


@pytest.mark.parametrize("name", SMALLEST["tokenizer"])
def test_a_tokenizer(name):
    check_tokenizer(name, SMALLEST["tokenizer"][name])


@pytest.mark.parametrize("name", SMALLEST["video model"])
def test_a_video_model(name):
    check_video_model(name, SMALLEST["video model"][name])


@pytest.mark.parametrize("name", [*REWARDS.names(), "brightness"])
def test_a_reward(name):
    check_reward(name, BLOCK | {"amp": {}, "viper_ratio": {"negatives": "replay"}})


def test_a_reward_source():
    method = REWARDS.get("brightness")()
    context = RewardContext("dots", "right", "cpu", lambda task: None)
    check_reward_source(method.build(context, method.Config(), {}))


@pytest.mark.parametrize("name", SMALLEST["exploration"])
def test_an_exploration_bonus(name):
    check_exploration(name, SMALLEST["exploration"][name])


@pytest.mark.parametrize("name", SMALLEST["agent"])
def test_an_agent(name):
    check_agent(name, SMALLEST["agent"][name])


@pytest.mark.parametrize("name", [name for name in IMPORTERS.names() if name not in ELSEWHERE] + ["npy"])
def test_an_importer(name, tmp_path):
    """Those of ELSEWHERE are checked beside the datasets that they read, in tests/data."""
    videos = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), dtype=np.uint8)
    folder = tmp_path / "videos"
    folder.mkdir()
    for i, video in enumerate(videos):
        if name == "npz":
            np.savez(folder / f"{i}.npz", video)
        elif name == "npy":
            np.save(folder / f"{i}.npy", video)
        elif name == "video":
            (folder / f"{i}.gif").write_bytes(gif(video))
    check_importer(name, file(tmp_path / "episodes.h5") if name == "episodes" else folder, size=8)
