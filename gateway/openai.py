"""OpenAI's realtime service, and any provider shaped like it, as a gateway. A recipe: owns no socket and no thread."""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from .client_events import ClientEvent, SessionUpdate
from .codec import decode_server_event, encode_client_event
from .config import Config
from .credentials import Credential, Secret
from .line_limits import DEFAULT_LIMITS, LineLimits
from .line_recipe import LineRecipe
from .session_update import instructions_update, session_update
from .transport import Transport

__all__ = ["OpenAIGateway"]

_KEY_VARIABLE = "OPENAI_API_KEY"
_URL_VARIABLE = "OPENAI_BASE_URL"
_DEFAULT_URL = "wss://api.openai.com/v1/realtime"
_RESERVED = ("authorization", "openai-organization", "openai-project")
_INSTEAD = "api_key, organization and project for what they name, and other headers"


class OpenAIGateway:
    """Opens lines to OpenAI's GA realtime endpoint, or to one of the same shape by `base_url`. Usable from any thread.

    Pickles as the recipe it is, a key given as text included: hand out a callable, or nothing (then each process asks its own
    environment), where the pickle must hold no secret. The key never appears in a repr, an error or a log of ours; it does
    in websocket-client's own trace log, if the application turns that on (`websocket.enableTrace`).

    Args:
        api_key: The key, or a callable that returns it, called at each connect, in the connecting thread
            and before its deadline begins; by default the
            environment variable `OPENAI_API_KEY`, read at each connect.
        base_url: The endpoint; https and http are taken for wss and ws, and a query is kept. By default
            `OPENAI_BASE_URL` with `/realtime` behind it, as OpenAI's own SDK takes it, else OpenAI's.
        organization: Sent as `OpenAI-Organization`.
        project: Sent as `OpenAI-Project`.
        headers: Sent as well, such as `OpenAI-Safety-Identifier`.
        proxy: URL of an HTTP proxy, "" for none; by default the environment's, which is ignored for loopback hosts.
        ssl_context: How to verify the server; by default one context with the system's certificates, made at the first connect
            and shared by all sessions.
        allow_insecure: Whether `ws://` may lead to another machine.
        limits: How much each line may take, and how long: `LineLimits(ping_interval_s=5, pong_timeout_s=5)` finds out sooner
            that a line is dead.
        takes_calls: Whether the provider takes tool calls as items, as OpenAI does. To one that does not, a new line's history
            tells calls and their outputs in words.

    Raises:
        ConfigError: a setting cannot work; it names the field (the caller's fault).
        InsecureUrl: `ws://` to another machine (the caller's fault).
        MissingApiKey: the key is "" (the caller's fault).

    Source: protocol.md A.8; developers.openai.com guides/realtime-websocket.
    """

    def __init__(
        self,
        api_key: Secret | None = None,
        base_url: str | None = None,
        *,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure: bool = False,
        limits: LineLimits = DEFAULT_LIMITS,
        takes_calls: bool = True,
    ) -> None:
        self.takes_calls = takes_calls
        self._line = LineRecipe(
            _endpoint() if base_url is None else base_url,
            own_headers={"OpenAI-Organization": organization, "OpenAI-Project": project},
            headers=headers,
            reserved=_RESERVED,
            instead=_INSTEAD,
            proxy=proxy,
            ssl_context=ssl_context,
            allow_insecure=allow_insecure,
            limits=limits,
        )
        self._key = Credential("api_key", api_key, _KEY_VARIABLE)

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        """Open a line to a new session of a model; see `Gateway.connect`."""
        return self._line.open(model, {"Authorization": f"Bearer {self._key.read()}"}, timeout_s)

    def encode(self, event: ClientEvent) -> bytes:
        """Return the text frame that says this."""
        return encode_client_event(event)

    decode = staticmethod(decode_server_event)  # as it is: one call less per frame
    """Return what a text frame says; see `Gateway.decode`."""

    def session_update(self, config: Config) -> SessionUpdate:
        """Return the event that configures a session, all of it."""
        return session_update(config)

    def instructions_update(self, text: str) -> SessionUpdate:
        """Return the event that changes the instructions alone."""
        return instructions_update(text)

    def __repr__(self) -> str:
        key = "" if self._key.given is None else ", api_key='***'"
        return f"{type(self).__name__}(base_url={self._line.public_url!r}{key})"


def _endpoint() -> str:
    """Return the realtime endpoint below the SDK's base URL, which names the API's root."""
    root = os.environ.get(_URL_VARIABLE, "").strip()
    if not root:
        return _DEFAULT_URL
    parts = urlsplit(root)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/realtime") else f"{path}/realtime"))
