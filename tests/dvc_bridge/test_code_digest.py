"""A digest changes with the meaning of the code that a function can reach, and with nothing else."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.dvc_bridge.code_digest import Code
from viper_pipeline.dvc_bridge.templates import unwrapped

FILES = {
    "__init__.py": "",
    "registry.py": """\
        import importlib


        class Registry:
            def __init__(self, kind, targets):
                self.targets = targets

            def get(self, name):
                module, _, attribute = self.targets[name].partition(":")
                return getattr(importlib.import_module(module), attribute)

            def names(self):
                return tuple(self.targets)
        """,
    "kinds/__init__.py": """\
        from pack.registry import Registry

        KINDS = Registry("kind", {"one": "pack.kinds.some:One", "two": "pack.kinds.some:Two"})
        """,
    "kinds/some.py": """\
        import functools

        from pack.common import helper


        class Kind:
            label: str
            size = 1
            made = helper


        class One(Kind):
            label = "one"

            def run(self):
                return helper(1)


        class Two(Kind):
            label: str = "two"

            @property
            def area(self):
                return self.size
        """,
    "models/__init__.py": """\
        from pack.registry import Registry

        MODELS = Registry("model", {"a": "pack.models.a:A", "b": "pack.models.b:B"})
        \"\"\"All models.\"\"\"
        """,
    "models/a.py": "from pack.common import helper\n\n\nclass A:\n    def run(self):\n        return helper(1)\n",
    "models/b.py": "class B:\n    width = 3\n\n    def run(self):\n        return self.width\n",
    "common.py": """\
        \"\"\"Words.\"\"\"

        from __future__ import annotations

        import functools
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from pack.typed import T

        RATE = 3
        SILENT = 4


        def helper(x, by=2):
            \"\"\"Words.\"\"\"
            return x * by * RATE  # a comment


        def other():
            return SILENT


        @functools.cache
        def cached(x: T) -> T:
            return x


        class Base:
            size = 1

            def area(self):
                return self.size


        class Square(Base):
            side: int = 2
        """,
    "typed.py": "class T:\n    x = 1\n",
    "lent.py": "from pack.common import helper as help_me\n",
    "data.py": """\
        from pathlib import Path

        PAGE = Path(__file__).parent / "pages" / "page.html"
        FOLDER = Path(__file__).parents[1] / "pack" / "pages"


        def page():
            return PAGE.read_text()


        def all_pages():
            return list(FOLDER.iterdir())


        def beside():
            return Path(__file__).with_name("beside.csv").read_text()
        """,
    "pages/page.html": "<p>",
    "pages/more.html": "<p>",
    "beside.csv": "1",
    "loud.py": "import pack.common\n\nTABLE = {}\nTABLE['x'] = pack.common.other\n\n\ndef quiet():\n    return 1\n",
    "deco.py": "FOUND = []\n\n\ndef enter(f):\n    FOUND.append(f)\n    return f\n\n\ndef f():\n    return FOUND\n",
    "entered.py": "from pack.deco import enter\n\n\n@enter\ndef one():\n    return 1\n\n\ndef two():\n    return 2\n",
    "dynamic.py": """\
        import importlib

        import pack.common
        import pack.models
        from pack import common


        def handed_around():
            return vars(common)


        def by_name(name):
            return getattr(common, name)


        def literal():
            return importlib.import_module("pack.common").RATE


        def computed(name):
            return importlib.import_module(f"pack.{name}")


        def of_this_module():
            return globals()["unnamed"]


        def unnamed():
            return 5


        def in_a_string():
            return ["python", "-c", "import pack.common; pack.common.helper(1)"]


        def attribute():
            return pack.common.RATE


        def computed_command(name):
            return ["python", "-m", f"pack.{name}"]


        def whole_package():
            return dir(pack.models)
        """,
    "state.py": """\
        def start():
            global STATE
            STATE = value()


        def value():
            return 7


        def get():
            return STATE


        def other():
            return 9
        """,
    "calls.py": """\
        LIST = []


        def enter():
            LIST.append(1)
            return 1


        DONE = enter()


        def use():
            return LIST
        """,
    "subclasses.py": """\
        class Base:
            def __init_subclass__(cls):
                pass


        def use():
            return Base
        """,
    "missing.py": """\
        from pack import made


        def use():
            return made.there
        """,
    "made.py": "globals()['there'] = 4\n",
    "star.py": "from pack.common import *\n\n\ndef use():\n    return helper(1)\n",
    "nodes.py": """\
        from pack import models
        from pack.common import Square, helper
        from pack.data import all_pages, beside, page
        from pack.kinds import KINDS
        from pack.lent import help_me
        from pack.models import MODELS


        def plain():
            return helper(1)


        def by_another_name():
            return help_me(1)


        def inherits():
            return Square().area()


        def lazily():
            from . import common as c

            return c.helper(1)


        def chooses(name):
            return MODELS.get(name)


        def chooses_through_its_module(name):
            return models.MODELS.get(name)


        def asks_for_names():
            return KINDS.names()


        def asks_for_labels():
            return {name: KINDS.get(name).label for name in KINDS.names()}


        def asks_for_sizes():
            return [KINDS.get(name).size for name in KINDS.names()]


        def asks_for_made(name):
            return KINDS.get(name).made


        def asks_for_a_kind(name):
            kind = KINDS.get(name)
            return kind.label


        def shadows(helper):
            other = helper
            return [RATE for RATE in other]


        def caches():
            from pack.common import cached

            return cached(1)


        def reads():
            return page()


        def reads_all():
            return all_pages()


        def reads_beside():
            return beside()


        def recursive(n):
            return mutual(n - 1) if n else helper(n)


        def mutual(n):
            return recursive(n)


        def imports_what_acts():
            from pack.loud import quiet

            return quiet()


        def imports_what_is_entered():
            from pack.entered import two

            return two()
        """,
}


class Package:
    """The package in a folder."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "pack"
        for name, text in FILES.items():
            self.write(name, dedent(text))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text, old
        self.write(name, text.replace(old, new))

    def digest(self, function: str, **chosen: list[str]) -> str:
        parts = {f"pack.models:{name}": entries for name, entries in chosen.items()}
        return Code("pack", self.folder).digest(function if ":" in function else f"pack.nodes:{function}", parts)

    def changed(self, function: str, edits: Mapping[str, tuple[str, str]], **chosen: list[str]) -> bool:
        before = self.digest(function, **chosen)
        for name, (old, new) in edits.items():
            self.edit(name, old, new)
        return self.digest(function, **chosen) != before


