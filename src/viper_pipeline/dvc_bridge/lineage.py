"""Where an artifact comes from: read from what it carries inside, and compared with what is there now.

What carries nothing (a table, a page) is looked up in DVC's lock files. They alone say which outputs are stale: DVC's
own status hashes what changed on the disk, and this takes the lock files at their word, so it answers at once.
Outputs that somebody changed by hand are not found, and of sources that no stage makes only the size is looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.core.files import Json, JsonView, md5_of
from viper_pipeline.core.registry import did_you_mean
from viper_pipeline.dvc_bridge import code_yaml
from viper_pipeline.dvc_bridge.project import param_at, project_root, read_params
from viper_pipeline.dvc_bridge.provenance import Readers, Steps, read_steps


def locked_steps(root: Path) -> Steps:
    """Steps by output, from the lock files."""
    return {
        out["path"]: {
            "stage": str(stage.get("cmd", "")).rpartition(" ")[2],
            "params": {
                name: value
                for file, values in stage.get("params", {}).items()
                for name, value in values.items()
                if file != code_yaml.FILE
            },
            "code": next(iter(stage.get("params", {}).get(code_yaml.FILE, {}).values()), ""),
            "parents": {dep["path"]: dep.get("md5", "") for dep in stage.get("deps", [])},
        }
        for stage in locked_stages(root)
        for out in stage.get("outs", [])
    }


def locked_hashes(root: Path) -> dict[str, str]:
    """md5 of every output, as DVC last committed it."""
    return {out["path"]: out["md5"] for stage in locked_stages(root) for out in stage.get("outs", []) if "md5" in out}


def locked_stages(root: Path) -> Iterator[JsonView]:
    """Every stage of every lock file."""
    from viper_pipeline.core.yaml_files import read_dvc_yaml

    for path in [root / "dvc.lock", *sorted(root.glob("pipelines/*/dvc.lock"))]:
        yield from read_dvc_yaml(path).get("stages", {}).values()


def chain(artifact: str, steps: Steps) -> list[str]:
    """The artifact and all it comes from, nearest first, each once."""
    order, todo = [artifact], [artifact]
    while todo:
        new = [p for path in todo for p in sorted(steps.get(path, {}).get("parents", {})) if p not in order]
        todo = list(dict.fromkeys(new))
        order += todo
    return order


HINT = 300
"""Letters of a list of known artifacts in an error."""
SHOWN = 200
"""Letters of a parameter's value that the text shows."""
NODES = 12
"""Nodes up to which a chart shows every artifact by itself."""


def trace(artifact: Path, root: Path, readers: Readers) -> Json:
    """Everything `viper lineage` shows: {"artifact": path, "steps": [nearest first]}.

    A stray file is known by its last own step, wherever it lies now. Each step is compared with the working tree:
    whether the file is still the one that was read, which parameters have another value today, and whether the code
    of its stage is another. An artifact that is not on this disk is known by the lock files, and a file in a folder
    that a stage makes by its folder.
    """
    full, root = Path(artifact).resolve(), root.resolve()
    name = full.relative_to(root).as_posix() if full.is_relative_to(root) else str(artifact)
    locked = locked_steps(root)
    if name not in locked and (folder := next((up for up in map(str, Path(name).parents) if up in locked), None)):
        name, full = folder, root / folder
    if not full.exists() and name not in locked:
        known = [path for path in locked if path.startswith(f"{name.partition('/')[0]}/")]
        hint = did_you_mean(name, known) if known else ""
        raise BadData(f"{artifact}: there is no such file or folder, and no lock file knows it{hint[:HINT]}")
    carried, hashes = read_steps(full, readers), locked_hashes(root)
    recorded_as = name
    if carried and name not in carried:
        parents = {parent for step in carried.values() for parent in step["parents"]}
        recorded_as = next(path for path in carried if path not in parents)
        carried = {**carried, name: carried[recorded_as] | {"recorded_as": recorded_as}}
    steps = {**locked, **carried}
    for path in chain(name, steps):  # what the lock file says of a folder, the folder itself may say in more detail
        if path not in carried and (root / path).exists():
            steps |= {key: step for key, step in read_steps(root / path, readers).items() if key not in carried}
    order = chain(name, steps)
    codes = code_yaml.known_digests(root)
    read = {parent: md5 for path in reversed(order) for parent, md5 in steps.get(path, {}).get("parents", {}).items()}
    return {
        "artifact": name,
        "steps": [
            _row(
                path,
                steps,
                read.get(path) or hashes.get(recorded_as),
                full if path == name else root / path,
                root,
                codes,
            )
            for path in order
        ],
    }


