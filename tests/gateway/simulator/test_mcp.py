"""MCP servers as a client sees them: their tools listed, their calls made, approved, failed and cut."""

from __future__ import annotations

import json
from random import Random

import pytest

from trunkline.gateway.simulator import CallMcp, Conversation, FunctionBrain, Gate, Hold, McpServer, Say
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.item_list import ItemList
from trunkline.gateway.simulator.mcp import McpListings, approved_by, must_ask

DOCS = {
    "type": "mcp",
    "server_label": "docs",
    "server_url": "https://docs.example/mcp",
    "require_approval": "never",
}
SEARCH = {"name": "search", "input_schema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
REMOVE = {"name": "remove", "input_schema": {"type": "object"}}
CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
]
END = ["conversation.item.done", "response.output_item.done"]


def types(events):
    return [event["type"] for event in events]


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


def listed(tool, servers=None, listings=None):
    listings = listings or McpListings(servers or {})
    return list(listings.events([tool], ItemList(), Ids(Random(0))))


# -- listing ---------------------------------------------------------------------------------------------------------


def test_a_server_is_asked_for_its_tools_once(simulate, connected):
    client = connected(simulate()).text_session()
    tool = {**DOCS, "allowed_tools": ["search"]}
    client.send("session.update", session={"type": "realtime", "tools": [tool]})
    events = client.until("conversation.item.done")
    assert types(events) == [
        "session.updated",
        "conversation.item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "conversation.item.done",
    ]
    item = events[-1]["item"]
    assert set(item) == {"id", "type", "server_label", "tools"}
    assert (item["type"], item["server_label"]) == ("mcp_list_tools", "docs")
    assert item["tools"] == [{"name": "search", "input_schema": {"type": "object"}}]
    assert events[1]["item"] == {**item, "tools": []}
    assert events[2]["item_id"] == events[3]["item_id"] == item["id"]
    client.send("session.update", session={"type": "realtime", "tools": [tool]})
    client.expect("session.updated")
    assert client.say("Hi")["id"]
    client.send("conversation.item.retrieve", item_id=item["id"])
    assert client.expect("conversation.item.retrieved")["item"] == item


@pytest.mark.parametrize("url", ["https://docs.invalid/mcp", "https://[", "nonsense://x.invalid"])
def test_a_server_that_cannot_be_reached_lists_nothing_and_is_asked_again(url):
    listings = McpListings({})
    for _ in range(2):
        events = listed({**DOCS, "server_url": url}, listings=listings)
        assert types(events)[1:3] == ["mcp_list_tools.in_progress", "mcp_list_tools.failed"]
        assert events[-1]["item"]["tools"] == []


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["search", "remove"]),
        (["remove"], ["remove"]),
        ([], []),
        ({"tool_names": ["search", "other"]}, ["search"]),
        ({"read_only": True}, ["search"]),
        ({"read_only": False, "tool_names": ["search"]}, []),
    ],
)
def test_a_known_server_lists_what_the_client_allows(allowed, names):
    done = listed({**DOCS, "allowed_tools": allowed}, {"docs": McpServer([SEARCH, REMOVE])})[-1]
    assert [tool["name"] for tool in done["item"]["tools"]] == names


def test_the_simulator_is_told_what_its_servers_are_like(simulate, connected):
    servers = {"docs": McpServer([SEARCH]), "down": McpServer(fails=True)}
    client = connected(simulate(mcp_servers=servers)).text_session()
    client.send(
        "session.update", session={"type": "realtime", "tools": [DOCS, {**DOCS, "server_label": "down"}]}
    )
    events = client.until("mcp_list_tools.failed")
    assert [event["item"]["tools"] for event in events if event["type"] == "conversation.item.done"] == [
        [SEARCH]
    ]
    assert client.expect("conversation.item.done")["item"]["tools"] == []


def test_a_tool_for_one_response_is_listed_before_it(simulate, connected):
    client = connected(simulate(answering(Say("ok")))).text_session()
    events = client.respond(tools=[DOCS])
    assert types(events)[:5] == [
        "conversation.item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "conversation.item.done",
        "response.created",
    ]
    assert client.respond(tools=[DOCS])[0]["type"] == "response.created"


def test_a_response_out_of_band_leaves_no_listing_in_the_conversation(simulate, connected):
    client = connected(simulate(answering(Say("ok")))).text_session()
    assert client.respond(tools=[DOCS], conversation="none")[0]["type"] == "response.created"
    assert client.respond(tools=[DOCS])[0]["type"] == "conversation.item.added"


# -- calls -----------------------------------------------------------------------------------------------------------