@pytest.fixture
def pack(tmp_path: Path) -> Package:
    return Package(tmp_path)


CHANGES: list[tuple[str, str, str, str, bool]] = [
    # function, file, what, becomes, whether the digest changes
    ("plain", "common.py", "a comment", "another", False),
    ("plain", "common.py", '"""Words."""', '"""Others."""', False),
    ("plain", "common.py", "RATE = 3", "\n\nRATE = 3\n", False),
    ("plain", "common.py", "x * by", "(x) * (by)", False),
    ("plain", "common.py", "typed import T", "typed import T, U", False),
    ("plain", "common.py", "helper(x, by=2)", "helper(x: int, by: float = 2) -> float", False),
    ("plain", "common.py", "import functools\n", "import functools\n\n__all__ = ['helper']\n", False),
    ("plain", "common.py", "SILENT = 4", "SILENT = 5", False),
    ("plain", "common.py", "x * by", "x + by", True),
    ("plain", "common.py", "by=2", "by=3", True),
    ("plain", "common.py", "RATE = 3", "RATE = 4", True),
    ("plain", "common.py", "RATE = 3", "RATE = 3\nRATE += 1", True),
    ("plain", "common.py", "RATE = 3", "RATE = 3\nprint('loaded')", True),
    ("plain", "common.py", "RATE = 3", "try:\n    RATE = 3\nexcept OSError:\n    RATE = 4", True),
    ("plain", "common.py", "def helper", "@functools.cache\ndef helper", True),
    ("plain", "models/a.py", "helper(1)", "helper(2)", False),
    ("by_another_name", "common.py", "x * by", "x + by", True),
    ("by_another_name", "lent.py", "helper as", "other as", True),
    ("lazily", "common.py", "x * by", "x + by", True),
    ("lazily", "common.py", "SILENT = 4", "SILENT = 5", False),
    ("inherits", "common.py", "size = 1", "size = 2", True),
    ("inherits", "common.py", "return self.size", "return -self.size", True),
    ("inherits", "common.py", "side: int", "side: float", True),
    ("inherits", "common.py", "Square(Base)", "Square(object)", True),
    ("inherits", "common.py", "RATE = 3", "RATE = 4", False),
    ("caches", "common.py", "@functools.cache", "@functools.lru_cache(1)", True),
    ("caches", "typed.py", "x = 1", "x = 2", False),
    ("shadows", "common.py", "RATE = 3", "RATE = 4", False),
    ("shadows", "common.py", "x * by", "x + by", False),
    ("recursive", "common.py", "x * by", "x + by", True),
    ("recursive", "nodes.py", "return recursive(n)", "return recursive(-n)", True),
    ("recursive", "nodes.py", "return helper(1)", "return helper(2)", False),
    ("reads", "pages/page.html", "<p>", "<b>", True),
    ("reads", "pages/more.html", "<p>", "<b>", False),
    ("reads_all", "pages/more.html", "<p>", "<b>", True),
    ("reads_beside", "beside.csv", "1", "2", True),
    ("reads_beside", "pages/page.html", "<p>", "<b>", False),
    ("imports_what_acts", "common.py", "return SILENT", "return -SILENT", True),
    ("imports_what_acts", "common.py", "x * by", "x + by", False),
    ("imports_what_is_entered", "entered.py", "return 1", "return 3", True),
    ("asks_for_names", "kinds/__init__.py", '"two":', '"other":', True),
    ("asks_for_names", "kinds/some.py", 'label = "one"', 'label = "1"', False),
    ("asks_for_names", "registry.py", "tuple(self.targets)", "sorted(self.targets)", True),
    ("asks_for_labels", "kinds/__init__.py", '"two":', '"other":', True),
    ("asks_for_labels", "kinds/some.py", 'label = "one"', 'label = "1"', True),
    ("asks_for_labels", "kinds/some.py", 'label: str = "two"', 'label: str = "2"', True),
    ("asks_for_labels", "kinds/some.py", 'label = "one"', 'label, other = "one", 3', False),
    ("asks_for_labels", "kinds/some.py", "helper(1)", "helper(2)", False),
    ("asks_for_labels", "kinds/some.py", "size = 1", "size = 2", False),
    ("asks_for_labels", "kinds/some.py", "class Kind:", "print('loaded')\n\n\nclass Kind:", True),
    ("asks_for_labels", "common.py", "x * by", "x + by", False),
    ("asks_for_labels", "registry.py", "tuple(self.targets)", "sorted(self.targets)", True),
    ("asks_for_sizes", "kinds/some.py", "size = 1", "size = 2", True),
    ("asks_for_sizes", "kinds/some.py", "self.size", "-self.size", False),
    ("asks_for_sizes", "kinds/some.py", 'label = "one"', "size = 2", True),
    ("asks_for_made", "kinds/some.py", "helper(1)", "helper(2)", True),
    ("asks_for_a_kind", "kinds/some.py", "helper(1)", "helper(2)", True),
    ("pack.dynamic:handed_around", "common.py", "SILENT = 4", "SILENT = 5", True),
    ("pack.dynamic:by_name", "common.py", "SILENT = 4", "SILENT = 5", True),
    ("pack.dynamic:literal", "common.py", "SILENT = 4", "SILENT = 5", True),
    ("pack.dynamic:literal", "models/b.py", "width = 3", "width = 4", False),
    ("pack.dynamic:computed", "models/b.py", "width = 3", "width = 4", True),
    ("pack.dynamic:of_this_module", "dynamic.py", "return 5", "return 6", True),
    ("pack.dynamic:in_a_string", "common.py", "x * by", "x + by", True),
    ("pack.dynamic:attribute", "common.py", "RATE = 3", "RATE = 4", True),
    ("pack.dynamic:attribute", "common.py", "SILENT = 4", "SILENT = 5", False),
    ("pack.dynamic:attribute", "dynamic.py", "return 5", "return 6", False),
    ("pack.dynamic:computed_command", "models/b.py", "width = 3", "width = 4", True),
    ("pack.dynamic:whole_package", "models/b.py", "width = 3", "width = 4", True),
    ("pack.state:get", "state.py", "return 7", "return 8", True),
    ("pack.state:get", "state.py", "return 9", "return 8", False),
    ("pack.calls:use", "calls.py", "append(1)", "append(2)", True),
    ("pack.subclasses:use", "models/b.py", "width = 3", "width = 4", True),
    ("pack.missing:use", "made.py", "= 4", "= 5", True),
    ("pack.star:use", "common.py", "SILENT = 4", "SILENT = 5", True),
]


