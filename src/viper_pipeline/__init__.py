"""VIPER: videos of experts become a reward function, the reward function becomes agents."""

__version__ = "0.1.0"
