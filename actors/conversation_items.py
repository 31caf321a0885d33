"""The items of the conversation on the line of now: what we add, what the provider shows, refuses and deletes. Pure.

What was said before the line began it shows as if it were new (:mod:`trunkline.actors.replay`); all else is written down.

Source: the session contract, statements 8, 12 and 15; ``conversation.item.*``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..gateway import codes
from ..gateway import server_events as wire
from ..gateway.client_events import ConversationItemDelete
from ..gateway.items import assistant_text
from ..gateway.wire_types import Item, Response
from .effects import NOTHING, Effect, Effects, Send
from .item_creation import ITEM_EVENT, create_item
from .ledger import Ledger
from .replay import Replay
from .reply_gate import ReplyGate
from .response_facts import status_of
from .turns import Turn


class ConversationItems:
    """The items that come and go.

    Args:
        ledger: what is remembered.
        replay: what the line was told at its beginning.
        gate: is told which items the provider has shown: these it will answer.
        new_id: makes a unique id from a prefix.
    """

    def __init__(self, ledger: Ledger, replay: Replay, gate: ReplyGate, new_id: Callable[[str], str]) -> None:
        self._ledger = ledger
        self._replay = replay
        self._gate = gate
        self._new_id = new_id
        self._unseen: set[str] = set()  # items of ours that no event of the provider has shown

    def holds(self, item_id: str) -> bool:
        """Whether there is, or was, an item of this id."""
        return item_id in self._ledger.history or self._ledger.history.was_removed(item_id)

    # -- what we do

    def add(self, item: Item, previous_item_id: str | None) -> list[Effect]:
        """An item of ours: recorded and sent."""
        self._unseen.add(item.id or "")
        return [*self._ledger.record(item, previous_item_id), Send(create_item(item, previous_item_id))]

    def remember(self, turn: Turn, response: Response) -> list[Effect]:
        """A response of the conversation is over: record what no event of its own told."""
        ledger = self._ledger
        if not turn.announced:  # too late, and nobody has seen it: the model must not believe otherwise
            ids = [(one, self._new_id("event")) for one in turn.items]
            deleted = [Send(ConversationItemDelete(item_id=one, event_id=event)) for one, event in ids]
            return [*deleted, *(effect for one in turn.items for effect in ledger.delete(one))]
        effects = ledger.answered(response)
        for item_id, said in turn.said.items():
            if not ledger.history.text_of(item_id) and not ledger.history.was_removed(item_id):
                item = assistant_text("".join(said), item_id=item_id)
                effects += ledger.record(msgspec.structs.replace(item, status=status_of(response)))
        return effects

    # -- what the provider says

    def refused(self, event_id: str | None, code: str | None) -> tuple[bool, str | None, Effects]:
        """The server refused an event. Returns whether that is dealt with, the item it was about, and effects."""
        item_id = (event_id or "").removeprefix(ITEM_EVENT)
        item = self._ledger.history.get(item_id)
        if item is None:
            return False, None, NOTHING
        if code == codes.DUPLICATE_ITEM and self._replay.told(item_id):
            return True, item_id, NOTHING  # the provider kept it for us
        told = self._replay.refused(item_id)
        if item.role != "user" and not told and item_id not in self._unseen:
            return False, item_id, NOTHING
        self._unseen.discard(item_id)
        return False, item_id, [*self._ledger.refused(item_id), *self._gate.withdraw(item_id)]

    def arrived(
        self, event: wire.ConversationItemAdded | wire.ConversationItemCreated, _now: float
    ) -> Effects:
        """An item is in the conversation."""
        if event.item.id:
            self._unseen.discard(event.item.id)
            self._gate.arrived(event.item.id)
        if self._replay.told(event.item.id):
            return NOTHING
        return self._ledger.placed(event.item, self._replay.place(event.previous_item_id))

    def done(self, event: wire.ConversationItemDone, _now: float) -> Effects:
        """An item is what it will be."""
        if event.item.id:
            self._gate.arrived(event.item.id)
        if self._replay.told(event.item.id):
            return NOTHING
        return self._ledger.done(event.item, self._replay.place(event.previous_item_id))

    def deleted(self, event: wire.ConversationItemDeleted, _now: float) -> Effects:
        """The provider has deleted an item."""
        ours = self._replay.expects_deletion(event.item_id)
        return NOTHING if ours else self._ledger.forget(event.item_id)