@pytest.mark.parametrize(("function", "file", "old", "new", "changes"), CHANGES)
def test_what_changes_a_digest(pack: Package, function: str, file: str, old: str, new: str, changes: bool) -> None:
    assert pack.changed(function, {file: (old, new)}) == changes


@pytest.mark.parametrize("function", ["chooses", "chooses_through_its_module"])
def test_of_a_registry_the_chosen_entries_count_with_what_they_reach(pack: Package, function: str) -> None:
    digest = functools.partial(pack.digest, function)
    a, b, both, unknown = digest(MODELS=["a"]), digest(MODELS=["b"]), digest(MODELS=["a", "b"]), digest()
    assert len({a, b, both}) == 3 and both == unknown
    pack.edit("models/b.py", "return self.width", "return -self.width")
    assert (digest(MODELS=["a"]), digest(MODELS=["b"]) == b, digest() == unknown) == (a, False, False)
    pack.edit("common.py", "x * by", "x + by")
    assert digest(MODELS=["a"]) != a
    pack.edit("models/__init__.py", '"b": "pack.models.b:B"', '"b": "pack.models.b:B", "c": "pack.models.a:A"')
    after = digest(MODELS=["a"])
    pack.edit("models/__init__.py", ', "c": "pack.models.a:A"', "")
    assert digest(MODELS=["a"]) == after  # another entry is nobody's business who did not choose it


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('label = "one"', 'label = "o" + "ne"'),
        ('label = "one"', 'label = "one"\n    label += "!"'),
        ('label = "one"', 'label = "one"\n    if size:\n        label = "1"'),
        ('label = "one"', 'for label in ("one",):\n        pass'),
        ('label = "one"', 'label = "one"\n    from pack.common import RATE as label'),
        ('label = "one"', 'label = "one"\n    noise = helper(0)'),
        ('label = "one"', ""),
        ('label = "one"', 'label = ("one",)'),
        ('label = "one"', 'label, other = {"one", "two"}'),
        ('label = "one"', '*more, label, other = "one", "two", *range(2)'),
        ("def run(self)", "def label(self)"),
        ("def run(self)", "@functools.partial\n    def run(self)"),
        ("class One(Kind)", "@functools.total_ordering\nclass One(Kind)"),
        ("class One(Kind)", "class One(Kind, metaclass=type)"),
        ("class One(Kind)", "class One(Kind, dict)"),
        ("class One(Kind)", "class One(type(Kind()))"),
        ("class Kind:", "class Kind(Exception):"),
        ("size = 1", "def __init_subclass__(cls):\n        cls.label = 1"),
        ("class Two(Kind)", "One = One or Kind\n\n\nclass Two(Kind)"),
    ],
)
def test_a_class_counts_whole_where_a_label_may_be_no_literal(pack: Package, old: str, new: str) -> None:
    pack.edit("kinds/some.py", old, new)
    assert pack.changed("asks_for_labels", {"kinds/some.py": ("return helper(1)", "return helper(2)")})


