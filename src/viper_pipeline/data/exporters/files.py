"""Episodes as single files: .npz as the paper's authors released them, or .mp4."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from viper_pipeline.core.files import Json
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.exporters import ExportConfig, episodes_of
from viper_pipeline.data.hdf5 import EpisodeFile

KEYFRAMES = 2
"""Frames between those that stand alone, as LeRobot has it: any frame is found by decoding two."""
QUALITY = 18
"""Of H.264, its constant rate factor: 0 is best, 51 is worst."""


def write_npz(file: EpisodeFile, folder: Path, config: ExportConfig) -> tuple[str, list[Path]]:
    """<task>/{train,test}/<number>-len<frames>-rew<return>.npz, one uint8 array arr_0 (T, H, W, 3) in each."""
    paths = []
    for one in episodes_of(file):
        place = folder / file.task / one.folder
        place.mkdir(parents=True, exist_ok=True)
        paths.append(place / f"{one.number:06d}-len{len(one.episode)}{return_in_name(one.episode)}.npz")
        np.savez_compressed(paths[-1], arr_0=one.episode.frames)
    return "npz", paths


def return_in_name(episode: Episode) -> str:
    """-rew<return>, a minus sign written m; nothing if it is unknown."""
    if np.isnan(episode.ret):
        return ""
    return f"-rew{'m' if episode.ret < 0 else ''}{np.format_float_positional(abs(episode.ret), trim='-')}"


def write_videos(file: EpisodeFile, folder: Path, config: ExportConfig) -> tuple[str, list[Path]]:
    """<folder>/<number>.mp4, a film per episode; folders are train, test, and the kinds of others than experts."""
    paths = []
    for one in episodes_of(file):
        place = folder / one.folder
        place.mkdir(parents=True, exist_ok=True)
        paths.append(place / f"{one.number:06d}.mp4")
        film = Film(paths[-1], one.episode.frames.shape[1:3], config)
        film.add(one.episode.frames)
        film.close()
    return "video", paths


class Film:
    """A video that is written frame by frame: H.264, equal bytes for equal frames."""

    def __init__(self, path: Path, shape: tuple[int, ...], config: ExportConfig) -> None:
        """shape: height and width of frames, pixels."""
        import av

        self.path, self.frames, self._av = path, 0, av
        self.pixel_format = "gbrp" if config.lossless else "yuv444p" if any(n % 2 for n in shape) else "yuv420p"
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264rgb" if config.lossless else "libx264", rate=config.fps)
        self._stream.height, self._stream.width = shape
        self._stream.pix_fmt = "rgb24" if config.lossless else self.pixel_format
        self._stream.options = {"g": str(KEYFRAMES), **({"qp": "0"} if config.lossless else {"crf": str(QUALITY)})}
        self._stream.codec_context.thread_count = 1
        self._step = Fraction(1, config.fps)
        self._stream.codec_context.time_base = self._step

    def add(self, frames: Iterable[np.ndarray]) -> None:
        """Append frames (H, W, 3) uint8."""
        for picture in frames:
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.frames, self._step
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def close(self) -> None:
        """Write what is left."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def about(self, config: ExportConfig) -> Json:
        """What LeRobot's meta/info.json says of a film."""
        return {
            "video.height": self._stream.height,
            "video.width": self._stream.width,
            "video.codec": "h264",
            "video.pix_fmt": self.pixel_format,
            "video.fps": config.fps,
            "video.channels": 3,
            "is_depth_map": False,
            "has_audio": False,
        }
