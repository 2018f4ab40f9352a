"""Suites: families of environments that share one tokenizer."""

from viper_pipeline.core.registry import Registry

SUITES = Registry(
    "suite",
    {
        "dmc": "viper_pipeline.envs.dmc:DMC",
        "atari": "viper_pipeline.envs.atari:Atari",
        "tabletop": "viper_pipeline.envs.tabletop.suite:Tabletop",
        "rlbench": "viper_pipeline.envs.rlbench:RLBench",
    },
)
