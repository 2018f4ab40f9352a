"""A registry: names to parts, imported when they are used, with a suggestion for an unknown name."""

import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import Registry, did_you_mean


def test_a_target_is_imported_only_when_it_is_used():
    registry = Registry("thing", {"ok": "collections:OrderedDict", "broken": "no.such.module:X"})
    assert registry.names() == ("ok", "broken")
    assert registry.module("broken") == "no.such.module"
    assert registry.get("ok").__name__ == "OrderedDict"
    with pytest.raises(ModuleNotFoundError):
        registry.get("broken")


def test_an_unknown_name_is_refused_with_a_suggestion():
    registry = Registry("agent", {"drq": "a:B", "dreamer": "a:C"})
    with pytest.raises(BadParams, match=r"no agent 'dreamr'.*did you mean 'dreamer'"):
        registry.get("dreamr")
    with pytest.raises(BadParams, match="known: dreamer, drq"):
        registry.get("zzz")
    assert did_you_mean("x", []) == " (known: )"


def test_an_object_can_be_registered_once():
    registry = Registry("thing", {})
    registry.register("toy", dict)
    assert registry.get("toy") is dict and registry.module("toy") == "builtins"
    with pytest.raises(ValueError, match="already"):
        registry.register("toy", list)
    registry.unregister("toy")
    assert registry.names() == ()
