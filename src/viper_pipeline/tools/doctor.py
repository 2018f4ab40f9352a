"""`viper doctor`: what this machine has and lacks for each suite; each lack with the line that mends it.

What can break a whole process (OpenGL, a simulator) is tried in a process of its own. The output is part of every bug
report, so it names no path outside of the project and no user.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from viper_pipeline.core.errors import BadParams, ViperError
from viper_pipeline.core.extras import ALSO, EXTRA_OF
from viper_pipeline.core.files import Json
from viper_pipeline.dvc_bridge.provenance import available_cores

GIB = 2**30
LEAST_DISK, LEAST_MEMORY = 5 * GIB, 4 * GIB
"""What the laptop profile takes, roughly: results with DVC's copies of them, and two stages side by side."""
COMPRESSED = 10
"""Videos of simulators take a tenth of their pixels' bytes, or less: 450 MB of 9.2 GB in the laptop profile."""
PATIENCE = 180
"""Seconds until a process that is tried is given up."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    state: Literal["ok", "note", "lacks"]  # note: not needed for the project's params.yaml, or only slower
    found: str
    remedy: str = ""

    def line(self) -> str:
        """For people."""
        remedy = f"\n{'':8}-> {self.remedy}" if self.remedy else ""
        return f"{self.state:6}  {self.about}: {self.found}{remedy}"


def python_version(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Python 3.11 or 3.12."""
    found = ".".join(map(str, version))
    if (3, 11) <= version[:2] < (3, 13):
        return Finding("Python", "ok", found)
    return Finding("Python", "lacks", found, "install Python 3.11, then: make PYTHON=python3.11 setup")


def machine(cores: int | None = None, memory: int | None = None) -> Iterator[Finding]:
    """System, cores and memory that this process may use. memory: bytes."""
    yield Finding("system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")
    cores = cores or available_cores()
    few = "" if cores > 1 else "stages will run one at a time: `viper run -j 1`"
    yield Finding("cores", "note" if few else "ok", str(cores), few)
    memory = memory or memory_limit()
    small = "" if memory >= LEAST_MEMORY else "use `viper run -j 1` and runtime.workers: 1, or the tiny profile"
    yield Finding("memory", "lacks" if small else "ok", f"{memory / GIB:.1f} GiB", small)


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of memory: the machine's, or a container's limit if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(cgroup.read_text()))
    except (OSError, ValueError):  # no container, or `max`
        return total