def test_a_call_is_made_by_the_server_and_shows_what_it_gave(simulate, connected):
    client = connected(simulate(answering(CallMcp("docs", "search", "{}", output="found")))).text_session(
        tools=[]
    )
    events = client.respond()
    assert types(events)[1:-2] == [*CALL, "response.mcp_call.completed", *END]
    added, _, delta, arguments, progress, completed, joined, done = events[1:-2]
    assert added["item"] == {
        "id": done["item"]["id"],
        "type": "mcp_call",
        "server_label": "docs",
        "name": "search",
        "arguments": "",
    }
    assert done["item"] == joined["item"] == {**added["item"], "arguments": "{}", "output": "found"}
    assert delta["obfuscation"]
    assert arguments["arguments"] == delta["delta"] == "{}"
    for event in (progress, completed):
        assert set(event) == {"type", "event_id", "item_id", "output_index"}
    assert events[-2]["response"]["output"] == [done["item"]]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("no such page", {"type": "tool_execution_error", "message": "no such page"}),
        ({"type": "protocol_error", "code": -32600, "message": "?"}, {"type": "protocol_error", "code": -32600, "message": "?"}),
    ],
)  # fmt: skip
def test_a_call_may_fail(simulate, connected, error, shown):
    client = connected(simulate(answering(CallMcp("docs", "search", "{}", error=error)))).text_session()
    events = client.respond()
    assert types(events)[1:-2] == [*CALL, "response.mcp_call.failed", *END]
    assert events[-3]["item"]["error"] == shown
    assert "output" not in events[-3]["item"]
    assert events[-2]["response"]["status"] == "completed"


def test_a_call_that_is_cut_is_never_made(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(CallMcp("docs", "search", ['{"a"', Hold(gate)])))).text_session()
    client.send("response.create")
    client.until("response.mcp_call_arguments.delta")
    client.send("response.cancel")
    events = client.until("response.done")
    assert types(events) == ["response.mcp_call_arguments.done", *END, "response.done"]
    item = events[-2]["item"]
    assert item["arguments"] == '{"a"'
    assert not {"output", "error"} & set(item)


def test_a_call_is_made_once_it_is_approved(simulate, connected):
    step = CallMcp("docs", "remove", {"page": 1}, output="gone", needs_approval=True)
    client = connected(simulate(answering(step))).text_session()
    events = client.respond()
    assert types(events)[1:-2] == ["response.output_item.added", "conversation.item.added", *END]
    request = events[-3]["item"]
    assert set(request) == {"id", "type", "server_label", "name", "arguments"}
    assert (request["type"], json.loads(request["arguments"])) == ("mcp_approval_request", {"page": 1})

    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    client.send("conversation.item.create", item=answer)
    client.expect("conversation.item.added")
    assert set(client.expect("conversation.item.done")["item"]) == {"id", *answer}

    (call,) = client.respond()[-2]["response"]["output"]
    assert (call["type"], call["output"], call["approval_request_id"]) == ("mcp_call", "gone", request["id"])
    (again,) = client.respond()[-2]["response"]["output"]
    assert again["type"] == "mcp_approval_request", "an approval is for one call"


def test_an_approval_of_nothing_is_refused(simulate, connected):
    client = connected(simulate()).text_session()
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_x", "approve": True}
    error = client.refused("conversation.item.create", item=answer)
    assert (error["code"], error["param"]) == ("invalid_value", "item.approval_request_id")


REQUEST = {
    "id": "r1",
    "type": "mcp_approval_request",
    "server_label": "docs",
    "name": "search",
    "arguments": "{}",
}


@pytest.mark.parametrize(
    ("label", "name", "approve", "granted"),
    [
        ("docs", "search", True, "r1"),
        ("docs", "search", False, None),
        ("docs", "remove", True, None),
        ("other", "search", True, None),
    ],
)
def test_an_approval_holds_for_its_tool_only(label, name, approve, granted):
    answer = {"type": "mcp_approval_response", "approval_request_id": "r1", "approve": approve}
    assert approved_by(Conversation(items=[REQUEST, answer]), label, name) == granted


@pytest.mark.parametrize(
    ("setting", "search", "remove"),
    [
        (None, True, True),
        ("always", True, True),
        ("never", False, False),
        ({"never": {"tool_names": ["search"]}}, False, True),
        ({"always": {"tool_names": ["remove"]}, "never": {"tool_names": ["search"]}}, False, True),
        ({"always": {"tool_names": ["remove"]}, "never": {"tool_names": ["remove"]}}, True, True),
    ],
)
def test_the_client_says_what_has_to_be_approved(setting, search, remove):
    conversation = Conversation(items=[], tools=[{**DOCS, "require_approval": setting}])
    assert must_ask(conversation, "docs", "search") is search
    assert must_ask(conversation, "docs", "remove") is remove
    assert must_ask(conversation, "other", "search") is False
