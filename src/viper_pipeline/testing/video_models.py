"""`check_video_model`: scores of the right frames, samples in range, caches that agree with windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.testing.contract import Contract, ParamsOrConfig, find
from viper_pipeline.testing.tokenizers import TRIAL_TASKS, check_training
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.video_models import VIDEO_MODELS
from viper_pipeline.video_models.base import Scoring, VideoModelConfig

CODES, WIDTH, GRID, VIDEOS = 6, 4, (2, 3), 3
"""Vectors in the codebook, their length, codes per frame, and videos in a batch."""
NATS_TOLERANCE = 1e-3
"""Scores in nats may differ by this, absolutely and relatively, between two orders of summation."""


def check_video_model(part: str | type, config: ParamsOrConfig) -> None:
    """Raise ContractError where a video model breaks the contract of `video_models.base.VideoModel`.

    part: its name in VIDEO_MODELS, or the class. config: its block, as small as can be, with a window of 3 or more.

    Rules: the same seed gives the same weights and the same training; gradients reach every weight; `log_prob` is
    finite, (B, T), the sum of its codes, and gives to frame t what follows from frames 0..t alone; `log_prob_last` is
    the last column of `log_prob`; a row does not depend on its batch; samples continue their context and are codes;
    a session with a cache scores as `log_prob` does; what was saved is read back equal.
    """
    kind, contract = find(part, VIDEO_MODELS)
    with contract.isolated():
        settings = contract.config(kind, VideoModelConfig, config)
        _check_class(contract, kind)
        codebook = torch.randn(CODES, WIDTH, generator=torch.Generator().manual_seed(0))
        if kind.continuous:
            _check_model(contract, kind, part, settings, codebook[:0])
        else:
            contract.refuses(
                BadParams,
                "a model of codes refuses a continuous tokenizer",
                kind,
                settings,
                codebook[:0],
                GRID,
                TRIAL_TASKS,
            )
        _check_model(contract, kind, part, settings, codebook)


def _check_class(contract: Contract, kind: Any) -> None:
    contract.require(
        isinstance(getattr(kind, "continuous", None), bool),
        "the class says whether it is continuous",
        "it has no bool of this name",
        "write continuous = False, or True if it can learn from latents",
    )
    scorings = getattr(kind, "scorings", None)
    contract.require(
        bool(scorings) and set(scorings or ()) <= set(get_args(Scoring)),
        "scorings names ways of scoring",
        f"it is {scorings}",
        f"write a frozenset of {', '.join(get_args(Scoring))}",
    )


def _check_model(contract: Contract, kind: Any, part: str | type, settings: VideoModelConfig, codebook: Tensor) -> None:
    videos = _continuous_videos if not len(codebook) else _coded_videos
    clips = videos(VIDEOS, settings.window)
    ids = torch.arange(VIDEOS) % len(TRIAL_TASKS)
    built = contract.call("the constructor", kind, settings, codebook, GRID, TRIAL_TASKS)
    conditions = contract.call("conditions", built.conditions, [TRIAL_TASKS[i] for i in ids])
    contract.require(
        isinstance(conditions, Tensor) and len(conditions) == VIDEOS,
        "conditions has a row per task it is given",
        f"it is {getattr(conditions, 'shape', conditions)}",
        "return a tensor (n, ...)",
    )
    contract.same(
        "a task's condition is its own",
        conditions[1:2],
        built.conditions([TRIAL_TASKS[1]]),
        "let a row depend on its task alone",
    )
    contract.refuses(BadData, "conditions refuses an unknown task", built.conditions, ["no such task"])
    stored = clips if clips.is_floating_point() else clips.to(torch.int16)
    model = check_training(contract, lambda: kind(settings, codebook, GRID, TRIAL_TASKS), (stored, conditions))
    with torch.no_grad():
        _check_scores(contract, model, videos, conditions)
        _check_samples(contract, model, videos, conditions)
        if "kv_cache" in kind.scorings:
            _check_session(contract, model, videos, conditions)
        _check_files(contract, model, part, videos, conditions)


def _coded_videos(count: int, frames: int, seed: int = 1) -> Tensor:
    return torch.randint(CODES, (count, frames, *GRID), generator=torch.Generator().manual_seed(seed))


def _continuous_videos(count: int, frames: int, seed: int = 1) -> Tensor:
    return torch.randn(count, frames, *GRID, WIDTH, generator=torch.Generator().manual_seed(seed))


def _check_scores(contract: Contract, model: Any, videos: Callable[..., Tensor], conditions: Tensor) -> None:
    window = model.window
    for length in (1, window):
        codes = videos(VIDEOS, length)
        scores = contract.call("log_prob", model.log_prob, codes, conditions)
        contract.array("what log_prob returns", scores, "float32", (VIDEOS, length))
        per_code = contract.call("log_prob per code", model.log_prob, codes, conditions, per_code=True)
        contract.array("what log_prob per code returns", per_code, "float32", (VIDEOS, length, *GRID))
        contract.same(
            "scores of codes add up to that of their frame",
            scores,
            per_code.sum((2, 3)),
            "make log_prob the sum over the codes of a frame",
            NATS_TOLERANCE,
        )
        contract.same("log_prob is deterministic", scores, model.log_prob(codes, conditions), "draw no random numbers")
        alone = torch.cat([model.log_prob(codes[i : i + 1], conditions[i : i + 1]) for i in range(VIDEOS)])
        contract.same(
            "a video's scores do not depend on its batch", scores, alone, "mix no rows of the batch", NATS_TOLERANCE
        )
        for name, keep, expected in (("", False, scores[:, -1]), (" per code", True, per_code[:, -1])):
            last = contract.call(f"log_prob_last{name}", model.log_prob_last, codes, conditions, per_code=keep)
            shape = (VIDEOS, *GRID) if keep else (VIDEOS,)
            contract.array(f"what log_prob_last{name} returns", last, "float32", shape)
            contract.same(
                f"log_prob_last{name} is the last of log_prob{name}",
                last,
                expected,
                "score the last frame given the same earlier ones",
                NATS_TOLERANCE,
            )
    if window > 1:
        changed = torch.cat([codes[:, :-1], videos(VIDEOS, 1, seed=2)], 1)
        contract.same(
            "a frame's score does not depend on later frames",
            scores[:, :-1],
            model.log_prob(changed, conditions)[:, :-1],
            "r_t is ln p(x_t | x_0..x_{t-1}): mask what comes later",
            NATS_TOLERANCE,
        )


def _check_samples(contract: Contract, model: Any, videos: Callable[..., Tensor], conditions: Tensor) -> None:
    context, frames = videos(VIDEOS, 1), model.window + 1
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(contract.call("sample", model.sample, context, conditions, frames))
    contract.array(
        "what sample returns",
        drawn[0],
        "float32" if context.is_floating_point() else "int64",
        (VIDEOS, 1 + frames, *context.shape[2:]),
    )
    contract.same("samples begin with their context", drawn[0][:, :1], context, "return the context, too")
    contract.same(
        "the same seed gives the same samples", drawn[0], drawn[1], "draw from torch's global generator alone"
    )
    if not context.is_floating_point():
        contract.require(
            int(drawn[0].min()) >= 0 and int(drawn[0].max()) < CODES,
            "samples are codes of the codebook",
            f"they go from {int(drawn[0].min())} to {int(drawn[0].max())}, of {CODES} codes",
            "draw indices of codebook vectors",
        )


def _check_session(contract: Contract, model: Any, videos: Callable[..., Tensor], conditions: Tensor) -> None:
    """A session of running videos: each frame once, with everything it needs of earlier ones in the cache."""
    codes = videos(VIDEOS, model.window)
    expected = model.log_prob(codes, conditions, per_code=True)
    session = contract.call("session", model.session, conditions)
    remedy = "let a cache hold what full windows would see"
    for t in range(model.window):
        nats = contract.call("step of a session", session.step, codes[:, t])
        contract.array("what step of a session returns", nats, "float32", (VIDEOS, *GRID))
        contract.same("a session scores as log_prob does", nats, expected[:, t], remedy, NATS_TOLERANCE)
    other = model.session(conditions)
    contract.call("load_state_dict of a session", other.load_state_dict, contract.checkpointed(session.state_dict()))
    following = videos(VIDEOS, 1, seed=5)[:, 0]
    contract.same(
        "a restored session continues exactly",
        session.step(following),
        other.step(following),
        "keep in state_dict all that later scores depend on",
    )
    begun = contract.call("restart of a session", session.restart, [1], codes[1:2, 0])
    contract.same(
        "a restarted row begins anew", begun, expected[1:2, 0], "forget the row's earlier frames", NATS_TOLERANCE
    )
    nats = session.step(codes[:, 1]) if model.window > 1 else None
    if nats is not None:
        contract.same(
            "a restarted row begins anew", nats[1], expected[1, 1], "forget the row's earlier frames", NATS_TOLERANCE
        )
    contract.call("forget of a session", session.forget, [2])
    nats = session.step(codes[:, 0])
    contract.same(
        "a forgotten row begins anew", nats[2], expected[2, 0], "forget the row's earlier frames", NATS_TOLERANCE
    )


def _check_files(
    contract: Contract, model: Any, part: str | type, videos: Callable[..., Tensor], conditions: Tensor
) -> None:
    artifact = contract.on_disk(contract.call("to_artifact", model.to_artifact))
    if isinstance(part, str):
        found = artifact.config.get("kind")
        contract.require(found == part, "config['kind'] is the registered name", f"it is {found!r}", f"write '{part}'")
    again = contract.call("from_artifact", type(model).from_artifact, artifact)
    remedy = "save every weight, and every setting that builds the model"
    contract.same("what was saved has the same weights", model.state_dict(), again.state_dict(), remedy)
    contract.same("what was saved has the same tasks", model.tasks, again.tasks, "save the names of tasks")
    codes = videos(VIDEOS, model.window)
    contract.same(
        "what was saved scores as before",
        model.log_prob(codes, conditions),
        again.log_prob(codes, again.conditions([TRIAL_TASKS[i % len(TRIAL_TASKS)] for i in range(VIDEOS)])),
        remedy,
    )
    contract.refuses(
        BadData,
        "from_artifact refuses the folder of something else",
        type(model).from_artifact,
        ModelArtifact({"kind": "something else"}),
    )
