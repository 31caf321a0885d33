"""The base of our own actors: OTP's gen_server on pykka. Owns a thread per actor (pykka's)."""

from __future__ import annotations

from typing import Any, ClassVar

import pykka

from .replies import Reply
from .supervised import Supervised, judge
from .timers import IGNORED, Timer

__all__ = ["GenServer"]


class GenServer(Supervised, pykka.ThreadingActor):
    """A supervised threading actor that lets it crash.

    - An exception in an ask goes to the asker *and* ends the actor; a `CallerError` goes to the asker alone.
    - `raise Exit(reason)` in a handler ends the actor with that reason.
    - Deferred replies and timers, below. Their names are underscored because a pykka proxy walks public ones; they
      are API for subclasses.

    An actor that waits for sockets too says `_create_actor_inbox = staticmethod(SelectableMailbox)`.

    Source: gen_server(3).
    """

    let_it_crash: ClassVar[bool] = True
    use_daemon_thread: ClassVar[bool] = True

    def _defer_reply(self) -> Reply:
        """Take over the answer to the message in hand.

        Answer by `reply.set(value)` or `reply.set_exception(error)`, from any thread, at any time.

        If it is still open when the actor ends, the asker gets `ActorDown(reason)`. For a tell the answer goes nowhere.
        """
        return self._mailbox.defer_reply()

    def _send_after(self, delay_s: float, message: Any) -> Timer:
        """Have `message` handled in `delay_s` seconds, by the mailbox's own wait. `timer.cancel()` works until it is handled."""
        return self._mailbox.send_after(delay_s, message)

    def _now(self) -> float:
        """Return the monotonic time of the mailbox's clock, in seconds."""
        return self._mailbox.clock.monotonic()

    def _handle_receive(self, message: Any) -> Any:
        # Supervised's, with one call less for ordinary messages: pykka's own are all tuples.
        try:
            if isinstance(message, tuple):
                return pykka.Actor._handle_receive(self, message)
            if message is IGNORED:
                return None
            return self.on_receive(message)
        except BaseException as error:  # noqa: BLE001  # judge raises what is not ours
            judge(self, error)
