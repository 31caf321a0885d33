"""Who is let in: what an upgrade request leads to. Pure.

The service accepts the upgrade first (HTTP 101) and refuses a wrong key or model afterwards: an `error` event, then a
close with a code of its own.

Source: protocol.md A.8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from .arguments import check_models

_KEY_PROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True, slots=True)
class Refusal:
    """Let in, told why not, and closed.

    Args:
        code: Of the error event.
        message: Of the error event.
        close_code: Of the CLOSE frame; its reason is `invalid_request_error.<code>`.
    """

    code: str
    message: str
    close_code: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """Let in, with the model that was asked for."""

    model: str


@dataclass(slots=True)
class Entrance:
    """Who is let in, and what everybody is told while nobody is.

    Args:
        api_key: The only key accepted; None accepts any, and none.
        models: The models served; None serves any.
        refuse_status: HTTP status that upgrades are refused with, or None.
        refuse_error: Code, message and close code that clients are refused with behind the upgrade, or None.
        retry_after_s: Seconds in the `Retry-After` of a 429.
    """

    api_key: str | None
    models: Collection[str] | None
    refuse_status: int | None = None
    refuse_error: tuple[str, str, int] | None = None
    retry_after_s: int = 1

    def __post_init__(self) -> None:
        check_models(self.models)

    def refused_upgrade(self, path: str) -> tuple[int, int | None] | None:
        """Return the status that an upgrade is refused with and the seconds of its `Retry-After`, or None."""
        status = self.refuse_status if _is_realtime_path(path) else 404
        return None if status is None else (status, self.retry_after_s if status == 429 else None)

    def admit(self, path: str, headers: Mapping[str, str]) -> Admitted | Refusal:
        """Decide about a client whose upgrade was accepted.

        Args:
            path: The request's path with its query.
            headers: Its headers, names in lower case.
        """
        if self.refuse_error is not None:
            return Refusal(*self.refuse_error)
        if self.api_key is not None and _key_in(headers) != self.api_key:
            return Refusal(
                "invalid_api_key", "Incorrect API key provided. Check the key and try again.", 3000
            )
        if "realtime=v1" in headers.get("openai-beta", ""):
            return Refusal("beta_api_shape_disabled", "The Realtime Beta API is no longer supported.", 4000)
        model = parse_qs(urlsplit(path).query).get("model", [""])[0]
        if not model:
            return Refusal("missing_model", "You must provide a model parameter.", 4000)
        if self.models is not None and model not in self.models:
            return Refusal(
                "invalid_model", f"The model '{model}' does not exist or you do not have access.", 4000
            )
        return Admitted(model)


def _is_realtime_path(path: str) -> bool:
    """Tell whether the path is that of the realtime endpoint (`/v1/realtime`, `/openai/v1/realtime`)."""
    try:
        return urlsplit(path).path.rstrip("/").endswith("/realtime")
    except ValueError:
        return False  # brackets that are no address


def refusal_body(status: int) -> dict[str, dict[str, str | None]]:
    """Return the JSON an upgrade is refused with, in the service's shape."""
    code, message = _REASONS.get(status, ("server_error", "The server had an error processing your request."))
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_REASONS = {
    400: ("invalid_request", "The request is not valid."),
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("unsupported_country_region_territory", "Country, region, or territory not supported."),
    404: ("model_not_found", "The model does not exist or you do not have access to it."),
    429: ("rate_limit_exceeded", "Rate limit reached. Try again later."),
}


def _key_in(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(_KEY_PROTOCOL):
            return protocol.strip().removeprefix(_KEY_PROTOCOL)
    return headers.get("api-key")
