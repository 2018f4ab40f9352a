"""DVC, as `viper run` uses it: which stages are there, which are stale, and committing what they made.

Everything here that is not in DVC's documentation stands in this file; NEEDED names it, and a test tries each.
Only one process talks to DVC, and holds its lock for moments only. Written against dvc 3.67; see requirements.lock.

Two shortcuts make a run quick that has nothing to do. DVC parses params.yaml, hashes every dependency and rewrites its
table of locks anew for each stage: `StatusCache` looks once at a file that many stages read. At a thousand stages DVC
takes half a minute to read its own files: `NoopCache` notes, as git's index does, the time, size and inode of every
file that stages read and make, of DVC's files, and of its copies in the cache; whatever differs sends `viper run` to
DVC.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, Any, TypeAlias

from viper_pipeline.core.errors import BadEnvironment, BadParams, ViperError, os_message
from viper_pipeline.core.files import Json, atomic_path, atomic_write
from viper_pipeline.dvc_bridge import code_yaml
from viper_pipeline.dvc_bridge.estimates import Cost
from viper_pipeline.dvc_bridge.project import param_at
from viper_pipeline.dvc_bridge.room import shortage

DvcStage: TypeAlias = Any
"""A stage of DVC, which gives its stages no types."""
FileState = tuple[int, int, int]
PIPELINES = ("dvc.yaml", "*/dvc.yaml")
"""Files of stages, from a folder on."""


class NoopCache:
    """What a project looked like when everything was up to date, for one choice of targets."""

    def __init__(self, root: Path, targets: Sequence[str]) -> None:
        self.root, self.targets, self.path = root, list(targets), root / ".viper" / "up_to_date.json"

    def holds(self) -> int | None:
        """The number of stages, if nothing has changed since all of them were up to date; else None."""
        try:
            kept = json.loads(self.path.read_text())
            same = (kept["root"], kept["targets"]) == (str(self.root), self.targets) and all(
                state_of(path) == (tuple(state) if state else None) for path, state in kept["files"].items()
            )
            return int(kept["stages"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, stages: Sequence[DvcStage], begun: int) -> None:
        """Note that `stages` are up to date, unless something they read was touched since `begun` (ns of the clock)."""
        made = {out.fs_path for stage in stages for out in stage.outs}
        read = {dep.fs_path for stage in stages for dep in stage.deps} - made
        folders = {folder for stage in stages for folder in self._around(Path(stage.path))}
        pipelines = {path for folder in folders for kind in PIPELINES for path in folder.glob(kind)}
        config = [self.root / ".dvc" / name for name in ("config", "config.local")]
        # not the folders: each lock file that was written has changed them
        sources = [*(stage.path for stage in stages), *config, *everything(read)]
        if any(os.stat(path).st_ctime_ns >= begun for path in [*sources, *pipelines] if os.path.exists(path)):
            return
        locks = {str(Path(stage.path).parent / "dvc.lock") for stage in stages}
        cached = {str(out.cache_path) for stage in stages for out in stage.outs if out.use_cache and out.hash_info}
        watched = {str(path) for path in [*sources, *folders, *everything(made), *locks, *cached]}
        states = {path: state_of(path) for path in sorted(watched)}
        # a copy of the project brings this file along, and the paths in it are those of the original
        kept = {"root": str(self.root), "targets": self.targets, "stages": len(stages), "files": states}
        atomic_write(self.path, json.dumps(kept).encode())

    def _around(self, pipeline: Path) -> Iterator[Path]:
        """The folders in which another dvc.yaml would appear."""
        yield from (folder for folder in list(pipeline.parents)[:2] if folder.is_relative_to(self.root))


def everything(paths: Iterable[str]) -> Iterator[str]:
    """Files, and folders with all that lies in them."""
    for path in paths:
        yield path
        for folder, folders, files in os.walk(path):
            yield from (os.path.join(folder, name) for name in (*folders, *files))


def state_of(path: str | os.PathLike[str]) -> FileState | None:
    """Another, if the file is another; None if there is none."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size, now.st_ino


