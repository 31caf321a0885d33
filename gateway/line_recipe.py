"""How lines to one endpoint are opened: URL, headers, proxy, TLS. A recipe: owns no socket and no thread, and pickles."""

import importlib.metadata
import ssl
import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from .errors import ConfigError
from .line_limits import LineLimits
from .proxy import Proxy
from .transport import Transport
from .url import public_url, with_model
from .websocket_transport import check_headers, connect_websocket

__all__ = ["LineRecipe"]


class LineRecipe:
    """Everything about an endpoint but the secret and the model. Usable from any thread.

    Args:
        base_url: The endpoint; https and http are taken for wss and ws, and a query is kept.
        own_headers: The gateway's; a value of None leaves one out.
        headers: The application's.
        reserved: Names, in lower case, that are not the application's to set.
        instead: What to do about those: the end of "headers=... is not possible: use ...".
        proxy: URL of an HTTP proxy, "" for none; by default the environment's, which is ignored for loopback hosts.
        ssl_context: How to verify the server; by default one context with the system's certificates, made at the first connect
            and shared by all sessions.
        allow_insecure: Whether `ws://` may lead to another machine.
        limits: How much each line may take, and how long.

    Raises:
        ConfigError: a setting cannot work; it names the field (the caller's fault).
        InsecureUrl: `ws://` to another machine (the caller's fault).
    """

    def __init__(
        self,
        base_url: str,
        *,
        own_headers: Mapping[str, str | None],
        headers: Mapping[str, str] | None,
        reserved: Iterable[str],
        instead: str,
        proxy: str | None,
        ssl_context: ssl.SSLContext | None,
        allow_insecure: bool,
        limits: LineLimits,
    ) -> None:
        with_model(base_url, "any", allow_insecure=allow_insecure)
        if proxy:
            Proxy.parse(proxy)
        self._base_url = base_url
        self._headers = _fixed_headers(own_headers, headers or {}, {*reserved, "user-agent"}, instead)
        self._proxy = proxy
        self._allow_insecure = allow_insecure
        self._limits = _checked(limits)
        self._given_context = ssl_context
        self._made_context: ssl.SSLContext | None = None
        self._making = threading.Lock()

    @property
    def public_url(self) -> str:
        """The endpoint as it may be shown: a query may hold a key."""
        return public_url(self._base_url)

    def open(self, model: str, secret_headers: Mapping[str, str], timeout_s: float) -> Transport:
        """Open a line to a new session of a model; see `Gateway.connect`."""
        url = with_model(self._base_url, model, allow_insecure=self._allow_insecure)
        return connect_websocket(
            url,
            headers={**secret_headers, **self._headers},
            timeout_s=timeout_s,
            ssl_context=self.ssl_context() if url.startswith("wss:") else None,
            proxy=self._proxy,
            limits=self._limits,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context that all lines share."""
        if self._given_context is not None:
            return self._given_context
        with self._making:
            if self._made_context is None:
                self._made_context = ssl.create_default_context()
            return self._made_context

    def __getstate__(self) -> dict[str, Any]:
        if self._given_context is not None:
            # leaving it out in silence would change whom the copy trusts
            raise TypeError("a gateway with an ssl_context cannot be pickled: make it where it is used")
        state = self.__dict__.copy()
        del state["_making"], state["_made_context"]
        state["_headers"] = dict(self._headers)  # a mapping proxy does not pickle
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._headers = MappingProxyType(state["_headers"])
        self._made_context = None
        self._making = threading.Lock()


def _fixed_headers(
    own: Mapping[str, str | None], extra: Mapping[str, str], reserved: set[str], instead: str
) -> Mapping[str, str]:
    """Return every header but the secret's, checked."""
    for name in extra:
        if name.lower() in reserved:
            raise ConfigError("headers", name, instead)
        if name.lower() == "openai-beta":
            raise ConfigError(
                "headers", name, "no OpenAI-Beta header: the GA endpoint refuses the beta's shape"
            )
    headers = {"User-Agent": f"trunkline/{_version()}"}
    headers.update({name: value for name, value in own.items() if value})
    headers.update(extra)
    check_headers(headers)
    return MappingProxyType(headers)


def _checked(limits: object) -> LineLimits:
    if isinstance(limits, LineLimits):
        return limits
    raise ConfigError("limits", limits, "LineLimits(...)")


def _version() -> str:
    try:
        return importlib.metadata.version("trunkline")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
