"""Profiles: named sets of parameters. One is whole; the others say only in what they differ from it.

A file `profiles/NAME.yaml` with `extends: BASE` is an overlay on `profiles/BASE.yaml`: its mappings are merged key by
key, everything else (numbers, words, lists) replaces what the base says. In a table by task the key `"*"` stands for
every task of the suite that has no entry of its own, and `{task}` in its texts for the task's name; an entry that an
overlay sets to `null` is taken out.
`viper profile NAME` writes the outcome to params.yaml, comments included and `"*"` written out.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, atomic_write
from viper_pipeline.core.registry import did_you_mean

EXTENDS = "extends"
"""The key that names the profile below."""
EVERY_TASK = "*"
TABLES = ("datasets", "experts")
"""Blocks of a suite with one entry per task."""


def read_profile(path: Path | str) -> Json:
    """The parameters of a profile's file, or of params.yaml, with what it extends."""
    return expand_profile(_merged(Path(path), comments=False))


def names(root: Path) -> list[str]:
    """The profiles of the project at `root`, by name."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml") if path.stem != "base")


def render(root: Path, name: str) -> str:
    """The text of params.yaml for a profile: the base's comments stay, and those of the overlay replace them.

    Raises BadParams for an unknown name.
    """
    known = names(root)
    if name not in known:
        raise BadParams(f"there is no profile '{name}'{did_you_mean(name, known)}")
    document = expand_profile(_merged(root / "profiles" / f"{name}.yaml", comments=True))
    buffer = io.StringIO()
    _yaml().dump(document, buffer)
    return buffer.getvalue()


def differing_params(old: ParamsBlock, new: ParamsBlock, path: str = "") -> Iterator[str]:
    """One line per parameter in which two sets differ: its dotted name, the old value and the new one."""
    for key in [*old, *(key for key in new if key not in old)]:
        name = f"{path}.{key}" if path else str(key)
        if key not in new:
            yield f"{name}: {_short(old[key])} -> not there"
        elif key not in old:
            yield f"{name}: not there -> {_short(new[key])}"
        elif isinstance(old[key], Mapping) and isinstance(new[key], Mapping):
            yield from differing_params(old[key], new[key], name)
        elif old[key] != new[key]:
            yield f"{name}: {_short(old[key])} -> {_short(new[key])}"


def write_params(root: Path, name: str, force: bool = False) -> list[str]:
    """Write params.yaml for a profile; returns what changed, one line per parameter.

    Raises BadParams if params.yaml holds edits of its own, which would be lost, unless `force` is given.
    """
    path = root / "params.yaml"
    old = read_profile(path) if path.exists() else {}
    text = render(root, name)
    new = read_profile(root / "profiles" / f"{name}.yaml")
    current = str(old.get("profile", ""))
    if old and not force and current in names(root):
        edits = list(differing_params(read_profile(root / "profiles" / f"{current}.yaml"), old))
        if edits and old != new:
            raise BadParams(
                f"{path}: has {len(edits)} edit(s) on profile {current} that would be lost:\n  "
                + "\n  ".join(edits[:6])
                + "\n  copy the file, or give --force"
            )
    atomic_write(path, text.encode())
    return list(differing_params(old, new))


def overlaid(base: ParamsBlock, overlay: ParamsBlock) -> Json:
    """The parameters of an overlay's values on its base's values; neither is changed."""
    merged = copy.deepcopy(dict(base))
    _update(merged, {key: copy.deepcopy(value) for key, value in overlay.items() if key != EXTENDS})
    return expand_profile(merged)


def expand_profile(params: Any) -> Any:
    """`params` with every `"*"` of a table written out, in place. Tasks keep the order of the suite's list."""
    for block in (params.get("suites") or {}).values():
        for name in TABLES:
            table = block.get(name) if isinstance(block, MutableMapping) else None
            if not isinstance(table, MutableMapping):
                continue
            if EVERY_TASK in table:
                common = table.pop(EVERY_TASK)
                own = {task: table.pop(task) for task in list(table)}
                for task in block.get("tasks", ()):
                    table[task] = own.pop(task) if task in own else _for_task(common, task)
                table.update(own)
            for task in [task for task in table if table[task] is None]:
                del table[task]
    return params


def _for_task(value: Any, task: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _for_task(inner, task) for key, inner in value.items()}
    return value.replace("{task}", task) if isinstance(value, str) else copy.deepcopy(value)


def _merged(path: Path, comments: bool, above: tuple[Path, ...] = ()) -> Any:
    """A profile on all that it extends; a document with comments if they are asked for."""
    document = _load(path, comments)
    if EXTENDS not in document:
        return document
    if path in above:
        raise BadParams(f"{path}: extends: {' -> '.join(p.stem for p in (*above, path))} goes in a circle")
    base = _merged(_base_of(path, document), comments, (*above, path))
    _update(base, {key: value for key, value in document.items() if key != EXTENDS})
    return base


def _base_of(path: Path, document: ParamsBlock) -> Path:
    base = path.with_name(f"{document[EXTENDS]}.yaml")
    if base == path or not base.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml") if p != path)
        raise BadParams(f"{path}: extends: there is no profile '{document[EXTENDS]}'{did_you_mean(base.stem, known)}")
    return base


def _update(target: MutableMapping[str, Any], overlay: ParamsBlock) -> None:
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), MutableMapping):
            _update(target[key], value)
        else:
            target[key] = value


def _load(path: Path, comments: bool) -> Any:
    from viper_pipeline.dvc_bridge.project import read_params

    values = read_params(path)  # what it refuses is refused here as well
    return _yaml().load(path.read_text("utf-8-sig")) if comments else values


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    return yaml


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