class StatusCache:
    """What lies in the workspace, as far as it has been looked at."""

    def __init__(self) -> None:
        self.seen: dict[
            tuple[str, str], tuple[FileState, Any]
        ] = {}  # what was found (hash, values) of a file, and when

    def up_to_date(self, stage: DvcStage) -> bool:
        """Whether everything the stage reads and makes is as its lock file says. False may also mean: ask DVC."""
        if not stage.deps or stage.always_changed or stage.changed_stage():
            return False
        return all(map(self._same, stage.deps)) and not any(out.status() for out in stage.outs)

    def _same(self, dep: Any) -> bool:
        from dvc.utils.serialize import load_yaml  # `on` is no text to other readers of YAML

        if (state := state_of(dep.fs_path)) is None:
            return False
        known = dep.hash_info.value if dep.hash_info else None
        if isinstance(known, dict):  # parameters, by name
            values = self._once("values", dep.fs_path, state, lambda: load_yaml(dep.fs_path))
            return set(known) == set(dep.params) and all(param_at(values, name) == v for name, v in known.items())
        if os.path.isdir(dep.fs_path):
            return not dep.status()
        return bool(known) and self._once("hash", dep.fs_path, state, dep.get_hash) == dep.hash_info

    def _once(self, what: str, path: str, state: FileState, look: Callable[[], Any]) -> Any:
        """What `look` finds of a file; it looks again only when the file is another."""
        seen = self.seen.get((what, path))
        if seen is None or seen[0] != state:
            seen = self.seen[what, path] = state, look()
        return seen[1]


NEEDED = {
    "dvc.repo:Repo": ("cache", "fs", "index", "_reset", "lock", "stage", "stage_cache", "status", "tmp_dir"),
    "dvc.repo.stage:StageLoad": ("collect", "load_one"),
    "dvc.stage:PipelineStage": (
        "addressing", "changed", "changed_stage", "cmd", "commit", "dump", "remove_outs", "save", "save_deps", "wdir",
    ),
    "dvc.stage.cache:StageCache": ("restore",),
    "dvc.stage.cache:RunCacheNotFoundError": (),
    "dvc.output:Output": ("cache_path", "fs_path", "meta", "status", "use_cache"),
    "dvc.dependency.param:ParamsDependency": ("get_hash", "status"),
    "dvc.fs:LocalFileSystem": ("open",),
    "dvc.lock:LockError": (),
    "dvc.lock:make_lock": (),
    "dvc.rwlock:RWLOCK_FILE": (),
    "dvc.rwlock:RWLOCK_LOCK": (),
    "dvc.utils.serialize:load_yaml": (),
}  # fmt: skip
"""What this file uses of DVC beyond its documentation: object -> attributes of it."""

PATIENCE = 120.0
"""Seconds to wait for another DVC command; a result that took hours is not thrown away for a `dvc status`."""


class Status(Enum):
    """What is the matter with a stage."""

    UP_TO_DATE = "up to date"
    RESTORED = "restored"
    STALE = "stale"
    BUSY = "busy"


class StageProblem(ViperError):
    """DVC or the operating system refuses something that a stage needs; others may go on."""


def in_one_line(error: BaseException) -> str:
    """An exception's words, and those of what caused it if it has none of its own."""
    text = " ".join(str(error).split())
    cause = error.__cause__
    if isinstance(cause, OSError):
        return f"{text}: {os_message(cause)}" if text else os_message(cause)
    return text or type(error).__name__


def without_git(root: Path) -> bool:
    """Whether no folder from `root` upwards is a repository of Git: so it is after a download as an archive."""
    return not any((folder / ".git").exists() for folder in (root, *root.parents))


def _remedy_for_lock(said: str) -> str:
    """What to do about a lock file that DVC cannot read; empty if it complains of something else."""
    if "dvc.lock" not in said:
        return ""
    return (
        ": half written by a `dvc repro` that was killed, or badly merged; delete it, and `viper run` puts back from "
        "DVC's cache what was made before"
    )


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def written_whole() -> Any:
    """A file system for DVC's lock files: what is opened to be written anew takes its place when it is closed.

    DVC empties the file first and then writes for a second. Killed meanwhile, it leaves a file that it cannot read.
    """
    from dvc.fs import LocalFileSystem

    class WholeFiles(LocalFileSystem):  # type: ignore[misc]
        def open(self, path: Any, mode: str = "r", **kwargs: Any) -> Any:
            return (
                _whole(Path(path), kwargs.get("encoding"))
                if mode in ("w", "w+")
                else super().open(path, mode, **kwargs)
            )

    return WholeFiles()


@contextmanager
def _whole(path: Path, encoding: str | None) -> Iterator[IO[str]]:
    with atomic_path(path) as temporary, temporary.open("w+", encoding=encoding) as file:
        yield file


def drop_broken_rwlock(folder: Path) -> None:
    """Remove the file in which DVC notes who reads and writes what, if a killed DVC has left half of it.

    DVC refuses every command until somebody removes it. folder: .dvc/tmp.
    """
    from dvc.lock import LockError, make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    if not (folder / RWLOCK_FILE).is_file():
        return
    try:
        with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):  # nobody is writing it
            try:
                json.loads((folder / RWLOCK_FILE).read_text())
            except ValueError:
                (folder / RWLOCK_FILE).unlink()
    except LockError:
        return  # somebody is at work with it


