"""Azure OpenAI's realtime service as a gateway: the GA endpoint, which speaks OpenAI's protocol. A recipe: owns no socket."""

import os
import ssl
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit, urlunsplit

from .client_events import ClientEvent, SessionUpdate
from .codec import decode_server_event, encode_client_event
from .config import Config
from .credentials import Credential, Secret
from .errors import ConfigError
from .line_limits import DEFAULT_LIMITS, LineLimits
from .line_recipe import LineRecipe
from .session_update import instructions_update, session_update
from .transport import Transport
from .url import parse_endpoint, public_url

__all__ = ["AzureOpenAIGateway"]

_KEY_VARIABLE = "AZURE_OPENAI_API_KEY"
_ENDPOINT_VARIABLE = "AZURE_OPENAI_ENDPOINT"
_PATH = "/openai/v1/realtime"
_ON_THE_WAY = (_PATH, "/openai/v1", "/openai")
_ALLOWED = "https://<resource>.openai.azure.com"
_NO_PREVIEW = f"{_ALLOWED} alone: this is the URL of the preview, which spoke another protocol and is deprecated since 2026-04-30"
_RESERVED = ("authorization", "api-key")


class AzureOpenAIGateway:
    """Opens lines to the GA realtime endpoint of an Azure OpenAI resource. The model of a session is the name of a deployment.

    Usable from any thread. Pickles as the recipe it is, a secret given as text included: hand out a callable, or nothing, where
    the pickle must hold none. The secret never appears in a repr, an error or a log of ours.

    Args:
        endpoint: The resource, ``https://<resource>.openai.azure.com``; what leads to its realtime endpoint is added. By default
            the environment variable `AZURE_OPENAI_ENDPOINT`.
        api_key: The resource's key or a callable that returns it, sent as `api-key`; by default the environment variable
            `AZURE_OPENAI_API_KEY`, read at each connect.
        token: Instead of a key, an Entra ID token, sent as `Authorization: Bearer`; tokens expire, so give a callable (such as
            azure-identity's ``get_bearer_token_provider(...)``), which is called at each connect.
        headers: Sent as well.
        proxy: URL of an HTTP proxy, "" for none; by default the environment's, which is ignored for loopback hosts.
        ssl_context: How to verify the server; by default one context with the system's certificates, shared by all sessions.
        allow_insecure: Whether `ws://` may lead to another machine.
        limits: How much each line may take, and how long: `LineLimits(ping_interval_s=5, pong_timeout_s=5)` finds out sooner
            that a line is dead.

    Raises:
        ConfigError: a setting cannot work, key and token are both given, or the URL is the preview's (the caller's fault).
        InsecureUrl: `ws://` to another machine (the caller's fault).
        MissingApiKey: key or token is "" (the caller's fault).

    Source: protocol.md A.9.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        api_key: Secret | None = None,
        token: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure: bool = False,
        limits: LineLimits = DEFAULT_LIMITS,
    ) -> None:
        if api_key is not None and token is not None:
            raise ConfigError("token", "", "either api_key or token, not both")
        self._line = LineRecipe(
            _realtime_url(os.environ.get(_ENDPOINT_VARIABLE, "") if endpoint is None else endpoint),
            own_headers={},
            headers=headers,
            reserved=_RESERVED,
            instead="api_key or token for what they name, and other headers",
            proxy=proxy,
            ssl_context=ssl_context,
            allow_insecure=allow_insecure,
            limits=limits,
        )
        self._bearer = token is not None
        self._secret = Credential(
            "token" if self._bearer else "api_key", token if self._bearer else api_key, _KEY_VARIABLE
        )

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        """Open a line to a new session of a deployment; see `Gateway.connect`."""
        secret = self._secret.read()
        header = {"Authorization": f"Bearer {secret}"} if self._bearer else {"api-key": secret}
        return self._line.open(model, header, timeout_s)

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
        secret = "" if self._secret.given is None else f", {self._secret.setting}='***'"
        return f"{type(self).__name__}(endpoint={self._line.public_url!r}{secret})"


def _realtime_url(endpoint: str) -> str:
    """Return the realtime endpoint of a resource, given its root or anything on the way there."""
    if not isinstance(endpoint, str) or not endpoint.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError("endpoint", endpoint, f"{_ALLOWED}, here or in {_ENDPOINT_VARIABLE}")
    parse_endpoint(endpoint.strip(), "endpoint")
    parts = urlsplit(endpoint.strip())
    path = parts.path.rstrip("/")
    preview = {"api-version", "deployment"} & parse_qs(parts.query, keep_blank_values=True).keys()
    if preview or path.endswith("/openai/realtime") or "/deployments/" in f"{path}/":
        raise ConfigError("endpoint", public_url(endpoint), _NO_PREVIEW)
    known = next((known for known in _ON_THE_WAY if path.endswith(known)), "")
    return urlunsplit(parts._replace(path=path.removesuffix(known) + _PATH))
