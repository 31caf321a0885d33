"""What the user did not hear is taken back from the model, which believes that everything was heard. Pure.

Source: the session contract, statements 5 and 6; ``conversation.item.truncate``, ``conversation.item.delete``.
"""

from __future__ import annotations

from ..gateway.client_events import ConversationItemDelete, ConversationItemTruncate
from .effects import Effect, Send
from .history import heard_text
from .ledger import Ledger
from .playback import Heard
from .replay import Replay


def take_back(heard: Heard, said: str | None, ledger: Ledger, replay: Replay, event_id: str) -> list[Effect]:
    """Tell the provider how much of an item was played, and write it down.

    Args:
        heard: what was played.
        said: what the item says so far, if it is still being made.
        ledger: what is remembered.
        replay: knows what the line has as text alone.
        event_id: for what is sent.
    """
    item_id, played_ms = heard.item_id, int(heard.played_ms)
    if not played_ms:
        return [
            Send(ConversationItemDelete(item_id=item_id, event_id=event_id)),
            *ledger.delete(item_id),
        ]
    text = heard_text(ledger.history.text_of(item_id) if said is None else said, played_ms, heard.received_ms)
    if replay.told(item_id):
        sends = replay.shorten(item_id, text, event_id)
    else:
        truncate = ConversationItemTruncate(
            item_id=item_id, content_index=heard.content_index, audio_end_ms=played_ms, event_id=event_id
        )
        sends = [Send(truncate)]
    return [*sends, *ledger.truncate(item_id, played_ms, text)]
