"""One reader of YAML for every part of the project: it reads what DVC and Kedro read, or refuses.

params.yaml is read three times: by us, by DVC (ruamel.yaml, YAML 1.2) and by Kedro (OmegaConf on PyYAML, YAML 1.1 with
floats of its own). They differ in numbers (`0100` is 100 or 64, `2e-3` a number or a text), in words (`no` is a text or
false) and in what they refuse (a key twice). A value on which the other two disagree is refused with its line and the
way to write it; every other value is the one that both of them read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.files import Json

Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAG = "tag:yaml.org,2002:"
TEXT = f"{TAG}str"
LARGEST = 1_000_000
"""Values; a few aliases of aliases could stand for more than any memory holds."""

DVC_READS = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "float": r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "int": r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+",
    "null": r"~|null|Null|NULL|",
    "date": r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?",
    "merge": r"<<",
    "value": r"=",
}
"""What a word without quotes is to DVC, the first that fits: the rules of YAML 1.2, as ruamel.yaml has them."""
KEDRO_READS = {
    "bool": r"(yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)",
    "float": r"[-+]?[0-9]+(_[0-9]+)*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9]+(_[0-9]+)*[eE][-+]?[0-9]+"
    r"|[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "int": r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+"
    r"|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+",
    "null": r"~|null|Null|NULL|",
    "merge": r"<<",
    "value": r"=",
}
"""The same to Kedro: YAML 1.1 as PyYAML has it, with OmegaConf's floats beside its own, and without dates."""
PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
PLAIN_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?")
BARE_TAG = re.compile(r"(&\S+\s+)?!")
BLOCK_TEXT = re.compile(r"(^|\s)[|>]([-+]?[1-9]?|[1-9][-+])(\s+#.*|\s*)$")
"""How a text of several lines begins, `|` or `>`."""
MERGE = "<<"
INTERPOLATED = "${"
"""Kedro puts another value in its place, DVC does not."""
MISSING_MARK = "???"
"""Kedro takes it for a value that is still missing."""


class DvcLoader(Fast):
    """PyYAML, fast, with the words and numbers of YAML 1.2: for dvc.lock and dvc.yaml, which DVC itself writes."""


DvcLoader.yaml_implicit_resolvers = {}
for _kind in ("bool", "float", "int", "null"):
    DvcLoader.add_implicit_resolver(TAG + _kind, re.compile(f"^(?:{DVC_READS[_kind]})$"), None)


class _Plain(Fast):
    """PyYAML's parser alone: words without quotes stay words, and are read below."""


_Plain.yaml_implicit_resolvers = {}


def read_yaml(path: Path | str) -> Json:
    """The values in a YAML file, as DVC and Kedro read them.

    Raises BadParams, in one line that names file, line and remedy, if it cannot be read or is read in two ways.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadParams(f"{path}: cannot be read ({error.strerror})") from error
    values = parse_yaml(decoded(content, str(path)), str(path))
    if not isinstance(values, dict):
        raise BadParams(f"{path}: holds no mapping of names to values")
    return values


def read_dvc_yaml(path: Path) -> Json:
    """The values of a dvc.yaml or dvc.lock, as DVC reads them; empty for a file that is not there."""
    if not path.is_file():
        return {}
    try:
        return yaml.load(decoded(path.read_bytes(), str(path)), DvcLoader) or {}
    except yaml.YAMLError as error:
        raise BadParams(f"{path}: {_in_one_line(error)}; `git checkout` or `viper dvc sync` brings it back") from error


def decoded(content: bytes, name: str) -> str:
    """UTF-8 -> text. Raises BadParams naming the line that is something else."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadParams(f"{name}: is UTF-16, not UTF-8; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadParams(
            f"{name}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save it as UTF-8"
        ) from error


def parse_yaml(text: str, name: str = "value") -> Any:
    """The values of a text, as DVC and Kedro read them. name: how messages call it. Raises BadParams."""
    _refuse_odd_lines(text, name)
    try:
        node = yaml.compose(text, _Plain)
    except yaml.YAMLError as error:
        raise BadParams(f"{name}: not YAML: {_in_one_line(error)}") from error
    except ValueError as error:  # characters that no YAML may hold
        raise BadParams(f"{name}: not YAML: {error}") from error
    return None if node is None else _Reader(name, text).value(node)


