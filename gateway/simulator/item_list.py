"""The conversation's items in order, found by id. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .client_error import ClientError, invalid
from .sounds import Sounds

Item = dict[str, Any]

ROOT = "root"
"""As `previous_item_id`: before every other item."""


class ItemList:
    """Keep items in the conversation's order.

    Source: protocol events `conversation.item.create`, `.retrieve`, `.delete`.
    """

    __slots__ = ("_by_id", "_cut", "_order", "_spoken_ms", "sounds")

    def __init__(self) -> None:
        self._order: list[str] = []
        self._by_id: dict[str, Item] = {}
        self._spoken_ms: dict[str, int] = {}
        self._cut: set[str] = set()
        self.sounds = Sounds()

    def __iter__(self) -> Iterator[Item]:
        return (self._by_id[item_id] for item_id in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._by_id

    @property
    def last_id(self) -> str | None:
        """The id of the newest item, or None."""
        return self._order[-1] if self._order else None

    def insert(self, item: Item, previous_item_id: str | None) -> str | None:
        """Put an item behind another one and return that one's id (None: it is the first).

        Args:
            item: With its final `id`.
            previous_item_id: None appends, `"root"` puts it first.

        Raises:
            ClientError: An item has this id already, or the previous item does not exist: the client's fault.
        """
        if item["id"] in self._by_id:
            raise ClientError(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item['id']}' already exists in the conversation.",
                "item.id",
            )
        at = self._place_behind(previous_item_id)
        self._order.insert(at, item["id"])
        self._by_id[item["id"]] = item
        return self._order[at - 1] if at else None

    def get(self, item_id: str, code: str) -> Item:
        """Return the item; an unknown id is a `ClientError` with this code, the client's fault."""
        item = self._by_id.get(item_id)
        if item is None:
            raise ClientError(code, f"Item with id '{item_id}' does not exist.", "item_id")
        return item

    def remove(self, item_id: str) -> None:
        """Delete the item; an unknown id is a `ClientError`, the client's fault."""
        self.get(item_id, "item_delete_invalid_item_id")
        del self._by_id[item_id]
        self._order.remove(item_id)
        self._spoken_ms.pop(item_id, None)
        self._cut.discard(item_id)
        self.sounds.drop(item_id)

    def has_approval_request(self, request_id: str) -> bool:
        """Tell whether an MCP approval request with this id is in the conversation."""
        item = self._by_id.get(request_id)
        return item is not None and item.get("type") == "mcp_approval_request"

    def has_call(self, call_id: str) -> bool:
        """Tell whether a function call with this `call_id` is in the conversation."""
        return any(item.get("type") == "function_call" and item.get("call_id") == call_id for item in self)

    def _place_behind(self, previous_item_id: str | None) -> int:
        if previous_item_id is None:
            return len(self._order)
        if previous_item_id == ROOT:
            return 0
        if previous_item_id not in self._by_id:
            raise ClientError(
                "item_create_invalid_previous_item_id",
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
                "previous_item_id",
            )
        return self._order.index(previous_item_id) + 1

    def truncate(self, item_id: str, content_index: int, audio_end_ms: float) -> None:
        """Cut the audio of an assistant message, and its transcript with it.

        Raises:
            ClientError: No such item, no assistant audio, or more than it holds: the client's fault.
        """
        item = self.get(item_id, "item_truncate_invalid_item_id")
        part = _audio_part(item)
        if content_index != 0:
            raise invalid("content_index", f"Invalid content index {content_index}: the audio is at 0.")
        spoken_ms = self._spoken_ms.get(item_id, 0)
        if audio_end_ms > spoken_ms:
            raise invalid(
                "audio_end_ms", f"Audio content of {spoken_ms}ms is already shorter than {audio_end_ms}ms"
            )
        self._spoken_ms[item_id] = int(audio_end_ms)
        self._cut.add(item_id)
        self.sounds.cut(item_id, int(audio_end_ms))
        part.pop("transcript", None)

    def is_cut(self, item_id: str) -> bool:
        """Tell whether the item's audio was truncated: its transcript is gone then."""
        return item_id in self._cut

    def sound_ms(self, item_id: str | None) -> int:
        """Return how much of an assistant message was spoken and not truncated."""
        return self._spoken_ms.get(item_id or "", 0)

    def note_speech(self, item_id: str, spoken_ms: int) -> None:
        """Remember how much of an assistant message was spoken, for `truncate`; one that was cut stays so."""
        if item_id not in self._cut:
            self._spoken_ms[item_id] = spoken_ms


def _audio_part(item: Item) -> dict[str, Any]:
    content: list[dict[str, Any]] = item.get("content") or []
    part = content[0] if content else {}
    if part.get("type") != "output_audio":
        raise ClientError(
            "unsupported_content_type", "Only model output audio messages can be truncated", "item_id"
        )
    return part
