"""What every component's configuration has in common: frozen, typed, and no unknown keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails

ParamsBlock: TypeAlias = Mapping[str, Any]
"""A block of params.yaml as it was read, before its `Config` has checked it."""


class Config(BaseModel):
    """A frozen block of params.yaml; a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def component(kind: type[Config], name: str | tuple[str, ...], block: Any) -> Config:
    """A component's block; its mistakes are named with the block's name."""
    place = (name,) if isinstance(name, str) else name
    try:
        return kind.model_validate(block)
    except ValidationError as error:
        details = [
            InitErrorDetails(type=e["type"], loc=(*place, *e["loc"]), input=e["input"], ctx=e.get("ctx", {}))
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data(place[-1], details) from error


def value_at(block: ParamsBlock, dotted: str, missing: object = None) -> Any:
    """The value at a dotted path such as `frames.size`, or `missing`."""
    value: Any = block
    for key in dotted.split("."):
        value = value.get(key, missing) if isinstance(value, Mapping) else missing
    return value


def leaves(block: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as (dotted name, value)."""
    if isinstance(block, Mapping):
        for key, value in block.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, block
