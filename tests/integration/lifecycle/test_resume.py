"""A process is killed in the middle of a turn; another one goes on with the conversation. Real processes, a real SIGKILL."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import trunkline
from trunkline import (
    Broker,
    Config,
    InvalidCommand,
    OpenAIGateway,
    SessionInUse,
    SqliteSessionLog,
    ToolContext,
    UnknownSession,
    tool,
)
from trunkline.simulator import CallTool, FunctionBrain, Gate, Hold, Say

PATIENCE_S = 30.0
TEXT: dict[str, Any] = {"modalities": ["text"], "turn_detection": "none", "input_audio_transcription": False}
PROGRAM = Path(__file__).with_name("voice_agent.py")


class Agent:
    """The program in a process of its own; what it prints, line by line."""

    def __init__(self, *arguments: object) -> None:
        source = str(Path(trunkline.__file__).resolve().parents[1])
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._seen: list[str] = []
        self._reader = threading.Thread(target=self._read, name="agent's output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, beginning: str) -> str:
        """Wait for a line that begins so; lines of different threads come in any order."""
        while not any(line.startswith(beginning) for line in self._seen):
            self._seen.append(self._lines.get(timeout=PATIENCE_S))
        return next(line for line in self._seen if line.startswith(beginning))

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(PATIENCE_S) == -signal.SIGKILL
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def run_agent(stack, tmp_path):
    def run(simulator: Any, text: str) -> Agent:
        agent = Agent(simulator.url, tmp_path / "sessions.db", tmp_path / "diary.txt", text)
        stack.callback(lambda: agent._process.poll() is not None or agent.kill())
        return agent

    return run


@pytest.fixture
def next_process(stack, tmp_path):
    """What the next process does: open the same log and start a broker."""

    def start(simulator: Any, tools: Any = ()) -> Any:
        log = stack.enter_context(SqliteSessionLog(tmp_path / "sessions.db"))
        gateway = OpenAIGateway("a-key", base_url=simulator.url)
        config = Config(**TEXT, tools=list(tools))
        broker = Broker.start("gpt-realtime-2", gateway=gateway, config=config, session_log=log)
        stack.callback(lambda: broker.stop().get(timeout=PATIENCE_S))
        return broker

    return start


def answer(session: Any, stream: Any = None) -> list[Any]:
    """Everything up to the end of a turn that says something.

    What a resumed session says before anybody listens is kept for who listens first. Of another one, give a stream from before.
    """
    seen = []
    for event in stream or session.events():
        seen.append(event)
        if event.kind == "assistant_turn_completed" and any(e.kind == "assistant_text" for e in seen):
            break
    return seen


def created(simulator: Any, connection: int) -> list[tuple[str, str]]:
    """The items that a connection was told, as kind and text."""
    items = [e["item"] for e in simulator.wire.sent("conversation.item.create", connection)]
    return [
        (
            item.get("role") or item["type"],
            item["content"][0]["text"] if "content" in item else item["call_id"],
        )
        for item in items
    ]


def test_who_was_left_unanswered_by_a_killed_process_is_answered_once_by_the_next(
    simulate, run_agent, next_process
):
    gate = Gate()
    simulator = simulate(
        FunctionBrain(lambda conversation: [Say(["The capital ", Hold(gate), "is Ottawa."])])
    )
    agent = run_agent(simulator, "What's the capital of Canada?")
    session_id = agent.until("accepted").split()[1]
    agent.until("assistant_text_delta")
    agent.kill()
    gate.open()

    broker = next_process(simulator)
    session = broker.resume(session_id).get(timeout=PATIENCE_S)
    assert session.session_id == session_id
    seen = answer(session)
    assert [e.text for e in seen if e.kind == "assistant_text"] == ["The capital is Ottawa."]
    assert seen[0].kind == "session_opened"
    assert seen[0].session_id == session_id
    assert [e.resumed for e in seen if e.kind == "session_updated"] == [True]
    assert created(simulator, 2) == [("user", "What's the capital of Canada?")]
    assert len(simulator.wire.sent("response.create", 2)) == 1

    session.send_text("And of France?").get(timeout=PATIENCE_S)
    assert [item.role for item in session.history().get(timeout=PATIENCE_S)][:3] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_tool_whose_output_was_recorded_does_not_run_again(
    simulate, run_agent, next_process, tmp_path, wait_until
):
    asked: list[int] = []

    def reply(conversation: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            return [CallTool("quick", {"city": "Ottawa"}), CallTool("slow", {"city": "Ottawa"})]
        return [Say("Both are fine.")]

    simulator = simulate(FunctionBrain(reply))
    agent = run_agent(simulator, "How are things?")
    session_id = agent.until("accepted").split()[1]
    agent.until("tool_call_completed")
    diary = tmp_path / "diary.txt"
    wait_until(lambda: diary.exists() and "slow" in diary.read_text(), "the slow tool at work")
    agent.kill()

    ran: list[str] = []

    @tool
    def quick(city: str) -> str:
        """Look something up."""
        ran.append("quick")
        return "again"

    @tool
    def slow(city: str, ctx: ToolContext) -> str:
        """Look something up."""
        ran.append("slow, perhaps again" if ctx.may_have_run else "slow")
        return f"{city} is slow"

    session = next_process(simulator, [quick, slow]).resume(session_id).get(timeout=PATIENCE_S)
    seen = answer(session)
    assert [e.text for e in seen if e.kind == "assistant_text"] == ["Both are fine."]
    assert sorted(diary.read_text().split()) == ["quick", "slow"]
    assert ran == ["slow, perhaps again"]
    outputs = [
        e["item"]["output"]
        for e in simulator.wire.sent("conversation.item.create", 2)
        if e["item"]["type"] == "function_call_output"
    ]
    assert outputs == ["Ottawa is fine", "Ottawa is slow"]
    assert len(simulator.wire.sent("response.create", 2)) == 1


def test_whoever_listens_first_hears_what_happened_before(simulate, run_agent, next_process, wait_until):
    gate = Gate()
    simulator = simulate(FunctionBrain(lambda conversation: [Hold(gate), Say("Here.")]))
    agent = run_agent(simulator, "Hello?")
    session_id = agent.until("accepted").split()[1]
    agent.kill()
    gate.open()
    session = next_process(simulator).resume(session_id).get(timeout=PATIENCE_S)
    simulator.wire.wait_received("response.done", 1, PATIENCE_S)
    wait_until(lambda: len(session.history().get(timeout=PATIENCE_S)) == 2, "the answer in the history")
    early: list[str] = []
    late: list[str] = []
    session.subscribe(lambda event: early.append(event.kind)).get(timeout=PATIENCE_S)
    wait_until(lambda: "assistant_turn_completed" in early, lambda: f"the whole answer: {early}")
    session.subscribe(lambda event: late.append(event.kind)).get(timeout=PATIENCE_S)
    assert early[0] == "session_opened"
    assert early.count("assistant_text") == early.count("session_opened") == 1
    assert late == ["session_opened"]


def test_what_was_answered_is_not_answered_again(simulate, run_agent, next_process):
    simulator = simulate()
    agent = run_agent(simulator, "What's the capital of Canada?")
    session_id = agent.until("accepted").split()[1]
    agent.until("assistant_turn_completed")
    agent.kill()
    session = next_process(simulator).resume(session_id).get(timeout=PATIENCE_S)
    session.send_text("What's the capital of France?").get(timeout=PATIENCE_S)
    answer(session)
    told = created(simulator, 2)
    assert [role for role, _ in told] == ["user", "assistant", "user"]
    assert len(simulator.wire.sent("response.create", 2)) == 1


def test_a_session_that_nobody_knows_cannot_be_resumed(simulate, next_process):
    broker = next_process(simulate())
    with pytest.raises(UnknownSession, match="session_nobody"):
        broker.resume("session_nobody").get(timeout=PATIENCE_S)


def test_without_a_durable_log_there_is_nothing_to_resume(simulate, start_broker):
    broker = start_broker(simulate())
    with pytest.raises(UnknownSession):
        broker.resume("session_1").get(timeout=PATIENCE_S)


def test_a_session_that_is_open_cannot_be_resumed_beside_itself(simulate, next_process):
    broker = next_process(simulate())
    session = broker.connect().get(timeout=PATIENCE_S)
    session.send_text("hi").get(timeout=PATIENCE_S)
    with pytest.raises(InvalidCommand, match="is open"):
        broker.resume(session.session_id).get(timeout=PATIENCE_S)


def test_a_session_that_another_process_has_cannot_be_resumed_until_that_is_dead(
    simulate, run_agent, next_process
):
    simulator = simulate()
    agent = run_agent(simulator, "What's the capital of Canada?")
    session_id = agent.until("accepted").split()[1]
    agent.until("assistant_turn_completed")
    broker = next_process(simulator)
    with pytest.raises(SessionInUse) as refused:
        broker.resume(session_id).get(timeout=PATIENCE_S)
    assert (refused.value.session_id, refused.value.pid) == (session_id, agent.pid)
    assert len(simulator.wire.sent("session.update")) == 1, "it was not even tried"
    agent.kill()
    session = broker.resume(session_id).get(timeout=PATIENCE_S)
    assert [item.role for item in session.history().get(timeout=PATIENCE_S)] == ["user", "assistant"]


def test_a_session_that_was_closed_is_free_for_another_process(simulate, next_process):
    simulator = simulate()
    one, other = next_process(simulator), next_process(simulator)
    session = one.connect().get(timeout=PATIENCE_S)
    stream = session.events()
    session.send_text("What's the capital of Canada?").get(timeout=PATIENCE_S)
    answer(session, stream)
    with pytest.raises(SessionInUse):
        other.resume(session.session_id).get(timeout=PATIENCE_S)
    session.close().get(timeout=PATIENCE_S)
    again = other.resume(session.session_id).get(timeout=PATIENCE_S)
    assert [item.role for item in again.history().get(timeout=PATIENCE_S)] == ["user", "assistant"]
    with pytest.raises(SessionInUse):
        one.resume(session.session_id).get(timeout=PATIENCE_S)


def test_a_resume_that_finds_no_provider_fails_and_can_be_tried_again(simulate, run_agent, next_process):
    gate = Gate()
    simulator = simulate(FunctionBrain(lambda conversation: [Hold(gate), Say("Here.")]))
    agent = run_agent(simulator, "Hello?")
    session_id = agent.until("accepted").split()[1]
    agent.kill()
    gate.open()
    broker = next_process(simulator)
    simulator.refuse_status = 503
    with pytest.raises(trunkline.ConnectError):
        broker.resume(session_id).get(timeout=PATIENCE_S)
    simulator.refuse_status = None
    session = broker.resume(session_id).get(timeout=PATIENCE_S)
    assert [e.text for e in answer(session) if e.kind == "assistant_text"] == ["Here."]
