"""The settings of remote MCP servers are checked when they are built, and keep their secrets."""

import pickle
from typing import Any

import pytest

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.mcp import Mcp, McpApproval, McpToolChoice, McpToolFilter

URL = "https://docs.example/mcp"
GOOD: list[dict[str, Any]] = [
    {"server_url": URL},
    {"server_url": "http://10.0.0.1:8080/?k=v"},
    {"connector_id": "connector_gmail"},
    {"server_url": URL, "server_description": "d", "authorization": "t", "headers": {"A": "b", "C": ""}},
    {"server_url": URL, "allowed_tools": []},
    {"server_url": URL, "allowed_tools": ["search", "fetch"]},
    {"server_url": URL, "allowed_tools": McpToolFilter(tool_names=["search"], read_only=True)},
    {"server_url": URL, "require_approval": "always"},
    {"server_url": URL, "require_approval": "never"},
    {"server_url": URL, "require_approval": McpApproval(never=McpToolFilter(read_only=True))},
]
BAD: list[tuple[str, Any]] = [
    *(("server_label", value) for value in (None, "", " ", 1, "\ud800")),
    *(
        ("server_url", value)
        for value in (
            "",
            "docs.example",
            "ftp://h/",
            "wss://h/",
            "https://",
            "http://[",
            1,
            "https://u:hush@h/",
        )
    ),
    *(("connector_id", value) for value in ("", "gmail", 1)),
    *(("server_description", value) for value in ("", 1)),
    *(("allowed_tools", value) for value in ("search", [1], [""], {"read_only": True}, McpToolFilter, 1)),
    *(("require_approval", value) for value in ("", "sometimes", True, {"always": {}}, McpApproval)),
    *(("headers", value) for value in ("A: hush", [("A", "hush")], {"A": 1}, {1: "hush"}, {"": "hush"})),
    *(("authorization", value) for value in ("", 1)),
]


@pytest.mark.parametrize("settings", GOOD)
def test_what_is_allowed_builds_compares_hashes_and_pickles(settings: dict[str, Any]):
    made = Mcp(server_label="docs", **settings)
    assert made == Mcp(server_label="docs", **settings)
    assert hash(made) == hash(Mcp(server_label="docs", **settings))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_is_not_is_refused_by_name_and_no_secret_is_shown(name: str, value: Any):
    address = {} if name == "connector_id" else {"server_url": URL}
    with pytest.raises(ConfigError) as refused:
        Mcp(**{"server_label": "docs", **address, name: value})
    assert refused.value.field.startswith(f"mcp.{name}")
    assert refused.value.allowed
    assert "hush" not in str(refused.value) + repr(vars(refused.value))


@pytest.mark.parametrize("address", [{}, {"server_url": URL, "connector_id": "connector_gmail"}])
def test_a_server_has_one_address(address: dict[str, Any]):
    with pytest.raises(ConfigError, match="either server_url or connector_id"):
        Mcp(server_label="docs", **address)


def test_no_repr_shows_what_may_be_secret():
    server = Mcp(server_label="docs", server_url=f"{URL}?hush", headers={"A": "hush"}, authorization="hush")
    assert "docs" in repr(server)
    assert "hush" not in repr(server)


def test_a_list_or_a_dict_may_be_changed_later_without_harm():
    names, headers = ["search"], {"A": "b"}
    server = Mcp(server_label="docs", server_url=URL, allowed_tools=names, headers=headers)
    names.append("delete")
    headers["A"] = "c"
    assert server.allowed_tools == ("search",)
    assert server.headers == {"A": "b"}


@pytest.mark.parametrize("settings", [{}, {"tool_names": []}, {"tool_names": "x"}, {"read_only": 1}])
def test_a_filter_that_filters_nothing_is_refused(settings: dict[str, Any]):
    with pytest.raises(ConfigError):
        McpToolFilter(**settings)


@pytest.mark.parametrize("settings", [{}, {"always": ["x"]}, {"never": "x"}])
def test_an_approval_without_filters_is_refused(settings: dict[str, Any]):
    with pytest.raises(ConfigError) as refused:
        McpApproval(**settings)
    assert refused.value.field.startswith("mcp.require_approval")


@pytest.mark.parametrize("arguments", [("",), (None,), ("docs", ""), ("docs", 1)])
def test_a_choice_needs_names(arguments: Any):
    with pytest.raises(ConfigError) as refused:
        McpToolChoice(*arguments)
    assert refused.value.field.startswith("tool_choice.")
