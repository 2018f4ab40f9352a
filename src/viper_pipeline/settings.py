"""Kedro's settings: one params.yaml at the root, read by Kedro and DVC alike."""

from viper_pipeline.hooks import ProjectHooks

HOOKS = (ProjectHooks(),)
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry", "kedro-viz")
CONF_SOURCE = "conf"
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"parameters": ["../../params.yaml", "parameters*"]},
    # DVC runs experiments in a hidden folder
    "ignore_hidden": False,
}
