"""The table that outlives a session's actor: who gets what, in which order, and how it ends."""

from __future__ import annotations

import itertools
import sys
import threading
from typing import Any

import pykka
import pytest

from trunkline.actors.commands import RealtimeClose, RealtimeEvent, RealtimeFrame
from trunkline.actors.events import AssistantTextDelta, Error, SessionClosed, SessionOpened, SessionUpdated
from trunkline.actors.raw_frame import RawFrame
from trunkline.actors.subscribers import Subscribers
from trunkline.supervision import ActorDown

OPENED = SessionOpened("s", "sess_1", "m", 99.0)
AGAIN = SessionOpened("s", "sess_2", "m", 199.0)
DELTA = AssistantTextDelta("r", "hi")
OTHER = SessionUpdated("x")
CLIENT = SessionClosed("client")
ERROR = SessionClosed("error", "boom")
WARNING = Error("invalid_value", "unheard")
FRAME = RawFrame("received", "x", b"{}")
PATIENCE_S = 10.0


class Listener(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        self.told.append(message)
        return list(self.told)


@pytest.fixture
def listener() -> Any:
    ref = Listener.start()
    yield ref
    ref.stop()


@pytest.fixture
def table() -> Any:
    return Subscribers("s")


def drain(stream: Any) -> list[Any]:
    events = []
    while stream.backlog:
        events.append(stream.get(0))
    return events


def test_every_kind_of_subscriber_gets_session_opened_the_events_and_the_end(
    table: Any, listener: Any
) -> None:
    called: list[Any] = []
    publish = table.publisher()
    stream = table.stream()
    table.add(called.append)
    table.add(listener)
    publish.open(OPENED)
    publish(DELTA)
    assert table.close(CLIENT)
    expected = [OPENED, DELTA, CLIENT]
    assert list(stream) == called == expected
    told = listener.ask("?")[:-1]
    assert told == [*(RealtimeEvent("s", event) for event in expected), RealtimeClose("s", "client")]


def test_a_late_subscriber_begins_with_session_opened_of_the_line_that_is_open(
    table: Any, listener: Any
) -> None:
    publish = table.publisher()
    early = table.stream()
    publish.open(OPENED)
    publish.open(AGAIN)
    late, called = table.stream(), []
    table.add(called.append)
    table.add(listener)
    publish(DELTA)
    assert drain(early) == [OPENED, DELTA], "exactly once, even when a new line brings a new one"
    assert drain(late) == called == [AGAIN, DELTA]
    assert [message.event for message in listener.ask("?")[:-1]] == [AGAIN, DELTA]


def test_what_ends_with_the_session_is_told_before_the_end_once_and_not_to_who_comes_later(
    table: Any, listener: Any
) -> None:
    called: list[Any] = []
    stream = table.stream()
    table.add(called.append)
    table.add(listener)
    table.publisher().open(OPENED)
    asked: list[Any] = []

    def unfinished(closed: SessionClosed) -> list[Any]:
        asked.append(closed)
        return [OTHER, WARNING]

    assert table.close(ERROR, unfinished)
    assert not table.close(CLIENT, unfinished)
    assert asked == [ERROR]
    expected = [OPENED, OTHER, WARNING, ERROR]
    assert list(stream) == called == expected
    told = listener.ask("?")[:-1]
    assert told == [*(RealtimeEvent("s", event) for event in expected), RealtimeClose("s", "error")]
    assert list(table.stream()) == [OPENED, ERROR]


def test_a_callback_that_raises_on_what_ends_with_the_session_gets_the_end(table: Any) -> None:
    called: list[Any] = []

    def fail(event: Any) -> None:
        called.append(event)
        raise ValueError

    table.publisher().open(OPENED)
    table.add(fail)
    table.close(ERROR, lambda _: [OTHER])
    assert called == [OPENED, OTHER, ERROR]


def test_a_subscriber_that_comes_after_the_end_gets_the_beginning_and_the_end(
    table: Any, listener: Any
) -> None:
    table.publisher().open(OPENED)
    table.close(ERROR)
    called: list[Any] = []
    table.add(called.append)
    table.add(listener)
    assert list(table.stream()) == called == [OPENED, ERROR]
    assert listener.ask("?")[:-1] == [
        RealtimeEvent("s", OPENED),
        RealtimeEvent("s", ERROR),
        RealtimeClose("s", "error"),
    ]


def test_a_session_that_never_opened_still_ends(table: Any) -> None:
    stream = table.stream()
    table.close(ERROR)
    assert list(stream) == list(table.stream()) == [ERROR]


def test_the_first_close_wins(table: Any) -> None:
    stream = table.stream()
    assert table.close(CLIENT) is True
    assert table.close(ERROR) is False
    assert table.closed == CLIENT
    assert list(stream) == [CLIENT]


def test_the_next_publisher_fences_the_last_one_off(table: Any) -> None:
    stream = table.stream()
    zombie = table.publisher()
    publish = table.publisher()
    zombie.open(OPENED)
    zombie(DELTA)
    publish.open(OPENED)
    publish(OTHER)
    zombie(DELTA)
    assert drain(stream) == [OPENED, OTHER]


def test_nothing_is_published_after_the_end(table: Any) -> None:
    called: list[Any] = []
    publish = table.publisher()
    table.add(called.append)
    table.close(CLIENT)
    publish(DELTA)
    publish.open(OPENED)
    assert called == [CLIENT]


def test_what_a_zombie_has_in_hand_when_the_session_ends_reaches_no_later_subscriber(table: Any) -> None:
    reached, release = threading.Event(), threading.Event()
    behind: list[Any] = []
    hung: list[Any] = []

    def hang(event: Any) -> None:
        hung.append(event)
        if event == DELTA:
            reached.set()
            release.wait(PATIENCE_S)

    def live() -> None:
        publish = table.publisher()
        table.add(hang)
        table.add(behind.append)
        publish(DELTA)

    session = threading.Thread(target=live)
    session.start()
    assert reached.wait(PATIENCE_S)
    table.close(CLIENT)
    helpers = [thread for thread in threading.enumerate() if thread.name == "session_closed s"]
    for helper in helpers:
        helper.join(PATIENCE_S)
    release.set()
    session.join(PATIENCE_S)
    assert behind == [CLIENT]
    assert hung == [DELTA, CLIENT]


def test_a_callback_that_hangs_for_ever_does_not_hold_up_another_thread_that_closes(table: Any) -> None:
    release, entered = threading.Event(), threading.Event()

    def hang(event: Any) -> None:
        entered.set()
        release.wait(30)

    table.add(hang)  # no publisher: nobody's thread
    closer = threading.Thread(target=table.close, args=(CLIENT,))
    closer.start()
    closer.join(PATIENCE_S)
    alive = closer.is_alive()
    assert entered.wait(PATIENCE_S)
    release.set()
    closer.join(PATIENCE_S)
    assert not alive
    for helper in threading.enumerate():
        if helper.name == "session_closed s":
            helper.join(PATIENCE_S)


def test_behind_a_callback_that_hangs_in_session_closed_the_next_closer_goes_on(table: Any) -> None:
    reached, release, called = threading.Event(), threading.Event(), threading.Event()
    behind: list[Any] = []

    def hang(event: Any) -> None:
        reached.set()
        release.wait(PATIENCE_S)

    def note(event: Any) -> None:
        behind.append(event)
        called.set()

    def live() -> None:
        table.publisher()
        table.add(hang)
        table.add(note)
        table.close(ERROR)

    session = threading.Thread(target=live)
    stream = table.stream()
    session.start()
    assert reached.wait(PATIENCE_S)
    assert list(stream) == [ERROR], "who cannot hang is told first"
    assert table.close(CLIENT) is False
    assert called.wait(PATIENCE_S)
    release.set()
    session.join(PATIENCE_S)
    assert behind == [ERROR]
    for helper in threading.enumerate():
        if helper.name == "session_closed s":
            helper.join(PATIENCE_S)


def test_a_duplicate_is_not_added_and_can_be_removed_once(table: Any, listener: Any) -> None:
    called: list[Any] = []
    publish = table.publisher()
    for _ in range(2):
        table.add(called.append)
        table.add(listener)
    publish(DELTA)
    assert called == [DELTA]
    assert len(listener.ask("?")) == 2
    table.remove(called.append)
    table.remove(called.append)
    table.remove(listener)
    publish(DELTA)
    assert called == [DELTA]


def test_a_stream_that_is_closed_or_given_up_leaves_the_table(table: Any) -> None:
    publish = table.publisher()
    closed, given_up, alive = table.stream(), table.stream(), table.stream()
    closed.close()
    given_up._ended = True  # as its reader is given up: the next put says so
    given_up._bound = -1
    publish(DELTA)
    assert [sink.subscriber for sink in table._sinks] == [alive]


@pytest.mark.parametrize("answer", [False, None, 0, True])
def test_a_function_may_return_what_it_likes(table: Any, answer: Any) -> None:
    seen: list[Any] = []
    publish = table.publisher()
    table.add(lambda event: (seen.append(event), answer)[1])
    publish(DELTA)
    publish(OTHER)
    assert seen == [DELTA, OTHER]


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), KeyboardInterrupt(), ActorDown()])
def test_a_function_that_raises_is_told_on_and_harms_nobody(table: Any, error: BaseException) -> None:
    seen: list[Any] = []

    def raises(event: Any) -> None:
        seen.append(event)
        raise error

    publish = table.publisher()
    table.add(raises)
    stream = table.stream()
    publish.open(OPENED)
    publish(DELTA)
    table.close(CLIENT)
    assert seen == list(stream) == [OPENED, DELTA, CLIENT]