def _row(path: str, steps: Steps, recorded: str | None, here: Path, root: Path, codes: Mapping[str, str]) -> Json:
    step = steps.get(path, {})
    present = md5_of(here) if here.exists() else None
    row = {
        "artifact": path,
        "stage": step.get("stage", "source"),
        "params": step.get("params", {}),
        "changed_params": _changed(step.get("params", {}), root),
        "code": step.get("code", ""),
        "changed_code": _code_changed(step, codes),
        "versions": step.get("versions", {}),
        "md5": recorded or present,
        "parents": step.get("parents", {}),
        "state": _state(present, recorded),
    }
    return row | {key: step[key] for key in ("recorded_as", "files") if key in step}


def _state(present: str | None, recorded: str | None) -> str:
    """Whether what lies there now is what the artifact was made from."""
    if present is None:
        return "absent"
    if recorded is None:
        return "present"
    return "up to date" if present == recorded else "changed since"


def _changed(params: JsonView, root: Path) -> list[str]:
    """The parameters whose value in params.yaml is another today."""
    if not (root / "params.yaml").is_file():
        return []
    today = read_params(root / "params.yaml")
    return [dotted for dotted, value in params.items() if param_at(today, dotted) != value]


def _code_changed(step: JsonView, codes: Mapping[str, str]) -> bool:
    """Whether the code of a step's stage is another today."""
    name = ".".join(str(step.get("stage", "")).split(".")[:2])
    today = {digest for known, digest in codes.items() if known == name or known.startswith(f"{name}.")}
    return bool(step.get("code") and today) and step["code"] not in today


def as_text(traced: JsonView) -> str:
    """For people."""
    return "\n".join(line for row in traced["steps"] for line in _lines(row)) + "\n"


def _lines(row: JsonView) -> Iterator[str]:
    yield f"{row['artifact']}  [{row['state']}]"
    if "recorded_as" in row:
        yield f"  was written as {row['recorded_as']}"
    yield f"  {'made by ' if row['parents'] or row['params'] else ''}{row['stage']}, md5 {row['md5'] or 'unknown'}"
    if row["code"]:
        yield f"  code {row['code']}{'  [another now]' if row['changed_code'] else ''}"
    if row["versions"]:
        yield f"  with {', '.join(f'{name} {version}' for name, version in row['versions'].items())}"
    for name, value in row["params"].items():
        now = "  [has another value now]" if name in row["changed_params"] else ""
        text = json.dumps(value)
        yield f"  {name}: {text if len(text) <= SHOWN else f'{text[:SHOWN]}... (--json shows all)'}{now}"
    for path in row["parents"]:
        yield f"  from {path}"
    if "files" in row:
        yield f"  of {len(row['files'])} files; --json has the md5 of each"


def as_mermaid(traced: JsonView) -> str:
    """A flow chart; https://mermaid.js.org draws it, and so do many Git hosts.

    It fits a screen: of a long chain, artifacts that one kind of stage made are one node, which says how many.
    """
    rows = traced["steps"]
    group = {row["artifact"]: row["artifact"] if len(rows) <= NODES else _kind(row) for row in rows}
    members: dict[str, list[JsonView]] = {}
    for row in rows:
        members.setdefault(group[row["artifact"]], []).append(row)
    number = {name: f"n{i}" for i, name in enumerate(members)}
    lines = ["flowchart TD"]
    for name, of_it in members.items():
        paths = [row["artifact"] for row in of_it]
        stage = of_it[0]["stage"] if len(of_it) == 1 else f"{len(of_it)} x {name}"
        lines.append(f'  {number[name]}["{_pattern(paths)}<br/>{stage}"]')
    arrows = [(group[parent], group[row["artifact"]]) for row in rows for parent in row["parents"]]
    lines += [f"  {number[parent]} --> {number[child]}" for parent, child in dict.fromkeys(arrows) if parent != child]
    return "\n".join(lines) + "\n"


