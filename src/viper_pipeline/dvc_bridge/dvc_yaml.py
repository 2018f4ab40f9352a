"""Stages as the text of dvc.yaml files, and `viper dvc sync` and `viper dvc check`, which write and compare them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json, JsonView, atomic_write
from viper_pipeline.dvc_bridge import code_yaml
from viper_pipeline.dvc_bridge.code_digest import Code
from viper_pipeline.dvc_bridge.code_yaml import StageEntry
from viper_pipeline.dvc_bridge.project import Project, project_of, read_params
from viper_pipeline.dvc_bridge.templates import SYMBOL, Grid, Stage, Wiring, own_axes, verify_templates

HEADER = (
    "# Written by `viper dvc sync` from src/viper_pipeline/pipelines and conf/base/catalog.yml.\n"
    "# Do not edit: `viper dvc check` fails when this file and the pipelines differ.\n"
)
COMMAND = "python -m viper_pipeline"
"""What a stage's command begins with: the Python that is first on PATH, which an activated environment sets."""
FLAGS = ("cache", "persist", "push", "desc", "remote")
PLOT = ("x", "y", "title", "template", "x_label", "y_label")


class OneLine(list):
    """A list that YAML shows as `[a, b]`."""


class OneLineBlock(dict):
    """A mapping that YAML shows as `{a: b}`."""


def generate(root: Path, params: JsonView) -> dict[Path, str]:
    """The text of every dvc.yaml, and of the table of their functions.

    Raises BadParams if the pipelines treat one value of an axis unlike the others.
    """
    wiring = Wiring(root)
    grid, code = Grid(wiring.project, params), Code.of(root)
    templates = wiring.templates(grid)
    verify_templates(templates, wiring.stages(params), grid)
    table: dict[str, dict[str, StageEntry]] = {}
    documents: dict[str, Json] = {}
    for stage in templates:
        file = file_of(stage.group, wiring.project)
        document = documents.setdefault(file, {"stages": {}} if file == ROOT_FILE else VARS | {"stages": {}})
        entry = table.setdefault(stage.group, {})[stage.name] = entry_of(stage, grid, code)
        document["stages"][stage.name] = body(stage, grid, entry)
    for stage in templates:
        if plots := list(_plots(stage, grid)):
            documents[file_of(stage.group, wiring.project)].setdefault("plots", []).extend(plots)
    outs = [{code_yaml.FILE: OneLineBlock(cache=False)}]
    first = {"cmd": f"{COMMAND} dvc code", "always_changed": True, "outs": outs}
    at_root = documents.setdefault(ROOT_FILE, {"stages": {}})
    at_root["stages"] = {code_yaml.STAGE: first, **at_root["stages"]}
    code.save()
    texts = {root / file: HEADER + _as_yaml(document) for file, document in documents.items()}
    return texts | {root / code_yaml.TABLE: HEADER + code_yaml.table_text(table)}


ROOT_FILE = "dvc.yaml"
VARS = {"vars": ["../../params.yaml"]}


def file_of(group: str, project: Project) -> str:
    """The dvc.yaml that a pipeline's stages stand in."""
    return ROOT_FILE if group in project.at_root else f"pipelines/{group}/dvc.yaml"


def _as_yaml(document: JsonView) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """With short lists on one line."""

    Dumper.add_representer(OneLine, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))
    Dumper.add_representer(OneLineBlock, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v, flow_style=True))
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=160)


def entry_of(stage: Stage, grid: Grid, code: Code) -> StageEntry:
    """A template's row of the table: its function, and which entries it uses of the registries that it can reach."""
    own = own_axes(stage, grid)
    bound = {
        name: SYMBOL.sub(lambda match: f"{{{match['kind']}}}" if match["kind"] in own else match.group(), value)
        for name, value in stage.bound.items()
    }
    fixed = {name: value for name, value in stage.bound.items() if not SYMBOL.search(value)}
    lists = {axis: grid.list_of(axis, block) for axis, block in own.items()}
    return code_yaml.make_entry(stage.function, bound, fixed, lists, grid, code)


