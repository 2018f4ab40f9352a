"""The stages from two folders of videos to a reward, and the folder in which they wait until all of them are done.

`train_reward` calls them. Each stage's result appears whole; what lies there already is not made again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json, atomic_write, md5_file, md5_of
from viper_pipeline.data.curation import CurationConfig, choose_episodes, shown
from viper_pipeline.data.episode import Episode
from viper_pipeline.data.hdf5 import EpisodeFile, write_groups
from viper_pipeline.data.importers import chosen_of, kind_of, read_videos
from viper_pipeline.data.importers.film_sizes import FilmSize, check_lengths, check_shapes, film_sizes, remarks
from viper_pipeline.data.importers.folders import listed
from viper_pipeline.dvc_bridge.provenance import versions_of
from viper_pipeline.envs.base import FrameSpec
from viper_pipeline.pipelines.models.nodes import (
    encode_experts,
    evaluate_reward,
    train_tokenizer,
    train_video_model,
)
from viper_pipeline.training.artifacts import CONFIG, LINEAGE, ModelArtifact, as_json, load_artifact, save_artifact
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.progress import Report

SUITE, MODEL = "own", "videogpt"
LIBRARIES = ("numpy", "torch", "viper-pipeline")
"""Whose versions lineage tells."""
DATASETS = ("lerobot", "minari")
"""Kinds of sources that may hold several cameras or tasks."""
RECIPE = "recipe.json"
"""What an unfinished folder is the beginning of."""
LOCK = ".lock"


@dataclass(frozen=True)
class Sources:
    """Where the videos are. chosen: `camera` and `instruction`, for datasets that hold several."""

    experts: Path
    baselines: Path
    chosen: Mapping[str, str | None]

    @property
    def paths(self) -> dict[str, Path]:
        """By the name that their episodes are stored under."""
        return {"experts": self.experts, "baselines": self.baselines}

    def check(self, size: int, held_out: int, window: int) -> dict[str, tuple[FilmSize, ...]]:
        """What the films say of themselves; raises BadData for what would end the training later."""
        films = {}
        for name, path in self.paths.items():
            kind = kind_of(path)
            self.about(name)
            films[name] = film_sizes(kind, path)
        for name, value in self.chosen.items():
            if value is not None and not any(kind_of(path) in DATASETS for path in self.paths.values()):
                raise BadParams(
                    f"{name}: neither {self.experts} nor {self.baselines} is a dataset that has a choice of it"
                )
        check_shapes((*films["experts"], *films["baselines"]))
        check_lengths(films["experts"], window, _window_of(window))
        if films["experts"]:
            curation = CurationConfig(top_k=len(films["experts"]), held_out=held_out)
            choose_episodes([0.0] * len(films["experts"]), curation, str(self.experts))
        for line in remarks(films["experts"], films["baselines"], size):
            say(f"note: {line}")
        return films

    def about(self, name: str) -> Json:
        """What is chosen of a source, as its importer takes it. Raises BadParams where it has no such choice."""
        kind = kind_of(self.paths[name])
        return chosen_of(kind, self.chosen if kind in DATASETS else {}, "")

    def hashes(self, name: str) -> dict[str, str]:
        """md5 of each file, by its name in the source; of a dataset, of the whole."""
        path = self.paths[name]
        if kind_of(path) not in ("npz", "video", "episodes"):
            return {path.name: md5_of(path)}
        return {_name_in(path, file): md5_file(file) for file in listed(path).files}


class Stages:
    """The stages, each of which is passed over if its result lies in the folder already."""

    def __init__(self, root: Path, task: str, size: int, seed: int, compute: ComputeConfig, name: str) -> None:
        self.root, self.task, self.size, self.seed, self.compute = root, task, size, seed, compute
        self.name, self.stage = name, 0
        self.at = {name: f"data/{name}/{SUITE}/{task}.h5" for name in ("experts", "baselines")} | {
            "tokenizer": f"data/tokenizers/{SUITE}",
            "codes": f"data/codes/{SUITE}/{task}.h5",
            "video_model": f"data/video_models/{SUITE}/{MODEL}",
            "reward": f"data/rewards/{SUITE}/{MODEL}",
        }
        self.steps: Json = {}
        """Lineage of what has been made: path -> {stage, params, parents, files}."""

    def make(self, sources: Sources, recipe: Json) -> Path:
        """Everything up to the reward; returns its folder."""
        task, compute, seed = self.task, self.compute.model_dump(), self.seed
        tokenizer, video_model = recipe["tokenizer"], recipe["video_model"]
        where = f"on {self.compute.accelerator}"
        self._say("reading videos")
        files = {name: self._episodes(name, sources, recipe) for name in sources.paths}
        given: Json = {f"{name}__{task}": file for name, file in files.items()}

        self._say(f"tokenizer, {tokenizer['training']['steps']} steps {where}")
        frozen = self._model(
            "tokenizer",
            ("train_tokenizer", "all"),
            {f"suites.{SUITE}.tokenizer": tokenizer, "seed": seed},
            ("experts", "baselines"),
            lambda scratch: train_tokenizer(tokenizer, seed, compute, scratch, suite=SUITE, **given),
        )
        self._say("codes of the videos")
        codes = self.root / self.at["codes"]
        if not codes.exists():
            coded = encode_experts(compute, frozen, files["experts"], suite=SUITE, task=task)
            write_groups(codes, coded.groups, suite=SUITE, task=task, spec=coded.spec, payload="codes")
        encoded: Json = {f"codes__{task}": EpisodeFile(codes)}

        self._say(f"video model, {video_model['training']['steps']} steps {where}")
        model = self._model(
            "video_model",
            ("train_video_model", MODEL),
            {f"suites.{SUITE}.{MODEL}": video_model, "seed": seed},
            ("tokenizer", "experts"),
            lambda scratch: train_video_model(
                video_model, seed, compute, frozen, scratch, suite=SUITE, model=MODEL, **encoded
            ),
        )
        self._say("evaluation")
        self._model(
            "reward",
            ("evaluate_reward", MODEL),
            {"seed": seed},
            ("tokenizer", "video_model", "experts", "baselines"),
            lambda scratch: evaluate_reward(
                {}, {}, seed, compute, frozen, model, suite=SUITE, model=MODEL, **given, **encoded
            ),
        )
        for file in (*files.values(), *encoded.values()):
            file.close()
        return self.root / self.at["reward"]

    def _episodes(self, name: str, sources: Sources, recipe: Json) -> EpisodeFile:
        """The stored expert set, or the baselines."""
        place, source = self.root / self.at[name], sources.paths[name]
        kind, about = kind_of(source), sources.about(name)
        chosen = {"kind": kind, "path": source.name} | about
        step = self._step(
            (f"import_{name}", self.task),
            {f"suites.{SUITE}.datasets.{self.task}": chosen},
            {str(source): md5_of(source)},
        )
        self.steps[self.at[name]] = step | {"files": recipe[name]}
        if not place.exists():
            spec = FrameSpec(size=self.size)
            total = len(recipe[name]) if kind in ("npz", "video") else 0
            videos = _counted(read_videos(kind, source, self.size, task=self.task, **about), total, name)
            groups = {"episodes": _as_baselines(videos)} if name == "baselines" else self._split(videos, source, recipe)
            lineage = {"steps": {self.at[name]: self.steps[self.at[name]]}}
            write_groups(place, groups, suite=SUITE, task=self.task, spec=spec, lineage=lineage)
        self._all_videos.unlink(missing_ok=True)
        return EpisodeFile(place)

    @property
    def _all_videos(self) -> Path:
        """Where expert videos lie until they are split."""
        return self.root / "imported.h5"

    def _split(self, videos: Iterable[Episode], source: Path, recipe: Json) -> dict[str, Iterable[Episode]]:
        """Training and held-out videos. All of them are stored first: memory holds one at a time."""
        groups = {"episodes": _long_enough(videos, int(recipe["video_model"].get("window", 2)), source)}
        write_groups(self._all_videos, groups, suite=SUITE, task=self.task, spec=FrameSpec(size=self.size))
        episodes = EpisodeFile(self._all_videos).group("episodes")
        config = CurationConfig(top_k=len(episodes), held_out=recipe["held_out"])
        split = choose_episodes(list(episodes.returns), config, str(source))
        return {name: shown(episodes, getattr(split, name), config, (), str(source)) for name in ("train", "held_out")}

    def _model(
        self, part: str, node: tuple[str, str], params: Json, read: Iterable[str], make: Callable[[Path], ModelArtifact]
    ) -> ModelArtifact:
        """The model's folder as it lies there, or as `make` makes it now."""
        place = self.root / self.at[part]
        if (place / CONFIG).is_file():
            self.steps |= json.loads((place / LINEAGE).read_text())["steps"]
            return load_artifact(place)
        scratch = self.root / "scratch" / part
        scratch.mkdir(parents=True, exist_ok=True)
        parents = {self.at[name]: md5_of(self.root / self.at[name]) for name in read}
        self.steps[self.at[part]] = self._step(node, params, parents, compute=True)
        save_artifact(place, make(scratch), {"steps": self.steps})
        shutil.rmtree(scratch)
        return load_artifact(place)

    def _step(self, node: tuple[str, str], params: Json, parents: Mapping[str, str], compute: bool = False) -> Json:
        where = {"runtime.compute": self.compute.model_dump()} if compute else {}
        step = {"stage": ".".join((SUITE, *node)), "params": params | where, "parents": dict(parents)}
        return step | {"versions": versions_of(LIBRARIES)}

    def _say(self, what: str) -> None:
        self.stage += 1
        say(f"{self.name}: {self.stage} of 5, {what}")


