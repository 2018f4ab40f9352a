"""Checks of the contracts that parts keep, for the tests of a new part. Each raises AssertionError and says why."""

from viper_pipeline.testing.experts import check_expert, check_importer, check_suite
from viper_pipeline.testing.rewards import check_exploration, check_reward, check_reward_source

__all__ = ["check_expert", "check_exploration", "check_importer", "check_reward", "check_reward_source", "check_suite"]
