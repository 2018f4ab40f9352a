"""This package's own stages: no words make one stale, and a part only those that chose it."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
import yaml

from viper_pipeline.core.errors import BadParams
from viper_pipeline.dvc_bridge.code_digest import Code
from viper_pipeline.dvc_bridge.code_reader import parse_source
from viper_pipeline.dvc_bridge.code_yaml import (
    FILE,
    TABLE,
    StageEntry,
    assignments,
    chosen,
    chosen_parts,
    digests,
    read_table,
    table_text,
    write_code,
)
from viper_pipeline.dvc_bridge.project import Part, read_params

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/viper_pipeline"
FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return digests(ROOT)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's code, parameters and table in another folder."""
    shutil.copytree(PACKAGE, tmp_path / "src/viper_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml", TABLE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".viper").mkdir()
    if (ROOT / ".viper/code_cache.json").exists():
        shutil.copy(ROOT / ".viper/code_cache.json", tmp_path / ".viper")
    return tmp_path


def with_words(text: str) -> str:
    """The same code with another docstring, a comment and a blank line in every function and class, and around."""
    lines = text.splitlines()
    starts: dict[int, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0]
            line = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])
            if line > node.lineno and lines[line - 1][: first.col_offset].strip() == "":
                starts[line - 1] = first.col_offset
    out = ['"""Other words."""', "", "# a comment"]
    for number, line in enumerate(lines):
        if number in starts:
            indent = " " * starts[number]
            out += [f'{indent}"""Inserted."""', "", f"{indent}# a comment"]
        out.append(line)
    return "\n".join([*out, "", "# the end", ""])


def edit(root: Path, module: str, definition: str) -> None:
    """Another meaning of a class or function: one more statement in it."""
    path = root / "src" / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = path.read_text()
    node = next(n for n in ast.parse(text).body if getattr(n, "name", "") == definition)
    last = node.body[-1]  # type: ignore[attr-defined]
    lines = text.splitlines()
    lines.insert(last.end_lineno, f"{' ' * node.body[0].col_offset}touched = 1")  # type: ignore[attr-defined]
    path.write_text("\n".join(lines) + "\n")


def changed(before: dict[str, str], root: Path) -> set[str]:
    after = digests(root)
    assert set(after) == set(before)
    return {name for name, digest in after.items() if digest != before[name]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_words_in_a_file_change_nothing_that_it_says(path: Path) -> None:
    text, is_package = path.read_text(), path.name == "__init__.py"
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if is_package else parts)
    assert with_words(text) != text
    one, other = (parse_source(t, module, is_package, "viper_pipeline") for t in (text, with_words(text)))
    assert one == other


def test_words_in_all_files_make_no_stage_stale(before: dict[str, str], copy: Path) -> None:
    for path in (copy / "src").rglob("*.py"):
        path.write_text(with_words(path.read_text()))
    assert changed(before, copy) == set()


def registered() -> list[tuple[str, str]]:
    """Every entry of every registry that the project tells the bridge of."""
    from viper_pipeline.pipeline_registry import PROJECT

    code = Code.of(ROOT)
    tables = dict.fromkeys(part.registry for part in PROJECT.parts)
    return [(table, name) for table in tables for name in code.entries(code.address(table))]


