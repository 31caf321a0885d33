"""A subscriber's own queue: reading, waiting, ending, lagging."""

import asyncio
import pickle
import threading
import time

import numpy as np
import pytest

from trunkline.actors.backlog import BacklogLimits
from trunkline.actors.errors import SessionError
from trunkline.actors.event_stream import EventStream, StreamEnded, StreamTimeout
from trunkline.actors.events import (
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    Error,
    SessionClosed,
)
from trunkline.actors.raw_frame import RawFrame

DEADLINE_S = 10.0
CLOSED = SessionClosed("client")


def audio(n_samples=10):
    return AssistantAudioDelta(turn_id="t", pcm=np.zeros(n_samples, np.int16))


def delta(text):
    return AssistantTextDelta(turn_id="t", delta=str(text))


def control(text):
    return AssistantText(turn_id="t", text=str(text))


def in_thread(function):
    """Run ``function`` in a thread; the returned call waits for its result, or raises what it raised."""
    results, errors = [], []

    def run():
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="reader under test")
    thread.start()

    def result():
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the reader did not come back"
        if errors:
            raise errors[0]
        return results[0]

    return result


def until_parked(stream, readers=1):
    """Wait until the given number of readers wait for an event."""
    deadline = time.monotonic() + DEADLINE_S
    while len(stream._waiting) < readers:
        assert time.monotonic() < deadline, "no reader is waiting"
        threading.Event().wait(0.001)


# -- reading


def test_events_are_read_in_the_order_they_were_put():
    stream = EventStream()
    for n in range(5):
        assert stream.put(delta(n)) is True
    stream.put(CLOSED)
    assert list(stream) == [*(delta(n) for n in range(5)), CLOSED]


def test_iterating_ends_after_session_closed_and_ends_at_once_ever_after():
    stream = EventStream()
    stream.put(CLOSED)
    assert list(stream) == [CLOSED]
    assert list(stream) == []
    assert stream.ended
    with pytest.raises(StreamEnded):
        stream.get()


def test_leaving_a_loop_early_loses_nothing():
    stream = EventStream()
    for n in range(3):
        stream.put(delta(n))
    for event in stream:
        assert event == delta(0)
        break
    assert stream.get() == delta(1)
    assert stream.backlog == 1


def test_a_waiting_reader_is_woken_by_the_next_event():
    stream = EventStream()
    reader = in_thread(stream.get)
    until_parked(stream)
    stream.put(delta(1))
    assert reader() == delta(1)


def test_get_gives_up_after_its_timeout():
    stream = EventStream()
    with pytest.raises(StreamTimeout) as caught:
        stream.get(timeout_s=0.001)
    assert caught.value.timeout_s == 0.001
    assert isinstance(caught.value, TimeoutError)
    assert stream._waiting == []
    stream.put(delta(1))
    assert stream.get(timeout_s=0.001) == delta(1)


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_get_without_time_looks_once(timeout_s):
    stream = EventStream()
    with pytest.raises(StreamTimeout):
        stream.get(timeout_s)
    stream.put(delta(1))
    assert stream.get(timeout_s) == delta(1)


def test_get_may_be_given_more_time_than_a_lock_can_wait():
    stream = EventStream()
    reader = in_thread(lambda: stream.get(timeout_s=1e12))
    until_parked(stream)
    stream.put(delta(1))
    assert reader() == delta(1)


