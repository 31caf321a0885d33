"""Tools at work in a session, over real sockets: long ones, those in the background, in processes, those that need approval."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka
import pytest

from trunkline import (
    Broker,
    Config,
    OpenAIGateway,
    SerialToolRunner,
    ToolApproval,
    ToolContext,
    ToolDefinitionError,
    tool,
)
from trunkline.gateway.simulator import CallTool, Say
from trunkline.supervision.testing import crash as crash_actor

PATIENCE_S = 10.0


class Slow:
    """A tool that works until it is told to go on or to stop."""

    def __init__(self, **options: Any) -> None:
        self.at_work, self.go_on, self.cancelled = threading.Event(), threading.Event(), threading.Event()

        @tool(**options)
        def slow(ctx: ToolContext) -> str:
            """Take long."""
            self.at_work.set()
            take_back = ctx.token.on_cancel(self.go_on.set)
            self.go_on.wait(PATIENCE_S)
            take_back()
            if ctx.cancelled:
                self.cancelled.set()
            return "at last"

        self.tool = slow

    def wait(self) -> None:
        assert self.at_work.wait(PATIENCE_S)


FINE = '''
from trunkline import tool

@tool(isolation="process")
def fine() -> str:
    """Be fine."""
    return "fine"
'''


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


SLOW = CallTool("slow", {}, call_id="c1")


def code_of(output: str) -> str:
    return str(json.loads(output)["error"]["code"])


def failures(stage: Any) -> list[tuple[str, str]]:
    return [(event.call_id, event.code) for event in stage.events.of("tool_call_failed")]


class TestLongTools:
    def test_text_turns_go_on_while_a_tool_works_and_its_output_comes_when_it_is_there(self, simulate):
        slow = Slow()
        stage, heard = simulate([SLOW], [Say("one")], [Say("two")], [Say("at last")], tools=[slow.tool])
        stage.say("go")
        slow.wait()
        for text, answer in (("and?", "one"), ("well?", "two")):
            stage.say(text)
            stage.events.until("assistant_text", text=answer)
        assert stage.outputs() == []
        slow.go_on.set()
        stage.events.until("assistant_text", text="at last")
        stage.quiet()
        assert stage.outputs() == [("c1", "at last")]
        assert stage.types().count("response.create") == 4
        assert [item["output"] for _, item in heard[-1].outputs] == ["at last"]
        assert stage.events.of("error") == []

    def test_a_tool_that_ends_during_another_response_waits_for_its_end(self, puppeteer):
        slow = Slow()
        stage, puppet = puppeteer(tools=[slow.tool])
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c1", "slow")
        puppet.done("r1", create=create)
        slow.wait()
        stage.say("and?")
        again = puppet.take("response.create")
        puppet.begin("r2", again)
        slow.go_on.set()
        stage.events.until("tool_batch_submitted", turn_id="r1")
        stage.quiet()
        assert stage.types().count("response.create") == 2
        puppet.done("r2", create=again)
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "at last")]

    @pytest.mark.parametrize(
        ("options", "config", "survives"),
        [
            ({}, {}, False),
            ({"background": True}, {}, True),
            ({"background": True}, {"settle_dropped_calls": True}, True),
            ({"background": True}, {"on_interrupt": "submit_completed_only"}, True),
            ({}, {"on_interrupt": "submit"}, True),
        ],
    )
    def test_who_speaks_while_a_tool_works_stops_it_unless_it_is_in_the_background(
        self, puppeteer, voice, options, config, survives
    ):
        slow = Slow(**options)
        stage, puppet = puppeteer(tools=[slow.tool], **voice, **config)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c1", "slow")
        puppet.done("r1", create=create)
        slow.wait()
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        stage.events.until("user_speech_started")
        stage.quiet()
        if not survives:
            assert slow.cancelled.wait(PATIENCE_S)
            assert failures(stage) == [("c1", "cancelled")]
            return
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        puppet.begin("r2")
        puppet.done("r2")
        stage.quiet()
        assert not slow.cancelled.is_set()
        slow.go_on.set()
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "at last")]
        interrupted = [event.turn_id for event in stage.events.of("interrupted")]
        assert interrupted == ([] if options else ["r1"])
        assert failures(stage) == []

    @pytest.mark.parametrize("crash", [False, True], ids=["", "and a crash"])
    def test_of_a_batch_that_is_dropped_the_background_is_kept(self, simulate, wait_restarted, crash):
        slow, other = Slow(background=True), Slow(name="other")
        stage, _ = simulate(
            [CallTool("other", {}, call_id="c0"), SLOW, CallTool("add", {"a": 1, "b": 2}, call_id="c2")],
            [Say("done")],
            tools=[slow.tool, other.tool, add],
        )
        stage.say("go")
        slow.wait()
        other.wait()
        stage.events.until("tool_call_completed", call_id="c2")
        stage.interrupt()
        stage.quiet()
        assert failures(stage) == [("c0", "cancelled")]
        if crash:
            wait_restarted(stage)
        slow.go_on.set()
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        assert stage.outputs()[-1] == ("c1", "at last")
        assert {call_id for call_id, _ in stage.outputs()} == {"c1"}
        assert [event.call_ids for event in stage.events.of("tool_batch_submitted")] == [("c1",)]

    def test_background_calls_of_an_interrupted_response_run(self, puppeteer):
        slow = Slow(background=True)
        stage, puppet = puppeteer(tools=[slow.tool, add])
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c1", "slow")
        stage.quiet()
        stage.interrupt()
        puppet.call("r1", "c2", "add", '{"a": 1, "b": 2}', index=1)
        puppet.done("r1", create=create)
        slow.go_on.set()
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "at last")]

    def test_a_call_whose_tool_was_taken_away_while_it_waited_for_its_turn_is_answered_all_the_same(
        self, simulate
    ):
        slow = Slow()
        calls = [SLOW, CallTool("add", {"a": 1, "b": 2}, call_id="c2")]
        stage, _ = simulate(calls, [Say("done")], tools=[slow.tool, add], runner=SerialToolRunner())
        stage.say("go")
        slow.wait()
        stage.session.update(tools=[]).get(timeout=PATIENCE_S)
        slow.go_on.set()
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        (_, done), (_, gone) = stage.outputs()
        assert (done, code_of(gone)) == ("at last", "unknown_tool")

    def test_a_loop_of_tools_has_a_bound_that_counts_anew_with_each_word_of_the_user(self, simulate):
        rounds = [[CallTool("add", {"a": n, "b": 1})] for n in range(20)]
        stage, _ = simulate(*rounds, tools=[add], max_tool_rounds=3)
        stage.say("go")
        stage.events.until("error", code="too_many_tool_rounds", recoverable=True)
        stage.quiet()
        assert stage.types().count("response.create") == 4
        assert [output for _, output in stage.outputs()] == ["1", "2", "3", "4"]
        stage.say("go on")
        stage.events.until("error", code="too_many_tool_rounds")
        stage.quiet()
        assert stage.types().count("response.create") == 8


@pytest.fixture
def wait_restarted():
    """Crash a session, and wait until its next incarnation has its line."""

    def restart(stage: Any) -> None:
        crash_actor(stage.session.actor_ref, RuntimeError("a bug"))
        stage.events.until("session_updated", resumed=True)

    return restart


class TestCancelling:
    @pytest.mark.parametrize("how", ["interrupt", "close", "timeout"])
    @pytest.mark.parametrize("kind", ["waits", "polls", "is async"])
    def test_a_tool_sees_its_token_long_before_it_would_have_ended(self, simulate, kind, how):
        at_work, seen = threading.Event(), threading.Event()
        timeout_s = 0.5 if how == "timeout" else None

        @tool(name="slow", timeout_s=timeout_s)
        def waits(ctx: ToolContext) -> None:
            """Wait for the token."""
            at_work.set()
            if ctx.wait_cancelled(PATIENCE_S):
                seen.set()

        @tool(name="slow", timeout_s=timeout_s)
        def polls(ctx: ToolContext) -> None:
            """Look at the token now and then."""
            at_work.set()
            for _ in range(int(PATIENCE_S / 0.005)):
                if ctx.cancelled:
                    seen.set()
                    return
                threading.Event().wait(0.005)

        @tool(name="slow", timeout_s=timeout_s)
        async def is_async() -> None:
            """Be cancelled."""
            at_work.set()
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                seen.set()
                raise

        tools = {"waits": waits, "polls": polls, "is async": is_async}
        stage, _ = simulate([SLOW], tools=[tools[kind]])
        stage.say("go")
        assert at_work.wait(PATIENCE_S)
        if how == "interrupt":
            stage.interrupt()
        elif how == "close":
            stage.session.close().get(timeout=PATIENCE_S)
        assert seen.wait(PATIENCE_S)

    def test_a_tool_with_a_limit_goes_on_within_it(self, simulate):
        @tool(name="slow", timeout_s=PATIENCE_S)
        async def quick() -> str:
            """Be quick."""
            await asyncio.sleep(0.01)
            return "in time"

        stage, _ = simulate([SLOW], [Say("done")], tools=[quick])
        stage.say("go")
        stage.events.until("assistant_text", text="done")
        assert stage.outputs() == [("c1", "in time")]


def is_gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


class TestIsolation:
    @pytest.fixture
    def started(self, tmp_path: Path) -> Callable[[], int]:
        path = tmp_path / "started"

        def pid() -> int:
            deadline, pause = time.monotonic() + 30.0, threading.Event()
            while not path.exists():
                assert time.monotonic() < deadline, "the tool did not start"
                pause.wait(0.005)
            return int(path.read_text())

        pid.path = str(path)  # type: ignore[attr-defined]  # the tool's argument, and how to wait for it
        return pid

    def test_a_result_comes_from_another_process(self, simulate, killable):
        # Twice: some providers begin to count anew with each response.
        call = CallTool("own_pid", {}, call_id="c1")
        stage, _ = simulate([call], [Say("one")], [call], [Say("two")], tools=[killable.own_pid])
        for answer in ("one", "two"):
            stage.say("go")
            stage.events.until("assistant_text", text=answer)
        (_, first), (_, second) = stage.outputs()
        assert first == second != str(os.getpid()), "one process serves one call after another"
        assert [event.result for event in stage.events.of("tool_call_completed")] == [int(first)] * 2

    @pytest.mark.parametrize("how", ["interrupt", "timeout", "close", "stop"])
    @pytest.mark.parametrize("name", ["sleeps_deaf", "backtracks"])
    def test_a_tool_stuck_in_c_is_killed(self, simulate, killable, started, name, how):
        config = {"tool_timeout_s": 2.5} if how == "timeout" else {"settle_dropped_calls": True}
        stage, _ = simulate(
            [CallTool(name, {"started": started.path}, call_id="c1")],
            [Say("done")],
            tools=[getattr(killable, name)],
            **config,
        )
        stage.say("go")
        pid = started()
        match how:
            case "interrupt":
                stage.interrupt()
            case "close":
                stage.session.close().get(timeout=PATIENCE_S)
            case "stop":
                stage.broker.stop().get(timeout=PATIENCE_S)
        deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not is_gone(pid) and time.monotonic() < deadline:
            pause.wait(0.005)
        assert is_gone(pid), "killed, and waited for"
        if how in ("interrupt", "timeout"):
            code = "cancelled" if how == "interrupt" else "timeout"
            stage.events.until("tool_call_failed", code=code)
            stage.quiet()
            assert [(call_id, code_of(output)) for call_id, output in stage.outputs()] == [("c1", code)]

    @pytest.mark.parametrize(
        ("name", "how"),
        [("segfaults", "killed by SIGSEGV"), ("leaves", "exited with status 7")],
    )
    def test_a_crash_is_one_output_and_the_event_says_how(self, simulate, killable, name, how):
        stage, _ = simulate(
            [CallTool(name, {}, call_id="c1"), CallTool("double", {"n": 2}, call_id="c2")],
            [Say("done")],
            tools=[getattr(killable, name), killable.double],
        )
        stage.say("go")
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        (crashed, output), (fine, result) = stage.outputs()
        assert (crashed, code_of(output), fine, result) == ("c1", "crashed", "c2", "4")
        (failed,) = stage.events.of("tool_call_failed")
        assert failed.code == "crashed"
        assert how in failed.error
        assert how not in output

    def test_a_tool_that_somebody_kills_is_one_output(self, simulate, killable, started):
        stage, _ = simulate(
            [CallTool("sleeps_deaf", {"started": started.path}, call_id="c1")],
            [Say("done")],
            tools=[killable.sleeps_deaf],
        )
        stage.say("go")
        os.kill(started(), signal.SIGKILL)
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        assert [(call_id, code_of(output)) for call_id, output in stage.outputs()] == [("c1", "crashed")]
        assert "SIGKILL" in stage.events.of("tool_call_failed")[0].error

    def test_a_crash_of_the_worker_supervisor_kills_the_process_and_costs_the_call(
        self, simulate, killable, started
    ):
        stage, _ = simulate(
            [CallTool("backtracks", {"started": started.path}, call_id="c1")],
            [Say("done")],
            tools=[killable.backtracks],
        )
        stage.say("go")
        pid = started()
        (supervisor,) = [
            ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class.__name__ == "WorkerSupervisor"
        ]
        crash_actor(supervisor, RuntimeError("a bug"))
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        ((call_id, output),) = stage.outputs()
        assert call_id == "c1"
        assert code_of(output) in ("crashed", "cancelled")
        deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not is_gone(pid) and time.monotonic() < deadline:
            pause.wait(0.005)
        assert is_gone(pid)

    @pytest.mark.parametrize("how", ["connect", "update", "create_response"])
    def test_a_tool_that_its_process_cannot_import_is_refused_where_it_is_given(
        self, simulate, tmp_path, monkeypatch, how
    ):
        path = tmp_path / f"only_here_{how}.py"
        path.write_text(FINE)
        monkeypatch.syspath_prepend(str(tmp_path))
        fine = importlib.import_module(path.stem).fine
        path.write_text("import no_such_module")
        stage, _ = simulate()
        give = {
            "connect": stage.broker.connect,
            "update": stage.session.update,
            "create_response": stage.session.create_response,
        }[how]
        before = len(stage.sent())
        with pytest.raises(ToolDefinitionError, match=rf"{path.stem}.fine .*no_such_module"):
            give(tools=[fine])
        stage.quiet()
        assert len(stage.sent()) == before, "the provider has not heard of it"
        path.write_text(FINE)
        given = give(tools=[fine]).get(timeout=PATIENCE_S)
        if how == "connect":
            given.close().get(timeout=PATIENCE_S)

    def test_a_process_outlives_a_crash_of_the_session(self, simulate, killable, started, wait_restarted):
        stage, _ = simulate(
            [CallTool("has_a_child", {"started": started.path}, call_id="c1")],
            [Say("done")],
            tools=[killable.has_a_child],
        )
        stage.say("go")
        started()
        wait_restarted(stage)
        os.kill(int(Path(f"{started.path}.child").read_text()), signal.SIGKILL)
        stage.events.until("assistant_text", text="done")
        assert stage.outputs()[-1] == ("c1", "too late")


class Approver(pykka.ThreadingActor):
    """An application that decides in an actor of its own."""

    def on_receive(self, message: ToolApproval) -> bool:
        return message.arguments == {"a": 1, "b": 2}


async def yes_later(_question: ToolApproval) -> bool:
    await asyncio.sleep(0)
    return True


def a_future(_question: ToolApproval) -> concurrent.futures.Future[bool]:
    future: concurrent.futures.Future[bool] = concurrent.futures.Future()
    future.set_result(True)
    return future


def breaks(_question: ToolApproval) -> bool:
    raise ValueError("secret internals")


class TestApproval:
    @pytest.fixture
    def ran(self) -> list[int]:
        return []

    @pytest.fixture
    def careful(self, ran: list[int]) -> Any:
        @tool(needs_approval=True)
        def careful(a: int, b: int) -> int:
            """Add two numbers, if that is allowed."""
            ran.append(a)
            return a + b

        return careful

    CALL = CallTool("careful", {"a": 1, "b": 2}, call_id="c1")

    @pytest.mark.parametrize("hook", [lambda _question: True, yes_later, a_future])
    def test_what_is_allowed_runs(self, simulate, careful, ran, hook):
        stage, _ = simulate([self.CALL], [Say("done")], tools=[careful], approve_tool=hook)
        stage.say("go")
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        assert (stage.outputs(), ran) == ([("c1", "3")], [1])
        assert [
            e.kind
            for e in stage.events.seen
            if e.kind.startswith("tool_call_") and e.kind != "tool_call_args_delta"
        ] == [
            "tool_call_started",
            "tool_call_dispatched",
            "tool_call_completed",
        ]

    def test_the_application_is_told_what_it_decides_on(self, simulate, careful):
        asked: list[ToolApproval] = []
        stage, _ = simulate(
            [self.CALL, CallTool("add", {"a": 3, "b": 4}, call_id="c2")],
            [Say("done")],
            tools=[careful, add],
            approve_tool=asked.append,
        )
        stage.say("go")
        stage.events.until("assistant_text", text="done")
        turn_id = stage.events.of("tool_call_started")[0].turn_id
        arguments = {"a": 1, "b": 2}
        assert asked == [ToolApproval(stage.session.session_id, turn_id, "c1", "careful", arguments)]
        assert [output for _, output in stage.outputs()][1] == "7", "nobody is asked about the other"

    @pytest.mark.parametrize(
        ("hook", "says"),
        [
            (lambda _question: False, "it was denied"),
            (lambda _question: None, "it was denied"),
            (breaks, "ValueError"),
        ],
    )
    def test_what_is_not_allowed_is_one_output_that_says_so(self, simulate, careful, ran, hook, says):
        stage, _ = simulate([self.CALL], [Say("a pity")], tools=[careful], approve_tool=hook)
        stage.say("go")
        stage.events.until("assistant_text", text="a pity")
        stage.quiet()
        ((call_id, output),) = stage.outputs()
        assert json.loads(output) == {"error": {"code": "denied", "message": "The call was not allowed."}}
        (failed,) = stage.events.of("tool_call_failed")
        assert (failed.call_id, failed.code, call_id) == ("c1", "denied", "c1")
        assert says in failed.error
        assert "secret" not in output
        assert ran == []
        assert [event.call_ids for event in stage.events.of("tool_batch_submitted")] == [("c1",)]

    def test_an_actor_may_decide(self, simulate, careful):
        approver = Approver.start()
        try:
            stage, _ = simulate(
                [self.CALL, CallTool("careful", {"a": 1, "b": 3}, call_id="c2")],
                [Say("done")],
                tools=[careful],
                approve_tool=lambda question: approver.ask(question, block=False),
            )
            stage.say("go")
            stage.events.until("assistant_text", text="done")
            (_, allowed), (_, denied) = stage.outputs()
            assert (allowed, code_of(denied)) == ("3", "denied")
        finally:
            approver.stop()

    def test_silence_is_a_no_and_the_conversation_goes_on_meanwhile(self, simulate, careful, ran):
        asking, over = threading.Event(), threading.Event()

        def hook(_question: ToolApproval) -> bool:
            asking.set()
            over.wait(PATIENCE_S)
            return True

        stage, _ = simulate(
            [self.CALL],
            [Say("one")],
            [Say("a pity")],
            tools=[careful],
            approve_tool=hook,
            approval_timeout_s=1.0,
        )
        stage.say("go")
        assert asking.wait(PATIENCE_S)
        stage.say("and?")
        stage.events.until("assistant_text", text="one")
        stage.events.until("assistant_text", text="a pity")
        over.set()
        stage.quiet()
        assert [(call_id, code_of(output)) for call_id, output in stage.outputs()] == [("c1", "denied")]
        assert "nobody decided" in stage.events.of("tool_call_failed")[0].error
        assert ran == []

    def test_the_time_of_the_tool_begins_when_it_is_allowed(self, simulate, ran):
        @tool(needs_approval=True, timeout_s=0.4)
        def careful(a: int, b: int, ctx: ToolContext) -> int:
            """Hang, if that is allowed."""
            ran.append(a)
            ctx.wait_cancelled(PATIENCE_S)
            return a + b

        def hook(_question: ToolApproval) -> bool:
            threading.Event().wait(0.8)  # twice the tool's time
            return True

        stage, _ = simulate([self.CALL], [Say("done")], tools=[careful], approve_tool=hook)
        stage.say("go")
        stage.events.until("tool_call_failed", code="timeout")
        stage.quiet()
        assert ran == [1]

    def test_an_interruption_ends_the_question(self, simulate, careful, ran):
        asking, over = threading.Event(), threading.Event()

        def hook(_question: ToolApproval) -> bool:
            asking.set()
            over.wait(PATIENCE_S)
            return True

        stage, _ = simulate([self.CALL], [Say("next")], tools=[careful], approve_tool=hook)
        stage.say("go")
        assert asking.wait(PATIENCE_S)
        stage.interrupt()
        stage.events.until("tool_call_failed", code="cancelled")
        over.set()
        stage.say("next")
        stage.events.until("assistant_text", text="next")
        assert (stage.outputs(), ran) == ([], [])

    def test_a_tool_that_needs_approval_is_refused_where_nobody_can_give_it(self, careful):
        with pytest.raises(ToolDefinitionError, match="approve_tool"):
            Broker.start("m", gateway=OpenAIGateway(api_key="k"), config=Config(tools=[careful]))