def _kind(row: JsonView) -> str:
    """The stage without its item; what no stage made by its folder."""
    parts = str(row["stage"]).split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else f"{row['stage']} in {Path(row['artifact']).parent.as_posix()}"


def _pattern(paths: list[str]) -> str:
    """Some paths as one, with * where they differ."""
    parts = [path.split("/") for path in paths]
    if len(paths) == 1 or len({len(one) for one in parts}) > 1:
        return paths[0] if len(paths) == 1 else f"{os.path.commonpath(paths)}/..."

    def one(names: tuple[str, ...]) -> str:
        return names[0] if len(set(names)) == 1 else f"*{_common_end(names)}"

    return "/".join(one(names) for names in zip(*parts, strict=True))


def _common_end(names: tuple[str, ...]) -> str:
    """The suffix that all names share."""
    suffixes = {Path(name).suffix for name in names}
    return suffixes.pop() if len(suffixes) == 1 else ""


SMALL = 2**20
"""Bytes up to which a file that no stage makes is hashed: code, parameters, tables."""


def stale_outputs(root: Path) -> dict[str, str]:
    """path -> why: of every output whose stage, or one that it reads from, would run again today."""
    stages = [stage for stage in locked_stages(root) if not str(stage.get("cmd", "")).endswith("dvc code")]
    made = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
    codes = code_yaml.nested(code_yaml.known_digests(root))
    today = {"params.yaml": read_params(root / "params.yaml"), code_yaml.FILE: codes}
    stale: dict[str, str] = {}
    for stage in stages:
        if reason := _reason(stage, made, today, root):
            stale |= dict.fromkeys((out["path"] for out in stage.get("outs", [])), reason)
    parents = {out["path"]: [d["path"] for d in s.get("deps", [])] for s in stages for out in s.get("outs", [])}
    while spread := {p: f"{d} is stale" for p, deps in parents.items() if p not in stale for d in deps if d in stale}:
        stale |= spread
    return stale


def _reason(stage: JsonView, made: Mapping[str, str | None], today: JsonView, root: Path) -> str | None:
    """What has changed since the stage ran, or None."""
    for dep in stage.get("deps", []):
        path = dep["path"]
        if path in made:
            if made[path] and dep.get("md5") and made[path] != dep["md5"]:
                return f"{path} was made anew"
        elif not (root / path).exists():
            return f"{path} is gone"
        elif _differs(root / path, dep):
            return f"{path} has changed"
    for file, values in stage.get("params", {}).items():
        for name, value in values.items():
            if param_at(today.get(file, {}), name) != value:
                return "its code has changed" if file == code_yaml.FILE else f"{name} has another value"
    return None


def _differs(path: Path, dep: JsonView) -> bool:
    """Whether a file or folder is another than the lock file says; large ones by their size alone."""
    size = dep.get("size", 0)
    if size <= SMALL and "md5" in dep:
        return md5_of(path) != dep["md5"]
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return sum(p.stat().st_size for p in files) != size


def recorded_by(artifact: Path) -> str | None:
    """The commit, of the project that we are in; None outside of one, or if none recorded this artifact."""
    try:
        root = project_root()
    except BadParams:
        return None
    if not Path(artifact).exists():
        return None
    words = [
        "git",
        "log",
        "--reverse",
        "--format=%H",
        f"-S{md5_of(artifact)}",
        "--",
        "dvc.lock",
        "pipelines/*/dvc.lock",
    ]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout else None
