"""What every component's configuration has in common: frozen, typed, and no unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen block of params.yaml; a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
