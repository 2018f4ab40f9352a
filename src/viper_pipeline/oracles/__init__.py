"""Oracles: what makes the expert behaviour that videos are recorded of."""

from viper_pipeline.plugs import Plugs

ORACLES = Plugs("oracle", {"sb3": "viper_pipeline.oracles.sb3:train_oracle"})
