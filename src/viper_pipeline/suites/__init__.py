"""Suites: families of environments that share one tokenizer."""

from viper_pipeline.plugs import Plugs

SUITES = Plugs(
    "suite",
    {
        "dmc": "viper_pipeline.suites.dmc:DMC",
        "atari": "viper_pipeline.suites.atari:Atari",
        "tabletop": "viper_pipeline.suites.tabletop:Tabletop",
        "rlbench": "viper_pipeline.suites.rlbench:RLBench",
    },
)
