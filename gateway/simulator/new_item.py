"""An item that a client creates, completed and checked against the conversation. Pure.

Source: protocol event `conversation.item.create`; protocol.md A.3 (conversation items).
"""

from __future__ import annotations

import copy
from typing import Any

from .client_error import ClientError, invalid
from .ids import Ids
from .item_list import Item, ItemList

_HAVE_STATUS = frozenset(("message", "function_call", "function_call_output"))


def created(given: Item, items: ItemList, ids: Ids) -> Item:
    """Return the item as the conversation will hold it.

    Args:
        given: The client's, of the right shape.
        items: The conversation.
        ids: Makes the identifiers that the client left out.

    Raises:
        ClientError: It answers something that was not asked: the client's fault.
    """
    # The items of MCP have neither `object` nor `status` (protocol.md A.3).
    settled = {"object": "realtime.item", "status": "completed"} if given["type"] in _HAVE_STATUS else {}
    item: Item = {"id": ids.fresh("item"), **settled, **_without_nulls(given)}
    if item["type"] == "function_call":
        item.setdefault("call_id", ids.fresh("call", 16))
    if item["type"] == "function_call_output" and not items.has_call(item["call_id"]):
        raise ClientError(
            "invalid_tool_call_id",
            f"Tool call ID '{item['call_id']}' not found in conversation.",
            "item.call_id",
        )
    if item["type"] == "mcp_approval_response":
        request_id = item["approval_request_id"]
        if not items.has_approval_request(request_id):
            raise invalid(
                "item.approval_request_id",
                f"MCP approval request '{request_id}' not found in conversation.",
            )
    return item


def _without_nulls(value: Any) -> Any:
    """Return a copy in which what is null is left out, as the service does: its items show no null."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in value]
    return copy.deepcopy(value)