@pytest.mark.parametrize("error", [StreamTimeout(2.0), StreamEnded()], ids=repr)
def test_the_streams_errors_pickle(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert isinstance(copy, SessionError)
    assert (vars(copy), str(copy)) == (vars(error), str(error))


# -- ending


def test_closing_ends_a_waiting_reader_and_every_later_one():
    stream = EventStream()
    reader = in_thread(lambda: list(stream))
    until_parked(stream)
    stream.close()
    assert reader() == []
    assert list(stream) == []


def test_closing_ends_a_waiting_get():
    stream = EventStream()
    reader = in_thread(stream.get)
    until_parked(stream)
    stream.close()
    with pytest.raises(StreamEnded):
        reader()


def test_closing_unsubscribes_once():
    closed = []
    stream = EventStream(lambda: closed.append(stream.ended))
    stream.close()
    stream.close()
    with stream:
        pass
    assert closed == [True]


def test_a_stream_that_came_to_its_end_is_not_unsubscribed():
    closed = []
    stream = EventStream(lambda: closed.append(1))
    stream.put(CLOSED)
    list(stream)
    stream.close()
    assert closed == []


def test_with_closes_the_stream_whatever_happens_inside():
    stream = EventStream()
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError
    assert stream.ended


def test_what_is_put_after_the_end_is_refused_and_not_kept():
    stream = EventStream()
    stream.put(delta(1))
    stream.close()
    assert stream.put(delta(2)) is False
    assert stream.put(audio()) is False
    assert stream.backlog == 0
    assert list(stream) == []


def test_a_stream_shows_its_state():
    stream = EventStream()
    stream.put(delta(1))
    assert repr(stream) == "<EventStream 1 waiting>"
    stream.close()
    assert repr(stream) == "<EventStream ended>"


# -- several readers


def test_two_threads_get_each_event_once_and_both_end():
    stream = EventStream()
    readers = [in_thread(lambda: [e.delta for e in stream if e is not CLOSED]) for _ in range(2)]
    until_parked(stream, 2)
    for n in range(1_000):
        stream.put(delta(n))
    stream.put(CLOSED)
    first, second = readers[0](), readers[1]()
    assert sorted(map(int, first + second)) == list(range(1_000))
    assert first == sorted(first, key=int)


def test_a_reader_does_not_go_to_sleep_when_an_event_came_after_it_looked():
    stream, woken = EventStream(), []
    stream._take()  # nothing there yet
    stream.put(delta(1))  # the writer sees nobody waiting, so it wakes nobody
    assert stream._park(lambda: woken.append(1)) is False
    assert stream.get(timeout_s=0) == delta(1)


@pytest.mark.parametrize("turn", range(20))
def test_no_wake_up_is_lost_when_writer_and_reader_meet(turn):
    there, back = EventStream(), EventStream()

    def echo():
        for event in there:
            back.put(event)

    reader = in_thread(echo)
    for n in range(100):  # each round parks both sides in turn
        there.put(control(n))
        assert back.get(DEADLINE_S) == control(n)
    there.put(CLOSED)
    reader()


# -- asyncio


def test_async_iteration_waits_without_holding_up_its_loop():
    stream = EventStream()

    async def read():
        return [event async for event in stream]

    async def main():
        reader = asyncio.create_task(read())
        while not stream._waiting:
            await asyncio.sleep(0)  # the loop runs on while the reader waits
        writer = asyncio.to_thread(lambda: [stream.put(event) for event in (delta(1), delta(2), CLOSED)])
        await writer
        return await reader

    assert asyncio.run(asyncio.wait_for(main(), DEADLINE_S)) == [delta(1), delta(2), CLOSED]


def test_async_iteration_ends_at_once_after_the_end():
    stream = EventStream()

    async def main():
        async with stream:
            stream.put(delta(1))
            assert await anext(stream) == delta(1)
        return [event async for event in stream]

    assert asyncio.run(main()) == []
    assert stream.ended


def test_a_cancelled_async_reader_loses_no_event_and_leaves_nothing_behind():
    stream = EventStream()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.001)
        assert stream._waiting == []
        stream.put(delta(1))
        return await anext(stream)

    assert asyncio.run(main()) == delta(1)


def test_a_reader_that_is_cancelled_as_the_event_comes_leaves_it_to_the_next():
    stream = EventStream()

    async def main():
        first = asyncio.create_task(anext(stream))
        second = asyncio.create_task(anext(stream))
        while len(stream._waiting) < 2:
            await asyncio.sleep(0)
        stream.put(delta(1))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(asyncio.wait_for(main(), DEADLINE_S)) == delta(1)


def test_a_reader_whose_loop_is_gone_does_not_disturb_the_writer():
    stream = EventStream()
    loop = asyncio.new_event_loop()
    task = loop.create_task(anext(stream))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert stream.put(delta(1)) is True
    assert stream.get() == delta(1)
    task._log_destroy_pending = False
    task.get_coro().close()


# -- lagging


def small(max_events=4, max_audio_bytes=1_000, max_kept=6, on_close=None):
    return EventStream(on_close, limits=BacklogLimits(max_events, max_audio_bytes, max_kept))


def dropped(n):
    return Error(
        "subscriber_lagging", f"{n} deltas were dropped because this subscriber reads too slowly", dropped=n
    )


def test_a_reader_that_lags_loses_the_oldest_audio_first_and_is_told_once():
    stream = small()
    sounds = [audio() for _ in range(6)]
    stream.put(delta("a"))
    for sound in sounds:
        assert stream.put(sound) is True
    stream.put(control("a"))
    stream.put(CLOSED)
    read = list(stream)
    assert read[:2] == [delta("a"), dropped(5)]
    assert read[2] is sounds[5]
    assert read[3:] == [control("a"), CLOSED]


