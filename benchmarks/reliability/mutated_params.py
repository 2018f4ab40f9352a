"""Parameters that people could write by mistake: each set is refused with file and field, or sound; nothing else.

Run: python benchmarks/reliability/mutated_params.py [COUNT]. A profile's file is changed in one place: another type,
another size, another name, a key less or more, a letter damaged. Prints one line.
"""

from __future__ import annotations

import copy
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.yaml_files import parse_yaml
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile

ROOT = Path(__file__).parents[2]
ODD = [
    None, True, -1, 0, 1, 7, 10**9, 2**40, 0.5, -0.5, 1e300, 2e4, "", "many", "64", "no", "~/x", [], [0], ["a", "a"],
    {}, {"a": 1},
]  # fmt: skip
"""Values that are put in the place of right ones."""


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a nest of mappings and lists."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [found for key, inner in items for found in [(*path, key), *places(inner, (*path, key))]]


def mutated(values: dict, rng: random.Random) -> str:
    """The text of a file with one mistake in it."""
    values = copy.deepcopy(values)
    *parents, last = rng.choice(places(values))
    block: Any = values
    for key in parents:
        block = block[key]
    how = rng.choice(["value", "value", "value", "gone", "typo", "twice", "damage"])
    if how == "value":
        block[last] = rng.choice(ODD)
    elif how == "gone":
        del block[last]
    elif how == "typo" and isinstance(block, dict):
        block[f"{last}{rng.choice('xyz')}"] = block.pop(last)
    elif how == "twice" and isinstance(block, list):
        block.append(block[last])
    text = yaml.safe_dump(values, sort_keys=False)
    if how == "damage":
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice("\t:{}[]&*!%@`'\"\\#-?,|>\x85é0e") + text[at + 1 :]
    return text


def outcome(text: str) -> str:
    """What `viper params check` would say of a file: sound, refused, vague, or the name of an exception."""
    try:
        validate(parse_yaml(text, "params.yaml"))
    except BadParams as error:
        named = all(line.startswith("params.yaml: ") and len(line) > 20 for line in str(error).splitlines())
        return "refused" if named else "vague"
    except Exception as error:
        return type(error).__name__
    return "sound"


def tried(count: int) -> Iterator[tuple[int, str, str]]:
    """Seed, text and outcome of each of `count` sets."""
    values = read_profile(ROOT / "profiles" / "tiny.yaml")
    for seed in range(count):
        text = mutated(values, random.Random(seed))
        yield seed, text, outcome(text)


def main(count: int) -> str:
    """The line."""
    counts: Counter[str] = Counter()
    for seed, text, said in tried(count):
        counts[said] += 1
        if said not in ("sound", "refused"):
            (ROOT / ".viper").mkdir(exist_ok=True)
            (ROOT / ".viper" / f"mutated-{seed}.yaml").write_text(text)
    rest = {said: number for said, number in counts.items() if said not in ("sound", "refused")}
    good = f"{counts['refused']} refused with file and field, {counts['sound']} sound"
    others = f"{sum(rest.values())} otherwise {rest or ''}".strip()
    return f"mutated params.yaml: {count} tried, {good}, {others}"


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
