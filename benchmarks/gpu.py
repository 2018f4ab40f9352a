"""Speed of one GPU at a profile's own sizes: what trains, scores and acts, in 32 bits and bf16, with torch.compile.

python benchmarks/gpu.py --json gpu.json          profile paper, at most 12 minutes
python benchmarks/gpu.py --suites dmc --minutes 5
python benchmarks/gpu.py --profile tiny --device cpu --seconds 0.1 --no-compile      seconds; what the tests run

Rows without torch.compile are measured first, then the compiled ones, until the minutes are over. From the rates follow
the hours of each stage of the profile, as `viper cost` counts them: once with the profile's own precision, and once
with the fastest of what was measured and the project offers (`training.precision`, `training.compile`,
`reward.precision`; agents have neither option, so their bf16 and compiled rows show what one would bring). Under
"units" the file holds what src/viper_pipeline/tools/measured.json holds, for `viper cost --on`. A GPU's wall time is
measured; of a CPU the time of one thread.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from viper_pipeline.agents.base import AGENTS, Agent
from viper_pipeline.agents.dreamer import networks
from viper_pipeline.agents.dreamer.actor_critic import Critic
from viper_pipeline.agents.replay import Replay
from viper_pipeline.core.errors import ViperError
from viper_pipeline.core.files import atomic_write
from viper_pipeline.envs import SUITES
from viper_pipeline.pipelines.params import Params
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tools.cost import Measured, hours, measured_machine, table, total_hours, units_of, work_of
from viper_pipeline.tools.cost_probes import CostProbe
from viper_pipeline.training.config import ComputeConfig, LoopConfig
from viper_pipeline.training.loop import train
from viper_pipeline.video_models.scoring import score_videos

ROOT = Path(__file__).parents[1]
WARM = 3
"""Steps before the first that counts: memory is reserved, kernels are chosen, graphs are compiled."""
SCORED = 64
"""Windows, or videos with a cache, that are scored at once: as many as a reward scores."""
COMPILED = {
    "drq": ("encoder.forward", "critic.forward", "target_critic.forward", "actor.sample"),
    "dreamer": ("model.encoder.forward", "model.rssm.obs_step", "model.rssm.img_step", "model.decoder.loss"),
}
"""What of an agent is compiled: whole updates would unroll their recurrences. Names of weights stay as they are."""
LOSSES = ((networks, "two_hot_loss"), (networks, "two_hot_mean"), (Critic, "range"))
"""What of Dreamer stays in 32 bits when the rest is in bf16."""


class Way(NamedTuple):
    """How one part is computed."""

    precision: str  # 32 or bf16
    compile: bool


PLAIN, HALF, COMPILED_HALF = Way("32", False), Way("bf16", False), Way("bf16", True)


class Enough(Exception):
    """Ends a training that was only timed."""


@dataclass
class Clock:
    """Rates of repeated work on one device; `seconds` is how long a part is repeated after its first steps."""

    device: str
    seconds: float
    busy: list[float] = field(default_factory=list)

    def now(self) -> float:
        """After everything that was asked for is done: wall time with a GPU, else this process's."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def rate(self, work: Callable[[], object]) -> tuple[float, float]:
        """(calls per second, seconds that the calls before the first that counts took)."""
        first = self.now()
        for _ in range(WARM):
            work()
        begun, count = self.now(), 0
        with self.watched():
            while count < 2 or self.now() - begun < self.seconds:
                work()
                count += 1
            ended = self.now()
        return count / max(ended - begun, 1e-9), begun - first

    def steps_per_second(
        self, module: Any, batch: tuple[Any, Any], training: LoopConfig, least: int
    ) -> tuple[float, float]:
        """As `rate`, of the project's own training loop, its optimizers and moving averages included.

        least: steps that are timed at least.
        """
        marks: list[tuple[int, float]] = []
        every = 4 if self.device == "cuda" else 1  # waiting for the GPU at every step would leave it idle
        first = time.perf_counter()

        def batches(step: int) -> tuple[Any, Any]:
            if step >= WARM and (step - WARM) % every == 0:
                marks.append((step, self.now()))
                if step == WARM:
                    self.busy.clear()
                if step - WARM >= max(least, 2 * every) and marks[-1][1] - marks[0][1] > self.seconds:
                    raise Enough
            return batch

        endless = {"steps": 10**9, "batch_size": len(batch[1]), "log_every": 10**9, "checkpoint_every": 10**9}
        endless |= {"schedule": "constant", "warmup": 0.0}
        compute = ComputeConfig(accelerator="cuda" if self.device == "cuda" else "cpu")
        with self.watched(), suppress(Enough):
            train(module, batches, training.model_copy(update=endless), seed=0, compute=compute)
        (begin, begun), (end, ended) = marks[0], marks[-1]
        return (end - begin) / max(ended - begun, 1e-9), time.perf_counter() - first

    def watched(self) -> Any:
        """While the context lasts, note how busy the GPU is."""
        return Watch(self.busy) if self.device == "cuda" else nullcontext()