def test_of_what_classes_are_asked_for_the_chosen_count_too(pack: Package) -> None:
    """And a class that has no literal counts whole, it alone."""

    def digests() -> list[str]:
        code = Code("pack", pack.folder)
        return [code.digest("pack.nodes:asks_for_labels", {"pack.kinds:KINDS": [name]}) for name in ("one", "two")]

    first = digests()
    pack.edit("kinds/some.py", 'label: str = "two"', 'label: str = "2"')
    second = digests()
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False]
    pack.edit("kinds/some.py", 'label = "one"', 'label = "o" + "ne"')
    third = digests()
    assert [a == b for a, b in zip(second, third, strict=True)] == [False, True]
    pack.edit("kinds/some.py", "return helper(1)", "return helper(2)")
    assert [a == b for a, b in zip(third, digests(), strict=True)] == [False, True]


def test_an_entry_that_is_none_counts_nothing(pack: Package) -> None:
    """As a kind that the caller treats by itself."""
    assert len({pack.digest("chooses", MODELS=["no_such"]), pack.digest("chooses", MODELS=["a"])}) == 2


def test_where_a_definition_stands_is_no_part_of_it(pack: Package) -> None:
    before = {name: pack.digest(name) for name in ("plain", "by_another_name", "lazily", "recursive")}
    text = (pack.folder / "common.py").read_text()
    helper = text[text.index("def helper") : text.index("def other")]
    pack.write("deep/inner.py", f"RATE = 3\n\n\n{helper}")
    pack.write("deep/__init__.py", "")
    pack.write("common.py", "from pack.deep.inner import helper\n" + text.replace(helper, "").replace("RATE = 3\n", ""))
    assert {name: pack.digest(name) for name in before} == before
    (pack.folder / "common.py").rename(pack.folder / "renamed.py")
    for path in pack.folder.rglob("*.py"):
        path.write_text(
            path.read_text().replace("pack.common", "pack.renamed").replace("import common as", "import renamed as")
        )
    assert {name: pack.digest(name) for name in before} == before


