"""The file of the scenario that a test tells."""

import pytest

from tests.permission.shipped import Shipped


@pytest.fixture
def ships(request: pytest.FixtureRequest) -> Shipped:
    """The shipped history of the scenario in the test's name."""
    words = request.node.name.removeprefix("test_scenario_")
    number, _, what = words.partition("_")
    return Shipped(f"{int(number):02d}-{what.replace('_', '-')}")
