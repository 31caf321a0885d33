"""Remote MCP servers through the protocol's own ``mcp`` type: what is configured, seen, allowed, and never sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from trunkline import ToolApproval, tool
from trunkline.gateway.mcp import Mcp
from trunkline.gateway.simulator import (
    CallMcp,
    CallTool,
    Fail,
    FunctionBrain,
    Gate,
    Hold,
    McpServer,
    Say,
    Simulator,
)
from trunkline.supervision.testing import crash

PATIENCE_S = 10.0
SEARCH = {"name": "search", "input_schema": {"type": "object"}}
DOCS = Mcp(server_label="docs", server_url="https://docs.example/mcp", require_approval="never")
CAREFUL = Mcp(server_label="docs", server_url="https://docs.example/mcp", require_approval="always")
FOUND = CallMcp("docs", "search", {"query": "x"}, output="found")


@pytest.fixture
def with_mcp(open_session: Callable[..., Any], servers: list[Any]) -> Callable[..., Any]:
    """`stage = with_mcp(*replies, server=DOCS, **config)`: a session with this MCP server; the simulator plays these replies."""

    def start(*replies: Any, server: Mcp = DOCS, lists: McpServer | None = None, **config: Any) -> Any:
        said = iter(replies)
        simulator = Simulator(
            FunctionBrain(lambda _conversation: next(said, [Say("ok")])),
            mcp_servers={"docs": lists or McpServer(tools=[SEARCH])},
        ).start()
        servers.append(simulator)
        return open_session(simulator, mcp_servers=[server], **config)

    return start


def mcp_answers(stage: Any) -> list[tuple[str, bool]]:
    items = [frame["item"] for frame in stage.sent("conversation.item.create")]
    return [
        (one["approval_request_id"], one["approve"])
        for one in items
        if one["type"] == "mcp_approval_response"
    ]


def told(stage: Any, *kinds: str) -> list[Any]:
    return [event for event in stage.events.seen if event.kind in kinds]


CALL_KINDS = ("tool_call_started", "tool_call_dispatched", "tool_call_completed", "tool_call_failed")


class TestCalls:
    def test_a_call_is_a_tool_call_to_the_subscriber_and_no_output_is_sent_for_it(self, with_mcp):
        stage = with_mcp([FOUND, Say("here it is")])
        stage.say("search")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        (update,) = stage.wire.sent("session.update")
        assert update["session"]["tools"] == [
            {
                "type": "mcp",
                "server_label": "docs",
                "server_url": "https://docs.example/mcp",
                "require_approval": "never",
            }
        ]
        started, dispatched, completed = told(stage, *CALL_KINDS)
        assert [event.kind for event in (started, dispatched, completed)] == list(CALL_KINDS[:3])
        assert len({event.call_id for event in (started, dispatched, completed)}) == 1
        assert {event.turn_id for event in stage.events.seen if hasattr(event, "turn_id")} == {
            started.turn_id
        }
        assert {event.server_label for event in (started, dispatched, completed)} == {"docs"}
        assert {event.name for event in (started, dispatched, completed)} == {"search"}
        assert (dispatched.args, completed.result) == ({"query": "x"}, "found")
        written = "".join(event.delta for event in told(stage, "tool_call_args_delta"))
        assert json.loads(written) == {"query": "x"}
        assert [event.text for event in told(stage, "assistant_text")] == ["here it is"]
        assert told(stage, "tool_batch_submitted", "error") == []
        assert stage.types() == ["conversation.item.create", "response.create"]
        history = stage.session.history().get(timeout=PATIENCE_S)
        assert [item.type for item in history] == ["mcp_list_tools", "message", "mcp_call", "message"]

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            ("no such page", "no such page"),
            ({"type": "http_error", "code": 502, "message": "down"}, "down"),
        ],
    )
    def test_a_call_that_fails_says_why(self, with_mcp, error, says):
        stage = with_mcp([CallMcp("docs", "search", "{}", error=error), Say("sorry")])
        stage.say("search")
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        (failed,) = told(stage, "tool_call_failed")
        assert (failed.code, failed.error, failed.server_label) == ("mcp_failed", says, "docs")
        assert told(stage, "tool_call_completed") == []
        assert stage.types() == ["conversation.item.create", "response.create"]

    def test_a_call_that_is_interrupted_has_failed_and_nothing_is_sent_for_it(self, with_mcp):
        gate = Gate()
        stage = with_mcp([CallMcp("docs", "search", ['{"a"', Hold(gate), ": 1}"])])
        stage.say("search")
        gate.wait_reached(10)
        stage.events.until("tool_call_args_delta")
        stage.interrupt()
        stage.events.until("assistant_turn_completed", status="cancelled")
        stage.quiet()
        assert [(event.kind, getattr(event, "code", None)) for event in told(stage, *CALL_KINDS)] == [
            ("tool_call_started", None),
            ("tool_call_failed", "cancelled"),
        ]
        assert stage.types() == ["conversation.item.create", "response.create", "response.cancel"]

    def test_a_response_that_fails_behind_a_call_keeps_what_the_call_brought(self, with_mcp):
        stage = with_mcp([FOUND, Fail("server_error", "broken")])
        stage.say("search")
        stage.events.until("assistant_turn_completed", status="failed")
        stage.quiet()
        assert [event.kind for event in told(stage, *CALL_KINDS)] == list(CALL_KINDS[:3])

    def test_our_tools_and_theirs_in_one_response_are_told_apart(self, with_mcp):
        @tool
        def add(a: int, b: int) -> int:
            """Add."""
            return a + b

        ours = CallTool("add", {"a": 1, "b": 2}, call_id="c1")
        stage = with_mcp([FOUND, ours], [Say("done")], tools=[add])
        stage.say("both")
        stage.events.until("assistant_text", text="done")
        stage.quiet()
        assert stage.outputs() == [("c1", "3")]
        labels = {event.call_id: event.server_label for event in told(stage, "tool_call_completed")}
        assert labels.pop("c1") is None
        assert list(labels.values()) == ["docs"]
        assert [event.call_ids for event in told(stage, "tool_batch_submitted")] == [("c1",)]
        assert stage.types().count("response.create") == 2

    def test_a_server_that_lists_no_tools_is_a_recoverable_error(self, with_mcp):
        stage = with_mcp(lists=McpServer(fails=True))
        item = {"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "docs", "tools": []}
        for event in (
            {"type": "conversation.item.added", "item": item},
            {"type": "mcp_list_tools.in_progress", "item_id": "mcpl_1"},
            {"type": "mcp_list_tools.failed", "item_id": "mcpl_1"},
        ):
            stage.server.inject(json.dumps({"event_id": "e", **event}))
        error = stage.events.until("error", item_id="mcpl_1")
        assert (error.code, error.recoverable) == ("mcp_list_tools_failed", True)
        assert "docs" in error.message


class TestApproval:
    @pytest.fixture
    def asked(self):
        return []

    def approve(self, asked: list[ToolApproval], answer: Any) -> Callable[[ToolApproval], Any]:
        def hook(question: ToolApproval) -> Any:
            asked.append(question)
            return answer

        return hook

    def test_a_granted_request_is_answered_once_and_the_call_is_made(self, with_mcp, asked):
        hook = self.approve(asked, True)
        stage = with_mcp([FOUND], [FOUND, Say("here")], server=CAREFUL, approve_tool=hook)
        stage.say("search")
        stage.events.until("assistant_text", text="here")
        stage.quiet()
        (question,) = asked
        started, dispatched, completed = told(stage, *CALL_KINDS)
        assert (question.name, question.arguments, question.server_label) == (
            "search",
            {"query": "x"},
            "docs",
        )
        assert (question.call_id, question.turn_id) == (started.call_id, started.turn_id)
        assert question.session_id == stage.session.session_id
        assert [started.call_id, dispatched.call_id, completed.call_id] == [question.call_id] * 3
        assert started.turn_id != completed.turn_id
        assert mcp_answers(stage) == [(question.call_id, True)]
        assert stage.types() == ["conversation.item.create", "response.create"] * 2
        assert stage.outputs() == []
        assert told(stage, "error") == []

    @pytest.mark.parametrize("answer", [False, None, "yes", 1], ids=repr)
    def test_anything_but_true_denies(self, with_mcp, asked, answer):
        stage = with_mcp([FOUND], [Say("a pity")], server=CAREFUL, approve_tool=self.approve(asked, answer))
        stage.say("search")
        stage.events.until("assistant_text", text="a pity")
        stage.quiet()
        (failed,) = told(stage, "tool_call_failed")
        assert (failed.code, failed.call_id) == ("denied", asked[0].call_id)
        assert mcp_answers(stage) == [(asked[0].call_id, False)]
        assert stage.types() == ["conversation.item.create", "response.create"] * 2

    def test_without_anybody_to_ask_a_request_is_denied(self, with_mcp):
        stage = with_mcp([FOUND], [Say("a pity")], server=CAREFUL)
        stage.say("search")
        stage.events.until("assistant_text", text="a pity")
        assert [approve for _, approve in mcp_answers(stage)] == [False]

    def test_several_requests_of_a_response_are_answered_each_and_asked_for_once(self, with_mcp, asked):
        again = CallMcp("docs", "search", {"query": "y"}, output="found")
        hook = self.approve(asked, False)
        stage = with_mcp([FOUND, again], [Say("a pity")], server=CAREFUL, approve_tool=hook)
        stage.say("search")
        stage.events.until("assistant_text", text="a pity")
        stage.quiet()
        assert sorted(mcp_answers(stage)) == sorted((question.call_id, False) for question in asked)
        assert len(asked) == 2
        assert stage.types().count("response.create") == 2

    def test_the_conversation_goes_on_while_the_application_decides(self, with_mcp):
        decide, asking = threading.Event(), threading.Event()

        def hook(_question: ToolApproval) -> bool:
            asking.set()
            return decide.wait(PATIENCE_S)

        stage = with_mcp([FOUND], [Say("meanwhile")], [Say("denied")], server=CAREFUL, approve_tool=hook)
        stage.say("search")
        assert asking.wait(PATIENCE_S)
        stage.say("how are you")
        stage.events.until("assistant_text", text="meanwhile")
        decide.set()
        stage.events.until("assistant_text", text="denied")
        stage.quiet()
        assert stage.types().count("response.create") == 3

    def test_a_line_that_is_lost_while_the_application_decides_has_the_reply_asked_for_anew(self, with_mcp):
        decide, asking = threading.Event(), threading.Event()

        def hook(_question: ToolApproval) -> bool:
            asking.set()
            return decide.wait(PATIENCE_S)

        stage = with_mcp([FOUND], [Say("once more")], server=CAREFUL, approve_tool=hook)
        stage.say("search")
        assert asking.wait(PATIENCE_S)
        stage.server.drop_all()
        stage.events.until("tool_call_failed", code="incomplete")
        stage.events.until("assistant_text", text="once more")
        decide.set()
        stage.quiet()
        assert mcp_answers(stage) == [], "the provider that asked is not there any more"
        assert stage.types().count("response.create") == 2

    def test_a_loop_of_approved_calls_has_a_bound(self, with_mcp, asked):
        stage = with_mcp(
            *([CallMcp("docs", f"tool_{n}", {}, output="x")] for n in range(9)),
            server=CAREFUL,
            approve_tool=self.approve(asked, True),
            max_tool_rounds=2,
        )
        stage.say("search")
        error = stage.events.until("error")
        assert error.code == "too_many_tool_rounds"
        stage.quiet()
        assert stage.types().count("response.create") == 3


def test_half_an_answer_is_given_anew_after_a_crash_where_a_server_s_tool_may_follow(with_mcp):
    gate = Gate()
    stage = with_mcp([Say("let me look"), Hold(gate), FOUND], [Say("it is there")])
    stage.say("go")
    stage.events.until("assistant_text", text="let me look")
    crash(stage.session.actor_ref, RuntimeError("a bug"))
    stage.events.until("assistant_text", text="it is there")
    gate.open()
    items = [frame["item"]["content"][0]["text"] for frame in stage.wire.sent("conversation.item.create", 2)]
    assert items == ["go"], "the model is not told what it is asked for again"
