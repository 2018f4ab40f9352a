"""Atari: the seven games of Fig 11, and Defender, which the paper's video model saw too (section 4.1)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from PIL import Image
from pydantic import Field

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.envs.base import FrameSettings, FrameSpec, Rect


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
"""Random and human scores as published with DQN and its successors; they normalise a score as Fig 11 does."""


def human_normalised(task: str, score: float) -> float:
    """A score on the scale on which random play is 0 and a human tester 1."""
    game = GAMES[task]
    return (score - game.random) / (game.human - game.random)


ACTIONS = 18
"""Positions of joystick and button; ALE numbers them alike for every game, and 0 does nothing."""
ROWS = 64
"""Rows of the frame on which the masks of `GAMES` are given."""


class Rules(FrameSettings):
    """How a game is drawn and played. Defaults: the paper's reference code."""

    action_repeat: int = Field(4, gt=0, description="emulator frames an action is held")
    sticky: float = Field(0.25, ge=0, lt=1, description="chance that an emulator frame repeats the last action")
    action_set: Literal["full", "minimal"] = Field("full", description="all 18 actions, or those the game uses")
    game_over: Literal["continues", "terminates"] = Field(
        "continues",
        description="continues: the end of a game is only a cut to the agent, so that ending early never pays; "
        "terminates: nothing is worth anything after it",
    )
    max_frames: int = Field(108_000, gt=0, description="emulator frames after which an episode is cut")


class AtariSpec(FrameSpec):
    """A frame specification that also says how to play; the rules change no picture, so no file holds them."""

    rules: Rules = Field(Rules(), exclude=True, repr=False)


class Atari:
    """The suite `atari`. Scores are true and never clipped; lives are no ends."""

    name = "atari"
    discrete = True
    """Actions are preferences (18,): the greatest one among the game's actions is played."""
    imagines = True
    Frames = Rules
    """The schema of `suites.atari.frames`."""

    def tasks(self) -> tuple[str, ...]:
        """All games, by ALE's names."""
        return tuple(GAMES)

    def canonical(self, task: str) -> str:
        """The game's name. Raises BadParams with a suggestion for unknown names."""
        if task not in GAMES:
            raise BadParams(f"suite 'atari' has no task '{task}'{did_you_mean(task, GAMES)}")
        return task

    def frame_spec(self, task: str, frames: Mapping[str, Any]) -> AtariSpec:
        """How frames look: the mean over areas of the greater of an action's last two screens."""
        self.canonical(task)
        rules = Rules.model_validate(dict(frames))
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ale-py", "pillow")]
        return AtariSpec(
            size=rules.size,
            camera="screen",
            action_repeat=rules.action_repeat,
            shadows=False,
            antialiasing=True,
            gl_backend="none",
            library=" ".join(versions),
            rules=rules,
        )

    def make(self, task: str, seed: int, spec: FrameSpec, pixels: bool = True) -> gymnasium.Env:
        """One game; see `Suite.make`. A specification that came out of a file plays by the default rules."""
        rules = spec.rules if isinstance(spec, AtariSpec) else Rules(size=spec.size, action_repeat=spec.action_repeat)
        return AtariEnv(self.canonical(task), seed, rules, pixels)

    def idle_action(self, task: str) -> np.ndarray:
        """The stick in the middle, the button up."""
        self.canonical(task)
        return one_hot(0)

    def masks(self, task: str) -> list[Rect]:
        """The bands of the frame that show score, clock or lives (paper 4.2)."""
        bands = GAMES[self.canonical(task)].bands
        return [Rect(top=top, left=0, bottom=bottom, right=ROWS) for top, bottom in bands]

    def episode_steps(self, task: str, spec: FrameSpec) -> int:
        """Agent steps of the longest episode."""
        self.canonical(task)
        rules = spec.rules if isinstance(spec, AtariSpec) else Rules()
        return -(-rules.max_frames // spec.action_repeat)


def one_hot(action: int) -> np.ndarray:
    """An ALE action as preferences (18,) float32: 1 for it, -1 for the others."""
    preferences = np.full(ACTIONS, -1.0, np.float32)
    preferences[action] = 1.0
    return preferences


class AtariEnv(gymnasium.Env):
    """One game. State (256,): the console's 128 bytes of memory, and how each changed since the last step."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (gymnasium's convention)
    render_mode = "rgb_array"

    def __init__(self, task: str, seed: int, rules: Rules, pixels: bool) -> None:
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.task, self.rules, self.pixels = task, rules, pixels
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", rules.sticky)
        rom = ale_py.roms.get_rom_path(GAMES[task].rom)
        if rom is None:
            raise BadEnvironment(
                f"ale-py {ale_py.__version__} has no ROM of {task}; install the version that make setup does"
            )
        self.rom = rom
        self._power_on(seed)
        minimal = rules.action_set == "minimal"
        self.actions = list(self.ale.getMinimalActionSet() if minimal else self.ale.getLegalActionSet())
        self.numbers = np.array([int(a.value) for a in self.actions])
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        size = rules.size
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

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin a game; with `seed`, the same one as any other environment reset with it."""
        super().reset(seed=seed)
        if seed is not None:
            self._power_on(seed)
        self.ale.reset_game()
        self.frames, self.memory = 0, self._memory()
        self.screens = [self._screen()]
        return self._observe()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
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
        """What would come of playing `plans` (N, H), positions in `numbers`, from here; the game stays as it is.

        Returns each step's score (N, H) and the lives left after it (N, H). The chance of sticky actions is not
        foreseen: it is drawn anew each time.
        """
        scores, lives = np.zeros(plans.shape, np.float32), np.zeros(plans.shape, np.float32)
        here = self.ale.cloneState()
        for n, plan in enumerate(plans):
            for step, chosen in enumerate(plan):
                scores[n, step] = sum(self.ale.act(self.actions[chosen]) for _ in range(self.rules.action_repeat))
                lives[n, step] = self.ale.lives()
                if self.ale.game_over():
                    break
            self.ale.restoreState(here)
        return scores, lives

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The present frame, uint8 (H, W, 3)."""
        size = self.rules.size
        screen = Image.fromarray(np.maximum.reduce(self.screens))
        return np.asarray(screen.resize((size, size), Image.Resampling.BOX))

    def _screen(self) -> np.ndarray:
        return self.ale.getScreenRGB()

    def _memory(self) -> np.ndarray:
        return self.ale.getRAM().astype(np.float32)

    def _observe(self) -> tuple[np.ndarray, dict[str, Any]]:
        memory = self._memory()
        state = np.concatenate([memory, memory - self.memory])
        self.memory = memory
        return (self.render() if self.pixels else state), {"state": state}

    def close(self) -> None:
        """Free the emulator: alive at a process's end, its library calls it leaked, in a dozen lines."""
        self.__dict__.pop("ale", None)
