"""From expert sets to a reward: train_tokenizer, encode_experts, train_video_model, evaluate_reward (paper 4.1, 4.2).

`files` of a node are named `<prefix>__<task>`, in the order of the suite's task list. `tokenizer_kind` is the kind that
the tokenizer must have, which the pipeline fixes; None: any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.data.episode import Episode, gif, strip
from viper_pipeline.data.hdf5 import ConcatEpisodes, ConcatGroup, EpisodeFile, EpisodeGroup
from viper_pipeline.data.sampler import ClipSampler
from viper_pipeline.envs import SUITES
from viper_pipeline.envs.base import blacken
from viper_pipeline.pipelines.datasets import Recording, by_task
from viper_pipeline.rewards.evaluation import pack, score_kinds, surprise, surprise_film, surprise_rows
from viper_pipeline.rewards.gate import judge
from viper_pipeline.rewards.scores import EvaluationConfig, Scores, transition_scores
from viper_pipeline.rewards.viper import ViperConfig, ViperReward, fit_scale
from viper_pipeline.tokenizers import load_tokenizer, trainable_tokenizer
from viper_pipeline.tokenizers.base import Tokenizer, TokenizerConfig
from viper_pipeline.tokenizers.quality import Foreground, median_backgrounds, picture, quality, reconstruct
from viper_pipeline.training.artifacts import ModelArtifact, history_csv
from viper_pipeline.training.checkpoints import derive, seed_everything
from viper_pipeline.training.config import ComputeConfig
from viper_pipeline.training.loop import train
from viper_pipeline.training.progress import Report
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import VideoModel, check_continuous, for_every_task

FRAMES_MEASURED = 500
"""Frames of each kind on which a tokenizer's quality is measured; evenly spaced."""
ROLLOUT = 12
"""Frames of an open-loop rollout after its first frame."""
SEED_LABELS = {"videogpt_streaming": "banded"}
"""Words that seeds are derived from, where they are not the model's name: kept so that results do not change."""


# ---- train_tokenizer


def train_tokenizer(
    config: ParamsBlock,
    seed: int,
    compute: ParamsBlock,
    scratch: Path | None,
    held_out_tasks: Sequence[str] = (),
    *,
    suite: str,
    tokenizer_kind: str | None = None,
    tokenizer_training: str | None = None,
    **files: EpisodeFile,
) -> ModelArtifact:
    """One tokenizer for all tasks of a suite (paper 4.1, Table 1).

    held_out_tasks: nothing is learned from their videos; reconstructions of them are only measured.
    tokenizer_kind, tokenizer_training: the entries of the two registries; None: as the block `config` says.
    files: experts__, baselines__<task>.
    Returns weights, `metrics` of reconstructions by task, curve.csv and pictures of reconstructions.
    """
    place = ComputeConfig.model_validate(compute)
    place.begin()
    kind = trainable_tokenizer(tokenizer_training or tokenizer_kind or config["kind"])
    settings = kind.Config.model_validate(config)
    experts, baselines = by_task("experts", files), by_task("baselines", files)
    trained = [task for task in experts if task not in held_out_tasks]
    seed = derive(seed, "tokenizer", suite)
    # random and idle behavior, beside what the tokenizer is for
    others = {task: baseline_frames(experts[task], baselines[task]) for task in experts}
    familiar = {task: some_frames(experts[task], "train") for task in trained}
    backgrounds = median_backgrounds([np.concatenate([familiar[t], others[t]]) for t in trained])
    seed_everything(seed)
    module = kind(settings, trained, experts[trained[0]].spec.size, backgrounds)
    history = train(
        module,
        tokenizer_batches([experts[t] for t in trained], [others[t] for t in trained], settings, seed),
        settings.training,
        seed=seed,
        scratch=scratch,
        progress=Report(f"tokenizer {suite}"),
        compute=place,
    )

    metrics, pictures = {}, {}
    for task in [*trained, *(task for task in experts if task not in trained)]:
        kinds = {"held_out": some_frames(experts[task], "held_out"), "random": others[task]}
        if task in trained:
            kinds, background = {"train": familiar[task], **kinds}, backgrounds[trained.index(task)]
        else:
            background = median_backgrounds([others[task]])[0]
        again = {name: reconstruct(module, frames) for name, frames in kinds.items()}
        metrics[task] = {k: quality(f, again[k], foreground(f, background)) for k, f in kinds.items()}
        rows = [ten_of(kinds[name], again[name]) for name in ("held_out", "random")]
        pictures[f"reconstructions_{task}.png"] = picture(rows)
    artifact = module.to_artifact()
    return ModelArtifact(
        artifact.config | {"metrics": metrics},
        artifact.tensors,
        pictures | {"curve.csv": history_csv(history)},
    )


