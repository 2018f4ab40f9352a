"""What a benchmark found, kept in reports/measured for a suite's page: stages make the rest of it."""

from __future__ import annotations

from collections.abc import Container, Mapping

from pydantic import Field, ValidationError

from viper_pipeline.configs import Config
from viper_pipeline.errors import BadData


class Measurement(Config):
    """A table. Its rows have equal keys; numbers are shown as they stand."""

    suite: str = Field(description="on whose page it is shown")
    title: str = Field(description="what is compared")
    text: str = Field(description="how it was measured, with which command and machine")
    rows: list[dict[str, str | int | float]] = Field(min_length=1, description="first row first")


def measurements(files: Mapping[str, bytes], suites: Container[str]) -> list[Measurement]:
    """Those of the JSON files, name -> content, that speak of these suites."""
    found = [read(name, content) for name, content in sorted(files.items()) if name.endswith(".json")]
    return [m for m in found if m.suite in suites]


def read(name: str, content: bytes) -> Measurement:
    """One file, or one clear message."""
    try:
        return Measurement.model_validate_json(content)
    except ValidationError as problem:
        where = ".".join(str(part) for part in problem.errors()[0]["loc"])
        raise BadData(f"reports/measured/{name}: {where}: {problem.errors()[0]['msg']}; mend or delete it") from None
