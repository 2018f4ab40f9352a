"""Broken and hostile files for every importer: refused in one message, or read right; nothing else, and little memory.

Run: python benchmarks/reliability/hostile_inputs.py [COUNT]. COUNT variants of a good file of each kind are made by a
seed: cut, overwritten, doubled, with bytes put in, with large numbers in the place of small ones. Prints one line for
each kind. Films carry no checksums, so some that are read are not what they were.
"""

from __future__ import annotations

import io
import pickle
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from viper_pipeline.core.errors import ViperError
from viper_pipeline.data.episode import Episode, gif
from viper_pipeline.data.hdf5 import write_groups
from viper_pipeline.data.importers import import_videos
from viper_pipeline.data.importers.safe_pickle import SETTINGS, as_values, read_safely
from viper_pipeline.envs.base import FrameSpec

SPEC = FrameSpec(size=16)


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


def good_files(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """Name of a file -> its content, and what reads it."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    archive = io.BytesIO()
    np.savez_compressed(archive, frames)
    rewards = np.zeros(12, np.float32)
    write_groups(folder / "a.h5", {"episodes": [Episode(frames, rewards)]}, suite="dmc", task="a", spec=SPEC)

    def imports(kind: str) -> Callable[[Path], object]:
        return lambda path: import_videos(kind, path, "dmc", "a", path.with_name("out.h5"), SPEC)

    settings = pickle.dumps({"mask": frames[0], "steps": 3, "names": ["a", "b"]}, 4)
    return {
        "a.npz": (archive.getvalue(), imports("npz")),
        "a.mp4": (film(frames, "mp4"), imports("video")),
        "a.mkv": (film(frames, "matroska"), imports("video")),
        "a.gif": (gif(frames), imports("video")),
        "a.h5": ((folder / "a.h5").read_bytes(), imports("episodes")),
        "a.pkl": (settings, lambda path: as_values(read_safely(path, SETTINGS, "settings"))),
    }


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


def main(count: int) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, (content, read) in good_files(folder).items():
            found: Counter[str] = Counter()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for seed in range(count):
                path, out = folder / name, folder / "out.h5"
                path.write_bytes(spoiled(content, random.Random(seed)))
                out.unlink(missing_ok=True)
                try:
                    read(path)
                    found["read"] += 1
                except ViperError:
                    found["refused"] += 1
                except ValueError as error:
                    found["refused" if name.endswith(".pkl") else f"raised {error!r}"] += 1
                except Exception as error:
                    found[f"raised {type(error).__name__}"] += 1
                left = {p.name for p in folder.iterdir()} - {name, "a.h5", "out.h5"}
                found["half written"] += bool(left)
                for file in left:
                    (folder / file).unlink()
            (folder / name).unlink()
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            said = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
            print(f"broken files, {Path(name).suffix}: {count} tried, {said}, peak memory +{grown:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