def test_two_definitions_of_one_name_are_told_apart(pack: Package) -> None:
    pack.write("twin.py", "def helper(x, by=2):\n    return 0\n")
    pack.edit("nodes.py", "    return helper(1)", "    import pack.twin\n\n    return helper(pack.twin.helper(1))")
    before = pack.digest("plain")
    pack.edit("nodes.py", "helper(pack.twin.helper(1))", "pack.twin.helper(helper(1))")
    assert pack.digest("plain") != before


def test_functions_of_one_module_have_digests_of_their_own(pack: Package) -> None:
    assert pack.digest("recursive") != pack.digest("mutual")
    assert pack.digest("plain") != pack.digest("lazily")


def test_bound_values_count(pack: Package) -> None:
    code = Code("pack", pack.folder)
    one, other = ({"way": way} for way in ("x", "y"))
    assert code.digest("pack.nodes:plain", bound=one) != code.digest("pack.nodes:plain", bound=other)


def test_what_was_kept_says_the_same(pack: Package, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"

    def digest() -> str:
        code = Code("pack", pack.folder, kept)
        found = code.digest("pack.nodes:plain")
        code.save()
        return found

    first = digest()
    assert kept.exists() and digest() == first
    pack.edit("common.py", "x * by", "x + by")
    assert digest() != first
    kept.write_text("no JSON")
    pack.edit("common.py", "x + by", "x * by")
    assert digest() == first


def test_nothing_is_imported_to_find_out(pack: Package) -> None:
    pack.digest("plain")
    assert "pack" not in sys.modules


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [("nodes.py", "def (", "cannot be read as Python"), ("nodes.py", "x = 1\n", "no such function")],
)
def test_what_cannot_be_read_is_named(pack: Package, file: str, text: str, said: str) -> None:
    pack.write(file, text)
    with pytest.raises(BadParams, match=said):
        pack.digest("plain")


def test_functions_are_found_inside_partials_and_decorators() -> None:
    def inner() -> None: ...

    decorated: Callable = functools.wraps(inner)(lambda: inner())
    assert unwrapped(functools.partial(decorated, a=1)) is inner
