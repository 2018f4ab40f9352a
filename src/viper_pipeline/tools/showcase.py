"""`viper showcase`: expert videos, the agents that learned from them and random actions side by side, as one video.

Three panels per task: of the expert videos, of the agent's final evaluation and of the episodes of random actions the
one with the median return, as `reporting.replays` chooses and plays them. Every frame is shown, in full color, with the
true return so far below it. The stage `film_agents` makes the films of a suite's page in the same way.

The video is an animated WebP. The numbers behind it go to a JSON file of the same name, so that a page which shows it
can say what it shows, and a test can say whether it still belongs to the committed results.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from viper_pipeline.core.config import ParamsBlock, value_at
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json, atomic_write
from viper_pipeline.core.process import load_triton
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.reporting.replays import EXPERTS, RANDOM, Choice, median_episode, replay
from viper_pipeline.rewards.base import REWARDS
from viper_pipeline.training.artifacts import ModelArtifact, as_json, load_artifact

SIDE = 160
"""Pixels of an enlarged frame."""
TASKS = 2
"""Tasks side by side; more begin a new row."""
GAP, LINE = 8, 24
"""Pixels between panels, and of a line of text."""
PAPER, INK, FAINT = (24, 26, 30), (235, 235, 235), (150, 155, 165)
QUALITY = 75
"""Of WebP: about 1 MB for two tasks of 250 frames."""
FRAMES_PER_SECOND = 20


@dataclass(frozen=True)
class Panel:
    """One video of a row."""

    title: str
    frames: np.ndarray  # (T, H, W, 3) uint8
    rewards: np.ndarray  # (T,), true ones; the first is 0

    def text(self, t: int) -> str:
        """What stands below frame `t`, or below the last one."""
        return f"true return {self.rewards[: t + 1].sum():.0f}"


def showcase_command(root: Path, suite: str, method: str, agent: str | None, seed: int | None, out: Path) -> Json:
    """Write `out` (.webp) and the numbers behind it (.json) for every task of `suite` that has such an agent.

    agent, seed: default: the first of params.yaml. Returns the numbers.
    Raises BadParams for another ending and for a suite without such agents, BadData for a missing or damaged artifact.
    """
    if out.suffix != ".webp":
        raise BadParams(f"--out {out}: give a name that ends in .webp")
    params = read_profile(root / "params.yaml")
    if suite not in params["suites"]:
        raise BadParams(f"--suite {suite}: params.yaml has no block suites.{suite}")
    block = params["suites"][suite]
    agent = agent or next(iter(block.get("agents") or ["drq"]))
    seed = seed if seed is not None else value_at(params, "seeds")[0]
    load_triton()
    rows: dict[str, list[Panel]] = {}
    numbers: Json = {"suite": suite, "method": method, "agent": agent, "seed": seed, "tasks": {}}
    for task in block["tasks"]:
        folder = root / "data/agents" / suite / task / f"{method}-{agent}" / str(seed)
        if folder.is_dir():
            artifact = load_artifact(folder)
            rows[task] = task_panels(root, block, suite, task, artifact)
            numbers["tasks"][task] = {
                "final_returns": artifact.config["final_returns"],
                "shown": [[panel.title, round(float(panel.rewards.sum()), 1)] for panel in rows[task]],
            }
    if not rows:
        raise BadParams(
            f"--suite {suite}: no agent data/agents/{suite}/TASK/{method}-{agent}/{seed}; train one first (make repro)"
        )
    atomic_write(out, video_webp(rows))
    atomic_write(out.with_suffix(".json"), as_json(numbers).encode())
    return numbers


def task_panels(root: Path, block: ParamsBlock, suite: str, task: str, artifact: ModelArtifact) -> list[Panel]:
    """Expert, agent and random actions of one task. block: the suite's block of params.yaml."""
    label = REWARDS.get(artifact.config["method"]).label
    expert = median_of_file(root / "data/experts" / suite / f"{task}.h5", EXPERTS)
    random = median_of_file(root / "data/episodes" / suite / "baselines" / f"{task}.h5", RANDOM)
    simulator = SUITES.get(suite)()
    spec = simulator.frame_spec(task, block["env"], block["frames"])
    played = replay(artifact, lambda s: simulator.make(task, s, block["env"], spec), simulator.discrete)
    return [
        Panel("expert video", expert.frames, expert.rewards),
        Panel(f"agent, {label} reward", played.frames, played.rewards),
        Panel("random actions", random.frames, random.rewards),
    ]


def median_of_file(path: Path, choice: Choice) -> Episode:
    """As `median_episode`, of a file that may be missing."""
    if not path.exists():
        raise BadData(f"{path}: missing; run the stages before (make repro)")
    file = EpisodeFile(path)
    try:
        return median_episode(file, choice)
    finally:
        file.close()


def video_webp(rows: Mapping[str, Sequence[Panel]]) -> bytes:
    """Panels by task, TASKS tasks side by side, as one animated WebP; a video that is over shows its last frame."""
    columns = len(next(iter(rows.values())))
    block, tall = columns * (SIDE + GAP), 2 * LINE + SIDE
    across = min(TASKS, len(rows))
    size = (across * block + (across - 1) * GAP + GAP, -(-len(rows) // TASKS) * (tall + LINE))
    font = ImageFont.load_default(14)
    length = max(len(panel.frames) for panels in rows.values() for panel in panels)
    pictures = []
    for t in range(length):
        picture = Image.new("RGB", size, PAPER)
        draw = ImageDraw.Draw(picture)
        for number, (task, panels) in enumerate(rows.items()):
            left = GAP + number % TASKS * (block + GAP)
            top = number // TASKS * (tall + LINE)
            draw.text((left + (block - GAP) // 2, top + LINE // 2), task, fill=FAINT, font=font, anchor="mm")
            for column, panel in enumerate(panels):
                x, y = left + column * (SIDE + GAP), top + 2 * LINE
                frame = Image.fromarray(panel.frames[min(t, len(panel.frames) - 1)])
                picture.paste(frame.resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, y))
                for text, line in ((panel.title, y - LINE // 2), (panel.text(t), y + SIDE + LINE // 2)):
                    draw.text((x + SIDE // 2, line), text, fill=INK, font=font, anchor="mm")
        pictures.append(picture)
    buffer = io.BytesIO()
    settings = {"duration": 1000 // FRAMES_PER_SECOND, "loop": 0, "quality": QUALITY, "method": 4}
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], **settings)
    return buffer.getvalue()