def tokenizer_batches(
    experts: Sequence[EpisodeFile], others: Sequence[np.ndarray], settings: TokenizerConfig, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Step -> frames (B, H, W, C) and task ids (B,): experts, and `baseline_share` of frames of random behavior."""
    size = settings.training.batch_size
    mixed = round(size * settings.baseline_share)
    sampler = ClipSampler([file.group("train") for file in experts], 1, size - mixed, seed)
    if not mixed:
        return lambda step: (sampler(step)[0][:, 0], sampler(step)[1])

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        clips, ids = sampler(step)
        rng = np.random.default_rng([seed, step])
        tasks = (step * mixed + np.arange(mixed)) % len(others)
        chosen = np.stack([others[t][rng.integers(len(others[t]))] for t in tasks])
        return np.concatenate([clips[:, 0], chosen]), np.concatenate([ids, tasks])

    return batch


def some_frames(file: EpisodeFile, group: str) -> np.ndarray:
    """At most FRAMES_MEASURED frames of a group, some of every episode: (N, H, W, C)."""
    episodes = file.group(group)
    each = max(1, FRAMES_MEASURED // len(episodes))
    chosen = []
    for i in range(len(episodes)):
        frames = episodes[i].frames
        chosen.append(frames[np.linspace(0, len(frames) - 1, min(each, len(frames))).astype(int)])
    return np.concatenate(chosen)[:FRAMES_MEASURED]


def baseline_frames(experts: EpisodeFile, baselines: EpisodeFile) -> np.ndarray:
    """Frames of random and idle episodes, masked as the expert set is."""
    return blacken(some_frames(baselines, "episodes"), experts.spec.mask)


def foreground(frames: np.ndarray, background: Tensor) -> np.ndarray:
    """Which pixels (N, H, W) differ from the task's background."""
    mask = Foreground(background[None]).mask(torch.as_tensor(frames), torch.zeros(len(frames)))
    return mask[:, 0].numpy()


def ten_of(frames: np.ndarray, again: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ten evenly spaced frames, and their reconstructions."""
    chosen = np.linspace(3, len(frames) - 1, 10).astype(int)
    return frames[chosen], again[chosen]


# ---- encode_experts


def encode_experts(
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    experts: EpisodeFile,
    *,
    suite: str,
    task: str,
    tokenizer_kind: str | None = None,
) -> Recording:
    """The expert set as codes int16 (T, h, w), or latents float32 (T, h, w, D): later stages read no pixels."""
    frozen = load_tokenizer(tokenizer, tokenizer_kind).to(ComputeConfig.model_validate(compute).begin())
    payload, dtype = ("latents", "float32") if frozen.continuous else ("codes", "int16")

    def encoded(group: str) -> Iterator[Episode]:
        for episode in experts.group(group):
            codes = frozen.encode(episode.frames).cpu().numpy().astype(dtype)
            yield Episode(codes, episode.rewards, episode.seed, episode.kind)

    return Recording({name: encoded(name) for name in experts.groups}, suite, task, experts.spec, payload=payload)


# ---- train_video_model


def train_video_model(
    config: ParamsBlock,
    seed: int,
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    scratch: Path | None,
    held_out_tasks: Sequence[str] | None = None,
    *,
    suite: str,
    model: str,
    tokenizer_kind: str | None = None,
    **files: EpisodeFile,
) -> ModelArtifact:
    """p(frame | earlier frames) over the codes of the expert sets (paper 4.1). files: codes__<task>.

    held_out_tasks: in suites whose tasks share labels, the model is conditioned on the label, learns nothing from
    the codes of these tasks, and knows every task in the end. None: each task has a label of its own.
    Returns weights, curve.csv, the loss on held-out episodes, and pictures of open-loop rollouts of every task (Fig 4).
    Raises BadParams if the model cannot be trained on this kind of tokenizer.
    """
    place = ComputeConfig.model_validate(compute)
    place.begin()
    codes = by_task("codes", files)
    frozen = load_tokenizer(tokenizer, tokenizer_kind)
    kind = VIDEO_MODELS.get(model)
    check_continuous(model, kind.continuous, frozen.continuous)
    settings = kind.Config.model_validate(config)
    sources: Mapping[str, EpisodeFile | ConcatEpisodes] = codes
    classes: dict[str, str] = {}
    if held_out_tasks is not None:
        label = SUITES.get(suite)().task_label
        classes = {task: label(task) for task in codes}
        learned = [task for task in codes if task not in held_out_tasks]
        names = dict.fromkeys(classes[task] for task in learned)
        sources = {name: ConcatEpisodes([codes[task] for task in learned if classes[task] == name]) for name in names}
    seed = derive(seed, "video_model", suite, SEED_LABELS.get(model, model))
    seed_everything(seed)
    network = kind(settings, frozen.codebook, frozen.grid, tuple(sources))
    conditions = network.conditions(tuple(sources)).numpy()
    clips = ClipSampler(
        [file.group("train") for file in sources.values()], settings.window, settings.training.batch_size, seed
    )

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        videos, ids = clips(step)
        return videos, conditions[ids]

    history = train(
        network,
        batch,
        settings.training,
        seed=seed,
        scratch=scratch,
        progress=Report(f"{model} {suite}"),
        compute=place,
    )

    held_out, pictures = {}, {"curve.csv": history_csv(history)}
    for i, (name, file) in enumerate(sources.items()):
        group = file.group("held_out")
        sample, _ = ClipSampler([group], settings.window, 64, derive(seed, "held_out"))(0)
        condition = torch.as_tensor(conditions[[i] * len(sample)])
        with torch.no_grad():
            _, metrics = network.loss((torch.as_tensor(sample), condition), "model")
        held_out[name] = {metric: float(value) for metric, value in metrics.items()}
        if held_out_tasks is None:
            pictures[f"rollouts_{name}.png"] = rollouts(network, frozen, group, name)
    artifact = network.to_artifact()
    artifact = ModelArtifact(artifact.config | {"held_out": held_out}, artifact.tensors, pictures)
    if held_out_tasks is None:
        return artifact
    artifact = for_every_task(kind, artifact, classes)
    network = kind.from_artifact(artifact)
    for task, file in codes.items():
        pictures[f"rollouts_{task}.png"] = rollouts(network, frozen, file.group("held_out"), task)
    return ModelArtifact(artifact.config | {"held_out_tasks": list(held_out_tasks)}, artifact.tensors, pictures)


def rollouts(network: VideoModel, tokenizer: Tokenizer, group: EpisodeGroup | ConcatGroup, task: str) -> bytes:
    """A picture: held-out videos (odd rows) and the model's continuations of their first frame (even rows).

    Videos may be shorter than a rollout: then their row is shorter.
    """
    torch.manual_seed(0)
    real = [_integers(group[i].frames[: ROLLOUT + 1]) for i in range(min(3, len(group)))]
    first = torch.stack([video[:1] for video in real])
    continued = network.sample(first, network.conditions([task] * len(real)), ROLLOUT)
    rows = [video for pair in zip(real, continued, strict=True) for video in pair]
    return strip([tokenizer.decode(video).cpu().numpy() for video in rows])


def _integers(codes: np.ndarray) -> Tensor:
    """Codes as int64; latents as they are."""
    tensor = torch.as_tensor(codes)
    return tensor if tensor.is_floating_point() else tensor.long()


# ---- evaluate_reward


def evaluate_reward(
    reward: ParamsBlock,
    evaluation: ParamsBlock,
    seed: int,
    compute: ParamsBlock,
    tokenizer: ModelArtifact,
    video_model: ModelArtifact,
    *,
    suite: str,
    model: str,
    tokenizer_kind: str | None = None,
    **files: EpisodeFile,
) -> ModelArtifact:
    """Fit the reward's scale, and measure whether it knows an expert (paper 4.2, Fig 5).

    files: experts__, codes__, baselines__<task>. Returns the scale of each task, the nats of every frame of every kind
    of video, whether the reward is usable (`gates`, see `rewards.gate`), and maps of what surprises the model (Figs 16
    to 18). Metrics and pictures are made of these by the report's stages, so that a new figure trains no agent again.
    Videos of group `test` are scored for the report alone: nothing is fitted to them.
    """
    device = ComputeConfig.model_validate(compute).begin()
    config, settings = ViperConfig.model_validate(reward), EvaluationConfig.model_validate(evaluation)
    if model != config.model:  # scoring is chosen for the model that rewards agents; others are scored by full windows
        config = config.model_copy(update={"scoring": "full_window"})
    frozen = load_tokenizer(tokenizer, tokenizer_kind).to(device)
    network = VIDEO_MODELS.get(model).from_artifact(video_model).to(device)
    experts, codes, baselines = (by_task(prefix, files) for prefix in ("experts", "codes", "baselines"))

    scales, specs, maps, gates = {}, {}, {}, {}
    tensors: dict[str, torch.Tensor] = {}
    for task in codes:
        spec = experts[task].spec
        plain = ViperReward(frozen, network, task, config, spec)
        kinds, returns = videos_of(plain, codes[task], baselines[task], settings.episodes)
        penalties = penalties_of(plain, kinds, experts[task], baselines[task]) if config.reconstruction else None
        shuffle = derive(seed, "perturb", task)
        scores = score_kinds(plain, kinds, settings, shuffle, penalties)
        scale = fit_scale(config.scale, *(transition_scores(scores[kind]) for kind in ("held_out", "random", "idle")))
        scales[task], specs[task] = scale.model_dump(), spec.model_dump(mode="json")
        gates[task] = judge(scores).model_dump(mode="json")
        tensors |= pack(task, scores, returns, single_frames(plain, kinds, settings, shuffle, penalties))
        pair = two_videos(experts[task], baselines[task])
        surprises = {kind: surprise(plain, video) for kind, video in pair.items()}
        maps[f"maps_{task}.png"] = strip(surprise_rows(pair, surprises))
        maps[f"maps_{task}.gif"] = gif(surprise_film(pair, surprises), milliseconds=120, zoom=1)
    saved = {"model": model, "reward": config.model_dump(), "scales": scales, "specs": specs, "gates": gates}
    return ModelArtifact(saved, tensors, maps)


def single_frames(
    reward: ViperReward,
    kinds: Mapping[str, list[torch.Tensor]],
    settings: EvaluationConfig,
    seed: int,
    penalties: Mapping[str, list[np.ndarray]] | None,
) -> Scores | None:
    """Of a reward in mode `joint`, which sums a window, also the scores of single frames, as its report shows both."""
    if reward.config.mode != "joint":
        return None
    config = reward.config.model_copy(update={"mode": "conditional"})
    alone = ViperReward(reward.tokenizer, reward.model, reward.task, config, reward.spec)
    return score_kinds(alone, kinds, settings, seed, penalties)


def two_videos(experts: EpisodeFile, baselines: EpisodeFile) -> dict[str, np.ndarray]:
    """The first held-out expert and the first random video, (T, H, W, C) at the model's stride."""
    everything = baselines.group("episodes")
    random = everything[list(everything.kinds).index("random")].frames[:: experts.spec.stride]
    return {"held_out": experts.group("held_out")[0].frames, "random": blacken(random, experts.spec.mask)}


def videos_of(
    reward: ViperReward, codes: EpisodeFile, baselines: EpisodeFile, most: int
) -> tuple[dict[str, list[torch.Tensor]], dict[str, np.ndarray]]:
    """Codes (T, h, w) of every kind of video, and the true return of each.

    most: of training and noisy videos; of those that the scale is fitted to, none is left out.
    """
    kinds, returns = {}, {}
    for name in ("train", "held_out", "test", "contrast"):
        group = codes.group(name)
        chosen = [group[i] for i in range(min(len(group), most) if name in ("train", "contrast") else len(group))]
        if chosen:
            kinds[name] = [torch.as_tensor(episode.frames) for episode in chosen]
            returns[name] = np.array([episode.ret for episode in chosen])
    everything = baselines.group("episodes")
    for kind in ("random", "idle"):
        rows = [i for i, k in enumerate(everything.kinds) if k == kind]
        chosen = [everything[i] for i in rows]
        kinds[kind] = [reward.encode(episode.frames[:: reward.spec.stride]) for episode in chosen]
        returns[kind] = np.array([episode.ret for episode in chosen])
    return kinds, returns


def penalties_of(
    reward: ViperReward, kinds: Mapping[str, list[torch.Tensor]], experts: EpisodeFile, baselines: EpisodeFile
) -> dict[str, list[np.ndarray]]:
    """Reconstruction penalties (T,) of the videos of `videos_of`, whose codes are `kinds`."""
    everything = baselines.group("episodes")
    penalties = {}
    for kind, videos in kinds.items():
        rows = [i for i, k in enumerate(everything.kinds) if k == kind]
        group, stride = (everything, reward.spec.stride) if rows else (experts.group(kind), 1)
        shown = [group[i].frames[::stride] for i in (rows or range(len(videos)))[: len(videos)]]
        penalties[kind] = [
            reward.reconstruction_penalty(frames, codes) for frames, codes in zip(shown, videos, strict=True)
        ]
    return penalties
