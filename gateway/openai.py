"""OpenAI's realtime service, and any provider shaped like it, as a gateway. A recipe: owns no socket and no thread."""

import importlib.metadata
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .client_events import ClientEvent, SessionUpdate
from .codec import decode_server_event, encode_client_event
from .config import Config
from .errors import ConfigError, ConnectError, GatewayError, MissingApiKey
from .proxy import Proxy
from .session_update import instructions_update, session_update
from .transport import Transport
from .url import public_url, with_model
from .websocket_transport import check_headers, connect_websocket

__all__ = ["OpenAIGateway"]

_KEY_VARIABLE = "OPENAI_API_KEY"
_URL_VARIABLE = "OPENAI_BASE_URL"
_DEFAULT_URL = "wss://api.openai.com/v1/realtime"
_REPLACED = frozenset({"authorization", "openai-organization", "openai-project", "user-agent"})


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

    Raises:
        ConfigError: a setting cannot work; it names the field (the caller's fault).
        InsecureUrl: `ws://` to another machine (the caller's fault).
        MissingApiKey: the key is "" (the caller's fault).

    Source: protocol.md A.8; developers.openai.com guides/realtime-websocket.
    """

    def __init__(
        self,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        *,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure: bool = False,
    ) -> None:
        base_url = _endpoint() if base_url is None else base_url
        with_model(base_url, "any", allow_insecure=allow_insecure)
        if isinstance(api_key, str):
            _check_key(api_key)  # at once, in the caller, and not at the first connect
        if proxy:
            Proxy.parse(proxy)
        self._api_key = api_key
        self._base_url = base_url
        self._fixed_headers = _fixed_headers(organization, project, headers or {})
        self._proxy = proxy
        self._allow_insecure = allow_insecure
        self._given_context = ssl_context
        self._made_context: ssl.SSLContext | None = None
        self._making = threading.Lock()

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        """Open a line to a new session of a model; see `Gateway.connect`."""
        url = with_model(self._base_url, model, allow_insecure=self._allow_insecure)
        return connect_websocket(
            url,
            headers={"Authorization": f"Bearer {self._key()}", **self._fixed_headers},
            timeout_s=timeout_s,
            ssl_context=self._context() if url.startswith("wss:") else None,
            proxy=self._proxy,
        )

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

    def _key(self) -> str:
        key = self._api_key if self._api_key is not None else os.environ.get(_KEY_VARIABLE, "")
        if callable(key):
            key = _ask(key)
        return _check_key(key)

    def _context(self) -> ssl.SSLContext:
        if self._given_context is not None:
            return self._given_context
        with self._making:
            if self._made_context is None:
                self._made_context = ssl.create_default_context()
            return self._made_context

    def __repr__(self) -> str:
        key = "" if self._api_key is None else ", api_key='***'"
        return f"{type(self).__name__}(base_url={public_url(self._base_url)!r}{key})"

    def __getstate__(self) -> dict[str, Any]:
        if self._given_context is not None:
            # leaving it out in silence would change whom the copy trusts
            raise TypeError("a gateway with an ssl_context cannot be pickled: make it where it is used")
        state = self.__dict__.copy()
        del state["_making"], state["_made_context"]
        state["_fixed_headers"] = dict(self._fixed_headers)  # a mapping proxy does not pickle
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fixed_headers = MappingProxyType(state["_fixed_headers"])
        self._made_context = None
        self._making = threading.Lock()


def _endpoint() -> str:
    """Return the realtime endpoint below the SDK's base URL, which names the API's root."""
    root = os.environ.get(_URL_VARIABLE, "").strip()
    if not root:
        return _DEFAULT_URL
    parts = urlsplit(root)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/realtime") else f"{path}/realtime"))


def _fixed_headers(
    organization: str | None, project: str | None, extra: Mapping[str, str]
) -> Mapping[str, str]:
    """Return every header but the key's, checked."""
    for name in extra:
        if name.lower() in _REPLACED:
            raise ConfigError(
                "headers", name, "api_key, organization and project for what they name, and other headers"
            )
        if name.lower() == "openai-beta":
            raise ConfigError(
                "headers", name, "no OpenAI-Beta header: the GA endpoint refuses the beta's shape"
            )
    headers = {"User-Agent": f"trunkline/{_version()}"}
    if organization:
        headers["OpenAI-Organization"] = organization
    if project:
        headers["OpenAI-Project"] = project
    headers.update(extra)
    check_headers(headers)
    return MappingProxyType(headers)


def _ask(source: Callable[[], str]) -> str:
    try:
        return source()
    except GatewayError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a secret store raises, this attempt to connect has failed
        failure = type(error).__name__
    # Its text may quote what it read: name the type alone, and raise out here, where there is nothing to chain.
    raise ConnectError(f"the api_key callable raised {failure}", code="api_key_unavailable")


def _check_key(key: object) -> str:
    """Return a key that can stand in a header; a newline at its end is a mistake as common as it is hard to see."""
    if not key:
        raise MissingApiKey(_KEY_VARIABLE)
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("api_key", "", "one word of printable ASCII: no space, no newline at its end")
    return key


def _version() -> str:
    try:
        return importlib.metadata.version("trunkline")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
