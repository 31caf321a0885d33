"""Who may run: the application is asked in a thread of its own, for a bounded time, and anything but True is a no."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_approval import Approver, ToolApproval
from trunkline.supervision import Future

PATIENCE_S = 10.0
QUESTION = ToolApproval("sess_1", "resp_1", "call_7", "remove", {"page": 1})


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), thread.name


def refusal(hook: Any, timeout_s: float = PATIENCE_S, token: CancelToken | None = None) -> str | None:
    return Approver(hook, timeout_s).refusal(QUESTION, token or CancelToken())


async def later(value: object) -> object:
    await asyncio.sleep(0)
    return value


def settled(value: object) -> concurrent.futures.Future[object]:
    future: concurrent.futures.Future[object] = concurrent.futures.Future()
    future.set_result(value)
    return future


def ours(value: object) -> Future[object]:
    future: Future[object] = Future()
    future.set(value)
    return future


def theirs(value: object) -> pykka.Future[object]:
    future: pykka.Future[object] = pykka.ThreadingFuture()
    future.set(value)
    return future


WAYS = [lambda value: value, later, settled, ours, theirs]


@pytest.mark.parametrize("way", WAYS, ids=["value", "coroutine", "concurrent", "ours", "pykka"])
def test_true_allows_and_anything_else_denies_however_it_comes(way):
    assert refusal(lambda _question: way(True)) is None
    for value in (False, None, 1, "yes", "True"):
        assert refusal(lambda _question, value=value: way(value)) == "it was denied"


def test_the_question_is_what_the_hook_gets_in_a_thread_of_its_own():
    seen: list[Any] = []

    def hook(question: ToolApproval) -> bool:
        seen.append((question, threading.current_thread()))
        return True

    assert refusal(hook) is None
    ((question, thread),) = seen
    assert question is QUESTION
    assert thread is not threading.current_thread()
    assert pickle.loads(pickle.dumps(question)) == question


def test_without_a_hook_nothing_is_allowed():
    assert "approve_tool" in str(refusal(None))


def test_what_a_hook_raises_is_a_no_and_goes_to_the_log(caplog):
    def hook(_question: ToolApproval) -> bool:
        raise KeyError("who?")

    with caplog.at_level(logging.WARNING, "trunkline.actors"):
        assert refusal(hook) == "its approval failed: KeyError: 'who?'"
    assert [record.getMessage() for record in caplog.records] == ["the approval of tool remove failed"]


def test_a_future_that_fails_is_a_no():
    future: concurrent.futures.Future[bool] = concurrent.futures.Future()
    future.set_exception(ValueError("no"))
    assert refusal(lambda _question: future) == "its approval failed: ValueError: no"


def test_a_hook_that_hangs_is_a_no_in_time():
    release = threading.Event()
    try:
        assert refusal(lambda _question: release.wait(PATIENCE_S), 0.05) == "nobody decided within 0.05 s"
    finally:
        release.set()


def test_a_coroutine_that_hangs_is_a_no_in_time_and_is_cancelled():
    cancelled = threading.Event()

    async def hook(_question: ToolApproval) -> bool:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return True

    assert refusal(hook, 1.5) == "nobody decided within 1.5 s"  # time enough for it to begin
    assert cancelled.wait(PATIENCE_S)


@pytest.mark.parametrize("make", [pykka.ThreadingFuture, Future, concurrent.futures.Future])
def test_a_future_that_nobody_settles_is_a_no_in_time(make):
    said = str(refusal(lambda _question: make(), 0.05))
    assert "within 0.05 s" in said or "Timeout" in said


def test_a_call_that_is_cancelled_is_not_waited_for():
    token, asking, release = CancelToken(), threading.Event(), threading.Event()

    def hook(_question: ToolApproval) -> bool:
        asking.set()
        return release.wait(PATIENCE_S)

    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(refusal(hook, 60.0, token)))
    thread.start()
    assert asking.wait(PATIENCE_S)
    token.cancel("interrupted")
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert answers == ["the call was cancelled"]
    release.set()
