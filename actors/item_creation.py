"""How items are given to the provider: the event that adds one, and a call with its output. Pure.

Source: ``conversation.item.create``; the session contract, section 2 (replay).
"""

from __future__ import annotations

from msgspec import UNSET

from ..gateway.client_events import ConversationItemCreate
from ..gateway.items import system_text
from ..gateway.wire_types import Item

ITEM_EVENT = "event_"  # the event id of an item's creation is this and the item's id


def create_item(item: Item, previous_item_id: str | None = None) -> ConversationItemCreate:
    """Return the event that adds this item; its event id tells which item a refusal is about."""
    place = UNSET if previous_item_id is None else previous_item_id
    return ConversationItemCreate(item=item, previous_item_id=place, event_id=f"{ITEM_EVENT}{item.id}")


def answered_call(call: Item, output: Item, *, takes_calls: bool) -> tuple[Item, ...]:
    """Return a call and its output as a line can be told that has not seen the call.

    ``takes_calls``: the provider takes calls as items. To another one it is said in words, under the id of the output.
    """
    if takes_calls:
        return call, output
    said = f"The tool {call.name} was called with {call.arguments} and returned: {output.output}"
    return (system_text(said, item_id=output.id),)
