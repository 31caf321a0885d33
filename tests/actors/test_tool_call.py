"""One call, one outcome, whatever the tool does."""

import asyncio
import json
import logging
import threading

import pytest

from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool import as_tool, tool
from trunkline.actors.tool_call import run_tool
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_errors import ToolArgumentsError, ToolError
from trunkline.gateway.tool_descriptor import ToolDescriptor

DEADLINE_S = 10.0


def context(name="t", token=None):
    return ToolContext("call_7", name, "sess_1", "resp_1", token or CancelToken())


def run(function, raw="{}", token=None):
    made = as_tool(function)
    return run_tool(made, raw, context(made.descriptor.name, token))


def run_in_thread(function, token):
    """Start a call in a thread of its own, and return how to wait for its outcome."""
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(run(function, token=token)), name="tool under test"
    )
    thread.start()

    def outcome():
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the call did not end"
        return outcomes[0]

    return outcome


def told(outcome):
    """Return what the model is told of a failure."""
    return json.loads(outcome.output)["error"]


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.DEBUG)


# -- success


def test_a_function_is_run_in_the_callers_thread():
    def where() -> str:
        return threading.current_thread().name

    outcome = run(where)
    assert outcome.ok
    assert outcome.output == threading.current_thread().name


def test_the_outcome_carries_the_result_as_returned_and_as_written():
    def sizes(names: list[str]) -> dict[str, int]:
        return {name: len(name) for name in names}

    outcome = run(sizes, '{"names": ["a", "bb"]}')
    assert (outcome.call_id, outcome.name) == ("call_7", "sizes")
    assert outcome.result == {"a": 1, "bb": 2}
    assert outcome.output == '{"a":1,"bb":2}'
    assert outcome.error is None


def test_a_coroutine_function_is_awaited():
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert run(later, '{"n": 1}').result == 2


def test_a_function_that_returns_an_awaitable_is_awaited():
    async def later() -> int:
        return 3

    def start():
        return later()

    assert run(start).result == 3


def test_a_tool_object_gets_the_arguments_and_the_context():
    class Echo:
        descriptor = ToolDescriptor("echo")

        async def run(self, arguments, ctx):
            return [arguments, ctx.call_id, ctx.turn_id, ctx.session_id, ctx.name]

    assert run(Echo(), '{"a": 1}').result == [{"a": 1}, "call_7", "resp_1", "sess_1", "echo"]


def test_empty_arguments_are_none():
    def ping():
        return "pong"

    assert run(ping, "").output == "pong"


# -- failure


@pytest.mark.parametrize("raw", ['{"n": 1', "[]", "{}", '{"n": "x"}', '{"n": 1, "m": 2}'])
def test_arguments_that_do_not_fit_never_reach_the_tool(raw):
    ran = []

    def f(n: int):
        ran.append(n)

    outcome = run(f, raw)
    assert not outcome.ok
    assert outcome.error.code == "invalid_arguments"
    assert told(outcome) == {"code": "invalid_arguments", "message": outcome.error.message}
    assert ran == []


def test_the_text_of_an_exception_is_kept_from_the_model_and_goes_to_the_log(caplog):
    def f():
        raise RuntimeError("postgres://admin:hunter2@db")

    outcome = run(f)
    assert told(outcome) == {"code": "raised", "message": "The tool failed."}
    assert outcome.error.detail == "RuntimeError: postgres://admin:hunter2@db"
    [record] = caplog.records
    assert record.name == "trunkline.actors"
    assert isinstance(record.exc_info[1], RuntimeError)
    assert (record.session_id, record.call_id) == ("sess_1", "call_7")


def test_a_tool_error_speaks_to_the_model():
    def f():
        raise ToolError("There is no city of that name.")

    assert told(run(f)) == {"code": "raised", "message": "There is no city of that name."}


def test_a_tool_object_may_refuse_its_arguments_itself():
    class Picky:
        descriptor = ToolDescriptor("picky")

        def run(self, arguments, ctx):
            raise ToolArgumentsError("Send `a`.")

    assert told(run(Picky())) == {"code": "invalid_arguments", "message": "Send `a`."}


def test_an_exception_of_a_coroutine_is_a_failure_too():
    async def f():
        await asyncio.sleep(0)
        raise KeyError("secret")

    assert told(run(f)) == {"code": "raised", "message": "The tool failed."}


def test_a_coroutine_that_cancels_itself_has_failed():
    async def f():
        raise asyncio.CancelledError

    assert run(f).error.code == "raised"