def disk(
    places: Mapping[str, Path], free: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free
) -> Iterator[Finding]:
    """Room, and whether one may write, where results, DVC's copies of them and temporary files go."""
    for about, place in places.items():
        here = next(p for p in (place, *place.absolute().parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=here):
                pass
        except OSError as error:
            yield Finding(about, "lacks", f"cannot be written ({error.strerror})", f"chmod -R u+w {here}")
            continue
        room = free(here)
        small = "" if room >= LEAST_DISK else "free some room; `dvc gc --workspace` removes copies of old results"
        yield Finding(about, "lacks" if small else "ok", f"{room / GIB:.1f} GiB free", small)


def results_fit(raw: Json, room: int) -> Finding:
    """Whether `room` bytes hold everything that params.yaml can make. Sizes are of pixels, before compression."""
    from viper_pipeline.pipelines.params_check import validate
    from viper_pipeline.tools.cost import work_of

    about = "disk, all of params.yaml"
    try:
        most = sum(work.disk for work in work_of(validate(raw)))
    except ViperError:
        return Finding(about, "note", "not known, since params.yaml is wrong")
    said = f"at most {most / GIB:,.1f} GiB, and as much again for DVC's copies; compressed, about a tenth of it"
    if 2 * most / COMPRESSED > room:
        return Finding(about, "lacks", said, f"{room / GIB:,.1f} GiB are free: free some room, or take fewer suites")
    return Finding(about, "ok", said)


def packages(lock: str, installed: Callable[[str], str] = importlib.metadata.version) -> Finding:
    """Installed versions against requirements.lock."""
    wanted = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    missing, others = [], []
    for name, version in wanted.items():
        try:
            found = installed(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found.partition("+")[0] != version.partition("+")[0]:
            others.append(f"{name} {found} instead of {version}")
    if not missing and not others:
        return Finding("packages", "ok", f"{len(wanted)} as in requirements.lock")
    said = [f"{len(missing)} missing ({_some(missing)})"] if missing else []
    said += [f"{len(others)} of another version ({_some(others)})"] if others else []
    remedy = "make setup, or: pip install -r requirements.lock"
    return Finding("packages", "note", "; ".join(said), remedy)


def _some(words: list[str]) -> str:
    return ", ".join(words[:4]) + (" ..." if len(words) > 4 else "")


def extras(installed: Callable[[str], object] = find_spec) -> Iterator[Finding]:
    """Which extras of the package are whole here."""
    modules: dict[str, list[str]] = {}
    for module, extra in EXTRA_OF.items():
        modules.setdefault(extra, []).append(module)
    for extra, needed in modules.items():
        missing = [module for module in needed if not installed(module)]
        if not missing:
            yield Finding(f"extra {extra}", "ok", "installed")
        else:
            remedy = f"pip install 'viper-pipeline[{extra}]'{ALSO.get(extra, '')}"
            yield Finding(f"extra {extra}", "note", f"not installed ({_some(missing)})", remedy)


def gpu(accelerator: str, driver: bool, devices: int, torch_version: str) -> Finding:
    """Whether torch sees the GPUs that the machine has and the parameters ask for."""
    found = f"{devices} GPU(s), torch {torch_version}"
    install = "install a CUDA build of torch: pip install torch --index-url https://download.pytorch.org/whl/cu128"
    if devices == 0 and accelerator == "cuda":
        remedy = install if driver else "write runtime.compute.accelerator: cpu in params.yaml"
        return Finding("GPU", "lacks", found, remedy)
    if devices == 0 and driver:
        return Finding("GPU", "note", f"{found}, though a driver of NVIDIA is there", install)
    return Finding("GPU", "ok", found)


def gl(backends: Mapping[str, str | None]) -> Iterator[Finding]:
    """OpenGL to draw with. backends: name -> why it does not work here, None if it does."""
    from viper_pipeline.envs.gl import REMEDY

    works = [name for name, reason in backends.items() if reason is None]
    for name, reason in backends.items():
        if reason is None:
            yield Finding(f"OpenGL by {name}", "ok", "draws")
        else:
            remedy = "" if works else REMEDY.partition("; then")[0]
            yield Finding(f"OpenGL by {name}", "note" if works else "lacks", reason, remedy)


SUITE_PROBE = """
import os, sys
import importlib.metadata
from viper_pipeline.core.errors import ViperError
from viper_pipeline.core.extras import extras_named
from viper_pipeline.core.process import settle
from viper_pipeline.envs import SUITES
settle()
try:
    with extras_named():
        suite = SUITES.get(sys.argv[1])()
        task = sys.argv[2] or suite.tasks()[0]
        spec = suite.frame_spec(task, {}, {})
        frame = suite.make(task, 0, {}, spec).reset(seed=0)[0]
    drawn = f"draws {task}: {'x'.join(map(str, frame.shape))}, {spec.library}, OpenGL by {spec.gl_backend}"
except ViperError as error:
    print(*str(error).split(), file=sys.stderr)
    os._exit(3)
except importlib.metadata.PackageNotFoundError as error:
    print(f"{error.name} is not installed: pip install {error.name}", file=sys.stderr)
    os._exit(3)
print(drawn, flush=True)
os._exit(0)
"""


def suite(name: str, task: str, needed: bool | None) -> Finding:
    """Whether a suite's simulator starts and draws a frame, in a process of its own.

    needed: whether params.yaml has it; None: there is no project.
    """
    words = [sys.executable, "-c", SUITE_PROBE, name, task]
    state: Literal["note", "lacks"] = "lacks" if needed else "note"
    about = f"suite {name}{' (not in params.yaml)' if needed is False else ''}"
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, env=_environment())
    except subprocess.TimeoutExpired:
        return Finding(about, state, f"no answer in {PATIENCE} s", "see what holds it: VIPER_TRACEBACK=1, and py-spy")
    if done.returncode == 0 and done.stdout.startswith("draws"):
        return Finding(about, "ok", done.stdout.strip())
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 3 and lines:  # our own error: what is wrong; remedy
        found, _, remedy = lines[-1].partition(": ")
        return Finding(about, state, found if remedy else lines[-1], remedy)
    found = lines[-1] if lines else f"its process ended with code {done.returncode}"
    return Finding(about, state, found, "make setup installs the versions that are known to work")


def _environment() -> dict[str, str]:
    """As this process was started, whatever OpenGL backend it has chosen meanwhile."""
    from viper_pipeline.envs.gl import PROBED

    chosen = os.environ.get(PROBED)
    left_out = {PROBED, "MUJOCO_GL"} if chosen else set()
    return {name: value for name, value in os.environ.items() if name not in left_out}


def version_control(root: Path) -> Iterator[Finding]:
    """Git, which DVC's own commands need, and whether the project is a repository."""
    from viper_pipeline.dvc_bridge.repo import without_git

    remedy = "`viper run` does without; for `dvc repro` and `dvc exp`: "
    if shutil.which("git") is None:
        yield Finding("Git", "note", "not installed", f"{remedy}apt-get install git")
        return
    version = subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.strip()
    if not without_git(root):
        yield Finding("Git", "ok", version)
        return
    remedy += "git init && git add . && git commit -m start (or: dvc config --local core.no_scm true)"
    yield Finding("Git", "note", f"{version}, but the project is no repository", remedy)


def dvc(root: Path, config: Mapping[str, str], missing: Iterable[str]) -> Iterator[Finding]:
    """DVC, its remote, and that it sends nothing. config: as `dvc config --list` has it; missing: of its insides."""
    import dvc

    if missing := list(missing):
        found = f"{dvc.__version__}, which lacks {_some(missing)}"
        yield Finding("DVC", "lacks", found, "pip install -r requirements.lock")
    elif not (root / ".dvc").is_dir():
        yield Finding("DVC", "lacks", f"{dvc.__version__}, but the project is no repository of it", "dvc init")
    else:
        yield Finding("DVC", "ok", dvc.__version__)
    remote = config.get("core.remote")
    if remote:
        yield Finding("DVC remote", "ok", remote)
    else:
        yield Finding("DVC remote", "note", "none: results stay on this machine", "dvc remote add -d storage URL")
    if config.get("core.analytics", "true").lower() == "true" and not os.environ.get("DVC_NO_ANALYTICS"):
        yield Finding("DVC telemetry", "lacks", "on", "dvc config core.analytics false")
    else:
        yield Finding("DVC telemetry", "ok", "off")


def kedro_telemetry(root: Path, environment: Mapping[str, str] = os.environ) -> Finding:
    """That Kedro sends nothing."""
    file = root / ".telemetry"
    consent = file.read_text() if file.is_file() else ""
    off = environment.get("DO_NOT_TRACK") or environment.get("KEDRO_DISABLE_TELEMETRY") or "false" in consent
    if off:
        return Finding("Kedro telemetry", "ok", "off")
    return Finding("Kedro telemetry", "lacks", "on", "echo 'consent: false' > .telemetry")


def surroundings(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Variables and places that make runs slow or fail in odd ways."""
    if environment.get("PYTHONDONTWRITEBYTECODE"):
        yield Finding("PYTHONDONTWRITEBYTECODE", "note", "set: every stage compiles its imports anew", "unset it")
    if sys.getfilesystemencoding().lower() != "utf-8":
        yield Finding("encoding", "lacks", sys.getfilesystemencoding(), "export LC_ALL=C.UTF-8")
    home = environment.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        yield Finding("HOME", "note", "not set, or cannot be written", "export HOME=$PWD/.home, if DVC complains")


def parameters(root: Path) -> tuple[Finding, Json]:
    """Whether params.yaml is sound, and its values, which are empty if it cannot be read."""
    from viper_pipeline.pipelines.params_check import validate
    from viper_pipeline.pipelines.params_fit import missing_sources
    from viper_pipeline.pipelines.profiles import read_profile

    raw: Json = {}
    try:
        raw = read_profile(root / "params.yaml")
        params = validate(raw)
        if lacking := list(missing_sources(params, root)):
            raise BadParams("\n".join(lacking))
    except ViperError as error:
        first, *more = str(error).splitlines()
        found = f"{first}{f' (and {len(more)} more)' if more else ''}"
        return Finding("params.yaml", "lacks", found, "viper params check names every mistake"), raw
    return Finding("params.yaml", "ok", f"profile {params.profile}, {', '.join(params.suites)}"), raw


def examine(root: Path, only: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Everything, in order. only: suites to try; default: all that are registered."""
    from viper_pipeline import __version__
    from viper_pipeline.dvc_bridge.repo import missing_in_dvc
    from viper_pipeline.envs import SUITES
    from viper_pipeline.envs.gl import CANDIDATES, why_not

    said, raw = parameters(root)
    suites: Json = raw.get("suites") or {}
    tasks = {name: str(((suites.get(name) or {}).get("tasks") or [""])[0]) for name in only or SUITES.names()}
    with ThreadPoolExecutor(2) as pool:
        drawing = {name: pool.submit(why_not, name) for name in CANDIDATES}
        starting = [pool.submit(suite, name, task, name in suites) for name, task in tasks.items()]
        yield Finding("viper-pipeline", "ok", f"{__version__}{_commit(root)}")
        yield python_version()
        yield from machine()
        config = _dvc_config(root)
        cache = Path(config.get("cache.dir") or root / ".dvc" / "cache")
        yield from disk(
            {"disk, results": root, "disk, DVC's cache": cache, "disk, temporary": Path(tempfile.gettempdir())}
        )
        yield results_fit(raw, shutil.disk_usage(root).free)
        lock = root / "requirements.lock"
        if lock.is_file():
            yield packages(lock.read_text())
        yield _gpu(raw)
        yield from gl({name: future.result() for name, future in drawing.items()})
        yield from version_control(root)
        yield from dvc(root, config, missing_in_dvc())
        yield kedro_telemetry(root)
        yield from surroundings()
        yield said
        yield from (future.result() for future in starting)


def examine_installation(only: tuple[str, ...] = ()) -> Iterator[Finding]:
    """What there is outside of a project: an installation that loads rewards, and what its extras add."""
    from viper_pipeline import __version__
    from viper_pipeline.envs import SUITES
    from viper_pipeline.envs.gl import CANDIDATES, why_not
    from viper_pipeline.rewards.pretrained import pretrained

    with ThreadPoolExecutor(2) as pool:
        drawing = {name: pool.submit(why_not, name) for name in CANDIDATES if find_spec("mujoco")}
        starting = [pool.submit(suite, name, "", None) for name in only or SUITES.names()]
        yield Finding("viper-pipeline", "ok", f"{__version__}, no project here; rewards: {', '.join(pretrained())}")
        yield python_version()
        yield from machine()
        yield from disk({"disk, here": Path.cwd(), "disk, temporary": Path(tempfile.gettempdir())})
        yield _gpu({})
        yield from extras()
        yield from gl({name: future.result() for name, future in drawing.items()})
        yield from surroundings()
        yield from (future.result() for future in starting)


def _gpu(raw: Json) -> Finding:
    import torch

    accelerator = str(((raw.get("runtime") or {}).get("compute") or {}).get("accelerator", "auto"))
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return gpu(accelerator, Path("/dev/nvidiactl").exists(), devices, torch.__version__)


def _dvc_config(root: Path) -> dict[str, str]:
    words = [sys.executable, "-m", "dvc", "config", "--list"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _commit(root: Path) -> str:
    words = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    except OSError:
        return ""
    return f", commit {done.stdout.strip()}" if done.returncode == 0 else ""


def doctor_command(root: Path | None, only: tuple[str, ...], as_json: bool, say: Callable[[str], None]) -> int:
    """Print the findings; 1 if something is lacking, else 0. root: of the project; None: there is none."""
    lacking, found = 0, []
    for finding in examine_installation(only) if root is None else examine(root, only):
        lacking += finding.state == "lacks"
        found.append(asdict(finding))
        if not as_json:
            say(finding.line())
    if as_json:
        say(json.dumps(found, indent=1))
    else:
        say(f"{lacking} thing(s) lacking" if lacking else "nothing is lacking")
    return int(lacking > 0)
