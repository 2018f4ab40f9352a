"""Atari: the seven games of Fig 11, and Defender, which the paper's video model saw too (section 4.1)."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal

import gymnasium
import numpy as np
from PIL import Image
from pydantic import Field

from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.envs.base import (
    EnvSettings,
    FrameSettings,
    FrameSpec,
    Info,
    Rect,
    Settings,
    Suite,
    SuiteEnv,
    checked,
)


@dataclass(frozen=True)
class Game:
    """One game. Bands are rows (first, after the last) of a frame of 64 rows that hold score, clock or lives."""

    rom: str
    bands: tuple[tuple[int, int], ...]
    random: float
    human: float


GAMES = {
    "assault": Game("assault", ((0, 4), (58, 64)), 222.4, 742.0),
    "atlantis": Game("atlantis", ((57, 64),), 12850.0, 29028.1),
    "boxing": Game("boxing", ((0, 4),), 0.1, 12.1),
    "defender": Game("defender", ((0, 3), (53, 64)), 2874.5, 18688.9),
    "freeway": Game("freeway", ((0, 4),), 0.0, 29.6),
    "kangaroo": Game("kangaroo", ((55, 64),), 52.0, 3035.0),
    "pong": Game("pong", ((0, 7),), -20.7, 14.6),
    "zaxxon": Game("zaxxon", ((0, 7),), 32.5, 9173.3),
}
"""Random and human scores as published with DQN and its successors; they normalize a score as Fig 11 does."""


def human_normalized(task: str, score: float) -> float:
    """A score on the scale on which random play is 0 and a human tester 1."""
    game = GAMES[task]
    return (score - game.random) / (game.human - game.random)


ALE_ACTIONS = 18
"""Positions of joystick and button; ALE numbers them alike for every game, and 0 does nothing."""
ROWS = 64
"""Rows of the frame on which the masks of `GAMES` are given."""


class AtariRules(EnvSettings):
    """How a game is played. Defaults: the paper's reference code."""

    action_repeat: int = Field(4, gt=0, description="emulator frames for which an action is held")
    sticky: float = Field(0.25, ge=0, lt=1, description="chance that an emulator frame repeats the last action")
    action_set: Literal["full", "minimal"] = Field("full", description="all 18 actions, or those the game uses")
    game_over: Literal["continues", "terminates"] = Field(
        "continues",
        description="continues: the end of a game only truncates the episode, so that ending early is no advantage; "
        "terminates: the value after it is 0",
    )
    max_frames: int = Field(108_000, gt=0, description="emulator frames after which an episode is truncated")


