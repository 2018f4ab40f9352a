"""The stage of an agent gives Dreamer discrete actions where the suite has them, its own curiosity and runs."""

from __future__ import annotations

from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.training.config import ONE_CPU

COMPUTE = ONE_CPU.model_dump()

RUNS = {"steps": 24, "round_steps": 6, "random_steps": 12, "updates_per_step": 0.2, "eval_every": 24,
        "eval_episodes": 1, "final_episodes": 1}  # fmt: skip
DREAMER = {"pixels": 16, "depth": 4, "deter": 16, "stoch": 4, "classes": 4, "hidden": 16, "layers": 1,
           "ensemble_size": 2, "batch_size": 2, "batch_length": 4, "horizon": 2}  # fmt: skip


def run(config, env, reward, bonus=None, **place):
    return train_agent(
        config,
        RUNS,
        env,
        {},
        COMPUTE,
        None,
        bonus,
        reward=reward,
        exploration="rnd" if bonus else None,
        agent="dreamer",
        seed=0,
        **place,
    )


def test_plays_atari_with_discrete_actions():
    env = {"action_repeat": 4, "max_frames": 40}
    made = run(DREAMER, env, "task_reward", suite="atari", task="freeway")
    assert made.tensors["actor.mlp.3.weight"].shape[0] == 18, "one number per action"
    assert b"model_loss" in made.files["curve.csv"] and b"bonus_return" not in made.files["curve.csv"]


def test_explores_by_itself_and_as_long_as_its_own_block_says():
    own = {**RUNS, "steps": 18}
    made = run(DREAMER | {"runs": own}, {"action_repeat": 4, "max_frames": 40}, "exploration", {"weight": 1.0},
               suite="atari", task="freeway")  # fmt: skip
    assert made.config["run"]["steps"] == 18 and b"bonus_return" in made.files["curve.csv"]
