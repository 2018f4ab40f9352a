"""`viper cost`: hours, memory and disk of a profile, from a few timed steps of each kind of stage."""

from __future__ import annotations

import json
import multiprocessing
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from viper_pipeline.errors import BadData, BadEnvironment, BadParams
from viper_pipeline.files import atomic_write
from viper_pipeline.pipelines.cost.work import Work, work_of
from viper_pipeline.pipelines.params import Params, validate

STORED = Path(__file__).with_name("measured.json")
"""Measurements made before: {profile: {hardware: {"suite: unit": {seconds, peak_gb, batch}}}}."""

Measured = dict[str, dict[str, Any]]


def machine(device: str) -> str:
    """What is being measured, in words."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"one core of {name}"


def measure(params: Params, device: str, say: Any, known: Measured, keep: Callable[[Measured], None]) -> Measured:
    """Time every unit that is not known, each in a process of its own, so that peaks of memory are its own.

    keep: is told all that is known, after every unit.
    """
    from viper_pipeline.pipelines.cost.probes import probe, units_of

    context, found = multiprocessing.get_context("spawn"), dict(known)
    for name, suite in params.suites.items():
        for unit in units_of(suite):
            if f"{name}: {unit}" in known:
                continue
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                try:
                    row = pool.submit(probe, params, name, unit, device).result()
                except BadEnvironment as error:
                    say(f"  {name}: {unit}: not timed: {str(error).splitlines()[0]}")
                    continue
            found[f"{name}: {unit}"] = row
            keep(found)
            say(f"  {name}: {unit}: {1000 * row['seconds']:.2f} ms")
    return found


def stored(profile: str) -> dict[str, Measured]:
    """Measurements by hardware."""
    return json.loads(STORED.read_text()).get(profile, {})


def _begun(path: Path) -> dict[str, dict[str, Measured]]:
    """What was kept before: profile -> hardware -> measurements."""
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise BadData(f"{path}: not JSON ({error}); delete it, and everything is measured anew") from None


def hours(work: Work, measured: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Of all runs of a stage, one after the other; None where a unit has not been timed."""
    rows = [(measured.get(f"{work.suite}: {unit}"), count) for unit, count in work.units.items()]
    if any(row is None for row, _ in rows):
        return None
    return sum(row["seconds"] * count for row, count in rows if row) / 3600


def table(works: list[Work], measured: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line a stage, a suite, and one for all: hours, GB of memory of a run, GB on disk."""
    yield f"{'suite':8s}{'stage':34s}{'runs':>6s}{'hours':>11s}{'memory':>9s}{'disk':>9s}"
    for suite in dict.fromkeys(work.suite for work in works):
        own = [work for work in works if work.suite == suite]
        for work in own:
            yield _line(suite, work.stage, hours(work, measured), measured, [work])
        yield _line(suite, "all", total(own, measured), measured, own)
    yield _line("all", "", total(works, measured), measured, works)


def gigabytes(work: Work, measured: Mapping[str, Mapping[str, Any]]) -> float:
    """Memory of a run: the greatest peak of its units, and what it holds beside them."""
    peaks = [measured.get(f"{work.suite}: {unit}", {}).get("peak_gb", 0.0) for unit in work.units]
    return max(peaks, default=0.0) + work.memory / 1e9


def total(works: list[Work], measured: Mapping[str, Mapping[str, Any]]) -> float:
    """Hours of stages, one after the other; those that could not be timed count nothing."""
    return sum(hours(work, measured) or 0.0 for work in works)


def _line(
    suite: str, stage: str, took: float | None, measured: Mapping[str, Mapping[str, Any]], works: list[Work]
) -> str:
    text = "not timed" if took is None else f"{took:,.1f}"
    memory, disk = max(gigabytes(work, measured) for work in works), sum(work.disk for work in works) / 1e9
    runs = sum(work.runs for work in works)
    return f"{suite:8s}{stage:34s}{runs:6d}{text:>11s}{f'{memory:.1f} GB':>9s}{f'{disk:,.0f} GB':>9s}"


def figure_lines(works: list[Work], measured: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line a figure of the paper: hours of the stages of its suites that it is drawn from, from the oracles on."""
    from viper_pipeline.results.paper_figures.registry import FIGURES

    yield f"{'figure':48s}{'hours':>11s}"
    for entry in FIGURES:
        taken = [work for work in works if work.suite in entry.suites and work.stage.startswith(entry.feeds.stages)]
        if taken:
            yield f"{entry.name:8s}{entry.title:40s}{total(taken, measured):>11,.1f}"


def cost_command(root: Path, profile: str | None, on: str | None, keep: str | None, say: Any) -> None:
    """Measure this machine, or take what was measured on another; print the table."""
    from viper_pipeline.graph.project import read_params

    path = root / "profiles" / f"{profile}.yaml" if profile else root / "params.yaml"
    params = validate(read_params(path), str(path))
    if on is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        hardware = machine(device)
        say(f"profile {params.profile} on {hardware}:")
        begun = _begun(Path(keep)) if keep else {}

        def write(found: Measured) -> None:
            if keep:
                whole = {**begun, params.profile: {**begun.get(params.profile, {}), hardware: found}}
                atomic_write(Path(keep), (json.dumps(whole, indent=1) + "\n").encode())

        measured = measure(params, device, say, begun.get(params.profile, {}).get(hardware, {}), write)
    else:
        known = stored(params.profile)
        if on not in known:
            raise BadParams(
                f"profile {params.profile} has not been measured on '{on}' (known: {', '.join(known) or 'none'}); "
                "without --on this machine is measured"
            )
        measured = known[on]
    works = work_of(params)
    for line in (*table(works, measured), "", *figure_lines(works, measured)):
        say(line)
    say("Figures share stages, so they do not add up; fig09 is without the ablations' own.\n")
    say("One run after the other on this hardware. Oracles as if none stopped early, episodes as if all were whole;")
    say("AMP's discriminator is not in it. Memory: the timed process and the replay; on a CPU with small batches.")
    say("Disk: at most; videos compress.")