class Repository:
    """The DVC repository of a project."""

    def __init__(self, root: Path) -> None:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        logging.getLogger("dvc").setLevel(logging.WARNING)
        try:
            # DVC refuses a folder without Git unless core.no_scm is set; here it needs Git for nothing
            self.repo = Repo(str(root), config={"core": {"no_scm": True}} if without_git(root) else None)
        except DvcException as error:
            remedy = "" if (root / ".dvc").is_dir() else "; run `git init` and `dvc init` there"
            raise BadEnvironment(f"{root}: {in_one_line(error)}{remedy}") from error
        self.repo.fs = written_whole()
        drop_broken_rwlock(Path(self.repo.tmp_dir))
        self.root, self.code_state = root, ""
        self.busy: dict[str, str] = {}  # address of a stage that another process works on -> which process
        self.inputs: dict[str, Json] = {}  # of the stages that run: what they read, by hash
        self.cache = StatusCache()

    def needs(self, targets: Sequence[str]) -> dict[DvcStage, set[DvcStage]]:
        """The stages that `targets` take (all, if there are none), each with the stages that it reads from."""
        import networkx
        from dvc.exceptions import DvcException

        with self.locked():
            try:
                graph = self.repo.index.graph
                picked = [stage for target in targets for stage in self._called(target)] or list(graph)
            except DvcException as error:
                raise BadParams(f"{error}{_remedy_for_lock(str(error))}") from error
            wanted = set(picked).union(*(networkx.descendants(graph, stage) for stage in picked))
            return {stage: set(graph.successors(stage)) for stage in wanted}

    def _called(self, target: str) -> list[DvcStage]:
        """The stages of one target: an address, a group of them, a file, or an address with wildcards.

        Raises BadParams if no stage's address has the pattern.
        """
        pattern = any(sign in target for sign in "*?[")
        found = list(self.repo.stage.collect(target, glob=pattern))
        if not found:
            raise BadParams(
                f"{target}: no stage is called like this; `dvc stage list {target.partition(':')[0]}` lists them"
            )
        return found

    def refresh_code(self) -> None:
        """Bring code.yaml up to date, if a source file has changed since the last call."""
        if (state := code_yaml.source_state(self.root)) != self.code_state:
            code_yaml.write_code(self.root)
            self.code_state = state

    def stages(self) -> list[DvcStage]:
        """Every stage of every dvc.yaml."""
        return [stage for stage in self.repo.index.stages if stage.cmd]

    def missing_sources(self, stages: Iterable[DvcStage]) -> list[str]:
        """What stages read and nothing makes, and is not there: a line for each."""
        made = {out.fs_path for stage in self.repo.index.stages for out in stage.outs}
        return [
            f"{stage.addressing} reads {dep.def_path}, which is not there; put it there, or name another in params.yaml"
            for stage in sorted(stages, key=lambda s: s.addressing)
            for dep in stage.deps
            if not os.path.exists(dep.fs_path) and not any(_within(dep.fs_path, path) for path in made)
        ]

    def shortage(self, stages: Iterable[DvcStage]) -> str | None:
        """What to say if the disk cannot hold what stages will make."""
        return shortage(self.root, Path(self.repo.cache.local.path), list(stages), self.stages())

    def status(self, stage: DvcStage) -> Status:
        """Whether a stage must run; if its result was computed before, it is put back instead.

        What lies in its outputs' place is removed, as `dvc repro` does; a stale stage's inputs are noted for `commit`.
        BUSY: another DVC command works on it, as `busy` says; ask again. Raises StageProblem for what DVC or the
        operating system refuses.
        """
        from dvc.exceptions import DvcException
        from dvc.lock import LockError

        try:
            with self.locked():
                if stage.addressing in self.busy:  # the lock file may say something else by now
                    self.repo._reset()
                    stage = self.repo.stage.load_one(stage.path, stage.name)
                status = self._status(stage)
        except LockError as error:
            blockers = [line.strip() for line in str(error).splitlines() if "PID" in line]
            self.busy[stage.addressing] = blockers[0] if blockers else in_one_line(error)
            return Status.BUSY
        except OSError as error:
            raise StageProblem(os_message(error)) from error
        except DvcException as error:
            raise StageProblem(in_one_line(error)) from error
        self.busy.pop(stage.addressing, None)
        return status

    def _status(self, stage: DvcStage) -> Status:
        from dvc.stage.cache import RunCacheNotFoundError

        if stage.always_changed and stage.name == code_yaml.STAGE:  # it has just been done
            if not stage.outs[0].hash_info or stage.outs[0].status():
                self._record(stage, run_cache=False)
            return Status.UP_TO_DATE
        if not stage.cmd or self.cache.up_to_date(stage) or not stage.changed():
            return Status.UP_TO_DATE
        stage.remove_outs(ignore_remove=False, force=False)  # what restore meets and DVC has no copy of stops it
        try:
            # before save_deps: afterwards DVC would take the outputs in the lock file for those of the new inputs
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            self.refresh_code()  # what is about to run is the code of this moment
            stage.save_deps()
            self.inputs[stage.addressing] = _inputs(stage)
            return Status.STALE
        self._record(stage, run_cache=False)  # restore has filled the workspace and left `stage` as it was
        return Status.RESTORED

    def is_up_to_date(self, stage: DvcStage) -> bool:
        """Whether nothing is to be done for a stage; no output is touched. False may also mean: ask `status`."""
        from dvc.exceptions import DvcException
        from dvc.lock import LockError

        try:
            with self.locked():
                if stage.always_changed and stage.name == code_yaml.STAGE:
                    return self._status(stage) is Status.UP_TO_DATE
                return bool(not stage.cmd or self.cache.up_to_date(stage) or not stage.changed())
        except (DvcException, LockError, OSError):
            return False

    def of_these_settings(self, stages: Iterable[DvcStage], costs: Mapping[str, Cost]) -> dict[str, Cost]:
        """Of what nodes took, that of stages whose lock file names today's parameters; code may be another."""
        from dvc.utils.serialize import load_yaml

        found, today = {}, {}
        for stage in stages:
            node = str(stage.cmd).rpartition(" ")[2]
            read = [dep for dep in stage.deps if hasattr(dep, "params") and Path(dep.fs_path).name != code_yaml.FILE]
            if node not in costs or not all(dep.hash_info for dep in read):
                continue
            for dep in read:
                if dep.fs_path not in today:
                    today[dep.fs_path] = load_yaml(dep.fs_path) if os.path.exists(dep.fs_path) else {}
            if all(
                param_at(today[dep.fs_path], name) == value
                for dep in read
                for name, value in dep.hash_info.value.items()
            ):
                found[node] = costs[node]
        return found

    def commit(self, stage: DvcStage) -> list[str]:
        """Record what a stage has made. Returns the inputs that changed while it ran: then nothing is recorded.

        Raises StageProblem for what DVC or the operating system refuses.
        """
        from dvc.exceptions import DvcException
        from dvc.lock import LockError

        self.refresh_code()
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with self.locked():
                    return self._commit(stage)
            except OSError as error:
                raise StageProblem(os_message(error)) from error
            except LockError as error:  # another command reads what this stage has made; what took hours can wait
                if time.monotonic() > end:
                    raise StageProblem(in_one_line(error)) from error
                time.sleep(1)
            except DvcException as error:
                raise StageProblem(in_one_line(error)) from error

    def _commit(self, stage: DvcStage) -> list[str]:
        stage.save_deps()
        before, after = self.inputs[stage.addressing], _inputs(stage)
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        if not changed:
            self._record(stage)
        return changed

    @staticmethod
    def _record(stage: DvcStage, run_cache: bool = True) -> None:
        """Hash what lies there, put it into the cache, and write the lock file."""
        stage.save(run_cache=run_cache)
        stage.commit()
        stage.dump(update_pipeline=False)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold DVC's lock, and wait while another process does. Raises BadEnvironment after PATIENCE."""
        from dvc.lock import LockError

        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.repo.lock.lock()
                break
            except LockError as error:
                if time.monotonic() > end:
                    raise BadEnvironment("another DVC command holds the repository; let it end, then again") from error
        try:
            yield
        finally:
            self.repo.lock.unlock()


def missing_in_dvc() -> list[str]:
    """What NEEDED names and the installed DVC does not have."""
    missing = []
    for target, attributes in NEEDED.items():
        module, _, name = target.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            missing.append(target)
            continue
        missing += [f"{target}.{attribute}" for attribute in attributes if not _has(found, attribute)]
    return missing


def _has(kind: Any, attribute: str) -> bool:
    """Whether objects of a class have an attribute; one that `__init__` sets is named in its code."""
    made = [getattr(one.__init__, "__code__", None) for one in kind.__mro__]
    return hasattr(kind, attribute) or any(attribute in code.co_names for code in made if code)


def _inputs(stage: DvcStage) -> Json:
    """Everything that a stage reads: name -> hash, or value for parameters."""
    found: Json = {}
    for dep in stage.deps:
        value = dep.hash_info.value if dep.hash_info else None
        if isinstance(value, dict):
            found |= {f"{dep.def_path}: {name}": one for name, one in value.items()}
        else:
            found[str(dep.def_path)] = value
    return found