def test_a_new_episode_is_told_anew():
    stream = small()
    for n in range(6):
        stream.put(delta(n))
    assert [stream.get() for _ in range(5)] == [dropped(2), *(delta(n) for n in range(2, 6))]
    for n in range(4):
        stream.put(delta(n))
    assert stream.backlog == 4
    stream.put(delta(4))
    assert stream.get() == dropped(1)
    assert stream.get() == delta(1)


def test_audio_is_bounded_by_its_bytes_and_room_comes_back_as_it_is_read():
    stream = small(max_events=100, max_kept=100)
    for _ in range(20):
        stream.put(audio(250))
        stream.put(audio(250))
        assert stream.get().pcm.nbytes == 500
        assert stream.get().pcm.nbytes == 500
        assert stream._audio_in == stream._audio_out
    for _ in range(3):
        stream.put(audio(250))
    assert stream.get() == dropped(2)
    assert stream.backlog == 1


def frame(n_bytes):
    return RawFrame("received", None, b"x" * n_bytes)


def test_frames_share_the_bound_of_the_audio():
    stream = small(max_events=100, max_kept=100)
    for _ in range(5):
        assert stream.put_raw(frame(100)) is True
        assert stream.put(audio(100)) is True
        assert [type(stream.get()), type(stream.get())] == [RawFrame, AssistantAudioDelta]
        assert stream._audio_in == stream._audio_out
    for _ in range(3):
        stream.put_raw(frame(500))
    assert stream.get() == dropped(2)
    assert stream.backlog == 1
    stream.close()
    assert stream.put_raw(frame(1)) is False


def test_a_reader_that_never_reads_frames_holds_no_memory_without_bound():
    stream = EventStream()
    for _ in range(1_000):
        stream.put_raw(frame(20_000))
    held = sum(len(one.data) for one in stream._queue if isinstance(one, RawFrame))
    assert (7 << 20) - 20_000 <= held <= 8 << 20


def test_the_real_bounds_hold_for_a_reader_that_never_reads():
    stream = EventStream()
    for _ in range(3_000):
        assert stream.put(audio(2_400)) is True
    assert stream.backlog <= 2_001
    assert sum(event.pcm.nbytes for event in stream._queue if hasattr(event, "pcm")) <= 8 << 20
    error = stream.get()
    assert error.code == "subscriber_lagging"
    assert error.dropped + stream.backlog == 3_000


def test_control_events_are_kept_above_the_bound():
    stream = small()
    for n in range(6):
        assert stream.put(control(n)) is True
    assert [stream.get() for _ in range(6)] == [control(n) for n in range(6)]


def test_a_reader_that_caught_up_has_its_whole_bound_again():
    stream = small(max_events=4, max_kept=100)
    for n in range(10):
        stream.put(control(n))
    for _ in range(10):
        stream.get()
    for n in range(6):
        stream.put(delta(n))
    assert stream.backlog == 5
    assert stream.get() == dropped(2)


def test_a_reader_that_lags_beyond_all_bounds_is_ended_with_an_error():
    closed = []
    stream = small(on_close=lambda: closed.append(1))
    assert [stream.put(control(n)) for n in range(8)] == [True] * 6 + [False] * 2
    *kept, last = list(stream)
    assert kept == [control(n) for n in range(6)]
    assert (last.code, last.recoverable) == ("subscriber_lagging", False)
    assert stream.ended
    assert list(stream) == []
    assert stream.put(control(9)) is False
    stream.close()
    assert closed == []


def test_a_waiting_reader_is_woken_by_an_event_that_is_over_the_bound():
    stream = small(max_audio_bytes=10)
    reader = in_thread(stream.get)
    until_parked(stream)
    stream.put(audio(1_000))
    assert reader() == dropped(1)


def test_reading_and_trimming_at_once_neither_reorders_nor_loses_unseen():
    stream = small(max_events=16, max_kept=10_000)

    def read():
        seen, lost = [], 0
        for event in stream:
            if isinstance(event, Error):
                lost += event.dropped
            elif event is not CLOSED:
                seen.append(int(event.delta))
        return seen, lost

    reader = in_thread(read)
    for n in range(5_000):
        stream.put(delta(n))
    stream.put(CLOSED)
    seen, lost = reader()
    assert seen == sorted(set(seen))
    assert len(seen) + lost == 5_000
