"""What a line was told of what had been said before it. Pure.

A new line begins with the history, item by item, under the ids the items always had. The provider shows each of them as if it
were new: that changes nothing here. It may refuse one: then that one is no part of the conversation any more. And what was
spoken is text to it, of which nothing can be truncated.

Source: the session contract, statement 8; protocol reference A.8 ("history replay").
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from ..gateway.client_events import ConversationItemCreate, ConversationItemDelete
from ..gateway.items import assistant_text
from .effects import Effect, Effects, Send
from .history import ROOT, History
from .item_creation import ITEM_EVENT, create_item

OWN_ASK = "ask"  # the prefix of the id of an ask that is no item


class Replay:
    """The items that the line of now was told at its beginning.

    Args:
        history: the conversation.
        with_tools: see the attribute.
        takes_calls: the provider takes tool calls as items.

    Attributes:
        with_tools: the model may call tools, so that its words need not be all it had to say.
    """

    def __init__(self, history: History, *, with_tools: bool, takes_calls: bool = True) -> None:
        self._history = history
        self._takes_calls = takes_calls
        self.with_tools = with_tools
        self._told: dict[str, None] = {}  # in the order of the line
        self._older: frozenset[str] = frozenset()  # all there was when the line began, told or left out
        self._shortened: set[str] = set()

    def tell(self) -> Effects:
        """Tell a new line everything."""
        items = self._history.replay(takes_calls=self._takes_calls)
        self._told = {item.id: None for item in items if item.id}
        self._older = frozenset(self._history.ids())
        self._shortened.clear()
        return [Send(create_item(item)) for item in items]

    def told(self, item_id: str | None) -> bool:
        """Whether this item was told at the line's beginning."""
        return item_id in self._told

    def refused(self, item_id: str) -> bool:
        """The provider refuses an item. Returns whether it was told at the line's beginning; then it is not any more."""
        told = item_id in self._told
        self._told.pop(item_id, None)
        return told

    def place(self, previous: str | None) -> str | None:
        """Return the item of the whole conversation that is followed by what follows ``previous`` on this line.

        The line was not told what has no text, and calls without their outputs; and it was told outputs next to their calls.
        """
        if previous is None or previous not in self._older or previous not in self._history:
            return previous
        later = list(self._told)[list(self._told).index(previous) + 1 :] if previous in self._told else []
        is_last = not any(one in self._history for one in later)

        def belongs_before(item_id: str) -> bool:
            is_before = is_last if item_id in self._told else not self._came_later(item_id)
            return item_id in self._older and is_before

        return self._history.last_behind(previous, belongs_before)

    def _came_later(self, item_id: str) -> bool:
        """Whether the line was told of this after its beginning: a call, with the output that came meanwhile."""
        output = self._history.output_of(item_id)
        return self._takes_calls and output is not None and output not in self._older

    def wants_no_reply(self, ask_id: str) -> bool:
        """Whether nobody waits for an answer on the new line: it was given, or the line knows nothing of the question."""
        if ask_id.startswith(OWN_ASK):
            return False
        item = self._history.get(ask_id)
        # What was spoken into the lost line and not transcribed cannot be said again.
        unheard = item is None or (item.type == "message" and ask_id not in self._told)
        return unheard or (not self.with_tools and self._history.is_answered(ask_id))

    def is_whole(self, item_ids: Sequence[str]) -> bool:
        """Whether a response that made these items, and no others so far, has surely said all it had to say."""
        items = [self._history.get(item_id) for item_id in item_ids]
        said = all(
            item is not None and item.role == "assistant" and item.status == "completed" for item in items
        )
        return said and bool(items) and not self.with_tools

    def shorten(self, item_id: str, text: str, event_id: str) -> list[Effect]:
        """Have the provider know as much of a told item as was heard: instead of a truncation, which needs audio."""
        self._shortened.add(item_id)
        before = self._history.before(item_id) if item_id in self._history else None
        create = ConversationItemCreate(
            item=assistant_text(text, item_id=item_id),
            previous_item_id=before if before == ROOT or self.told(before) else UNSET,
            event_id=f"{ITEM_EVENT}{item_id}",
        )
        return [Send(ConversationItemDelete(item_id=item_id, event_id=event_id)), Send(create)]

    def expects_deletion(self, item_id: str) -> bool:
        """Whether the provider deletes this item only because it was shortened. True once for each time."""
        expected = item_id in self._shortened
        self._shortened.discard(item_id)
        return expected
