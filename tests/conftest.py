"""What every room's tests share: one real broker a run, a topic prefix of one's own, where caches lie."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from deploy.broker.node import LocalBroker
from deploy.sources import believed, understood
from tests.ports import free_pair

ROOT = Path(__file__).parent.parent
CACHE = ROOT / understood(believed(folder=ROOT)).data_dir / "cache"

set_hypothesis_home_dir(CACHE / "hypothesis")
# No deadline: the tests run beside a broker and other processes, and an example that was slow once says nothing.
# Quick: the same examples every time, so that a change fails for what it changed. Long: new ones, to search.
hypothesis.settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile("quick")  # `--hypothesis-profile=long` wins


@pytest.fixture(scope="session")
def jar_cache() -> Path:
    """The cache the set-up filled, so that no test fetches what is there."""
    return CACHE


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, jar_cache: Path) -> Iterator[str]:
    """Where a real Kafka answers: the cluster of CALLGRANT_KAFKA_BOOTSTRAP, else one started for this run."""
    if given := os.environ.get("CALLGRANT_KAFKA_BOOTSTRAP"):
        yield given
        return
    data_dir = tmp_path_factory.mktemp("broker")
    with LocalBroker(data_dir=data_dir, port=free_pair(), cache_dir=jar_cache) as node:
        yield node.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """Topics and groups of one test never meet those of another."""
    return f"test-{secrets.token_hex(4)}."
