"""A broker sees to it that many sessions can be open, and says how many."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator

import pytest

from trunkline import Broker, OpenAIGateway, OpenFileLimit


@pytest.fixture
def low_limit() -> Iterator[int]:
    """A soft limit below the hard one, as most systems begin with; it ends with the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 16
    low = min(512, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    yield low
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_a_broker_raises_the_limit_of_open_files_and_says_so(
    low_limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "trunkline.actors"),
        Broker.start("m", gateway=OpenAIGateway("k")) as broker,
    ):
        limit = broker.open_files
    assert isinstance(limit, OpenFileLimit)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit.soft == soft
    assert soft >= low_limit
    if hard != low_limit:
        assert soft > low_limit
    (record,) = [record for record in caplog.records if record.message.startswith("open files:")]
    assert (record.levelname, str(soft) in record.message, "sessions" in record.message) == (
        "INFO",
        True,
        True,
    )
    assert [r.levelname for r in caplog.records if "ulimit" in r.message] == (
        ["WARNING"] if soft < 2064 else []
    )
