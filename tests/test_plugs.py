"""Adding a component is one file and one block: toys of each kind are registered here and used through the plugs."""

import pytest

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.registry import Plugs, did_you_mean


def test_a_target_is_imported_only_when_it_is_used():
    plugs = Plugs("thing", {"ok": "collections:OrderedDict", "broken": "no.such.module:X"})
    assert plugs.names() == ("ok", "broken")
    assert plugs.module("broken") == "no.such.module"
    assert plugs.get("ok").__name__ == "OrderedDict"
    with pytest.raises(ModuleNotFoundError):
        plugs.get("broken")


def test_an_unknown_name_is_refused_with_a_suggestion():
    plugs = Plugs("agent", {"drq": "a:B", "dreamer": "a:C"})
    with pytest.raises(BadParams, match=r"no agent 'dreamr'.*did you mean 'dreamer'"):
        plugs.get("dreamr")
    with pytest.raises(BadParams, match="known: dreamer, drq"):
        plugs.get("zzz")
    assert did_you_mean("x", []) == " (known: )"


def test_an_object_can_be_registered_once():
    plugs = Plugs("thing", {})
    plugs.register("toy", dict)
    assert plugs.get("toy") is dict and plugs.module("toy") == "builtins"
    with pytest.raises(ValueError, match="already"):
        plugs.register("toy", list)
    plugs.unregister("toy")
    assert plugs.names() == ()
