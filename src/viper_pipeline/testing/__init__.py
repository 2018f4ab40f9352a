"""Checks for parts of your own: does a suite, an expert, a model, a reward or an agent keep the contract of its kind?

    from viper_pipeline.testing import check_agent
    check_agent(MyAgent, {"hidden": [8]})

Each check takes the part and the little that it needs, runs for seconds on one CPU, and raises `ContractError`, which
names the part, the rule that it breaks and the remedy. A check that returns found nothing wrong. It leaves torch's
random numbers as they were.
"""

from viper_pipeline.core.errors import ContractError
from viper_pipeline.testing.agents import check_agent
from viper_pipeline.testing.experts import check_expert, check_importer
from viper_pipeline.testing.rewards import check_exploration, check_reward, check_reward_source
from viper_pipeline.testing.suites import check_suite
from viper_pipeline.testing.tokenizers import check_tokenizer
from viper_pipeline.testing.video_models import check_video_model

__all__ = [
    "ContractError",
    "check_agent",
    "check_expert",
    "check_exploration",
    "check_importer",
    "check_reward",
    "check_reward_source",
    "check_suite",
    "check_tokenizer",
    "check_video_model",
]
