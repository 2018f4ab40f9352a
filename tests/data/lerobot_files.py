"""LeRobot datasets for tests, written as the format's description has it (`lerobot/datasets/utils.py`, v2.1 and v3.0).

Each frame is of one gray, which tells its episode and its step, so that lossy films keep it.
"""

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd

from tests.data.makers import write_video

LENGTHS, TASKS = (5, 8, 6), ("push the block", "pull the block", "push the block")
CAMERAS = ("observation.images.top", "observation.images.wrist")
FPS = 20


def gray(camera: int, episode: int, step: int) -> int:
    return 20 + 100 * camera + 30 * episode + 3 * step


def pictures(camera: int, episode: int, size: int = 32) -> np.ndarray:
    grays = [gray(camera, episode, step) for step in range(LENGTHS[episode])]
    return np.repeat(np.array(grays, np.uint8), size * size * 3).reshape(-1, size, size, 3)


def write(
    folder: Path,
    version: str,
    cameras=CAMERAS,
    rewards="next.reward",
    dtype="video",
    per_file=2,
    film=None,
) -> Path:
    """Three episodes. rewards: a column, next.reward or next.success, or None. per_file: episodes, in version 3."""
    folder.mkdir(parents=True)
    new = version.startswith("v3")
    tables, films, episodes, starts = defaultdict(list), defaultdict(list), [], defaultdict(int)
    for number, length in enumerate(LENGTHS):
        file = number // per_file if new else number
        frames = {camera: pictures(i, number) for i, camera in enumerate(cameras)}
        tables[file].append(rows(number, length, frames if dtype == "image" else {}, rewards))
        row = {"episode_index": number, "tasks": [TASKS[number]], "length": length}
        if new:
            row |= {"data/chunk_index": 0, "data/file_index": file}
        for camera, content in frames.items() if dtype == "video" else ():
            films[camera, file].append(content)
            begins = starts[camera, file] / FPS
            starts[camera, file] += length
            if new:
                row |= {
                    f"videos/{camera}/chunk_index": 0,
                    f"videos/{camera}/file_index": file,
                    f"videos/{camera}/from_timestamp": begins,
                    f"videos/{camera}/to_timestamp": begins + length / FPS,
                }
        episodes.append(row)
    data, video = (
        ("data/chunk-000/file-{:03d}.parquet", "videos/{}/chunk-000/file-{:03d}.mp4")
        if new
        else ("data/chunk-000/episode_{:06d}.parquet", "videos/chunk-000/{}/episode_{:06d}.mp4")
    )
    for file, parts in tables.items():
        save(folder / data.format(file), pd.concat(parts))
    for (camera, file), parts in films.items():
        path = folder / video.format(camera, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        (film or write_h264)(path, np.concatenate(parts))
    describe(folder, version, cameras, rewards, dtype, episodes)
    return folder


def write_h264(path: Path, frames: np.ndarray) -> None:
    write_video(path, frames, crf=1)


def write_av1(path: Path, frames: np.ndarray) -> None:
    """As LeRobot codes films unless it is told otherwise, but of higher quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libsvtav1", rate=FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "5", "preset": "12", "g": "2"}
        for place, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def rows(number: int, length: int, frames: dict, rewards: str | None) -> pd.DataFrame:
    steps = np.arange(length)
    table = pd.DataFrame(
        {
            "action": [np.zeros(2, np.float32)] * length,
            "timestamp": (steps / FPS).astype(np.float32),
            "frame_index": steps,
            "episode_index": number,
            "index": sum(LENGTHS[:number]) + steps,
            "task_index": sorted(set(TASKS)).index(TASKS[number]),
        }
    )
    for camera, content in frames.items():
        table[camera] = [
            {"bytes": png(frame), "path": f"{camera}/frame-{t:06d}.png"} for t, frame in enumerate(content)
        ]
    if rewards == "next.reward":
        table[rewards] = (10 * number + steps + 1).astype(np.float32)
    elif rewards == "next.success":  # reached by the second episode alone, and kept
        table[rewards] = (steps >= 4) & (number == 1)
    return table


def png(frame: np.ndarray) -> bytes:
    from viper_pipeline.data.episode import png

    return png(frame)


def save(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def describe(folder: Path, version: str, cameras, rewards: str | None, dtype: str, episodes: list[dict]) -> None:
    new = version.startswith("v3")
    meta = folder / "meta"
    meta.mkdir(exist_ok=True)
    columns = {"action": "float32", **({rewards: "bool" if "success" in rewards else "float32"} if rewards else {})}
    columns |= {"timestamp": "float32"} | dict.fromkeys(
        ("frame_index", "episode_index", "index", "task_index"), "int64"
    )
    features = {
        name: {"dtype": dtype, "shape": [32, 32, 3], "names": ["height", "width", "channel"]} for name in cameras
    }
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in columns.items()}
    features["observation.depth"] = {"dtype": "video", "shape": [32, 32, 1], "info": {"video.is_depth_map": True}}
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(set(TASKS)),
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "features": features,
    }
    if new:
        info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
        info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
        save(meta / "episodes/chunk-000/file-000.parquet", pd.DataFrame(episodes))
        names = sorted(set(TASKS))
        pd.DataFrame({"task_index": range(len(names))}, index=pd.Index(names, name="task")).to_parquet(
            meta / "tasks.parquet"
        )
    else:
        info |= {"total_videos": len(cameras) * len(LENGTHS), "total_chunks": 1}
        info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
        lines = [json.dumps(episode) for episode in episodes]
        (meta / "episodes.jsonl").write_text("\n".join(lines) + "\n")
        tasks = [json.dumps({"task_index": i, "task": task}) for i, task in enumerate(sorted(set(TASKS)))]
        (meta / "tasks.jsonl").write_text("\n".join(tasks) + "\n")
    (meta / "info.json").write_text(json.dumps(info, indent=4))
