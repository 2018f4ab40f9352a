"""VIPER: videos of experts become a reward function, the reward function becomes agents."""

__version__ = "0.2.0"
__all__ = ["RewardModel", "VectorViperWrapper", "ViperWrapper", "load_reward", "train_reward"]


def __getattr__(name: str) -> object:
    """The names for other people's programs; imported when they are asked for, since torch is heavy."""
    from importlib import import_module

    places = {
        "load_reward": "rewards.pretrained",
        "RewardModel": "rewards.pretrained",
        "train_reward": "pipelines.train_reward",
        "ViperWrapper": "rewards.wrappers",
        "VectorViperWrapper": "rewards.wrappers",
    }
    if name in places:
        from viper_pipeline.core.extras import extras_named

        with extras_named():
            return getattr(import_module(f"viper_pipeline.{places[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
