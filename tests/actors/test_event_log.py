"""The record of a session's events: what it waits for, and what it says when it waited in vain."""

from __future__ import annotations

import threading

import numpy as np
import pykka
import pytest

from trunkline.actors.event_log import EventLog
from trunkline.actors.events import (
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    AssistantTurnCompleted,
    Error,
    SessionClosed,
    SessionOpened,
)
from trunkline.supervision import Future

OPENED = SessionOpened("session_1", model="m")
DONE = AssistantTurnCompleted("t1", "completed")


def text(words, turn="t1"):
    return AssistantText(turn, words)


def log_of(*events, **options):
    log = EventLog(timeout_s=0.01, **options)
    for event in events:
        log.note(event)
    return log


def failing(call, *arguments, **fields):
    with pytest.raises(AssertionError) as caught:
        call(*arguments, **fields)
    return str(caught.value)


def test_events_are_kept_in_order():
    log = log_of(OPENED, text("a"), DONE)
    assert log.events == [OPENED, text("a"), DONE]
    assert log.kinds() == ["session_opened", "assistant_text", "assistant_turn_completed"]


def test_an_event_is_waited_for_by_class_or_by_kind():
    log = log_of(OPENED, text("a"), text("b"))
    assert log.wait_for(AssistantText) == text("a")
    assert log.wait_for("assistant_text") == text("b")


def test_each_event_is_returned_once_and_others_stay():
    log = log_of(text("a"), DONE, text("a"))
    assert log.wait_for(DONE.kind) is DONE
    log.wait_for(AssistantText)
    log.wait_for(AssistantText)
    assert "no assistant_text within 0.01 s" in failing(log.wait_for, AssistantText)
    assert log.all(AssistantText) == [text("a"), text("a")]


def test_fields_choose():
    log = log_of(text("a"), text("b"))
    assert log.wait_for(AssistantText, text="b") == text("b")
    assert log.wait_for(AssistantText, text=lambda words: "a" in words) == text("a")
    assert log.all("assistant_text", text="b") == [text("b")]


def test_sound_is_compared_by_its_samples():
    samples = np.array([1, 2], np.int16)
    log = log_of(AssistantAudioDelta("t1", samples), AssistantAudioDelta("t1", samples + 1))
    found = log.wait_for(AssistantAudioDelta, pcm=samples + 1)
    assert found is log.events[1]
    assert log.wait_for(AssistantAudioDelta) is log.events[0]


def test_waiting_ends_when_the_event_comes():
    log = EventLog()
    thread = threading.Thread(target=lambda: [log.note(event) for event in (OPENED, text("a"))])
    thread.start()
    assert log.wait_for(AssistantText) == text("a")
    thread.join()


def test_waiting_in_vain_shows_what_came():
    deltas = [AssistantTextDelta("t1", "x")] * 3
    error = Error("rate_limit", "slow down")
    said = failing(log_of(OPENED, *deltas, error).wait_for, DONE.kind, status="completed").splitlines()
    assert said == [
        "no assistant_turn_completed(status='completed') within 0.01 s; what came:",
        "  session_opened  session_id='session_1', model='m'",
        "  3 x assistant_text_delta",
        "  error  code='rate_limit', message='slow down', recoverable=True, dropped=0",
    ]


def test_nothing_at_all_says_so():
    assert failing(log_of().wait_for, "error").endswith("what came:\n  (nothing)")
    assert str(log_of()) == "  (nothing)"


def test_the_deadline_of_a_call_wins_over_the_logs():
    assert "within 0.02 s" in failing(log_of().wait_for, "error", 0.02)


def test_nothing_is_waited_for_after_the_end():
    log = log_of(OPENED, SessionClosed("server"))
    said = failing(log.wait_for, AssistantText, 3600.0)
    assert said.startswith("the session is closed, and there was no assistant_text")
    assert "session_closed  reason='server'" in said


def test_what_came_before_the_end_can_still_be_waited_for():
    log = log_of(text("a"), SessionClosed("client"))
    assert log.wait_for(AssistantText).text == "a"
    assert log.wait_for("session_closed").reason == "client"


def test_never_holds_of_what_did_not_come():
    log = log_of(text("a"))
    log.never("error")
    log.never(AssistantText, text="b")
    log.never("error", 0.01)


def test_never_fails_of_what_came_even_if_it_was_waited_for():
    log = log_of(text("a"))
    log.wait_for(AssistantText)
    said = failing(log.never, AssistantText)
    assert said.startswith("there was to be no assistant_text; what came:\n  assistant_text  ")


def test_never_fails_at_once_when_it_comes_while_it_is_looked_for():
    log = EventLog()
    thread = threading.Thread(target=log.note, args=(Error("a", "b"),))
    thread.start()
    assert "there was to be no error" in failing(log.never, "error", 3600.0)
    thread.join()


@pytest.mark.parametrize("method", ["wait_for", "never", "all"])
def test_a_kind_that_does_not_exist_is_refused_with_a_hint(method):
    call = getattr(log_of(), method)
    with pytest.raises(ValueError, match="did you mean 'assistant_text'"):
        call("assistant_txt")
    with pytest.raises(ValueError, match="there are session_opened"):
        call("???")
    with pytest.raises(ValueError, match="no event has the kind"):
        call(int)
    with pytest.raises(ValueError, match="has no field 'txt'; it has turn_id, text"):
        call(AssistantText, txt="a")


def test_only_the_newest_are_kept():
    log = log_of(*(text(str(number)) for number in range(10)), limit=3)
    assert [event.text for event in log.events] == ["7", "8", "9"]
    assert "(7 older ones were not kept)" in str(log)
    assert log.wait_for(AssistantText).text == "7"


def test_a_long_log_is_shown_by_its_end():
    lines = str(log_of(*(text(str(number)) for number in range(100)))).splitlines()
    assert lines[0] == "  (40 more lines)"
    assert len(lines) == 61
    assert "text='99'" in lines[-1]


class Session:
    """Has events, as a SessionProxy."""

    def __init__(self, answer=None):
        self.subscribers = []
        self._answer = answer

    def _done(self):
        future = Future()
        if isinstance(self._answer, Exception):
            future.set_exception((type(self._answer), self._answer, None))
        elif self._answer is None:
            future.set(None)
        return future

    def subscribe(self, subscriber):
        self.subscribers.append(subscriber)
        return self._done()

    def unsubscribe(self, subscriber):
        self.subscribers.remove(subscriber)
        return self._done()


def test_a_log_subscribes_and_unsubscribes():
    session = Session()
    with EventLog(session) as log:
        session.subscribers[0](OPENED)
        assert log.events == [OPENED]
    assert session.subscribers == []
    log.close()
    assert log.events == [OPENED]


def test_a_session_that_is_closed_needs_no_unsubscribing():
    session = Session()
    log = EventLog(session)
    session._answer = pykka.ActorDeadError("gone")
    log.close()


def test_a_session_that_does_not_answer_is_not_waited_for_for_ever():
    with pytest.raises(pykka.Timeout):
        EventLog(Session(answer="never"), timeout_s=0.01)
