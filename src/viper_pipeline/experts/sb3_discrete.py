"""PPO of stable-baselines3 for tasks whose actions are buttons, on the console's memory (paper 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from viper_pipeline.core.errors import BadData
from viper_pipeline.experts.policies import Policy
from viper_pipeline.experts.sb3 import Learner, OracleConfig, good_enough, play
from viper_pipeline.experts.scripts_atari import ScriptConfig, script_for
from viper_pipeline.experts.search import SearchConfig, Searcher
from viper_pipeline.training.artifacts import Directory, history_csv
from viper_pipeline.training.checkpoints import derive, load_checkpoint, save_checkpoint, seed_everything
from viper_pipeline.training.progress import Progress, silent

FORMAT = "viper player 1"


class Buttons(gymnasium.Wrapper):
    """Preferences (A,) as a choice among `numbers`."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.numbers = np.asarray(env.get_wrapper_attr("numbers"))
        self.preferences = int(np.prod(env.action_space.shape or ()))
        self.action_space = gymnasium.spaces.Discrete(len(self.numbers))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Press the button."""
        chosen = np.full(self.preferences, -1.0, np.float32)
        chosen[self.numbers[int(action)]] = 1.0
        return self.env.step(chosen)


class ButtonsLearner(Learner):
    """PPO with a categorical actor; all else as for continuous actions."""

    def __init__(self, make_env: Callable[[int], gymnasium.Env], config: OracleConfig, seed: int) -> None:
        super().__init__(lambda s: Buttons(make_env(s)), config, seed)
        first = self.env.venv.envs[0]
        self.numbers, self.preferences = first.get_wrapper_attr("numbers"), first.get_wrapper_attr("preferences")

    def actor(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """The actor as plain values and tensors, for `Player`."""
        policy = self.agent.policy
        layers = [m for m in policy.mlp_extractor.policy_net if isinstance(m, torch.nn.Linear)]
        tensors: dict[str, torch.Tensor] = {}
        for name, module in [*((f"hidden.{i}", m) for i, m in enumerate(layers)), ("logits", policy.action_net)]:
            tensors |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
        rms = self.env.obs_rms
        tensors["states.centre"] = torch.as_tensor(rms.mean, dtype=torch.float32)
        tensors["states.scale"] = torch.as_tensor(1 / np.sqrt(rms.var + self.env.epsilon), dtype=torch.float32)
        about = {"layers": len(layers), "numbers": self.numbers.tolist(), "preferences": self.preferences}
        return about, {name: tensor.detach().clone() for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Player:
    """A categorical actor as NumPy matrices: states (E, D) -> preferences (E, A), 1 for the choice, -1 else.

    It samples even when `deterministic`: the most likely action alone may wait for a button that is never pressed.
    """

    hidden: tuple[tuple[np.ndarray, np.ndarray], ...]
    logits: tuple[np.ndarray, np.ndarray]
    centre: np.ndarray
    scale: np.ndarray
    numbers: np.ndarray
    preferences: int

    def __call__(self, states: np.ndarray, deterministic: bool, rng: np.random.Generator) -> np.ndarray:
        """The next action of each."""
        x = np.clip((np.asarray(states, np.float32) - self.centre) * self.scale, -10, 10)
        for weight, bias in self.hidden:
            x = np.tanh(x @ weight.T + bias)
        choice = np.argmax(x @ self.logits[0].T + self.logits[1] + rng.gumbel(size=(len(x), len(self.numbers))), 1)
        preferences = np.full((len(x), self.preferences), -1.0, np.float32)
        preferences[np.arange(len(x)), self.numbers[choice]] = 1.0
        return preferences


def player_from(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Player:
    """Rebuild the actor that `ButtonsLearner.actor` took out."""
    arrays = {name: tensor.to(torch.float32).numpy() for name, tensor in tensors.items()}

    def layer(name: str) -> tuple[np.ndarray, np.ndarray]:
        return arrays[f"{name}.weight"], arrays[f"{name}.bias"]

    return Player(
        tuple(layer(f"hidden.{i}") for i in range(about["layers"])),
        layer("logits"),
        arrays["states.centre"],
        arrays["states.scale"],
        np.array(about["numbers"]),
        about["preferences"],
    )


def train_player(
    make_state_env: Callable[[int], gymnasium.Env],
    config: OracleConfig | ScriptConfig | SearchConfig,
    task: str,
    seed: int,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Directory:
    """A script's or a search's recipe is all there is of it; PPO trains until `steps`, or until `stop_return`.

    scratch: folder for checkpoints, one per evaluation; killed and called again, it goes on from there.
    Returns what `load_player` reads, and for PPO `curve.csv` (evaluation returns).
    """
    about: dict[str, Any] = {"format": FORMAT, "task": task, "recipe": config.model_dump(mode="json")}
    if isinstance(config, ScriptConfig):
        script_for(task, config.noise)
    if not isinstance(config, OracleConfig):
        return Directory(about)
    seed_everything(seed)
    learner, judge = ButtonsLearner(make_state_env, config, seed), make_state_env(derive(seed, "judge"))
    chunk, history, best = 0, list[dict[str, float]](), dict[str, Any]()
    path = scratch / "player.pt" if scratch else None
    if path and (saved := load_checkpoint(path)):
        learner.load_state(saved["learner"])
        chunk, history, best = saved["chunk"], saved["history"], saved["best"]
    while learner.steps < config.steps and not good_enough(history, config):
        learner.learn(chunk, min(config.eval_every, config.steps - learner.steps))
        chunk += 1
        actor, tensors = learner.actor()
        one = partial(play, judge, player_from(actor, tensors))
        returns = [one(derive(seed, "evaluate", chunk, i)) for i in range(config.eval_episodes)]
        history.append({"step": learner.steps, "return": float(np.mean(returns)), "lowest": float(np.min(returns))})
        if not best or config.keep == "last" or history[-1]["return"] >= best["return"]:
            best = {**history[-1], "actor": actor, "tensors": tensors}
        if path:
            save_checkpoint(path, {"learner": learner.state(), "chunk": chunk, "history": history, "best": best})
        progress(learner.steps, config.steps, {"return": history[-1]["return"], "best": best["return"]})
    about |= {"actor": best["actor"], "steps": best["step"], "steps_trained": learner.steps, "return": best["return"]}
    learner.close()
    judge.close()
    return Directory(about, best["tensors"], {"curve.csv": history_csv(history)})


def load_player(directory: Directory) -> Policy:
    """The player that `train_player` made. Raises BadData for another oracle's folder."""
    about = directory.config
    if about.get("format") != FORMAT:
        raise BadData(f"config.json: format {about.get('format')!r} is not '{FORMAT}'; train the oracle anew")
    if about["recipe"]["algorithm"] == "script":
        return script_for(about["task"], about["recipe"]["noise"])
    if about["recipe"]["algorithm"] == "search":
        return Searcher(SearchConfig.model_validate(about["recipe"]))
    return player_from(about["actor"], directory.tensors)