def _refuse_odd_lines(text: str, name: str) -> None:
    """What some readers take for white space or for the end of a line, and others do not."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("%"):
            raise BadParams(f"{name}: line {number}: a YAML directive; delete the line")
        if "\t" in line.partition(" #")[0] and not line.lstrip(" ").startswith("#"):
            raise BadParams(f'{name}: line {number}: a tab; indent and separate with spaces (in a text: "\\t")')
        if odd := re.search("[\x85\u2028\u2029\ufeff]", line) or re.match("[^'\"#]*\xa0", line):
            raise BadParams(f"{name}: line {number}: the invisible character U+{ord(odd[0][-1]):04X}; write a space")


def _in_one_line(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark and problem else " ".join(str(error).split())


class _Reader:
    """Nodes -> values."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.lines, self.count, self.within = name, text.split("\n"), 0, set[int]()

    def wrong(self, node: yaml.Node, what: str) -> BadParams:
        return BadParams(f"{self.name}: line {node.start_mark.line + 1}: {what}")

    def value(self, node: yaml.Node) -> Any:
        """The value of a node and of all in it."""
        self.count += 1
        if self.count > LARGEST:
            raise self.wrong(node, f"more than {LARGEST:,} values; aliases stand for too much")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in (f"{TAG}map", f"{TAG}seq"):
            raise self.wrong(node, f"the tag {node.tag.replace(TAG, '!!')}; write plain values")
        if id(node) in self.within:
            raise self.wrong(node, "an alias that stands for a block around it")
        self.within.add(id(node))
        values = self._mapping(node) if isinstance(node, yaml.MappingNode) else [self.value(one) for one in node.value]
        self.within.remove(id(node))
        return values

    def _mapping(self, node: yaml.MappingNode) -> Json:
        values: Json = {}
        merged: Json = {}
        lines: dict[str, int] = {}
        for key, inner in node.value:
            if isinstance(key, yaml.ScalarNode) and not key.style and key.value == MERGE:
                if merged:
                    raise self.wrong(key, f"a second {MERGE} in the same block; write its entries out")
                merged = self._merged(key, inner)
                continue
            name = self._scalar(key) if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                raise self.wrong(key, f"the key {getattr(key, 'value', '')!r} is no text; write it in quotes")
            if name in values:
                raise self.wrong(key, f"the key {name} stands there twice, in line {lines[name]} already; delete one")
            values[name], lines[name] = self.value(inner), key.start_mark.line + 1
        return {**merged, **values}

    def _merged(self, key: yaml.Node, node: yaml.Node) -> Json:
        """What `<<` puts into a block: the entries of one other block."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(key, f"{MERGE} takes one block, such as {MERGE}: *name; write the entries out")
        return self._mapping(node)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        begins = self.lines[node.start_mark.line][node.start_mark.column :]
        if node.tag != TEXT or BARE_TAG.match(begins):
            raise self.wrong(node, f"the tag {node.tag.replace(TAG, '!!')}; write plain values")
        text = node.value
        if node.style in ("|", ">") and not BLOCK_TEXT.search(begins):  # libyaml takes what PyYAML refuses
            raise self.wrong(node, f"{begins!r} does not begin a text of several lines; write {node.style} alone")
        if node.style:
            return self._text(node, text)
        mine, theirs = (_kind_of(text, table) for table in (DVC_READS, KEDRO_READS))
        if mine != theirs:
            raise self.wrong(node, f"{text} is {_said(mine)} to DVC and {_said(theirs)} to Kedro; {_remedy(text)}")
        if mine == "text":
            return self._text(node, text)
        if mine == "null":
            return None
        if mine == "bool":
            return text.lower() == "true"
        if mine == "int" and PLAIN_INT.fullmatch(text):
            return int(text)
        if mine == "float" and PLAIN_FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        if mine in ("int", "float"):
            raise self.wrong(node, f"{text} is read in several ways, or endless; write a plain decimal number")
        raise self.wrong(node, f"{text} has a meaning of its own in YAML; write it in quotes")

    def _text(self, node: yaml.ScalarNode, text: str) -> str:
        if INTERPOLATED in text or text == MISSING_MARK:
            raise self.wrong(node, f"{text!r} has a meaning of its own to Kedro; write the value itself")
        return text


def _kind_of(text: str, table: Mapping[str, str]) -> str:
    return next((kind for kind, pattern in table.items() if re.fullmatch(pattern, text)), "text")


def _said(kind: str) -> str:
    words = {"bool": "true or false", "float": "a number", "int": "a number", "null": "nothing", "text": "a text"}
    return words.get(kind, f"a {kind}")


def _remedy(text: str) -> str:
    if re.fullmatch("(?i)yes|on|no|off", text):
        return f"write {'true' if text.lower() in ('yes', 'on') else 'false'}, or '{text}' for the text"
    return f"write it in another way, or '{text}' for the text"
