"""Values of params.yaml that are each possible, and do not fit together: sizes, lists with an entry twice, types.

`params_check` calls these; every line is `field: what is wrong; remedy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from viper_pipeline.core.config import Config, ParamsBlock
from viper_pipeline.pipelines.params import Params, SuiteConfig

LARGEST_SEED = 2**32 - 1
"""NumPy and the simulators take seeds of 32 bits; of larger ones two could be the same."""


def wrong_seeds(params: Params) -> Iterator[str]:
    """Seeds beyond 32 bits, of which two might play the same episodes."""
    lists = {"seed": [params.seed], "seeds": params.seeds}
    for name, suite in params.suites.items():
        lists |= {f"suites.{name}.method_seeds.{method}": seeds for method, seeds in suite.method_seeds.items()}
    for field, seeds in lists.items():
        for seed in seeds:
            if not 0 <= seed <= LARGEST_SEED:
                yield f"{field}: {seed} is not from 0 to 2^32 - 1, the seeds that simulators take; write another"


def listed_twice(params: Params) -> Iterator[str]:
    """Lists of runs with an entry twice: two stages of one name."""
    lists: dict[str, Sequence[Any]] = {"seeds": params.seeds}
    for name, suite in params.suites.items():
        here = f"suites.{name}"
        lists |= {f"{here}.{key}": getattr(suite, key) for key in ("video_models", "methods", "agents")}
        lists |= {f"{here}.more_methods.{method}": tasks for method, tasks in suite.more_methods.items()}
        lists[f"{here}.held_out_tasks"] = suite.held_out_tasks or []
    if params.ablations:
        keys = ("betas", "models", "contexts", "scorings")
        lists |= {f"ablations.{key}": getattr(params.ablations, key) for key in keys}
    for field, entries in lists.items():
        if twice := [entry for i, entry in enumerate(entries) if entry in entries[:i]]:
            yield f"{field}: {twice[0]} is listed twice; delete one"


def sizes(here: str, suite: SuiteConfig) -> Iterator[str]:
    """Frames that a tokenizer or an agent cannot divide, convolutions that leave nothing, and too small a replay."""
    size = suite.frames.size
    factor = getattr(suite.tokenizer, "factor", 1)
    if size % factor:
        near = [n for n in (size // factor * factor, (size // factor + 1) * factor) if n]
        yield (
            f"{here}.frames.size: frames of {size} pixels do not divide into codes of {factor} pixels "
            f"({here}.tokenizer.multipliers); take {' or '.join(map(str, near))}"
        )
    for name in suite.agents:
        agent = suite.components[name]
        pixels = getattr(agent, "pixels", size)
        if size % pixels:
            likely = [str(n) for n in range(8, size + 1) if size % n == 0]
            yield f"{here}.{name}.pixels: {pixels} does not divide frames.size {size}; take {' or '.join(likely)}"
            continue
        blocks = {name: agent, "exploration": suite.exploration}
        blocks |= {block: config for block, config in suite.components.items() if block not in (*suite.agents, name)}
        for block, config in blocks.items():
            yield from _convolutions(f"{here}.{block}", config, pixels)
        yield from _replay(here, suite, name)


def _convolutions(here: str, block: Config, pixels: int) -> Iterator[str]:
    channels, kernels, strides = (getattr(block, key, None) for key in ("channels", "kernels", "strides"))
    if not (isinstance(channels, Sequence) and isinstance(kernels, Sequence) and isinstance(strides, Sequence)):
        return
    if not len(channels) == len(kernels) == len(strides):
        yield (
            f"{here}.kernels: {len(channels)} channels, {len(kernels)} kernels and {len(strides)} strides; "
            "each convolution needs one of each"
        )
        return
    left = pixels
    for kernel, stride in zip(kernels, strides, strict=True):
        if kernel < 1 or stride < 1:
            yield f"{here}.kernels: kernels and strides must be 1 or more"
            return
        left = (left - kernel) // stride + 1
        if left < 1:
            yield f"{here}.kernels: nothing is left of images of {pixels} pixels; take smaller kernels or strides"
            return


def _replay(here: str, suite: SuiteConfig, name: str) -> Iterator[str]:
    """A replay must hold, of each environment, what one sample reads, or sampling could look for it without end."""
    agent, limits = suite.components[name], suite.limits(name)
    windows = [getattr(suite.components.get(model), "window", 1) for model in suite.video_models]
    windows += [getattr(block, "window", 1) for block in suite.components.values()]
    reads = max(getattr(agent, "stack", 1) + getattr(agent, "n_step", 1), getattr(agent, "batch_length", 1), *windows)
    least = limits.envs * (reads + 2)
    if limits.capacity < least:
        field = f"{here}.runs" if limits is suite.runs else f"{here}.{name}.runs"
        yield (
            f"{field}.capacity: {limits.capacity} frames, but a sample reads {reads} frames in a row and there are "
            f"{limits.envs} environments; write {least} or more"
        )


def other_types(raw: Any, checked: Any, path: str = "") -> Iterator[str]:
    """Values that the schema could make sense of, and stages, which read the file as it is, would not.

    A number with an exponent is a float: 2e4 is 20000.0, which counts nothing. A number in quotes is a text.
    """
    if isinstance(raw, Mapping):
        for key, inner in raw.items():
            yield from other_types(inner, _inside(checked, key), f"{path}.{key}" if path else str(key))
    elif isinstance(raw, list) and isinstance(checked, Sequence) and len(checked) == len(raw):
        for i, (one, other) in enumerate(zip(raw, checked, strict=True)):
            yield from other_types(one, other, f"{path}.{i}")
    elif (
        isinstance(raw, bool | int | float | str)
        and isinstance(checked, bool | int | float)
        and type(raw) is not type(checked)
        and not (type(raw) is int and type(checked) is float)
    ):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(checked)]
        yield f"{path}: {raw!r} is a {type(raw).__name__}, and {kind} is wanted; write {_written(checked)}"


def _inside(checked: Any, key: str) -> Any:
    """What the schema made of a block's entry; components lie in a mapping of their own."""
    if isinstance(checked, Mapping):
        return checked.get(key)
    for table in ("components", "blocks"):
        if isinstance(found := getattr(checked, table, None), Mapping) and key in found:
            return found[key]
    return getattr(checked, key, None) if isinstance(checked, Config) else None