class Atari(Suite):
    """The suite `atari`. Scores are true and never clipped; losing a life does not end an episode."""

    name = "atari"
    discrete = True
    """Actions are preferences (18,): the greatest one among the game's actions is played."""
    features = frozenset({"training", "emulator", "scripts"})
    Env = AtariRules

    def tasks(self) -> tuple[str, ...]:
        """All games, by ALE's names."""
        return tuple(GAMES)

    def frame_spec(self, task: str, env: Settings, frames: Settings) -> FrameSpec:
        """How frames look: the mean over areas of the greater of an action's last two screens."""
        self.canonical(task)
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ale-py", "pillow")]
        return FrameSpec(
            size=checked(FrameSettings, frames).size,
            camera="screen",
            action_repeat=checked(AtariRules, env).action_repeat,
            shadows=False,
            antialiasing=True,
            gl_backend="none",
            library=" ".join(versions),
        )

    def make(self, task: str, seed: int, env: Settings, frames: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One game; see `Suite.make`."""
        return AtariEnv(self.canonical(task), seed, checked(AtariRules, env), frames, pixels)

    def idle_action(self, task: str) -> np.ndarray:
        """The stick in the middle, the button up."""
        self.canonical(task)
        return one_hot(0)

    def masks(self, task: str) -> list[Rect]:
        """The bands of the frame that show score, clock or lives (paper 4.2)."""
        bands = GAMES[self.canonical(task)].bands
        return [Rect(top=top, left=0, bottom=bottom, right=ROWS) for top, bottom in bands]

    def episode_steps(self, task: str, env: Settings) -> int:
        """Agent steps of the longest episode."""
        self.canonical(task)
        rules = checked(AtariRules, env)
        return -(-rules.max_frames // rules.action_repeat)


def one_hot(action: int) -> np.ndarray:
    """An ALE action as preferences (18,) float32: 1 for it, -1 for the others."""
    preferences = np.full(ALE_ACTIONS, -1.0, np.float32)
    preferences[action] = 1.0
    return preferences


class AtariEnv(SuiteEnv):
    """One game. State (256,): the console's 128 bytes of memory, and how each changed since the last step."""

    def __init__(self, task: str, seed: int, rules: AtariRules, spec: FrameSpec, pixels: bool) -> None:
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.task, self.rules, self.spec_of_frames, self.pixels = task, rules, spec, pixels
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", rules.sticky)
        rom = ale_py.roms.get_rom_path(GAMES[task].rom)
        if rom is None:
            raise BadEnvironment(
                f"ale-py {ale_py.__version__} has no ROM of {task}; install the version that make setup does"
            )
        self.rom = rom
        self._power_on(seed)
        self.useful = list(self.ale.getMinimalActionSet())
        self.useful_actions = np.array([int(a.value) for a in self.useful])
        self.actions = self.useful if rules.action_set == "minimal" else list(self.ale.getLegalActionSet())
        self.numbers = np.array([int(a.value) for a in self.actions])
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ALE_ACTIONS,), np.float32)
        size = spec.size
        self.observation_space = (
            gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
            if pixels
            else gymnasium.spaces.Box(-255, 255, (256,), np.float32)
        )
        self.memory = self._memory()
        self.frames = 0

    def _power_on(self, seed: int) -> None:
        # ALE reads the seed when a cartridge is put in, and at no other time.
        self.ale.setInt("random_seed", seed % 2**31)
        self.ale.loadROM(self.rom)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin a game; with `seed`, the same one as any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self._power_on(seed)
        self.ale.reset_game()
        self.frames, self.memory = 0, self._memory()
        self.screens = [self._screen()]
        return self._observe()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Hold the preferred of the game's actions for `action_repeat` emulator frames; preferences (18,)."""
        chosen = self.actions[int(np.argmax(np.asarray(action)[self.numbers]))]
        reward, held = 0.0, self.rules.action_repeat
        for i in range(held):
            reward += self.ale.act(chosen)
            self.frames += 1
            if i >= held - 2 and self.pixels:  # many games draw half of their figures in every other frame
                self.screens = [*self.screens[-1:], self._screen()] if i == held - 1 > 0 else [self._screen()]
            if self.ale.game_over():
                break
        over = bool(self.ale.game_over())
        ends = over and self.rules.game_over == "terminates"
        observation, info = self._observe()
        return observation, reward, ends, not ends and (over or self.frames >= self.rules.max_frames), info

    def imagine(self, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play `plans` (N, H), positions in `useful_actions`, from the present state; the game stays as it is.

        Returns each step's score (N, H) and the lives left after it (N, H). Sticky actions cannot be foreseen: they
        are drawn anew each time.
        """
        scores, lives = np.zeros(plans.shape, np.float32), np.zeros(plans.shape, np.float32)
        here = self.ale.cloneState()
        for n, plan in enumerate(plans):
            for step, chosen in enumerate(plan):
                scores[n, step] = sum(self.ale.act(self.useful[chosen]) for _ in range(self.rules.action_repeat))
                lives[n, step] = self.ale.lives()
                if self.ale.game_over():
                    break
            self.ale.restoreState(here)
        return scores, lives

    def render(self) -> np.ndarray:
        """The present frame, uint8 (H, W, 3)."""
        size = self.spec_of_frames.size
        screen = Image.fromarray(np.maximum.reduce(self.screens))
        return np.asarray(screen.resize((size, size), Image.Resampling.BOX))

    def _screen(self) -> np.ndarray:
        return self.ale.getScreenRGB()

    def _memory(self) -> np.ndarray:
        return self.ale.getRAM().astype(np.float32)

    def _observe(self) -> tuple[np.ndarray, Info]:
        memory = self._memory()
        state = np.concatenate([memory, memory - self.memory])
        self.memory = memory
        return (self.render() if self.pixels else state), {"state": state}

    def close(self) -> None:
        """Free the emulator: alive at a process's end, its library calls it leaked, in a dozen lines."""
        self.__dict__.pop("ale", None)
