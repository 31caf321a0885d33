"""The switch that tells a tool to stop."""

import logging
import threading

import pytest

from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_errors import ToolCancelled


def test_a_token_is_set_once_and_keeps_the_first_reason():
    token = CancelToken()
    assert (token.cancelled, token.reason) == (False, None)
    assert token.cancel("barge_in") is True
    assert token.cancel("closed") is False
    assert (token.cancelled, token.reason) == (True, "barge_in")
    assert repr(token) == "<CancelToken barge_in>"


def test_callbacks_run_once_in_the_thread_that_cancels():
    token, called = CancelToken(), []
    token.on_cancel(lambda: called.append(threading.current_thread()))
    token.cancel()
    token.cancel()
    assert called == [threading.current_thread()]


def test_a_callback_added_late_runs_at_once():
    token, called = CancelToken(), []
    token.cancel()
    take_back = token.on_cancel(lambda: called.append(1))
    take_back()
    assert called == [1]


def test_a_callback_can_be_taken_back():
    token, called = CancelToken(), []
    take_back = token.on_cancel(lambda: called.append(1))
    take_back()
    take_back()
    token.cancel()
    assert called == []


def test_a_callback_that_raises_is_logged_and_the_others_run(caplog):
    token, called = CancelToken(), []
    token.on_cancel(lambda: 1 / 0)
    token.on_cancel(lambda: called.append(1))
    with caplog.at_level(logging.ERROR, "trunkline.actors"):
        token.cancel()
    assert called == [1]
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_a_callback_may_use_the_token():
    token, seen = CancelToken(), []
    token.on_cancel(lambda: seen.append((token.cancelled, token.cancel())))
    token.cancel()
    assert seen == [(True, False)]


def test_waiting_ends_when_the_token_is_set():
    token = CancelToken()
    assert token.wait(0) is False
    waiter = threading.Thread(target=token.wait, args=(5.0,))
    waiter.start()
    token.cancel()
    waiter.join(5.0)
    assert not waiter.is_alive()
    assert token.wait() is True


def test_the_context_shows_the_token():
    ctx = ToolContext("c", "n", "s", "t", CancelToken())
    assert ctx.cancelled is False
    assert ctx.cancel_reason is None
    assert ctx.wait_cancelled(0) is False
    ctx.raise_if_cancelled()
    ctx.token.cancel("timeout")
    assert ctx.cancelled is True
    assert ctx.cancel_reason == "timeout"
    with pytest.raises(ToolCancelled, match="timeout") as caught:
        ctx.raise_if_cancelled()
    assert caught.value.reason == "timeout"
