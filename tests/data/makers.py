"""Small videos for tests."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import write_groups
from viper_pipeline.envs.base import FrameSpec

SPEC = FrameSpec(size=8, library="toy 1")


def episode(length=20, seed=0, kind="expert", ret=None, size=8) -> Episode:
    """Every frame differs: its first pixel tells the episode, its second the step."""
    rng = np.random.default_rng([seed, length])
    frames = rng.integers(0, 256, (length, size, size, 3), dtype=np.uint8)
    frames[:, 0, 0] = seed
    frames[:, 0, 1] = np.arange(length)[:, None]
    rewards = rng.random(length).astype(np.float32)
    rewards[0] = 0
    if ret is not None:
        rewards = np.zeros(length, np.float32)
        rewards[-1] = ret
    return Episode(frames, rewards, seed, kind)


def file(path, groups=None, **kw):
    groups = groups or {"episodes": [episode(20 + i, i) for i in range(4)]}
    write_groups(path, groups, suite="dmc", task="toy", spec=SPEC, clip=4, **kw)
    return path


def write_video(
    path: Path,
    frames: np.ndarray,
    crf: int = 18,
    options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
) -> None:
    """Frames (T, H, W, 3) uint8 as H.264. times: of each, in twentieths of a second; default: one after another."""
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf)}
        stream.codec_context.time_base = Fraction(1, 20)
        for place, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = times[place] if times else place, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