def test_an_exception_that_cannot_be_shown_does_not_hide_that_the_tool_failed():
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    def f():
        raise Mute

    logging.getLogger("trunkline.actors").setLevel(logging.CRITICAL)  # logging itself calls str() of it
    try:
        assert run(f).error.detail == "Mute: <str() raised ValueError>"
    finally:
        logging.getLogger("trunkline.actors").setLevel(logging.NOTSET)


def test_a_result_that_json_cannot_hold_is_a_failure():
    def f():
        return object()

    outcome = run(f)
    assert outcome.error.code == "unserialisable"
    assert "object" in outcome.error.detail
    assert outcome.result is None


def test_recursion_without_end_is_a_failure():
    def f():
        return f()

    assert run(f).error.code == "raised"


@pytest.mark.parametrize("exception", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_is_no_exception_goes_through_and_takes_the_worker_down(exception):
    def f():
        raise exception

    with pytest.raises(type(exception)):
        run(f)


def test_a_coroutine_that_exits_takes_the_worker_down_too():
    async def f():
        asyncio.get_running_loop().create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run(f)


# -- cancelling


def test_a_call_that_is_cancelled_before_it_starts_does_not_run():
    token = CancelToken()
    token.cancel("barge_in")
    ran = []

    def f():
        ran.append(1)

    outcome = run(f, token=token)
    assert (outcome.error.code, outcome.error.detail) == ("cancelled", "barge_in")
    assert ran == []


def test_a_function_sees_that_it_is_cancelled():
    token, started = CancelToken(), threading.Event()

    def f(ctx: ToolContext):
        started.set()
        assert ctx.wait_cancelled(DEADLINE_S)
        ctx.raise_if_cancelled()

    outcome = run_in_thread(f, token)
    assert started.wait(DEADLINE_S)
    token.cancel("manual")
    assert outcome().error.code == "cancelled"
    assert outcome().error.detail == "manual"


def test_a_function_that_returns_although_it_is_cancelled_has_succeeded():
    token = CancelToken()

    def f(ctx: ToolContext):
        token.cancel()
        return ctx.cancelled

    assert run(f, token=token).result is True


@pytest.mark.parametrize(("reason", "code"), [("timeout", "timeout"), ("closed", "cancelled")])
def test_a_coroutine_is_cancelled_where_it_waits(reason, code):
    token, started = CancelToken(), threading.Event()

    async def f():
        started.set()
        await asyncio.sleep(DEADLINE_S * 2)

    outcome = run_in_thread(f, token)
    assert started.wait(DEADLINE_S)
    token.cancel(reason)
    assert outcome().error.code == code


def test_a_coroutine_may_clean_up_when_it_is_cancelled_and_what_it_started_is_cancelled_with_it():
    token, started, ended = CancelToken(), threading.Event(), []

    async def child():
        try:
            await asyncio.sleep(DEADLINE_S * 2)
        finally:
            ended.append("child")

    async def f():
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        started.set()
        try:
            await asyncio.sleep(DEADLINE_S * 2)
        finally:
            ended.append("tool")
            del task

    outcome = run_in_thread(f, token)
    assert started.wait(DEADLINE_S)
    token.cancel()
    assert outcome().error.code == "cancelled"
    assert ended == ["tool", "child"]


def test_a_cancelled_coroutine_does_not_wait_for_a_thread_that_hangs():
    token, started, release = CancelToken(), threading.Event(), threading.Event()

    def hang():
        started.set()
        release.wait(DEADLINE_S * 2)

    async def f():
        await asyncio.to_thread(hang)

    outcome = run_in_thread(f, token)
    try:
        assert started.wait(DEADLINE_S)
        token.cancel()
        assert outcome().error.code == "cancelled"
    finally:
        release.set()


def test_a_call_that_has_ended_is_not_reached_by_a_late_cancel():
    token = CancelToken()

    async def f():
        return 1

    assert run(f, token=token).ok
    token.cancel()


def test_an_awaitable_of_another_loop_is_a_failure():
    loop = asyncio.new_event_loop()
    try:

        def f():
            return loop.create_future()

        assert run(f).error.code == "raised"
    finally:
        loop.close()


def test_the_worker_is_left_as_it_was():
    async def f():
        asyncio.get_running_loop().create_task(asyncio.sleep(60))
        return 1

    assert run(f).ok
    assert run(f).ok  # a new loop each time, and none left behind
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_decorated_tool_runs_like_a_plain_one():
    @tool(name="renamed")
    def f(n: int = 2) -> int:
        return n

    outcome = run(f)
    assert (outcome.name, outcome.output) == ("renamed", "2")
