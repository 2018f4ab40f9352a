"""Single flipped bits in every kind of artifact: noticed, harmless (what is read is equal), or silently used.

Run: python benchmarks/reliability/flipped_bits.py [COUNT]. COUNT places of each kind are tried, spread over the file by
a seed. Prints one line for each kind. A folder in a project has its checksum in DVC's lock file, and stages compare.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_inputs import film

from viper_pipeline.core.errors import ViperError
from viper_pipeline.core.files import md5_of
from viper_pipeline.core.yaml_files import read_yaml
from viper_pipeline.data.episode import Episode, gif
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.data.importers import read_videos
from viper_pipeline.dvc_bridge.provenance import check_unchanged, make_provenance
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.rewards.pretrained import PRETRAINED, open_package
from viper_pipeline.training.artifacts import ModelArtifact, load_artifact, save_artifact
from viper_pipeline.training.checkpoints import load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]
Reader = Callable[[], Any]


def smooth(length: int, size: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 like those of a simulator: smooth, and moving."""
    y, x, t = np.meshgrid(np.arange(size), np.arange(size), np.arange(length), indexing="ij")
    frames = np.stack([x * 3 + t, y * 3, (x + y + 4 * t) % 256], -1).clip(0, 255)
    return frames.transpose(2, 0, 1, 3).astype(np.uint8)


def artifacts(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """Kind -> the file whose bits are flipped, and what reads it."""
    frames = smooth(24, 32)
    episodes, codes, model = folder / "a.h5", folder / "codes.h5", folder / "model"
    rewards = np.zeros(24, np.float32)
    write_groups(episodes, {"episodes": [Episode(frames, rewards)]}, suite="dmc", task="a", spec=FrameSpec(size=32))
    grid = np.arange(24 * 64).reshape(24, 8, 8).astype(np.int16)
    write_groups(
        codes, {"train": [Episode(grid, rewards)]}, suite="dmc", task="a", spec=FrameSpec(size=32), payload="codes"
    )
    weights = {"w": torch.randn(64, 64, generator=torch.Generator().manual_seed(0))}
    save_artifact(model, ModelArtifact({"kind": "toy", "size": 32}, weights))
    save_checkpoint(folder / "state.pt", {"step": 3, "w": weights["w"]})
    np.savez_compressed(folder / "a.npz", frames)
    (folder / "a.gif").write_bytes(gif(frames))
    (folder / "a.mp4").write_bytes(film(frames, "mp4"))
    reward = folder / "reward"
    for file in (p for p in (PRETRAINED / "dmc-laptop").rglob("*") if p.is_file()):
        copy = reward / file.relative_to(PRETRAINED / "dmc-laptop")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (folder / "params.yaml").write_bytes((ROOT / "profiles" / "tiny.yaml").read_bytes())

    def read_episodes(path: Path, group: str) -> list[bytes]:
        return [e.frames.tobytes() + e.rewards.tobytes() for e in EpisodeFile(path).group(group)]

    def read_film(path: Path, kind: str) -> list[bytes]:
        return [e.frames.tobytes() for e in read_videos(kind, path, 32)]

    lines = ["stages:", "  s:", "    outs:", "    - path: model", "      hash: md5", f"      md5: {md5_of(model)}", ""]
    (folder / "dvc.lock").write_text("\n".join(lines))

    def read_model() -> list[Any]:
        check_unchanged(make_provenance("s", {}, [model], [], "", folder))  # as a stage does under DVC
        found = load_artifact(model)
        return [found.config, {name: tensor.numpy().tobytes() for name, tensor in found.tensors.items()}]

    def read_state() -> list[Any]:
        found = load_checkpoint(folder / "state.pt")
        return [] if found is None else [found["step"], found["w"].numpy().tobytes()]

    return {
        "episodes (.h5)": (episodes, lambda: read_episodes(episodes, "episodes")),
        "codes (.h5)": (codes, lambda: read_episodes(codes, "train")),
        "archive (.npz)": (folder / "a.npz", lambda: read_film(folder / "a.npz", "npz")),
        "film (.mp4)": (folder / "a.mp4", lambda: read_film(folder / "a.mp4", "video")),
        "GIF": (folder / "a.gif", lambda: read_film(folder / "a.gif", "video")),
        "exported reward, weights": (
            reward / "video_model" / "weights.safetensors", lambda: sorted(open_package(reward).lineage),
        ),
        "exported reward, settings": (reward / "reward" / "config.json", lambda: sorted(open_package(reward).lineage)),
        "model in a project, weights": (model / "weights.safetensors", read_model),
        "model in a project, settings": (model / "config.json", read_model),
        "checkpoint of a run (.pt)": (folder / "state.pt", read_state),
        "params.yaml": (folder / "params.yaml", lambda: read_yaml(folder / "params.yaml")),
    }  # fmt: skip


def tried(path: Path, read: Reader, count: int) -> Counter[str]:
    """What became of `count` single flipped bits, each alone."""
    content, right = path.read_bytes(), read()
    found: Counter[str] = Counter()
    rng = random.Random(path.name)
    for _ in range(count):
        at, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        try:
            found["harmless" if read() == right else "silently used"] += 1
        except ViperError:
            found["noticed"] += 1
        except Exception as error:
            found[f"raised {type(error).__name__}"] += 1
    path.write_bytes(content)
    return found


def main(count: int) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as place:
        for kind, (path, read) in artifacts(Path(place)).items():
            found = tried(path, read, count)
            said = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
            print(f"flipped bits, {kind}: {count} tried, {said}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
