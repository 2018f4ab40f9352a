"""A plug's block of params.yaml, read by the plug's own schema."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from viper_pipeline.configs import Config


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
