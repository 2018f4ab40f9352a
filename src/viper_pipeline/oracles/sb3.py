"""Train an oracle with stable-baselines3 on state and true reward (paper 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from viper_pipeline.errors import BadData
from viper_pipeline.oracles.config import OracleConfig
from viper_pipeline.oracles.learner import Learner
from viper_pipeline.oracles.policy import MlpPolicy, Policy, policy_from
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.training.checkpoints import load_checkpoint, save_checkpoint
from viper_pipeline.training.curves import history_csv
from viper_pipeline.training.progress import Progress, silent
from viper_pipeline.training.seeding import derive, seed_everything

__all__ = ["OracleConfig", "load_policy", "train_oracle"]
FORMAT = "viper oracle 1"


def train_oracle(
    make_state_env: Callable[[int], gymnasium.Env],
    config: OracleConfig,
    seed: int,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Directory:
    """Train until `config.steps`, or until evaluations reach `config.stop_return`.

    make_state_env: seed -> an environment whose observation is the state (D,), with actions in [-1, 1].
    scratch: folder for checkpoints, one per evaluation; killed and called again with the same arguments, the
        run continues from it and ends bit for bit as if it had never been interrupted (CPU, equal threads).
    Returns the actor as tensors, what is needed to rebuild it, and `curve.csv` (evaluation returns).
    """
    seed_everything(seed)
    learner = Learner(make_state_env, config, seed)
    judge = make_state_env(derive(seed, "judge"))
    history: list[dict[str, float]] = []
    best: dict[str, Any] = {}
    chunk = 0
    path = scratch / "oracle.pt" if scratch else None
    if path and (saved := load_checkpoint(path)):
        learner.load_state(saved["learner"])
        chunk, history, best = saved["chunk"], saved["history"], saved["best"]
    while learner.steps < config.steps and not good_enough(history, config):
        learner.learn(chunk, min(config.eval_every, config.steps - learner.steps))
        chunk += 1
        actor, tensors = learner.actor()
        policy = policy_from(actor, {name: tensor.numpy() for name, tensor in tensors.items()})
        seeds = [derive(seed, "evaluate", chunk, i) for i in range(config.eval_episodes)]
        returns = [play(judge, policy, s) for s in seeds]
        history.append(
            {
                "step": learner.steps,
                "return": float(np.mean(returns)),
                "lowest": float(np.min(returns)),
                "highest": float(np.max(returns)),
            }
        )
        if not best or config.keep == "last" or history[-1]["return"] >= best["return"]:
            best = {
                "return": history[-1]["return"],
                "step": learner.steps,
                "actor": actor,
                "tensors": tensors,
            }
        if path:
            save_checkpoint(path, {"learner": learner.state(), "chunk": chunk, "history": history, "best": best})
        note = {"return": history[-1]["return"], "best": best["return"]}
        progress(config.steps if good_enough(history, config) else learner.steps, config.steps, note)
    learner.close()
    judge.close()
    about = {"format": FORMAT, "recipe": config.model_dump(mode="json"), "actor": best["actor"]}
    about |= {"steps": best["step"], "steps_trained": learner.steps, "return": best["return"]}
    return Directory(about, best["tensors"], {"curve.csv": history_csv(history)})


def good_enough(history: list[dict[str, float]], config: OracleConfig) -> bool:
    """Whether enough evaluations in a row reached the return at which to stop."""
    last = [row["return"] for row in history[-config.stop_in_a_row :]]
    return config.stop_return is not None and len(last) == config.stop_in_a_row and min(last) >= config.stop_return


def play(env: gymnasium.Env, policy: Policy, seed: int, deterministic: bool = True) -> float:
    """The return of one episode that begins with `seed`."""
    state, _ = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    total, done = 0.0, False
    while not done:
        state, reward, terminated, truncated, _ = env.step(policy(state[None], deterministic, rng)[0])
        total += float(reward)
        done = terminated or truncated
    return total


def load_policy(directory: Directory) -> MlpPolicy:
    """The oracle's actor, a function (states (E, D), deterministic, rng) -> actions (E, A)."""
    if directory.config.get("format") != FORMAT:
        raise BadData(
            f"config.json: format {directory.config.get('format')!r} is not '{FORMAT}'; train the oracle anew"
        )
    try:
        arrays = {name: tensor.to(torch.float32).numpy() for name, tensor in directory.tensors.items()}
        return policy_from(directory.config["actor"], arrays)
    except KeyError as error:
        raise BadData(f"weights.safetensors or config.json: {error} is missing; train the oracle anew") from error
