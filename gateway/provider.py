"""The seam between a session and a provider: `Gateway`. Pure.

A gateway is a recipe: picklable if its parts are, with no open line in it. One serves any number of sessions, from any thread.
"""

from typing import Protocol

from .client_events import ClientEvent, SessionUpdate
from .config import Config
from .server_events import ServerEvent
from .transport import Transport


class Gateway(Protocol):
    """A provider of realtime sessions: how to reach it, and how it spells things.

    It may have an attribute ``takes_calls``: False if the provider takes no ``function_call`` items from a client. Then a new
    line hears of tool calls and their outputs in words.
    """

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        """Open a line to a new session of ``model``, blocking for at most ``timeout_s`` seconds.

        Whoever connects may call it off from another thread (`cancellable_by`), which `connect_websocket` heeds. A gateway with a
        transport of its own may heed `current_cancellation`, or ignore it: then the thread lives until the deadline.

        Raises:
            ConnectError: no line; ``recoverable`` says whether to try again.
            ConfigError: the model or the gateway's own settings cannot work.
            MissingApiKey: there is no key.
        """
        ...

    def encode(self, event: ClientEvent) -> bytes:
        """Return the text frame that says this.

        Raises:
            EncodeError: the event holds what the wire cannot.
        """
        ...

    def decode(self, frame: bytes | memoryview) -> ServerEvent:
        """Return what a text frame says.

        Raises:
            ProtocolError: it says nothing that can be understood.
        """
        ...

    def session_update(self, config: Config) -> SessionUpdate:
        """Return the event that configures a session, all of it."""
        ...

    def instructions_update(self, text: str) -> SessionUpdate:
        """Return the event that changes the instructions alone."""
        ...
