"""The provenance of what a stage makes (parameters, code, parents), its private folder, and what it cost."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from viper_pipeline.core.errors import BadData, ViperError
from viper_pipeline.core.files import Json, JsonView, md5_of

Steps = dict[str, Json]
"""path -> {stage, params, code, versions, parents: {path: md5}}, in no particular order"""
Readers = Mapping[str, Callable[[Path], str]]
"""Suffix of a file -> what reads the provenance (JSON) that it carries"""
CARRIED = "lineage.json"
"""The file of a folder that says where the folder comes from."""


@dataclass(frozen=True)
class Provenance:
    """What makes an artifact. Of equal provenance, artifacts are equal."""

    node: str
    params: JsonView
    parents: Mapping[str, str]  # path -> md5
    outs: tuple[str, ...]
    code: str  # the digest of what its function can reach
    root: Path
    versions: Mapping[str, str] = field(default_factory=dict)  # of libraries that shape results
    readers: Readers = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A hash of everything that decides the result."""
        whole = [self.node, self.params, self.parents, self.code]
        return hashlib.md5(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def scratch(self) -> Path:
        """The stage's private folder, for checkpoints; other settings, code or inputs have another."""
        folder = self.root / ".viper" / "scratch" / self.key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def lineage(self) -> Json:
        """{"steps": {path: {stage, params, code, versions, parents}}} of the outputs and of all that they come from."""
        steps: Steps = {}
        for path in self.parents:
            steps |= read_steps(self.root / path, self.readers)
        own = {
            "stage": self.node,
            "params": dict(self.params),
            "code": self.code,
            "versions": dict(self.versions),
            "parents": dict(self.parents),
        }
        return {"steps": steps | {path: own for path in self.outs}}

    def name(self, path: Path) -> str:
        """A path as lineage calls it: from the project's root, if it is in there."""
        return name_in(self.root, path)

    def lock(self) -> FileLock:
        """Hold the scratch folder. Raises ViperError if a living process holds it; a dead one's lock is free."""
        lock = FileLock(f"{self.scratch}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ViperError(
                f"{self.node}: another process is running this stage with the same inputs; wait for it, or stop it"
            ) from error
        return lock

    def remove_scratch(self, lock: FileLock) -> None:
        """The outputs are saved: remove the private folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        Path(str(lock.lock_file)).unlink(missing_ok=True)
        lock.release()


def make_provenance(
    node: str,
    params: JsonView,
    parents: Collection[Path],
    outs: Collection[Path],
    code: str,
    root: Path,
    libraries: Collection[str] = (),
    readers: Readers | None = None,
) -> Provenance:
    """Hash what there is to hash. Raises BadData naming an input that is missing."""
    for path in parents:
        check_input(node, path, root)
    return Provenance(
        node,
        params,
        {name_in(root, path): md5_of(path) for path in sorted(parents)},
        tuple(name_in(root, path) for path in sorted(outs)),
        code,
        root,
        versions_of(libraries),
        readers or {},
    )


def check_unchanged(provenance: Provenance) -> None:
    """Raise BadData if what a stage reads is not what its lock file says was made: a flipped bit, or an edit by hand.

    DVC itself looks at a file's time and size, and reads it again only if they have changed.
    """
    made = made_hashes(provenance.root)
    for path, md5 in provenance.parents.items():
        if made.get(path, md5) != md5:
            raise BadData(
                f"{path}: is not what it was when it was made: its md5 is another than in dvc.lock; "
                f"`dvc checkout --force {path}` puts the kept copy back, if there is one; or delete it and run again"
            )


def made_hashes(root: Path) -> dict[str, str]:
    """md5 of every output, from the lock files, read line by line as DVC writes them: parsing them takes seconds."""
    found = {}
    for lock in (root / "dvc.lock", *sorted(root.glob("pipelines/*/dvc.lock"))):
        outs, path = False, ""
        for line in lock.read_text().splitlines() if lock.is_file() else ():
            if line.startswith("    ") and line[4:5].isalpha():
                outs = line == "    outs:"
            elif outs and line.startswith("    - path: "):
                path = line.removeprefix("    - path: ")
            elif outs and line.startswith("      md5: "):
                found[path] = line.removeprefix("      md5: ")
    return found


def check_input(node: str, path: Path, root: Path) -> None:
    """Raise BadData if a file or folder that a node reads is missing."""
    if not path.exists():
        missing = name_in(root, path)
        raise BadData(f"{node} reads {missing}, which is not there: `viper run` makes it, or `dvc pull` gets it")


def read_steps(path: Path, readers: Readers) -> Steps:
    """The provenance that a file or folder carries inside; empty for sources, which have none."""
    path = Path(path)
    if path.is_dir():
        carried = path / CARRIED
        text = carried.read_text() if carried.exists() else ""
    else:
        reader = readers.get(path.suffix)
        text = reader(path) if reader and path.exists() else ""
    try:
        return json.loads(text or "{}").get("steps", {})
    except ValueError as error:
        raise BadData(f"{path}: its lineage cannot be read ({error})") from error


def versions_of(libraries: Collection[str]) -> dict[str, str]:
    """Distribution -> version, of those that are installed."""
    found = {}
    for name in sorted(libraries):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def name_in(root: Path, path: Path) -> str:
    """A path from the root, or whole if it lies outside."""
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """`2 cores, AMD EPYC 9B14; NVIDIA L4`: the cores that this process may use, and a GPU if torch sees one."""
    cores = available_cores()
    torch = sys.modules.get("torch")  # a stage that did not load it used no GPU
    gpu = f"; {torch.cuda.get_device_name()}" if torch is not None and torch.cuda.is_available() else ""
    return f"{cores} core{'s' if cores > 1 else ''}, {processor()}{gpu}"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class GpuMonitor:
    """Asks NVIDIA's driver now and then, in a thread; does nothing where there is none. Counts all visible GPUs."""

    def __init__(self, every: float = 10.0) -> None:
        """every: seconds between two looks."""
        self.every, self.total, self.looks = every, 0.0, 0
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        if Path("/dev/nvidiactl").exists():
            self.thread = threading.Thread(target=self._watch, daemon=True)
            self.thread.start()

    def _watch(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
        except (ImportError, OSError, RuntimeError):
            return
        except Exception as error:  # NVMLError: its classes are made at run time
            if type(error).__module__ != "pynvml":
                raise
            return
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        while handles and not self.over.wait(self.every):
            self.note([float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) for handle in handles])

    def note(self, percents: list[float]) -> None:
        """One look: how busy each GPU was, in percent."""
        self.total, self.looks = self.total + sum(percents) / len(percents), self.looks + 1

    def stop(self) -> float | None:
        """The mean share of time, in percent, that a GPU was at work; None where it is unknown."""
        self.over.set()
        return round(self.total / self.looks, 1) if self.looks else None
