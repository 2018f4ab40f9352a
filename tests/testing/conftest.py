"""The toys are registered as any part is, for as long as a test runs."""

import pytest

from tests.testing.toys import LINES


@pytest.fixture(autouse=True)
def toys(request):
    lines = [(registry, name, target) for registry, name, target in LINES if name not in registry.names()]
    for registry, name, target in lines:
        registry.register(name, target)
    yield
    for registry, name, _ in lines:
        registry.unregister(name)
