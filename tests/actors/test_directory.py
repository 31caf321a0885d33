"""The sessions of a broker, kept outside every actor."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from trunkline.actors.directory import Directory
from trunkline.actors.events import SessionClosed
from trunkline.actors.session import SessionActor
from trunkline.actors.session_log import SessionConfirmed
from trunkline.supervision import StableRef

CLIENT = SessionClosed("client")
ERROR = SessionClosed("error", "boom")


@pytest.fixture
def directory() -> Directory:
    return Directory()


def ref() -> StableRef[Any]:
    return StableRef(SessionActor, "s")


def test_an_entry_is_found_until_it_is_forgotten(directory: Directory) -> None:
    entry = directory.add("s")
    assert directory.get("s") is entry
    assert directory.entries() == [entry]
    assert directory.forget("s", CLIENT) is entry
    assert directory.get("s") is None
    assert directory.entries() == []


def test_forgetting_ends_the_subscribers_once(directory: Directory) -> None:
    stream = directory.add("s").subscribers.stream()
    assert directory.forget("s", ERROR) is not None
    assert directory.forget("s", CLIENT) is None
    assert list(stream) == [ERROR]


def test_closing_all_ends_every_session_and_none_is_left(directory: Directory) -> None:
    streams = [directory.add(f"s{n}").subscribers.stream() for n in range(3)]
    directory.close_all(CLIENT)
    assert [list(stream) for stream in streams] == [[CLIENT]] * 3
    assert directory.entries() == []


def test_the_start_of_a_session_that_nobody_wants_any_more_is_not_noted(directory: Directory) -> None:
    directory.add("s")
    directory.forget("s", ERROR)
    assert directory.started("s", ref()) is False


def test_a_noted_start_is_seen_by_whoever_forgets_the_session(directory: Directory) -> None:
    entry, child = directory.add("s"), ref()
    assert directory.started("s", child) is True
    assert entry.ref is child
    forgotten = directory.forget("s", ERROR)
    assert forgotten is not None
    assert forgotten.ref is child


def test_a_session_that_starts_while_it_is_forgotten_is_ended_by_one_of_the_two() -> None:
    for _ in range(300):
        directory, child = Directory(), ref()
        directory.add("s")
        start = threading.Barrier(2)
        noted: list[bool] = []

        def note(
            directory: Directory = directory,
            child: Any = child,
            start: Any = start,
            noted: list[bool] = noted,
        ) -> None:
            start.wait(5)
            noted.append(directory.started("s", child))

        thread = threading.Thread(target=note)
        thread.start()
        start.wait(5)
        forgotten = directory.forget("s", ERROR)
        thread.join(5)
        assert forgotten is not None
        assert noted == [forgotten.ref is child]


def test_entries_differ_and_keep_logs_of_their_own(directory: Directory) -> None:
    one, other = directory.add("a"), directory.add("b")
    one.log.append(SessionConfirmed("x"))
    assert list(one.log.read()) == [SessionConfirmed("x")]
    assert list(other.log.read()) == []
    assert one != other
