"""Pictures that models carry: what a video model makes of a first frame (Fig 4), and where it is surprised
(Figs 16 to 18)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from PIL import Image

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.paper_figures.entry import Drawn, Part
from viper_pipeline.results.style import panels_of, show_frames
from viper_pipeline.training.artifacts import Directory

Key = tuple[str, str, str]
"""suite, model, task"""


def pictures(models: Mapping[tuple[str, ...], Directory], prefix: str) -> dict[Key, bytes]:
    """Strips called `<prefix>_<task>.png` in the models' folders."""
    return {
        (suite, model, name.removeprefix(f"{prefix}_").removesuffix(".png")): content
        for (suite, model), directory in models.items()
        for name, content in directory.files.items()
        if name.startswith(f"{prefix}_") and name.endswith(".png")
    }


def frames_of(strip: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(strip)).convert("RGB"))


def one_each(found: Mapping[Key, bytes], suites: Sequence[str], prefer: Sequence[str] = ()) -> list[Key]:
    """A task a suite, `prefer`red ones first."""
    ranked = sorted(found, key=lambda k: prefer.index(k[2]) if k[2] in prefer else len(prefer))
    first = {suite: next((k for k in ranked if k[0] == suite), None) for suite in suites}
    return [key for key in first.values() if key is not None]


def rollout_parts(evidence: Evidence) -> list[Part]:
    """One environment a suite."""
    found = one_each(pictures(evidence.video_models, "rollouts"), ("dmc", "atari", evidence.manipulation))
    there = {key[0]: key for key in found}
    made = []
    for suite in ("dmc", "atari", "rlbench"):
        name = evidence.manipulation if suite == "rlbench" else suite
        key = there.get(name)
        note = "no video model" if key is None else "" if name == suite else f"{name} in the place of {suite}"
        made.append(Part(suite, int(key is not None), 1, note, (f"video_model__{key[0]}__{key[1]}",) if key else ()))
    return made


def draw_rollouts(evidence: Evidence) -> Drawn:
    """Fig 4."""
    found = pictures(evidence.video_models, "rollouts")
    return continued(
        evidence, one_each(found, ("dmc", "atari", evidence.manipulation), ("quadruped_walk", "walker_walk", "zaxxon"))
    )


def continued(evidence: Evidence, keys: Sequence[Key], remarks: Mapping[Key, str] = MappingProxyType({})) -> Drawn:
    """Continuations of a first frame, a row a key, with what is to be said of it."""
    found = pictures(evidence.video_models, "rollouts")
    figure, panels = panels_of(len(keys), 1, 8.6, 1.75)
    for panel, (suite, model, task) in zip(panels, keys, strict=True):
        strip = frames_of(found[suite, model, task])
        size = int(evidence.tokenizers[suite,].config.get("size", 64)) if (suite,) in evidence.tokenizers else 64
        remark = f" ({said})" if (said := remarks.get((suite, model, task))) else ""
        title = f"{suite}: {task}{remark}, {model}; above a held-out expert (decoded), below the model"
        show_frames(panel, strip[: 2 * size], title)
    return Drawn(
        figure,
        f"n = 1 video of {len(keys)} environment{'s' if len(keys) > 1 else ''}. The model is shown the first frame and "
        "samples the others; both rows are decoded codes. Consecutive frames, where the paper shows T = 0, 16, 32, 48, "
        "64.",
        vector=False,
    )


def map_parts(evidence: Evidence, suite: str, task: str) -> list[Part]:
    """An expert's strip and a random one's."""
    name = evidence.manipulation if suite == "rlbench" else suite
    keys = one_each(pictures(evidence.rewards, "maps"), (name,), (task,))
    if not keys:
        known = any(key[0] == name for key in evidence.rewards)
        why = "the evaluated reward holds no maps: evaluate it anew" if known else f"no reward of suite {suite}"
        return [Part(f"{task}: reference and random", 0, 1, why)]
    ((found, model, shown),) = keys
    note = "" if shown == task else f"{shown} in the place of {task}"
    return [Part(f"{task}: reference and random", 1, 1, note, (f"reward__{found}__{model}",))]


def draw_maps(evidence: Evidence, suite: str, task: str) -> Drawn:
    """Figs 16, 17 and 18."""
    name = evidence.manipulation if suite == "rlbench" else suite
    maps = pictures(evidence.rewards, "maps")
    ((found, model, shown),) = one_each(maps, (name,), (task,))
    strip = frames_of(maps[found, model, shown])
    figure, (panel,) = panels_of(1, 1, 8.6, 8.6 * strip.shape[0] / strip.shape[1] + 0.3)
    show_frames(panel, strip, f"{found}: {shown}, {model}")
    return Drawn(
        figure,
        "n = 1 held-out expert (above) and 1 random video (below), ten frames each; under the frames, minus the "
        "log-likelihood of every code, enlarged, on one scale. Bright surprises the model; the paper's is likely.",
        vector=False,
    )
