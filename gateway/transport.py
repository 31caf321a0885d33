"""The seam between a session and its line: what a transport does, said once. Pure.

Contract. One thread owns a transport and makes every call but `abort()`. On taking it over it calls `pump` once,
before it waits: messages may have come with the handshake and lie where poll does not see them (inside
OpenSSL). From then on it calls `pump` whenever `fileno()` is readable; while `wants_write` is true it also waits
for writability and then calls `flush`. It calls `service(now)` on taking over, then at the time the last call
returned, and again whenever `wants_write` has become true (that is when the stall clock starts). Nothing
but the making of the line and `close` blocks.

A line ends once: the first call that notices raises `LineClosed`, and so does every later call but `close` and
`abort`. `pump` and `service` notice. A write that fails is noticed by the next `pump`, for which the descriptor
becomes readable: the server may have said why in a CLOSE that waits to be read. The descriptor stays open,
and so its number stays ours, until `close()`: stop watching it first, then close.
"""

from collections.abc import Callable
from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """A bidirectional line of whole text messages, owned by one thread."""

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to take them: watch for writability, then call `flush`."""
        ...

    def fileno(self) -> int:
        """Return the descriptor to wait on; it stays the same until `close()`."""
        ...

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        """Read what has arrived, without blocking, and call `handle` once per complete message, in order.

        One read and its messages, then it returns: call it again when the descriptor is readable again. The
        view is read-only and stays valid as long as it is kept, but it pins the whole read (up to
        128 KB): decode at once, or copy. `handle` may call `send`, `send_audio`, `close` and `abort`; after
        a `close` it is not called again. It should not raise; if it does, the exception
        leaves `pump`, that message counts as handled, and the next `pump` goes on with the one after it.

        Args:
            handle: Takes one message as UTF-8 JSON; binary messages are handed over likewise.

        Raises:
            LineClosed: CLOSE or EOF from the server, a socket error, a protocol violation or a limit
                exceeded (the server's fault; it has been told with close code 1002 or 1009).
        """
        ...

    def send(self, data: bytes) -> None:
        """Send one text message ahead of all waiting audio; never blocks and is never refused.

        Args:
            data: One client event as UTF-8 JSON.

        Raises:
            LineClosed: the line has ended; nothing was sent.
        """
        ...

    def send_audio(self, data: bytes) -> None:
        """Send one text message behind everything that waits; never blocks.

        Args:
            data: One `input_audio_buffer.append` as UTF-8 JSON.

        Raises:
            SendBufferFull: the outgoing buffer is at its bound; the message was refused whole.
            LineClosed: the line has ended; nothing was sent.
        """
        ...

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it without blocking.

        Raises:
            LineClosed: the line has ended.
        """
        ...

    def service(self, now: float) -> float:
        """Do what time demands: ping, notice missed pongs, notice a socket that takes nothing.

        Args:
            now: Monotonic time in seconds, always of the same clock.

        Returns:
            The time at which it wants to be called next.

        Raises:
            LineClosed: nothing was heard within the pong timeout, or nothing could be written within the
                stall timeout.
        """
        ...

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        """Flush what waits, say CLOSE, wait for the answer, close the socket. Idempotent; never raises.

        Args:
            code: Close code to send.
            reason: Close reason, cut to 123 bytes of UTF-8.
            timeout_s: Bound in seconds for all of it: what a mute server costs. The socket is closed in any
                case.
        """
        ...

    def abort(self) -> None:
        """Kill the line from any thread, at once: a waiting or blocked owner wakes up and sees
        `LineClosed`.

        The descriptor is left to the owner's `close()`. Idempotent; never raises.
        """
        ...
