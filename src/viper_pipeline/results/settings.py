"""What may be chosen about the report."""

from __future__ import annotations

from pydantic import Field

from viper_pipeline.configs import Config


class ReportConfig(Config):
    """The report's settings."""

    confidence: float = Field(0.95, gt=0, lt=1, description="level of every interval")
