"""Remote MCP servers as the service shows them: their tools listed, their calls approved. Pure.

No MCP server is ever asked: what one offers is configured, what a call of it gives is a brain's step.

Source: protocol events `mcp_list_tools.*`, `response.mcp_call.*`; protocol.md A.3 (`Mcp`, `RealtimeMcp...`), A.4.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from .conversation import Conversation, Item
from .ids import Event, Ids
from .item_list import ItemList

Tool = Mapping[str, Any]

_NOWHERE = ".invalid"
"""RFC 2606: a name under it never resolves."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """What the simulator pretends an MCP server is like.

    Args:
        tools: What it lists, as on the wire: `name`, `input_schema`, and possibly `description` and `annotations`.
        fails: Whether asking it for its tools fails.

    Raises:
        ConfigError: A tool without a name or schema: the caller's fault.
    """

    tools: Sequence[Tool] = ()
    fails: bool = False

    def __post_init__(self) -> None:
        for tool in self.tools:
            if not (
                isinstance(tool, Mapping)  # pyright: ignore[reportUnnecessaryIsInstance]
                and isinstance(tool.get("name"), str)
                and isinstance(tool.get("input_schema"), Mapping)
            ):
                raise ConfigError("tools", tool, "objects with a 'name' and an 'input_schema'")


class McpListings:
    """The tools of a session's MCP servers, each asked once.

    Args:
        servers: By label. One that is not here lists the tools that the client allows by name; it fails if its
            `server_url` leads to a host under `.invalid`.
    """

    __slots__ = ("_listed", "_servers")

    def __init__(self, servers: Mapping[str, McpServer]) -> None:
        self._servers = servers
        self._listed: set[str] = set()

    def events(self, tools: Iterable[Tool], items: ItemList, ids: Ids) -> Iterator[Event]:
        """Yield the events of asking the servers that were not asked yet; their items join the conversation."""
        for tool in tools:
            if tool["type"] == "mcp" and tool["server_label"] not in self._listed:
                yield from self._listing(tool, items, ids)

    def _listing(self, tool: Tool, items: ItemList, ids: Ids) -> Iterator[Event]:
        label = tool["server_label"]
        item: dict[str, Any] = {
            "id": ids.fresh("mcpl"),
            "type": "mcp_list_tools",
            "server_label": label,
            "tools": [],
        }
        previous = items.insert(item, None)
        yield _joined("conversation.item.added", previous, item, ids)
        yield ids.event("mcp_list_tools.in_progress", item_id=item["id"])
        server = self._servers.get(label) or _assumed(tool)
        if server.fails:
            # Not noted as listed: the client may send its tools again and have the server asked again.
            yield ids.event("mcp_list_tools.failed", item_id=item["id"])
        else:
            self._listed.add(label)
            item["tools"] = [dict(one) for one in server.tools if _is_allowed(one, tool.get("allowed_tools"))]
            yield ids.event("mcp_list_tools.completed", item_id=item["id"])
        yield _joined("conversation.item.done", previous, item, ids)


def must_ask(conversation: Conversation, server_label: str, name: str) -> bool:
    """Tell whether the settings want a call of this tool approved first, as the service does unless told otherwise."""
    for tool in conversation.tools:
        if tool.get("type") == "mcp" and tool.get("server_label") == server_label:
            return _wants_approval(tool.get("require_approval"), name)
    return False


def approved_by(conversation: Conversation, server_label: str, name: str) -> str | None:
    """Return the id of an approval request for this tool that was granted and not used yet, or None."""
    granted = {
        item.get("approval_request_id")
        for item in conversation.items
        if item.get("type") == "mcp_approval_response" and item.get("approve")
    }
    used = {item.get("approval_request_id") for item in conversation.items if item.get("type") == "mcp_call"}
    for item in conversation.items:
        if _asks_for(item, server_label, name) and item["id"] in granted - used:
            return str(item["id"])
    return None


def _asks_for(item: Item, server_label: str, name: str) -> bool:
    asked = (item.get("type"), item.get("server_label"), item.get("name"))
    return asked == ("mcp_approval_request", server_label, name)


def _wants_approval(setting: str | Mapping[str, Any] | None, name: str) -> bool:
    if isinstance(setting, Mapping):
        if name in (setting.get("always") or {}).get("tool_names", ()):
            return True
        return name not in (setting.get("never") or {}).get("tool_names", ())
    return setting != "never"


def _assumed(tool: Tool) -> McpServer:
    try:
        host = urlsplit(tool.get("server_url") or "").hostname or ""
    except ValueError:  # no URL at all: it leads nowhere too
        host = _NOWHERE
    allowed = tool.get("allowed_tools") or ()
    names = allowed.get("tool_names", ()) if isinstance(allowed, Mapping) else allowed
    return McpServer(
        tools=[{"name": name, "input_schema": {"type": "object"}} for name in names],
        fails=host.endswith(_NOWHERE),
    )


def _is_allowed(tool: Tool, allowed: Sequence[str] | Mapping[str, Any] | None) -> bool:
    if allowed is None:
        return True
    if not isinstance(allowed, Mapping):
        return tool["name"] in allowed
    names, read_only = allowed.get("tool_names"), allowed.get("read_only")
    is_read_only = bool((tool.get("annotations") or {}).get("readOnlyHint"))
    return (names is None or tool["name"] in names) and (read_only is None or read_only == is_read_only)


def _joined(event_type: str, previous: str | None, item: dict[str, Any], ids: Ids) -> Event:
    return ids.event(event_type, previous_item_id=previous, item=copy.deepcopy(item))
