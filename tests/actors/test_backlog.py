"""What a lagging subscriber keeps and loses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.actors.backlog import (
    BacklogLimits,
    Gap,
    Loss,
    lagging_error,
    loss_of,
    overflow_error,
    size_of,
    trim,
)
from trunkline.actors.events import (
    EVENT_CLASSES,
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    SessionClosed,
    ToolCallArgsDelta,
)
from trunkline.actors.raw_frame import RawFrame


def audio(n_samples=10, turn_id="t"):
    return AssistantAudioDelta(turn_id=turn_id, pcm=np.zeros(n_samples, np.int16))


def delta(text="x"):
    return AssistantTextDelta(turn_id="t", delta=text)


def control(text="x"):
    return AssistantText(turn_id="t", text=text)


def limits(max_events=4, max_audio_bytes=1_000, max_kept=6):
    return BacklogLimits(max_events, max_audio_bytes, max_kept)


def test_audio_goes_before_deltas_and_deltas_before_nothing():
    losses = {event_class.kind: event_class for event_class in EVENT_CLASSES}
    assert loss_of(audio()) is Loss.AUDIO
    assert {kind for kind in losses if kind.endswith("_delta")} == {
        "user_transcript_delta",
        "assistant_text_delta",
        "assistant_transcript_delta",
        "assistant_audio_delta",
        "tool_call_args_delta",
    }
    assert loss_of(delta()) is Loss.DELTA
    assert loss_of(ToolCallArgsDelta(turn_id="t", call_id="c", delta="{")) is Loss.DELTA
    assert loss_of(control()) is Loss.NEVER
    assert loss_of(SessionClosed("client")) is Loss.NEVER


def frame(n_bytes=20):
    return RawFrame("received", "response.output_audio.delta", b"x" * n_bytes)


def test_a_raw_frame_goes_with_the_audio_and_counts_as_much():
    assert loss_of(frame()) is Loss.AUDIO
    assert (size_of(frame(7)), size_of(audio(10)), size_of(delta()), size_of(control())) == (7, 20, 0, 0)
    old, new, words = frame(), frame(), delta()
    trimmed = trim([old, words, new], limits(max_audio_bytes=30))
    assert trimmed.kept == [Gap(1), words, new]
    assert trimmed.audio_bytes == 20


def test_a_backlog_within_its_bounds_is_left_alone():
    backlog = [audio(), delta(), control(), control()]
    trimmed = trim(backlog, limits())
    assert trimmed.kept == backlog
    assert trimmed.audio_bytes == 20
    assert trimmed.next_look == 4
    assert trimmed.overflow is False


def test_the_oldest_audio_goes_first_and_a_gap_stands_where_it_was():
    first, second, third = audio(), audio(), audio()
    words, final = delta(), control()
    trimmed = trim([words, first, second, final, third], limits())
    assert trimmed.kept == [words, Gap(1), second, final, third]
    assert trimmed.audio_bytes == 40


def test_other_deltas_go_oldest_first_when_there_is_no_audio_left():
    old, new = delta("old"), delta("new")
    keep = [control(str(n)) for n in range(3)]
    trimmed = trim([keep[0], old, audio(), keep[1], new, keep[2]], limits())
    assert trimmed.kept == [keep[0], Gap(2), keep[1], new, keep[2]]
    assert trimmed.audio_bytes == 0


def test_too_much_audio_is_trimmed_however_few_events_hold_it():
    events = [audio(200), audio(200), delta(), audio(200)]  # 400 bytes each
    trimmed = trim(events, limits(max_events=100, max_kept=100))
    assert trimmed.kept == [Gap(1), events[1], events[2], events[3]]
    assert trimmed.audio_bytes == 800


def test_too_much_audio_costs_no_other_delta():
    events = [delta(), audio(2_000), delta()]
    assert trim(events, limits()).kept == [events[0], Gap(1), events[2]]


def test_what_is_dropped_later_is_counted_in_the_same_gap():
    events = [delta(), Gap(7), delta(), delta(), control(), delta()]
    trimmed = trim(events, limits())
    assert trimmed.kept == [Gap(8), *events[2:]]


def test_control_events_are_kept_above_the_bound_and_trimming_waits_until_there_may_be_something_to_drop():
    events = [control(str(n)) for n in range(20)]
    trimmed = trim(events, BacklogLimits(16, 1_000, 40))
    assert trimmed.kept == events
    assert trimmed.next_look == 22
    assert trimmed.overflow is False


def test_a_subscriber_that_lags_beyond_all_bounds_is_given_up():
    assert trim([control(str(n)) for n in range(6)], limits()).overflow is False
    assert trim([control(str(n)) for n in range(7)], limits()).overflow is True


def test_an_eighth_is_freed_at_a_time():
    trimmed = trim([delta(str(n)) for n in range(2_001)], BacklogLimits())
    assert trimmed.kept == [Gap(251), *(delta(str(n)) for n in range(251, 2_001))]
    assert trimmed.next_look == 2_001  # the bound, and the gap


@pytest.mark.parametrize("name", ["max_events", "max_audio_bytes", "max_kept"])
@pytest.mark.parametrize("bad", [0, -1, 1.5, "7", None, True])
def test_a_bound_below_one_is_refused(name, bad):
    with pytest.raises(ValueError, match=name):
        BacklogLimits(**{name: bad})


def test_the_bound_on_what_is_kept_cannot_be_the_smaller_one():
    with pytest.raises(ValueError, match="at least max_events"):
        BacklogLimits(max_events=10, max_kept=9)


def test_the_errors_say_what_was_lost_and_what_to_do():
    assert lagging_error(Gap(3)).dropped == 3
    assert lagging_error(Gap(3)).recoverable is True
    assert overflow_error(limits()).recoverable is False
    assert "subscribe anew" in overflow_error(limits()).message


events = st.one_of(
    st.integers(1, 300).map(audio),
    st.text(max_size=3).map(delta),
    st.text(max_size=3).map(control),
    st.integers(1, 9).map(Gap),
)


@settings(deadline=None)  # wall-clock figures are for benchmarks
@given(st.lists(events, max_size=60), st.integers(1, 40), st.integers(1, 2_000))
def test_whatever_comes_nothing_is_reordered_miscounted_or_lost_unseen(backlog, max_events, max_audio_bytes):
    bounds = BacklogLimits(max_events, max_audio_bytes, 1_000)
    trimmed = trim(backlog, bounds)
    plain = [event for event in backlog if type(event) is not Gap]
    kept = [event for event in trimmed.kept if type(event) is not Gap]
    remaining = iter(plain)
    assert all(any(event is one for one in remaining) for event in kept), "reordered"
    assert [e for e in kept if loss_of(e) is Loss.NEVER] == [e for e in plain if loss_of(e) is Loss.NEVER]
    gaps = [event for event in trimmed.kept if type(event) is Gap]
    assert len(gaps) <= 1
    missing = len(plain) - len(kept) + sum(event.dropped for event in backlog if type(event) is Gap)
    assert sum(gap.dropped for gap in gaps) == missing
    assert trimmed.audio_bytes == sum(e.pcm.nbytes for e in kept if hasattr(e, "pcm")) <= max_audio_bytes
    assert len(kept) <= max_events or all(loss_of(event) is Loss.NEVER for event in kept)
    assert len(trimmed.kept) <= trimmed.next_look
