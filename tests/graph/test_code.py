"""Which files a node depends on."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from viper_pipeline.core.registry import Registry
from viper_pipeline.graph.code import Code, code_files, unwrapped

FILES = {
    "__init__.py": "",
    "node.py": """\
        from typing import TYPE_CHECKING

        from . import beside
        from pack.held import thing

        if TYPE_CHECKING:
            from pack.types_only import T


        def work():
            import pack.lazy
        """,
    "beside.py": "import os\nfrom .deep import below\n",
    "lazy.py": "",
    "types_only.py": "",
    "unused.py": "",
    "held/__init__.py": "from pack.held.inner import thing\n",
    "held/inner.py": "thing = 1\n",
    "deep/__init__.py": '"""Only words."""\n',
    "deep/below.py": 'from pathlib import Path\n\nPAGE = Path(__file__).parent / "page.html"\n',
    "deep/page.html": "<p>",
    "deep/other.html": "<p>",
    "plug_a.py": "from pack import lazy\n",
    "plug_b.py": "",
    "table.py": "",
}


@pytest.fixture
def code(tmp_path: Path) -> Callable[..., Code]:
    for name, text in FILES.items():
        path = tmp_path / "src/pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return functools.partial(Code, "pack", tmp_path / "src/pack", tmp_path)


def at(module: str) -> Callable[[], None]:
    """A function that says it lives in `module`."""

    def work() -> None:
        pass

    work.__module__ = module
    return work


def names(files: set[str]) -> set[str]:
    return {file.removeprefix("src/pack/") for file in files}


def test_the_closure_is_what_is_imported_anywhere_and_read_beside(code: Callable[..., Code]) -> None:
    assert names(code().files(at("pack.node"))) == {
        "node.py", "beside.py", "lazy.py", "held/__init__.py", "held/inner.py", "deep/below.py", "deep/page.html",
    }  # fmt: skip


def test_nothing_is_imported_to_find_out(code: Callable[..., Code]) -> None:
    code().files(at("pack.node"))
    assert "pack" not in sys.modules


def test_neutral_modules_do_not_count_nor_what_only_they_import(code: Callable[..., Code]) -> None:
    found = names(code(neutral=["pack.beside"]).files(at("pack.node")))
    assert found == {"node.py", "lazy.py", "held/__init__.py", "held/inner.py"}


def test_who_imports_an_open_registry_depends_on_all_that_it_holds(code: Callable[..., Code]) -> None:
    opened = {"pack.lazy": ["pack.plug_b"]}
    assert names(code(opened=opened).files(at("pack.plug_a"))) == {"plug_a.py", "lazy.py", "plug_b.py"}


def test_bound_values_add_their_plugs_and_only_theirs(code: Callable[..., Code]) -> None:
    plugs = {"model": Registry("model", {"a": "pack.plug_a:A", "b": "pack.plug_b:B"})}
    function = functools.partial(at("pack.unused"), model="b", seed=3)

    def found(stands_for: Callable[[str], list[str]]) -> set[str]:
        return names(code_files(code(), function, plugs, stands_for))

    assert found(lambda value: [value]) == {"unused.py", "plug_b.py"}
    assert found(lambda value: ["a", "b"]) == {"unused.py", "plug_a.py", "lazy.py", "plug_b.py"}


@pytest.mark.parametrize(
    "text, counts",
    [
        ("", False),
        ('"""Words."""\n', False),
        (
            'from viper_pipeline.core.registry import Registry\n\nA = Registry("a", {"x": "pack.b:X"})\n"""Words"""\n',
            False,
        ),
        ('__version__ = "1"\n', False),
        ("def __getattr__(name):\n    return 1\n", False),
        ("X = 3\n", True),
        ("def f(): pass\n", True),
        ("from pack.lazy import x\n", True),
    ],
)
def test_an_init_file_counts_if_it_holds_code(
    code: Callable[..., Code], tmp_path: Path, text: str, counts: bool
) -> None:
    (tmp_path / "src/pack/deep/__init__.py").write_text(text)
    assert ("deep/__init__.py" in names(code().files(at("pack.deep.below")))) == counts


def test_functions_are_found_inside_partials_and_decorators() -> None:
    inner = at("pack.node")
    decorated = functools.wraps(inner)(lambda: inner())
    assert unwrapped(functools.partial(decorated, a=1)) is inner
