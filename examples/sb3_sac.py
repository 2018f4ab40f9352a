"""SAC of stable-baselines3 on a VIPER reward: `python examples/sb3_sac.py --steps 20000`.

The policy reads the simulator's state; the reward reads frames. Once an episode the true return is printed; it is never
learned from. Needs: pip install 'viper-pipeline[dmc,agents]'.
"""

from __future__ import annotations

import argparse

import gymnasium
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor

import viper_pipeline.gym  # registers viper/...

TASK = "cartpole_balance"


class TrueReturns(BaseCallback):
    """Adds up `info["true_reward"]`, and prints both returns at the end of each episode."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = 0.0
        self.finished: list[tuple[float, float]] = []  # VIPER's return, the true return

    def _on_step(self) -> bool:
        info = self.locals["infos"][0]
        self.sum += info["true_reward"]
        if "episode" in info:
            self.finished.append((info["episode"]["r"], self.sum))
            print(f"{self.num_timesteps} steps: return {info['episode']['r']:.1f} (VIPER), {self.sum:.1f} (true)")
            self.sum = 0.0
        return True


def train(steps: int, task: str = TASK, seed: int = 0, learning_starts: int = 1000) -> tuple[SAC, TrueReturns]:
    """Train for `steps` steps of the environment."""
    env = Monitor(gymnasium.make(viper_pipeline.gym.env_id(task), pixels=False))
    agent, returns = SAC("MlpPolicy", env, seed=seed, learning_starts=learning_starts), TrueReturns()
    agent.learn(steps, callback=returns)
    return agent, returns


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--task", default=TASK)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