def body(stage: Stage, grid: Grid, entry: StageEntry) -> Json:
    """What dvc.yaml says of a template."""
    own = own_axes(stage, grid)
    looked_up = {kind: block for kind, block in grid.symbols_in(stage.deps).items() if grid.is_lookup(kind)}
    if len(looked_up) > 1 or any(set(own) != {grid.project.lookups[kind].axis} for kind in looked_up):
        raise BadParams(f"{stage.node}: a stage that reads what depends on one axis runs over this axis and no other")
    words = {kind: "${key}" if looked_up else f"${{item.{kind}}}" for kind in own}
    words |= {kind: f"${{item.{grid.project.lookups[kind].field}}}" for kind in looked_up}

    def template(text: str) -> str:
        return SYMBOL.sub(lambda match: words.get(match["kind"], match.group()), text)

    def fan_in(texts: Iterable[str]) -> list[str]:
        return [one for text in texts for one in grid.spread(template(text))]

    said: Json = {"cmd": template(f"{COMMAND} stage {stage.group} {stage.node}")}
    if file_of(stage.group, grid.project) != ROOT_FILE:
        said["wdir"] = "../.."
    if deps := fan_in(stage.deps):
        said["deps"] = deps
    # the lists that a fan-in runs over decide what is read, so they are inputs too
    lists = {
        grid.list_of(kind, block)
        for dep in stage.deps
        for kind, block in grid.symbols_in([dep]).items()
        if not grid.is_lookup(kind) and kind not in own
    }
    digest = f"{stage.group}.{stage.name}{entry.key(words)}"
    said["params"] = [{code_yaml.FILE: OneLine([digest])}, *sorted({*fan_in(stage.params), *lists})]
    for path, meta in sorted(stage.outs.items()):
        if meta.get("cache") is False:  # committed to Git: DVC is not to remove it before its successor is whole
            meta = {"persist": True, **meta}
        flags = {name: template(meta[name]) if name == "desc" else meta[name] for name in FLAGS if name in meta}
        section = "metrics" if meta.get("kind") == "metric" else "outs"
        said.setdefault(section, []).append({template(path): OneLineBlock(flags)} if flags else template(path))
    for kind, block in looked_up.items():
        return {"foreach": _from_params(grid.project.lookups[kind].table.replace("{block}", block)), "do": said}
    if own:
        axes = {kind: _from_params(grid.list_of(kind, block)) for kind, block in own.items()}
        return {"matrix": OneLineBlock(axes), **said}
    return said


def _from_params(path: str) -> str:
    return f"${{{path}}}"


def _plots(stage: Stage, grid: Grid) -> Iterator[Json]:
    """Plots cannot be templates: every file is named; the files of one stage share one plot."""
    up = "" if file_of(stage.group, grid.project) == ROOT_FILE else "../../"
    plots = {path: meta for path, meta in stage.outs.items() if meta.get("kind") == "plot"}
    for path, meta in plots.items():
        settings = {name: meta[name] for name in PLOT if name in meta}
        if own_axes(stage, grid):
            columns = {up + one: meta.get("y") for one in grid.spread(path)}
            which = f" {Path(SYMBOL.sub('', path)).stem}" if len(plots) > 1 else ""
            yield {f"{stage.group} {stage.name}{which}": {**settings, "y": columns}}
        else:
            yield {up + path: settings}


def changed_files(root: Path) -> dict[Path, tuple[str, str | None]]:
    """Files that are not what the pipelines say: path -> (present text, wanted text or None for `delete`).

    Raises BadParams if params.yaml says something that cannot be.
    """
    params = read_params(root / "params.yaml")
    project_of(root).check(params)
    wanted = generate(root, params)
    candidates = [root / ROOT_FILE, root / code_yaml.TABLE, *root.glob("pipelines/*/dvc.yaml")]
    ours = {path for path in candidates if path.exists() and path.read_text().startswith(HEADER)}
    pairs = {path: (path.read_text() if path.exists() else "", wanted.get(path)) for path in {*wanted, *ours}}
    return {path: (old, new) for path, (old, new) in sorted(pairs.items()) if old != new}


def write_files(root: Path) -> list[str]:
    """Make the files agree with the pipelines; says what was done, a line each."""
    done = []
    for path, (_, new) in changed_files(root).items():
        if new is None:
            path.unlink()
        else:
            atomic_write(path, new.encode())
        done.append(f"{'wrote' if new else 'removed'} {path.relative_to(root)}")
    if code_yaml.write_code(root):
        done.append(f"wrote {code_yaml.FILE}")
    return done


def check_files(root: Path) -> str:
    """The differences as a unified diff; empty if there are none."""
    return "".join(
        line
        for path, (old, new) in changed_files(root).items()
        for line in difflib.unified_diff(
            old.splitlines(True),
            (new or "").splitlines(True),
            f"{path.relative_to(root)}",
            f"{path.relative_to(root)} (pipelines)",
        )
    )
