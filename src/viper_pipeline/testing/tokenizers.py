"""`check_tokenizer`: codes in range, frames back, no dependence on the batch, and a training that reaches its weights.

`check_training` is what tokenizers and video models have in common: how the training loop treats them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viper_pipeline.core.errors import BadData
from viper_pipeline.testing.contract import Contract, ParamsOrConfig, find
from viper_pipeline.tokenizers import TOKENIZERS, trainable_tokenizer
from viper_pipeline.tokenizers.base import Tokenizer, TokenizerConfig
from viper_pipeline.training.artifacts import ModelArtifact

TRIAL_TASKS = ("first", "second")
"""Tasks that models are built for."""
FRAMES = 4


def check_tokenizer(part: str | type, config: ParamsOrConfig, *, size: int = 16) -> None:
    """Raise ContractError where a tokenizer breaks the contract of `tokenizers.base.TrainableTokenizer`.

    part: its name in TOKENIZERS, or the class that is trained. config: its block `tokenizer`, as small as can be.
    size: height and width of frames, pixels.

    Rules: the same seed gives the same weights and the same training; gradients reach every weight of a part; codes
    are int64 (N, h, w) within the codebook, or float32 latents; the same frame has the same codes in every batch;
    `decode` gives uint8 frames for codes of any integer type; what was saved is read back equal.
    """
    kind, contract = find(part, TOKENIZERS)
    kind = trainable_tokenizer(part) if isinstance(part, str) else kind
    with contract.isolated():
        settings = contract.config(kind, TokenizerConfig, config)
        frames = _frames(size)
        backgrounds = torch.stack([torch.from_numpy(frames[0]), torch.from_numpy(frames[1])])
        batch = (torch.from_numpy(frames), torch.arange(FRAMES) % len(TRIAL_TASKS))
        tokenizer = check_training(contract, lambda: kind(settings, TRIAL_TASKS, size, backgrounds), batch)
        _check_codes(contract, tokenizer, settings, frames)
        _check_files(contract, tokenizer, part, frames)


def check_training(contract: Contract, build: Callable[[], Any], batch: tuple[Tensor, Tensor]) -> Any:
    """Train twice for a few steps as the training loop does; return the module in evaluation mode.

    batch: what `loss` takes. The module is an `nn.Module` with `parts` and `loss(batch, part)`.
    """
    modules = []
    for _ in range(2):
        torch.manual_seed(0)
        modules.append(contract.call("the constructor", build))
    first = modules[0]
    contract.require(
        isinstance(first, nn.Module),
        "what is trained is a torch module",
        f"it is a {type(first).__name__}",
        "inherit torch.nn.Module",
    )
    contract.require(
        tuple(first.tasks) == TRIAL_TASKS,
        "tasks are those it was built for",
        f"{first.tasks}",
        "keep the argument tasks",
    )
    contract.same(
        "the same seed gives the same weights",
        first.state_dict(),
        modules[1].state_dict(),
        "draw initial weights from torch's global generator alone",
    )
    for module in modules:
        torch.manual_seed(1)
        _learn(contract, module, batch)
    contract.same(
        "the same seed gives the same training",
        first.state_dict(),
        modules[1].state_dict(),
        "draw random numbers from torch's global generator alone",
    )
    return first.eval()


def _learn(contract: Contract, module: Any, batch: tuple[Tensor, Tensor]) -> None:
    """Three steps of Adam on every part."""
    parts: Mapping[str, list[nn.Parameter]] = contract.call("parts", lambda: module.parts)
    contract.require(
        bool(parts) and all(parts.values()), "parts lists weights", f"{list(parts)}", "return {name: [parameters]}"
    )
    names = {id(p): name for name, p in module.named_parameters()}
    module.train()
    optimizers = {name: torch.optim.Adam(p, 1e-3) for name, p in parts.items()}
    for _ in range(3):
        for part, optimizer in optimizers.items():
            optimizer.zero_grad(set_to_none=True)
            loss, metrics = contract.call(f"loss of part '{part}'", module.loss, batch, part)
            contract.array("loss", loss, "float32", ())
            check_metrics(contract, "loss", metrics)
            contract.require(
                loss.requires_grad,
                "gradients flow from the loss to its part",
                f"the loss of part '{part}' has no gradient",
                "detach nothing on the way from the weights to the loss",
            )
            loss.backward()
            _check_gradients(contract, part, parts[part], names)
            optimizer.step()
    module.eval()


def _check_gradients(contract: Contract, part: str, weights: Iterable[nn.Parameter], names: Mapping[int, str]) -> None:
    unreached = [names.get(id(p), "?") for p in weights if p.grad is None]
    remedy = "use every weight of `parts` in the loss, or leave it out of `parts`"
    contract.require(
        not unreached, "gradients reach every weight of a part", f"none for {unreached[:3]} of part '{part}'", remedy
    )
    gradients = [p.grad for p in weights if p.grad is not None]
    contract.require(
        all(bool(torch.isfinite(g).all()) for g in gradients),
        "gradients are finite",
        f"part '{part}' has NaN or inf",
        "mend the loss",
    )
    contract.require(
        any(bool(g.any()) for g in gradients),
        "gradients flow from the loss to its part",
        f"all gradients of part '{part}' are 0",
        "let the loss depend on the weights",
    )


def check_metrics(contract: Contract, name: str, metrics: Any) -> None:
    """Metrics must be finite numbers by name, without gradient."""
    rule, remedy = f"metrics of {name} are detached numbers by name", "return {name: tensor.detach()}"
    contract.require(isinstance(metrics, Mapping), rule, f"they are a {type(metrics).__name__}", remedy)
    for key, value in metrics.items():
        number = isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad
        contract.require(number, rule, f"'{key}' is {value!r:.60}", remedy)
        contract.require(bool(torch.isfinite(value)), f"metrics of {name} are finite", f"'{key}' is {value}", "mend it")


def _frames(size: int) -> np.ndarray:
    """Frames (FRAMES, size, size, 3): smooth colors, and a block of noise in each."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (FRAMES, 1, 1, 3)) * np.linspace(0.3, 1, size)[:, None, None]
    frames = np.broadcast_to(colors, (FRAMES, size, size, 3)).astype(np.uint8).copy()
    frames[:, : size // 2, : size // 2] = rng.integers(0, 256, (FRAMES, size // 2, size // 2, 3), dtype=np.uint8)
    return frames


def _check_codes(contract: Contract, tokenizer: Tokenizer, settings: TokenizerConfig, frames: np.ndarray) -> None:
    size, continuous = frames.shape[1], tokenizer.continuous
    height, width = contract.call("grid", lambda: tokenizer.grid)
    contract.same(
        "the grid is that of Config.grid",
        (height, width),
        contract.call("Config.grid", settings.grid, size),
        "return the same (h, w) in both",
    )
    codebook = contract.call("codebook", lambda: tokenizer.codebook)
    contract.array("codebook", codebook, "float32", (0 if continuous else "K", "D"))
    tensor = torch.from_numpy(frames)
    codes = contract.call("encode", tokenizer.encode, tensor)
    if continuous:
        contract.array("what encode returns", codes, "float32", (FRAMES, height, width, codebook.shape[1]))
    else:
        contract.array("what encode returns", codes, "int64", (FRAMES, height, width))
        contract.require(
            int(codes.min()) >= 0 and int(codes.max()) < len(codebook),
            "codes are within the codebook",
            f"they go from {int(codes.min())} to {int(codes.max())}, and the codebook has {len(codebook)} vectors",
            "return the index of a codebook vector",
        )
    contract.require(
        not codes.requires_grad, "encode computes no gradient", "what it returns has one", "use torch.no_grad"
    )
    exact = 1e-4 if continuous else 0.0
    chance = "draw no random numbers in encode"
    contract.same("encode is deterministic", codes, tokenizer.encode(tensor), chance, exact)
    contract.same("encode takes arrays and tensors alike", codes, tokenizer.encode(frames), "use torch.as_tensor")
    alone = torch.cat([tokenizer.encode(tensor[i : i + 1]) for i in range(FRAMES)])
    contract.same(
        "a frame's codes do not depend on its batch",
        codes,
        alone,
        "normalize over no batch in evaluation mode, and decide ties in a way that rounding does not change",
        exact,
    )
    decoded = contract.call("decode", tokenizer.decode, codes)
    contract.array("what decode returns", decoded, "uint8", frames.shape)
    other = codes.double().float() if continuous else codes.to(torch.int16)
    contract.same(
        "decode takes codes of any type",
        decoded,
        contract.call("decode of stored codes", tokenizer.decode, other),
        "convert what it is given: codes are stored as int16",
    )
    alone = torch.cat([tokenizer.decode(codes[i : i + 1]) for i in range(FRAMES)]).int()
    contract.require(
        bool((alone - decoded.int()).abs().max() <= 1),
        "a frame's decoding does not depend on its batch",
        "one frame alone is decoded otherwise than within a batch",
        "normalize over no batch in evaluation mode",
    )
    contract.require(
        tokenizer.to("cpu") is tokenizer, "to returns the tokenizer", "it returned something else", "return self"
    )


def _check_files(contract: Contract, tokenizer: Any, part: str | type, frames: np.ndarray) -> None:
    artifact = contract.on_disk(contract.call("to_artifact", tokenizer.to_artifact))
    if isinstance(part, str):
        found = artifact.config.get("kind")
        contract.require(found == part, "config['kind'] is the registered name", f"it is {found!r}", f"write '{part}'")
    frozen_kind = TOKENIZERS.get(part) if isinstance(part, str) else type(tokenizer)
    again = contract.call("from_artifact", frozen_kind.from_artifact, artifact)
    codes = tokenizer.encode(frames)
    remedy = "save every weight that encode and decode use, and every setting that builds them"
    contract.same("what was saved encodes as before", codes, again.encode(frames), remedy)
    contract.same("what was saved decodes as before", tokenizer.decode(codes), again.decode(codes), remedy)
    for name in ("tasks", "grid", "codebook"):
        before, after = getattr(tokenizer, name), getattr(again, name)
        contract.same(f"what was saved has the same {name}", before, after, f"save {name}")
    contract.refuses(
        BadData,
        "from_artifact refuses the folder of something else",
        frozen_kind.from_artifact,
        ModelArtifact({"kind": "something else"}),
    )