@contextmanager
def held(unfinished: Path, recipe: Json) -> Iterator[None]:
    """Hold the unfinished folder.

    Raises BadData if it is the beginning of something else, or another process has it.
    """
    recipe = json.loads(as_json(recipe))
    file = unfinished / RECIPE
    if unfinished.exists() and not file.exists() and any(p.name != LOCK for p in unfinished.iterdir()):
        raise BadData(f"{unfinished}: is needed for what is unfinished, and is something else; name another place")
    unfinished.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(unfinished / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise BadData(f"{unfinished}: another process is training this reward; wait for it, or stop it") from error
    try:
        if file.exists():
            _compare(unfinished, json.loads(file.read_text()), recipe)
            say(f"{unfinished}: going on where the last run stopped")
        atomic_write(file, as_json(recipe).encode())
        yield
    finally:
        lock.release()


def _compare(unfinished: Path, kept: Json, recipe: Json) -> None:
    differing = [name for name in recipe if kept.get(name) != recipe[name]]
    if differing:
        said = [
            f"{name} (other videos)"
            if name in ("experts", "baselines")
            else f"{name} ({kept.get(name)!r} there)"
            if not isinstance(recipe[name], dict)
            else name
            for name in differing
        ]
        raise BadData(
            f"{unfinished}: was begun with other {', '.join(said)}; repeat that call, delete the folder, or name "
            "another place for the result"
        )


def _window_of(window: int) -> str:
    return f"the video model's window of {window}; give longer videos, or a smaller video_model window"


def _long_enough(videos: Iterable[Episode], window: int, source: Path) -> Iterator[Episode]:
    for episode in videos:
        if len(episode) < window:
            raise BadData(f"{source}: a video of {len(episode)} frames is shorter than {_window_of(window)}")
        yield episode


def _as_baselines(videos: Iterable[Episode]) -> Iterator[Episode]:
    """The videos as random behavior; their first frames, repeated, as idle behavior."""
    for episode in videos:
        yield Episode(episode.frames, episode.rewards, kind="random")
        yield Episode(np.repeat(episode.frames[:1], len(episode), 0), episode.rewards, kind="idle")


def _counted(videos: Iterable[Episode], total: int, name: str) -> Iterator[Episode]:
    """The same, with progress; total: 0 if it is not known."""
    report = Report(f"videos of {name}")
    for number, episode in enumerate(videos, 1):
        if total:
            report(number, total, f"{len(episode)} frames")
        yield episode


def _name_in(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix() if path.is_dir() else file.name


def say(text: str) -> None:
    """A line for people, beside the progress."""
    print(text, file=sys.stderr, flush=True)
