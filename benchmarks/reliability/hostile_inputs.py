"""Broken and hostile files for every importer: refused in one message, or read right; nothing else, and little memory.

Run: python benchmarks/reliability/hostile_inputs.py [COUNT]. COUNT variants of a good file of each kind are made by a
seed: cut, overwritten, doubled, with bytes put in, with large numbers in the place of small ones. Of a dataset one file
is spoiled. Prints one line for each kind. Films, and what other projects write, carry no checksums, so some are read
though they are not what they were.
"""

from __future__ import annotations

import io
import lzma
import pickle
import random
import shutil
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import numpy as np

from viper_pipeline.core.errors import ViperError
from viper_pipeline.core.files import md5_of
from viper_pipeline.data.episode import Episode, gif
from viper_pipeline.data.exporters import export_dataset
from viper_pipeline.data.hdf5 import write_groups
from viper_pipeline.data.importers import import_videos
from viper_pipeline.data.importers.safe_pickle import SETTINGS, as_values, read_safely
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.rewards.released import import_checkpoint

SPEC = FrameSpec(size=32)
RELEASED = Path(__file__).parents[2] / "tests" / "fixtures" / "port" / "released.tar.xz"
"""Small checkpoints that programs of VIPER's authors wrote, with flax."""


def film(frames: np.ndarray, container: str) -> bytes:
    """Frames (T, H, W, 3) uint8 as H.264."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream("libx264", rate=20)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for picture in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return buffer.getvalue()


@dataclass(frozen=True)
class Good:
    """A source that can be read, the file of it that is spoiled, and what reads it into the place `out`."""

    file: Path
    read: Callable[[Path], object]


def imports(kind: str, source: Path) -> Callable[[Path], object]:
    """`viper import`."""
    return lambda out: import_videos(kind, source, "dmc", "a", out, SPEC)


def single_files(folder: Path) -> dict[str, Good]:
    """Sources that are one file each."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    archive = io.BytesIO()
    np.savez_compressed(archive, frames)
    settings = pickle.dumps({"mask": frames[0], "steps": 3, "names": ["a", "b"]}, 4)
    for name, content in {
        "a.npz": archive.getvalue(),
        "a.mp4": film(frames, "mp4"),
        "a.mkv": film(frames, "matroska"),
        "a.gif": gif(frames),
        "a.pkl": settings,
    }.items():
        (folder / name).write_bytes(content)
    _write_episodes(folder / "a.h5", frames)
    kinds = {".npz": "npz", ".mp4": "video", ".mkv": "video", ".gif": "video", ".h5": "episodes"}
    files = {
        suffix: Good(folder / f"a{suffix}", imports(kind, folder / f"a{suffix}")) for suffix, kind in kinds.items()
    }
    pickled = folder / "a.pkl"
    return {**files, ".pkl": Good(pickled, lambda out: as_values(read_safely(pickled, SETTINGS, "settings")))}


def datasets(folder: Path) -> dict[str, Good]:
    """Sources that are folders: LeRobot's and Minari's datasets, and checkpoints of VIPER's authors."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    _write_episodes(folder / "a.h5", frames)
    lerobot, minari, released = folder / "lerobot", folder / "minari", folder / "released"
    export_dataset(folder / "a.h5", lerobot, "lerobot")
    (minari / "data").mkdir(parents=True)
    with h5py.File(minari / "data" / "main_data.hdf5", "w") as file:
        episode = file.create_group("episode_0")
        episode.create_dataset("observations", data=frames, chunks=True)
        episode.create_dataset("rewards", data=np.zeros(len(frames) - 1))
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(RELEASED.read_bytes()))) as tar:
        tar.extractall(released)
    model = released / "dmc_videogpt_l4_s2"

    def one(source: Path, pattern: str) -> Path:
        return sorted(source.rglob(pattern))[0]

    def converted(out: Path) -> object:
        return import_checkpoint("videogpt", model, out)

    return {
        "LeRobot, data": Good(one(lerobot / "data", "*.parquet"), imports("lerobot", lerobot)),
        "LeRobot, list of episodes": Good(one(lerobot / "meta", "file-*.parquet"), imports("lerobot", lerobot)),
        "LeRobot, info.json": Good(lerobot / "meta" / "info.json", imports("lerobot", lerobot)),
        "LeRobot, film": Good(one(lerobot, "*.mp4"), imports("lerobot", lerobot)),
        "Minari": Good(minari / "data" / "main_data.hdf5", imports("minari", minari)),
        "flax checkpoint": Good(one(model, "checkpoint_*"), converted),
        "flax checkpoint, args": Good(model / "args", converted),
    }


def _write_episodes(path: Path, frames: np.ndarray) -> None:
    episode = Episode(frames, np.zeros(len(frames), np.float32))
    write_groups(path, {"episodes": [episode]}, suite="dmc", task="a", spec=SPEC)


def spoiled(content: bytes, rng: random.Random) -> bytes:
    """The content with something wrong in it."""
    at, length = rng.randrange(len(content)), rng.choice([1, 4, 8, 64, 512])
    how = rng.choice(["cut", "zeros", "ones", "noise", "twice", "more", "large"])
    if how == "cut":
        return content[:at]
    if how == "twice":
        return content[:at] + content
    if how == "more":
        return content[:at] + rng.randbytes(length) + content[at:]
    new = {
        "zeros": bytes(length), "ones": b"\xff" * length, "noise": rng.randbytes(length), "large": b"\x7f\xff\xff\xff",
    }[how]  # fmt: skip
    return content[:at] + new + content[at + len(new) :]


def tried(good: Good, folder: Path, count: int) -> tuple[Counter[str], float]:
    """What became of `count` spoiled variants, and by how many MB memory rose at most. folder: of the sources."""
    content, out = good.file.read_bytes(), folder / "out"
    found: Counter[str] = Counter({"half written": 0})
    right = _what(good.read(out), out)
    before = _peak(anew=True)
    for seed in range(count):
        _remove(out)
        there = set(folder.rglob("*"))
        good.file.write_bytes(spoiled(content, random.Random(seed)))
        try:
            found["read as it was" if _what(good.read(out), out) == right else "read otherwise"] += 1
        except ViperError:
            found["refused"] += 1
            found["half written"] += out.exists()
        except ValueError as error:
            found["refused" if good.file.suffix == ".pkl" else f"raised {error!r}"] += 1
        except Exception as error:
            found[f"raised {type(error).__name__}"] += 1
        left = {path for path in set(folder.rglob("*")) - there if out not in (path, *path.parents)}
        found["half written"] += bool(left)
        for path in left:
            _remove(path)
    _remove(out)
    good.file.write_bytes(content)
    return found, _peak() - before


def _peak(anew: bool = False) -> float:
    """The most MB that this process has held, on Linux; anew: since now, so what imports once took does not count."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def _what(result: object, out: Path) -> object:
    """What was read: the hash of what it was written to, or the values."""
    with np.printoptions(threshold=sys.maxsize):
        return md5_of(out) if out.exists() else repr(result)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def main(count: int) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as place:
        single, folders = Path(place) / "files", Path(place) / "datasets"
        single.mkdir()
        folders.mkdir()
        for folder, kinds in ((single, single_files(single)), (folders, datasets(folders))):
            for kind, good in kinds.items():
                found, grown = tried(good, folder, count)
                said = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
                print(f"broken files, {kind}: {count} tried, {said}, memory at most +{grown:.0f} MB", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