class Watch:
    """Asks the driver, ten times a second, in what part of the last moments a kernel ran."""

    def __init__(self, found: list[float]) -> None:
        self.found, self._over = found, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.1):
            try:
                self.found.append(torch.cuda.utilization() / 100)
            except Exception:  # whatever the driver's library says: without it this column stays empty
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@dataclass(frozen=True)
class Part:
    """One thing that is timed: of which unit of `viper cost`, and what its rate is called."""

    suite: str
    name: str
    unit: str | None
    rate_of: str
    measure: Callable[[Way, Clock], dict[str, Any]]
    ways: tuple[Way, ...] = (PLAIN, HALF, COMPILED_HALF)


def parts_of(probe: CostProbe) -> Iterator[Part]:
    """Every part of a suite."""
    suite = probe.suite
    make = partial(Part, probe.name)
    yield make("tokenizer training", "image learned", "images/s", partial(tokenizer_training, probe))
    yield make("tokenizer encoding", "frame encoded", "images/s", partial(encoding, probe), (PLAIN,))
    for model in suite.video_models:
        learned, scored = f"clip learned by {model}", f"frame scored by {model}"
        yield make(f"{model} training", learned, "tokens/s", partial(video_model_training, probe, model))
        yield make(f"{model} scoring", scored, "tokens/s", partial(scoring, probe, model), (PLAIN, HALF))
    for agent in suite.agents:
        yield make(f"{agent} updates", None, "updates/s", partial(updates, probe, agent))


