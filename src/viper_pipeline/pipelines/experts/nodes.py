"""From simulators to expert sets: train experts, record episodes, curate (paper 3.3 and 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.curation import CurationConfig, choose_episodes, shown
from viper_pipeline.data.episode import Episode, Kind
from viper_pipeline.data.importers import chosen_of, read_source
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import FrameSpec, Rect, Suite
from viper_pipeline.experts.base import load_expert, make_expert, trained
from viper_pipeline.experts.policies import Policy, Variation
from viper_pipeline.experts.record import record
from viper_pipeline.pipelines.datasets import Recording
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.checkpoints import derive
from viper_pipeline.training.progress import Report


def train_expert(
    recipe: ParamsBlock,
    env: ParamsBlock,
    seed: int,
    scratch: Path,
    *,
    suite: str,
    task: str,
) -> ModelArtifact:
    """Train the expert of one task on true state and true reward, under the suite's rules of play.

    recipe: an entry of `experts`, whose `algorithm` names an Expert. Returns what `load_expert` reads: the recipe, and
    where there was something to learn, weights and curve.csv. Raises BadParams for an algorithm that the task cannot
    have.
    """
    simulator: Suite = SUITES.get(suite)()

    def make_env(seed: int) -> gymnasium.Env:
        return simulator.make(task, seed, env, simulator.frame_spec(task, env, {}), pixels=False)

    return trained(
        make_expert(simulator, task, recipe),
        make_env,
        derive(seed, "oracle", suite, task),  # seed label, kept so that results do not change
        scratch,
        Report(f"expert {task}"),
    )


def record_episodes(
    expert: ModelArtifact,
    env: ParamsBlock,
    frames: ParamsBlock,
    settings: ParamsBlock,
    seed: int,
    workers: int,
    scratch: Path | None,
    *,
    suite: str,
    task: str,
) -> Recording:
    """Record the expert's episodes, and noisy ones that only test the reward.

    settings: block `record`. Episodes are recorded as the result is read.
    """
    simulator: Suite = SUITES.get(suite)()
    acting, policy = load_expert(expert, simulator)
    spec = simulator.frame_spec(task, env, frames)
    counts: dict[Kind, int] = {kind: settings[kind] for kind in acting.kinds}
    variation = Variation.model_validate(settings.get("variation", {}))
    make_env = acting.recording_env(env, spec)
    return _recording(simulator, task, spec, make_env, policy, counts, seed, workers, scratch, variation)


def record_baselines(
    env: ParamsBlock,
    frames: ParamsBlock,
    baselines: ParamsBlock,
    seed: int,
    workers: int,
    scratch: Path | None,
    *,
    suite: str,
    task: str,
) -> Recording:
    """Record episodes of uniformly random actions, and of the action that does nothing. baselines: how many."""
    simulator: Suite = SUITES.get(suite)()
    spec = simulator.frame_spec(task, env, frames)
    counts: dict[Kind, int] = {"random": baselines["random"], "idle": baselines["idle"]}
    make_env = partial(simulator.make, task, env=env, frames=spec)
    return _recording(
        simulator, task, spec, make_env, None, counts, seed, workers, scratch, idle=simulator.idle_action(task)
    )


def _recording(
    simulator: Suite,
    task: str,
    spec: FrameSpec,
    make_env: Callable[[int], gymnasium.Env],
    policy: Policy | None,
    counts: Mapping[Kind, int],
    seed: int,
    workers: int,
    scratch: Path | None,
    variation: Variation | None = None,
    idle: np.ndarray | None = None,
) -> Recording:
    """A stream of episodes, counts[kind] of each kind, recorded as it is read."""

    def episodes() -> Iterator[Episode]:
        for kind, n in counts.items():
            yield from record(
                make_env,
                policy,
                n,
                kind,
                derive(seed, "record", simulator.name, task),
                workers=workers,
                idle=idle,
                variation=variation,
                scratch=scratch,
                progress=Report(f"{kind} {task}"),
            )

    return Recording({"episodes": episodes()}, simulator.name, task, spec)


def curate_experts(
    source: Path,
    dataset: ParamsBlock,
    env: ParamsBlock,
    frames: ParamsBlock,
    curation: ParamsBlock,
    *,
    suite: str,
    task: str,
) -> Recording:
    """Keep the best episodes, hold some of them out, mask and stride. Noisy episodes go to group `contrast`.

    Group `test` are held-out episodes that only the report scores.

    source: the file or folder that `dataset` (an entry of `datasets`) names. Raises BadData if its frames were made
    otherwise than `env` and `frames` say.
    """
    simulator: Suite = SUITES.get(suite)()
    config = CurationConfig.model_validate(curation)
    spec = simulator.frame_spec(task, env, frames)
    kind = "episodes" if dataset["kind"] == "expert" else dataset["kind"]
    videos, made = read_source(kind, source, spec.size, camera=spec.camera, task=task, **chosen_of(kind, dataset))
    if made is not None and (differences := spec.differences(made)):
        raise BadData(f"{source}: made otherwise than suites.{suite}.env and frames say: " + "; ".join(differences))
    wanted = dataset.get("mask", True)
    mask = simulator.masks(task) if wanted is True else [Rect.model_validate(r) for r in wanted or []]
    experts = [i for i, k in enumerate(videos.kinds) if k == "expert"]
    split = choose_episodes([float(videos.returns[i]) for i in experts], config, str(source))
    chosen = {
        "train": [experts[i] for i in split.train],
        "held_out": [experts[i] for i in split.held_out],
        "test": [experts[i] for i in split.test],
        "contrast": [i for i, k in enumerate(videos.kinds) if k == "noisy"],
    }
    return Recording(
        {
            name: shown(videos, indices, config, mask, str(source), config.starts(name))
            for name, indices in chosen.items()
            if indices
        },
        suite,
        task,
        spec.model_copy(update={"mask": tuple(mask), "stride": config.stride}),
    )