def test_a_dead_actor_is_removed_without_a_word(table: Any, caplog: Any) -> None:
    ref = Listener.start()
    publish = table.publisher()
    table.add(ref)
    ref.stop()
    caplog.clear()
    publish(DELTA)
    assert not table._sinks
    assert not caplog.records


def test_it_knows_the_thread_in_which_callbacks_are_called(table: Any) -> None:
    answers: list[bool] = []
    assert not table.called_here()
    session = threading.Thread(target=lambda: (table.publisher(), answers.append(table.called_here())))
    session.start()
    session.join(PATIENCE_S)
    assert answers == [True]
    assert not table.called_here()


def test_streams_that_come_while_others_publish_and_close_all_see_a_whole_story() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            one_race()
    finally:
        sys.setswitchinterval(interval)


def one_race() -> None:
    table = Subscribers("s")
    streams: list[Any] = []
    start = threading.Barrier(4)

    def publish() -> None:
        speak = table.publisher()
        start.wait(PATIENCE_S)
        speak.open(OPENED)
        for _ in range(20):
            speak(DELTA)

    def subscribe() -> None:
        start.wait(PATIENCE_S)
        streams.extend(table.stream() for _ in range(10))

    def close(closed: SessionClosed) -> None:
        start.wait(PATIENCE_S)
        for _ in itertools.repeat(None, 50):
            pass
        table.close(closed)

    works = [(publish, ()), (subscribe, ()), (close, (CLIENT,)), (close, (ERROR,))]
    threads = [threading.Thread(target=work, args=arguments) for work, arguments in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for stream in streams:
        story = list(stream)
        assert story[-1] == table.closed
        assert story.count(OPENED) <= 1
        assert OPENED not in story[1:]
        assert sum(isinstance(event, SessionClosed) for event in story) == 1


# -- frames of the wire


def test_frames_come_to_those_who_asked_and_to_nobody_else(table: Any, listener: Any) -> None:
    publish = table.publisher()
    plain, called, plainly_called = table.stream(), [], []
    assert not publish.wants_raw
    raw = table.stream(raw=True)
    table.add(called.append, raw=True)
    table.add(plainly_called.append)
    table.add(listener, raw=True)
    assert publish.wants_raw
    publish.open(OPENED)
    publish.raw(FRAME)
    publish(DELTA)
    assert drain(plain) == plainly_called == [OPENED, DELTA]
    assert drain(raw) == called == [OPENED, FRAME, DELTA]
    assert listener.ask("?")[:-1] == [
        RealtimeEvent("s", OPENED),
        RealtimeFrame("s", FRAME),
        RealtimeEvent("s", DELTA),
    ]


def test_who_is_subscribed_already_may_ask_for_frames_and_gets_nothing_twice(table: Any) -> None:
    publish = table.publisher()
    publish.open(OPENED)
    called: list[Any] = []
    table.add(called.append)
    table.add(called.append, raw=True)
    table.add(called.append, raw=True)
    table.add(called.append)
    publish.raw(FRAME)
    publish(DELTA)
    assert called == [OPENED, FRAME, DELTA]


def test_nobody_wants_frames_any_more_once_all_who_did_are_gone(table: Any) -> None:
    publish = table.publisher()
    called: list[Any] = []
    stream = table.stream(raw=True)
    table.add(called.append, raw=True)
    stream.close()
    table.remove(called.append)
    assert not publish.wants_raw
    publish.raw(FRAME)
    assert called == []


def test_no_frame_comes_after_the_end_or_from_a_zombie(table: Any, listener: Any) -> None:
    zombie = table.publisher()
    publish = table.publisher()
    called: list[Any] = []
    table.add(called.append, raw=True)
    table.add(listener, raw=True)
    stream = table.stream(raw=True)
    zombie.raw(FRAME)
    table.close(CLIENT)
    publish.raw(FRAME)
    late = table.stream(raw=True)
    assert called == list(stream) == list(late) == [CLIENT]
    assert listener.ask("?")[:-1] == [RealtimeEvent("s", CLIENT), RealtimeClose("s", "client")]
    assert not publish.wants_raw


def test_a_subscriber_that_fails_over_a_frame_harms_nobody_else(table: Any, caplog: Any) -> None:
    publish = table.publisher()
    called: list[Any] = []

    def fail(event: Any) -> None:
        raise RuntimeError("no")

    table.add(fail, raw=True)
    table.add(called.append, raw=True)
    publish.raw(FRAME)
    assert called == [FRAME]
    assert "RuntimeError" in caplog.text


def test_the_first_subscriber_of_a_resumed_session_may_want_frames(table: Any) -> None:
    publish = table.publisher()
    table.keep_for_the_first()
    publish.open(OPENED)
    publish.raw(FRAME)
    stream = table.stream(raw=True)
    publish.raw(FRAME)
    assert drain(stream) == [OPENED, FRAME], "frames from now on, events from the beginning"


def test_errors_that_nobody_heard_are_kept_for_the_first(table: Any) -> None:
    publish = table.publisher()
    publish.open(OPENED)
    publish(DELTA)
    publish(WARNING)
    first, second = table.stream(), table.stream()
    publish(DELTA)
    assert drain(first) == [OPENED, WARNING, DELTA]
    assert drain(second) == [OPENED, DELTA]


def test_a_function_or_an_actor_that_comes_first_hears_them_too(table: Any, listener: Any) -> None:
    publish = table.publisher()
    publish.open(OPENED)
    publish(WARNING)
    called: list[Any] = []
    table.add(called.append)
    table.add(listener)
    assert called == [OPENED, WARNING]
    assert listener.ask("what") == [RealtimeEvent("s", OPENED), "what"]


def test_no_more_than_a_hundred_errors_are_kept(table: Any) -> None:
    publish = table.publisher()
    publish.open(OPENED)
    for number in range(1000):
        publish(Error(f"error_{number}", "unheard"))
    kept = drain(table.stream())
    assert [error.code for error in kept[1:]] == [f"error_{number}" for number in range(900, 1000)]


def test_whoever_comes_after_the_end_hears_them_before_it(table: Any) -> None:
    publish = table.publisher()
    publish.open(OPENED)
    publish(WARNING)
    table.close(CLIENT)
    assert list(table.stream()) == [OPENED, WARNING, CLIENT]
    assert list(table.stream()) == [OPENED, CLIENT]


def test_a_resumed_session_that_nobody_listened_to_for_long_gives_its_first_a_stream_that_lives(
    table: Any,
) -> None:
    publish = table.publisher()
    table.keep_for_the_first()
    publish.open(OPENED)
    for _ in range(20_000):
        publish(OTHER)
    stream = table.stream()
    publish(DELTA)
    assert drain(stream) == [OPENED, DELTA]