def flops_of(work: Callable[[], object]) -> float:
    """Floating point operations of matrix products and convolutions of one call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def trained(
    module: Any, batch: tuple[Any, Any], training: LoopConfig, way: Way, clock: Clock, least: int = 2
) -> dict[str, Any]:
    """A row of the training loop; samples_per_s is what `viper cost` counts. least: steps that are timed."""
    module.to(clock.device).train()
    placed = tuple(torch.as_tensor(part).to(clock.device) for part in batch)
    flops = flops_of(lambda: [module.loss(placed, part)[0].backward() for part in module.parts])
    module.zero_grad(set_to_none=True)
    config = training.model_copy(update={"precision": way.precision, "compile": way.compile})
    rate, first = clock.steps_per_second(module, batch, config, least)
    return {"batch": len(batch[1]), "steps_per_s": rate, "samples_per_s": rate * len(batch[1]),
            "first_s": first, "tflops": flops * rate / 1e12}  # fmt: skip


def tokenizer_training(probe: CostProbe, way: Way, clock: Clock) -> dict[str, Any]:
    """Images per second of all parts: generator and discriminator."""
    training, size = probe.suite.tokenizer.training, probe.suite.frames.size
    frames = np.random.default_rng(0).integers(0, 256, (training.batch_size, size, size, 3), dtype=np.uint8)
    discriminator: Any = getattr(probe.suite.tokenizer, "discriminator", None)
    least = discriminator.r1_every if discriminator and discriminator.weight else 2  # one step of so many is dearer
    row = trained(probe.tokenizer(), (frames, np.zeros(len(frames), int)), training, way, clock, least)
    return row | {"per_s": row["samples_per_s"]}


def encoding(probe: CostProbe, way: Way, clock: Clock) -> dict[str, Any]:
    """Images per second, copied there and codes back."""
    size = probe.suite.frames.size
    frames = np.random.default_rng(0).integers(0, 256, (SCORED, size, size, 3), dtype=np.uint8)
    tokenizer = probe.tokenizer().eval().to(clock.device)
    return called(lambda: tokenizer.encode(frames).cpu(), SCORED, SCORED, clock)


def called(work: Callable[[], object], samples: int, rated: int, clock: Clock) -> dict[str, Any]:
    """A row of repeated calls; samples: of `viper cost` in one; rated: of what per_s counts in one."""
    with torch.no_grad():
        flops = flops_of(work)
    rate, first = clock.rate(work)
    return {"batch": samples, "steps_per_s": rate, "samples_per_s": rate * samples, "per_s": rate * rated,
            "first_s": first, "tflops": flops * rate / 1e12}  # fmt: skip


def video_model_training(probe: CostProbe, model: str, way: Way, clock: Clock) -> dict[str, Any]:
    """Tokens per second: codes of all frames of all clips."""
    module, codes = probe.video_model(model)
    training, window = module.config.training, module.config.window
    clips, conditions = codes(training.batch_size, window), module.conditions(module.tasks[:1])
    batch = (clips, conditions.expand(len(clips), *conditions.shape[1:]))
    row = trained(module, batch, training, way, clock)
    return row | {"per_s": row["samples_per_s"] * window * tokens_of(module)}


def tokens_of(module: Any) -> int:
    """Codes of a frame."""
    return int(np.prod(module.grid))


def scoring(probe: CostProbe, model: str, way: Way, clock: Clock) -> dict[str, Any]:
    """Codes per second of scored frames whose context is full, with the suite's own `reward.scoring`."""
    module, codes = probe.video_model(model)
    module.eval().to(clock.device)
    kind = probe.suite.reward.scoring if model == probe.suite.reward.model else "full_window"
    condition = module.conditions(module.tasks[:1]).to(clock.device)
    count = SCORED if clock.device == "cuda" else 2
    condition = condition.expand(count, *condition.shape[1:])
    if kind == "kv_cache":
        session, frames = module.session(condition), codes(count, 1)[:, 0].to(clock.device)
        for _ in range(module.window):
            session.step(frames)
        work: Callable[[], object] = partial(session.step, frames)
    elif kind == "full_window":
        windows = codes(count, module.window).to(clock.device)
        work = partial(module.log_prob_last, windows, condition)
    else:
        videos = codes(count, module.window + module.window // 2).to(clock.device)
        work = partial(score_videos, module, videos, condition, scoring=kind, batch=count)
    frames_per_call = count * (1 if kind != "half_overlap" else module.window // 2)

    def scored() -> None:
        with torch.no_grad(), torch.autocast(clock.device, torch.bfloat16, enabled=way.precision == "bf16"):
            work()

    row = called(scored, frames_per_call, frames_per_call * tokens_of(module), clock)
    return row | {"scoring": kind}


def updates(probe: CostProbe, agent: str, way: Way, clock: Clock) -> dict[str, Any]:
    """Updates per second on one batch, without drawing it (`draw_ms`, on the CPU); with its own curiosity, if any."""
    suite, kind, simulator = probe.suite, AGENTS.get(agent), SUITES.get(probe.name)()
    actions, size = len(simulator.idle_action(suite.tasks[0])), suite.frames.size
    curious = kind.curious and suite.exploration.explores
    learner = kind(suite.components[agent], (size, size, 3), actions, discrete=simulator.discrete, curious=curious)
    learner.to(clock.device)
    if way.compile:
        compile_parts(learner, COMPILED.get(agent, ()))
    replay, rng = filled(learner, actions), np.random.default_rng(0)
    batch = learner.sample(replay, rng)
    drawn = [timed(partial(learner.sample, replay, rng)) for _ in range(3)]
    half = way.precision == "bf16"

    def update() -> None:
        with torch.autocast(clock.device, torch.bfloat16, enabled=half), losses_in_32_bits() if half else nullcontext():
            learner.update(batch)

    flops = 0.0 if way.compile else flops_of(update)
    rate, first = clock.rate(update)
    row = {"batch": suite.components[agent].batch_size, "steps_per_s": rate, "samples_per_s": rate, "per_s": rate}  # type: ignore[attr-defined]
    row |= {"first_s": first, "draw_ms": 1000 * min(drawn), "tflops": flops * rate / 1e12 or None}
    return row


@contextmanager
def losses_in_32_bits() -> Iterator[None]:
    """While it lasts, LOSSES are computed outside of autocast."""
    originals = [getattr(owner, name) for owner, name in LOSSES]

    def exact(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            whole = [one.float() if isinstance(one, torch.Tensor) else one for one in given]
            device = next(one for one in whole if isinstance(one, torch.Tensor)).device.type
            with torch.autocast(device, enabled=False):
                return function(*whole)

        return wrapped

    for (owner, name), original in zip(LOSSES, originals, strict=True):
        setattr(owner, name, exact(original))
    try:
        yield
    finally:
        for (owner, name), original in zip(LOSSES, originals, strict=True):
            setattr(owner, name, original)


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def filled(agent: Agent, actions: int, rows: int = 300) -> Replay:
    """A replay with 2 x `rows` random frames."""
    replay, rng = Replay(2, 4 * rows, agent.frame_shape, actions), np.random.default_rng(0)
    for i in range(2):
        replay.start(i, np.zeros(agent.frame_shape, np.uint8))
        for _ in range(rows):
            frame = rng.integers(0, 256, agent.frame_shape, dtype=np.uint8)
            replay.add(i, np.zeros(actions, np.float32), 0.5, frame, False)
    return replay


def compile_parts(agent: Any, names: tuple[str, ...]) -> None:
    """Compile these methods of parts of an agent, where it has them."""
    for name in names:
        *owners, method = name.split(".")
        owner = agent
        for part in owners:
            owner = getattr(owner, part, None)
        if owner is not None:
            setattr(owner, method, torch.compile(getattr(owner, method)))


def measured_row(part: Part, way: Way, clock: Clock) -> dict[str, Any]:
    """A row, or why there is none."""
    row: dict[str, Any] = {"suite": part.suite, "part": part.name, "unit": part.unit, "rate_of": part.rate_of}
    row |= {"precision": way.precision, "compile": way.compile}
    torch.manual_seed(0)
    clock.busy.clear()
    if clock.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        row |= part.measure(way, clock)
    except torch.cuda.OutOfMemoryError:
        return row | {"failed": "out of memory"}
    except Exception as error:  # a compiler's many ways to fail are results here, and the other rows count without it
        if isinstance(error, ViperError) or not way.compile:
            raise
        return row | {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
    finally:
        if way.compile:
            torch.compiler.reset()
    on_gpu = clock.device == "cuda"
    row["peak_gb"] = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
    row["busy"] = mean(clock.busy) if clock.busy else None
    return row


def measure(
    params: Params, suites: list[str], clock: Clock, minutes: float, compiled: bool
) -> Iterator[dict[str, Any]]:
    """Rows as they are measured. What no time is left for has the key "failed", too."""
    deadline = time.perf_counter() + 60 * minutes
    parts = [part for name in suites for part in parts_of(CostProbe(name, params.suites[name], clock.device))]
    chosen = [(part, way) for part in parts for way in part.ways if not way.compile]
    if compiled:
        chosen += [(part, way) for part in parts for way in part.ways if way.compile]
    for part, way in chosen:
        if time.perf_counter() > deadline:
            row = {"suite": part.suite, "part": part.name, "unit": part.unit, "rate_of": part.rate_of}
            yield row | way._asdict() | {"failed": "no time was left"}
            continue
        yield measured_row(part, way, clock)


def units(params: Params, suites: list[str], rows: list[dict[str, Any]], device: str, best: bool) -> Measured:
    """Seconds per unit of `viper cost`: of the profile's own precision, or of the fastest way."""
    found: Measured = {}
    for row in rows:
        if row["unit"] is None or "failed" in row or not (best or (row["precision"], row["compile"]) == PLAIN):
            continue
        key = f"{row['suite']}: {row['unit']}"
        seconds = 1 / row["samples_per_s"]
        if key not in found or seconds < found[key]["seconds"]:
            found[key] = {"seconds": seconds, "peak_gb": round(row["peak_gb"] or 0.0, 2), "batch": row["batch"]}
    covered = {(row["suite"], row["unit"]) for row in rows}
    for name in suites:
        for unit in units_of(params.suites[name]):
            if (name, unit) not in covered:
                found |= probed(params, name, unit, device)
    return found


def probed(params: Params, name: str, unit: str, device: str) -> Measured:
    """What has no row: simulators, experts, and whole steps of agents. Nothing, where a simulator is missing."""
    torch.manual_seed(0)
    try:
        seconds, batch = CostProbe(name, params.suites[name], device).measure(unit)
    except Exception as error:  # simulators fail in many ways where there is no display, and the rates are done by then
        print(f"  {name}: {unit}: not timed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}", flush=True)
        return {}
    return {f"{name}: {unit}": {"seconds": seconds, "peak_gb": 0.0, "batch": batch}}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    way = row["precision"] + (" compiled" if row["compile"] else "")
    text = f"{row['suite']:8s}{row['part']:32s}{way:15s}"
    if "failed" in row:
        return f"{text}{row['failed']}"
    text += f"{row['per_s']:14,.1f} {row['rate_of']:10s}"
    text += f"{row['tflops']:8.2f} TFLOP/s" if row["tflops"] else f"{'':16s}"
    text += f"{row['peak_gb']:7.1f} GB" if row["peak_gb"] is not None else f"{'':10s}"
    return text + (f"{row['busy']:7.0%} busy" if row["busy"] is not None else "")


def main(given: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, write, and return what is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--suites", nargs="*", default=["dmc", "atari", "rlbench"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each row, after its first steps")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all rows; the hours' own units come after")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; `--profile tiny --device cpu` takes seconds, profile paper a day")
    torch.set_num_threads(1)
    params = validate(read_profile(ROOT / f"profiles/{arguments.profile}.yaml"), arguments.profile)
    suites = [name for name in arguments.suites if name in params.suites]
    clock, hardware = Clock(arguments.device, arguments.seconds), measured_machine(arguments.device)
    print(f"profile {params.profile} on {hardware}, torch {torch.__version__}", flush=True)
    found: dict[str, Any] = {"hardware": hardware, "torch": torch.__version__, "profile": params.profile}
    rows = found["rows"] = []

    def write() -> None:
        if arguments.json:
            atomic_write(arguments.json, (json.dumps(found, indent=1) + "\n").encode())

    for row in measure(params, suites, clock, arguments.minutes, not arguments.no_compile):
        rows.append(row)
        print(line(row), flush=True)
        write()
    works = [work for work in work_of(params) if work.suite in suites]
    plain = units(params, suites, rows, arguments.device, best=False)
    fastest = plain | units(params, [], rows, arguments.device, best=True)
    for text in table(works, plain):
        print(text)
    print(f"with the fastest precision of each training and scoring: {total_hours(works, fastest):,.1f} hours")
    stages = [
        {
            "suite": w.suite,
            "stage": w.stage,
            "runs": w.runs,
            "hours": hours(w, plain),
            "fastest_hours": hours(w, fastest),
        }
        for w in works
    ]
    found |= {"hours": stages, "units": {params.profile: {hardware: plain}}}
    write()
    return found


if __name__ == "__main__":
    main()
