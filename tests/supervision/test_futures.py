"""Futures with callbacks and an await that blocks no event loop."""

import asyncio
import logging
import queue
import threading

import pykka
import pytest

from trunkline.supervision import Future

PATIENCE_S = 30.0


def failed(error):
    future = Future()
    future.set_exception((type(error), error, None))
    return future


def later(action):
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_a_callback_runs_in_the_thread_that_sets_the_value():
    future, seen = Future(), []
    future.add_done_callback(lambda f: seen.append((f.get(), threading.current_thread())))
    assert seen == []
    setter = later(lambda: future.set(42))
    setter.join(PATIENCE_S)
    assert seen == [(42, setter)]


def test_a_callback_of_a_future_that_is_done_runs_at_once():
    future, seen = Future(), []
    future.set(42)
    future.add_done_callback(lambda f: seen.append((f.get(), threading.current_thread())))
    assert seen == [(42, threading.current_thread())]


def test_a_callback_that_raises_is_logged_and_harms_neither_the_setter_nor_the_others(caplog):
    future, seen = Future(), []
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda f: seen.append(f.get()))
    with caplog.at_level(logging.ERROR, logger="trunkline.supervision"):
        future.set("value")
    assert seen == ["value"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "again", [lambda f: f.set(2), lambda f: f.set_exception((ValueError, ValueError(), None))]
)
def test_a_second_result_raises_queue_full_as_in_pykka(again):
    future = Future()
    future.set(1)
    with pytest.raises(queue.Full):
        again(future)
    assert future.get() == 1


def test_get_times_out_as_pykkas_and_works_later():
    future = Future()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.01)
    future.set(1)
    assert future.get(timeout=0) == 1


def test_many_threads_can_wait_for_one_future():
    future, results = Future(), queue.Queue()
    threads = [later(lambda: results.put(future.get(timeout=PATIENCE_S))) for _ in range(8)]
    future.set("all")
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [results.get_nowait() for _ in range(8)] == ["all"] * 8


def test_done_and_exception_tell_what_get_would_do():
    future, error = Future(), ValueError("x")
    assert not future.done()
    with pytest.raises(pykka.Timeout):
        future.exception(timeout=0.01)
    future.set(None)
    assert future.done()
    assert future.exception() is None
    assert failed(error).exception() is error


def test_a_mapped_future_is_done_when_its_source_is():
    source, seen = Future(), []
    doubled = source.map(lambda value: value * 2)
    doubled.add_done_callback(lambda f: seen.append(f.get()))
    assert not doubled.done()
    source.set(21)
    assert doubled.done()
    assert seen == [42]


def test_a_joined_future_is_done_when_all_its_sources_are():
    one, two, seen = Future(), Future(), []
    one.join(two).add_done_callback(lambda f: seen.append(f.get()))
    one.set(1)
    assert seen == []
    two.set(2)
    assert seen == [[1, 2]]


def test_the_exception_of_a_mapping_is_the_mapped_futures():
    source = Future()
    broken = source.map(lambda value: value / 0)
    source.set(1)
    assert isinstance(broken.exception(), ZeroDivisionError)


def test_a_future_with_a_foreign_hook_refuses_callbacks_instead_of_never_calling_them():
    future = Future()
    future.set_get_hook(lambda timeout: 1)
    with pytest.raises(TypeError):
        future.add_done_callback(print)


def test_a_getter_with_a_timeout_is_not_held_up_by_a_getter_without():
    future, entered, release = Future(), threading.Event(), threading.Event()

    def hook(timeout):
        entered.set()
        release.wait(PATIENCE_S)
        return 1

    future.set_get_hook(hook)
    first = later(future.get)
    assert entered.wait(PATIENCE_S)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.01)
    release.set()
    first.join(PATIENCE_S)
    assert future.get(timeout=0) == 1


def test_await_leaves_the_event_loop_running():
    future = Future()

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while not future.done():
                await asyncio.sleep(0)
                ticks += 1
                if ticks == 20:
                    later(lambda: future.set("value"))

        ticker = asyncio.create_task(tick())
        value = await future
        await ticker
        return value, ticks

    value, ticks = asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    assert value == "value"
    assert ticks >= 20


def test_await_raises_the_exception():
    async def main():
        await failed(KeyError("k"))

    with pytest.raises(KeyError):
        asyncio.run(main())


def test_await_of_a_hooked_future_leaves_the_event_loop_running(start_worker):
    ref = start_worker()

    async def main():
        return await ref.stop(block=False)

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE_S)) is True


def test_a_cancelled_await_harms_nobody():
    future = Future()

    async def main():
        task = asyncio.create_task(asyncio.wait_for(future, 0.01))
        with pytest.raises(TimeoutError):
            await task
        future.set(1)
        return await future

    assert asyncio.run(main()) == 1


def test_a_result_after_the_loop_has_closed_harms_nobody():
    future = Future()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 0.01)

    asyncio.run(main())
    future.set(1)
    assert future.get() == 1


def test_without_an_event_loop_await_blocks_as_pykkas():
    future = Future()
    later(lambda: future.set(7))
    stepper = future.__await__()
    next(stepper)
    with pytest.raises(StopIteration) as stopped:
        next(stepper)
    assert stopped.value.value == 7


def test_setters_and_getters_never_miss_each_other(switching):
    for number in range(500):
        future, seen = Future(), []
        setter = later(lambda future=future, number=number: future.set(number))
        future.add_done_callback(lambda f, seen=seen: seen.append(f.get()))
        assert future.get(timeout=PATIENCE_S) == number
        setter.join(PATIENCE_S)
        assert seen == [number]


def test_who_forgets_to_get_the_value_is_told_so():
    with pytest.raises(AttributeError, match=r"'Future' object has no attribute 'send_text'.*\.get\(\) it"):
        _ = Future().send_text
    assert not hasattr(Future(), "send_text")
    assert Future().done() is False