def _written(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def missing_devices(compute: ParamsBlock) -> Iterator[str]:
    """GPUs that `runtime.compute` asks for and this machine does not have."""
    if compute.get("accelerator") != "cuda":
        return
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = int(compute.get("devices", 1))
    if wanted > found:
        yield (
            f"params.yaml: runtime.compute: asks for {wanted} CUDA device(s), torch {torch.__version__} finds {found}; "
            "write accelerator: cpu or fewer devices, or install a CUDA build of torch"
        )


def missing_sources(params: Params, root: Path) -> Iterator[str]:
    """Paths of videos that do not exist; those that a stage makes need not."""
    for suite, block in params.suites.items():
        for task, dataset in block.datasets.items():
            if dataset.kind != "expert" and not (root / dataset.path).exists():
                field = f"suites.{suite}.datasets.{task}.path"
                yield f"params.yaml: {field}: {dataset.path}: there is no such file or folder"


def unreachable(suite: str, datasets: ParamsBlock) -> Iterator[str]:
    """Paths of videos that other programs would read otherwise."""
    for task, dataset in datasets.items():
        if str(dataset.path).startswith("~"):
            yield f"suites.{suite}.datasets.{task}.path: {dataset.path}: ~ is not expanded; write the whole path"
        elif not str(dataset.path).strip():
            yield f"suites.{suite}.datasets.{task}.path: is empty; name a file or folder of videos"
