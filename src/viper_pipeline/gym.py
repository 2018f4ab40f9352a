"""Environments that pay a VIPER reward, as gymnasium ids: `gymnasium.make("viper/cartpole_balance-v0")`.

Importing this module registers an id for each task of each reward that comes with the package:

    import gymnasium
    import viper_pipeline.gym

    env = gymnasium.make("viper/cartpole_balance-v0")
    envs = gymnasium.make_vec("viper/cartpole_balance-v0", num_envs=4)

`gymnasium.make("viper_pipeline.gym:viper/cartpole_balance-v0")` needs no import. Where several rewards know a task, the
id stands for the first of them by name; `reward=` chooses another, or a folder of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from viper_pipeline.core.errors import BadParams
from viper_pipeline.rewards.pretrained import PRETRAINED, load_reward, pretrained
from viper_pipeline.rewards.wrappers import VectorViperWrapper, ViperWrapper
from viper_pipeline.training.artifacts import CONFIG

NAMESPACE, VERSION = "viper", 0


def env_id(task: str) -> str:
    """The id of a task, `viper/<task>-v0`."""
    return f"{NAMESPACE}/{task}-v{VERSION}"


def shipped_tasks() -> dict[str, str]:
    """Each task that a reward of the package knows -> the name of the first such reward."""
    found: dict[str, str] = {}
    for name in pretrained():
        for task in json.loads((PRETRAINED / name / "reward" / CONFIG).read_text())["specs"]:
            found.setdefault(task, name)
    return found


def make(
    task: str, reward: str | Path, pixels: bool = True, seed: int = 0, render_mode: str = "rgb_array"
) -> ViperWrapper:
    """The environment of a task, paid by `reward`: a name or a folder, as `load_reward` takes it.

    pixels: observations are frames, uint8 (H, W, 3), else the simulator's state, float32 (D,). seed: of the first
    episode, if `reset` is given none. Raises BadData for an unknown task, BadEnvironment without the simulator.
    """
    model = load_reward(reward)
    _check_render_mode(render_mode)
    return ViperWrapper(model.environment(task, seed, pixels), model.of(task))


def make_vec(
    task: str,
    reward: str | Path,
    num_envs: int = 1,
    pixels: bool = True,
    seed: int = 0,
    render_mode: str = "rgb_array",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
) -> VectorViperWrapper:
    """`num_envs` such environments, whose frames are scored in one batch; number i begins with seed + i.

    All are simulated in this process.
    """
    model = load_reward(reward)
    _check_render_mode(render_mode)
    makers: list[Callable[[], gymnasium.Env]] = [
        partial(model.environment, task, seed + i, pixels) for i in range(num_envs)
    ]
    return VectorViperWrapper(SyncVectorEnv(makers, autoreset_mode=AutoresetMode(autoreset_mode)), model.of(task))


def _check_render_mode(mode: str) -> None:
    if mode != "rgb_array":
        raise BadParams(f"render_mode {mode!r}: the reward is computed from what is drawn, so it must be 'rgb_array'")


def register() -> tuple[str, ...]:
    """Register an id for each shipped task, if that has not been done; return all of them."""
    for task, reward in shipped_tasks().items():
        if env_id(task) not in gymnasium.registry:
            gymnasium.register(
                env_id(task),
                entry_point=f"{__name__}:make",
                vector_entry_point=f"{__name__}:make_vec",
                kwargs={"task": task, "reward": reward},
                disable_env_checker=True,
            )
    return tuple(env_id(task) for task in shipped_tasks())


register()