def test_a_part_makes_those_stages_stale_that_chose_it(before: dict[str, str], copy: Path) -> None:
    """And those that name its class themselves. Another part is nobody's business."""
    code, params = Code.of(ROOT), read_params(ROOT / "params.yaml")
    reached, used = {}, {}
    for group, stages in read_table(ROOT).items():
        for stage, entry in stages.items():
            for values in assignments(entry, params):
                key = f"{group}.{stage}{entry.key(values)}"
                used[key] = {code.address(table): names for table, names in chosen(entry, values, params).items()}
                reached[key] = code.reach(entry.function, used[key])
    tried = 0
    for table, name in registered():
        table = code.address(table)
        module, _, definition = code.entries(table)[name].partition(":")
        path = copy / "src" / Path(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        text = path.read_text()
        edit(copy, module, definition)
        stale = changed(before, copy)
        path.write_text(text)
        places = set(code._find(module, definition).places)
        assert stale == {key for key, found in reached.items() if places & found.units}, (table, name)
        whole = (code._find(*table.split(":")).places[0], None)
        choosers = {
            key for key, found in reached.items() if whole in found.asked and name in used[key].get(table, [name])
        }
        assert choosers <= stale, (table, name)
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize(
    ("module", "definition", "part"),
    [
        ("video_models.byol", "BYOL", "byol"),
        ("video_models.maskgit", "MaskGIT", "maskgit"),
        ("rewards.methods", "AMPMethod", "amp"),
        ("rewards.amp", "AMP", "amp"),
    ],
)
def test_an_unused_part_makes_nothing_stale(
    before: dict[str, str], copy: Path, module: str, definition: str, part: str
) -> None:
    """The reports included, though they show the names and colors of all methods. Ablations try other video models."""
    assert not [name for name in before if not name.startswith("ablations.") and part in name]
    edit(copy, f"viper_pipeline.{module}", definition)
    assert {name for name in changed(before, copy) if not name.endswith(f".{part}")} == set()


@pytest.mark.parametrize("attribute", ["label", "color", "description"])
def test_how_a_method_is_shown_makes_the_reports_stale_and_no_agent(
    before: dict[str, str], copy: Path, attribute: str
) -> None:
    path = copy / "src/viper_pipeline/rewards/methods.py"
    first, second = path.read_text().split("class AMPMethod(RewardMethod):")
    path.write_text(
        f"{first}class AMPMethod(RewardMethod):{second.replace(f'{attribute} = ', f'{attribute} = 1 # ', 1)}"
    )
    stale = changed(before, copy)
    assert {"dmc.draw_figures", "dmc.write_report", "atari.write_report", "report.write_overview"} <= stale
    assert not {name for name in stale if "train" in name or "evaluate" in name or "aggregate" in name}


def test_reports_run_no_model(before: dict[str, str]) -> None:
    """Nor does what only shows results depend on how they are made."""
    code = Code.of(ROOT)
    nodes = ("aggregate", "draw_figures", "write_cards", "write_report", "write_overview")
    for name in nodes:
        reached = code.reach(f"viper_pipeline.pipelines.report.nodes:{name}")
        rooms = {module.split(".")[1] for module, _ in reached.units}
        assert {asked for _, asked in reached.asked} <= {"", "label", "color", "description"}, name
        assert not rooms & {"agents", "tokenizers", "video_models", "experts"}, name


def test_a_figure_makes_no_training_stale(before: dict[str, str], copy: Path) -> None:
    edit(copy, "viper_pipeline.reporting.paper_figures.curves", "draw_overall")
    stale = changed(before, copy)
    assert "dmc.draw_figures" in stale
    assert not {name for name in stale if "train" in name or "evaluate" in name or "aggregate" in name}


def test_the_discriminator_makes_the_tokenizer_stale_and_no_agent(before: dict[str, str], copy: Path) -> None:
    edit(copy, "viper_pipeline.tokenizers.losses", "Discriminator")
    stale = changed(before, copy)
    assert {name for name in before if name.endswith(".train_tokenizer")} <= stale
    assert not [name for name in stale if "train_agent" in name]


@pytest.mark.parametrize(
    ("module", "definition", "stale", "fresh"),
    [
        ("core.errors", "BadData", "dmc.train_tokenizer", "none"),
        ("training.progress", "Report", "dmc.train_tokenizer", "dmc.write_report"),
        ("reporting.page", "render_page", "dmc.write_report", "dmc.train_tokenizer"),
        ("agents.replay", "Replay", "dmc.train_agent_viper.drq", "dmc.train_tokenizer"),
        ("dvc_bridge.scheduler", "Run", "", "dmc.train_agent_viper.drq"),
        ("hooks", "ProjectHooks", "", "dmc.train_agent_viper.drq"),
        ("pipelines.params_check", "validate", "", "dmc.train_agent_viper.drq"),
    ],
)
def test_a_definition_makes_stale_who_reaches_it(
    before: dict[str, str], copy: Path, module: str, definition: str, stale: str, fresh: str
) -> None:
    edit(copy, f"viper_pipeline.{module}", definition)
    found = changed(before, copy)
    assert (not stale and not found) or stale in found
    assert fresh not in found


def test_no_stage_takes_a_whole_module_or_the_whole_package() -> None:
    """What counts whole makes everything stale: computed names have no place in what nodes reach."""
    code, params = Code.of(ROOT), read_params(ROOT / "params.yaml")
    for group, stages in read_table(ROOT).items():
        for name, entry in stages.items():
            for values in assignments(entry, params):
                used = {code.address(t): names for t, names in chosen(entry, values, params).items()}
                assert code.reach(entry.function, used).whole == set(), (group, name)


def test_code_yaml_holds_every_digest_and_is_written_only_when_it_changes(before: dict[str, str], copy: Path) -> None:
    assert write_code(copy)
    assert not write_code(copy)
    found: dict[str, str] = {}

    def flat(block: dict, way: str = "") -> None:
        for name, value in block.items():
            if isinstance(value, dict):
                flat(value, f"{way}{name}.")
            else:
                found[f"{way}{name}"] = value

    flat(yaml.safe_load((copy / FILE).read_text()))
    assert found == before


def test_the_table_survives_its_text(tmp_path: Path) -> None:
    entry = StageEntry(
        "a.b:c", {"suite": "dmc"}, {"a.b:X": {"path": "suites.dmc.{task}", "default": "y"}}, {"task": "tasks"}
    )
    table = {"dmc": {"one": entry, "two": StageEntry("a.b:d")}}
    (tmp_path / TABLE).parent.mkdir()
    (tmp_path / TABLE).write_text(table_text(table))
    assert read_table(tmp_path) == table


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadParams, match=r"stages\.yaml.*viper dvc sync"):
        read_table(tmp_path)


def test_the_first_part_that_bound_values_fill_in_is_taken() -> None:
    parts = [Part("m:X", value="{kind}"), Part("m:X", path="suites.{suite}.kind", default="a"), Part("m:Y", path="y")]
    assert chosen_parts(parts, {"suite": "s"}) == {
        "m:X": {"path": "suites.s.kind", "default": "a"},
        "m:Y": {"path": "y"},
    }
    assert chosen_parts(parts, {"suite": "s", "kind": "k"})["m:X"] == {"value": "k"}
    entry = StageEntry("f", parts={"m:X": {"path": "suites.s.kind", "default": "a"}, "m:Y": {"path": "y"}})
    assert chosen(entry, {}, {"suites": {"s": {"kind": ["b", "c"]}}, "y": "z"}) == {"m:X": ["b", "c"], "m:Y": ["z"]}
    with pytest.raises(BadParams, match="y is missing"):
        chosen(entry, {}, {})
