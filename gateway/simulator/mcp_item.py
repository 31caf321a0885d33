"""What a response streams for an MCP server: a call of one of its tools, or the request to approve it. Pure.

Source: protocol events `response.mcp_call_arguments.*`, `response.mcp_call.*`; protocol.md A.3 (`RealtimeMcpToolCall`,
`RealtimeMcpApprovalRequest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .ids import Event
from .place import Place, obfuscation


@dataclass(slots=True)
class McpCallBody:
    """A call that the service makes itself: its arguments streamed, then its outcome.

    Args:
        server_label: The server.
        name: The tool.
        outcome: What the item shows in the end: `output` or `error`.
        approval_request_id: What allowed it, if anything had to.
    """

    has_status: ClassVar[bool] = False
    prefix: ClassVar[str] = "mcp"

    server_label: str
    name: str
    outcome: Mapping[str, Any]
    approval_request_id: str | None = None
    arguments: str = ""
    _is_over: bool = False

    def skeleton(self) -> dict[str, Any]:
        """Return the call with its arguments so far, and its outcome once it is over."""
        item: dict[str, Any] = {
            "type": "mcp_call",
            "server_label": self.server_label,
            "name": self.name,
            "arguments": self.arguments,
        }
        if self.approval_request_id is not None:
            item["approval_request_id"] = self.approval_request_id
        return {**item, **self.outcome} if self._is_over else item

    def begin(self, place: Place) -> list[Event]:
        """A call has no content part."""
        return []

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Send one delta of the arguments."""
        self.arguments += text
        padding = obfuscation(place.ids, text)
        return [place.event("response.mcp_call_arguments.delta", delta=text, obfuscation=padding)]

    def finish(self, place: Place, status: str) -> list[Event]:
        """Close the arguments and, unless it was cut, make the call."""
        events = [place.event("response.mcp_call_arguments.done", arguments=self.arguments)]
        if status == "completed":
            self._is_over = True
            end = "failed" if "error" in self.outcome else "completed"
            events += [
                _progress(place, "response.mcp_call.in_progress"),
                _progress(place, f"response.mcp_call.{end}"),
            ]
        return events


@dataclass(slots=True)
class ApprovalBody:
    """A request to the client to allow a call; it comes whole.

    Args:
        server_label: The server.
        name: The tool.
    """

    has_status: ClassVar[bool] = False
    prefix: ClassVar[str] = "mcpr"

    server_label: str
    name: str
    arguments: str = ""

    def skeleton(self) -> dict[str, Any]:
        """Return the request with the arguments of the call."""
        return {
            "type": "mcp_approval_request",
            "server_label": self.server_label,
            "name": self.name,
            "arguments": self.arguments,
        }

    def begin(self, place: Place) -> list[Event]:
        """It has no content part."""
        return []

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Take more of the arguments: they are shown when the item is done."""
        self.arguments += text
        return []

    def finish(self, place: Place, status: str) -> list[Event]:
        """Nothing comes between the item and its end."""
        return []


def _progress(place: Place, event_type: str) -> Event:
    # These name the item only, not the response (protocol.md A.2, 32 to 34).
    return place.ids.event(event_type, item_id=place.item_id, output_index=place.output_index)
