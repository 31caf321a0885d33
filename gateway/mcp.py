"""Remote MCP servers, whose tools the provider itself calls, as settings. Pure.

Source: ``reference/protocol.md`` A.3 (Mcp, ToolChoiceMcp) and A.4 (McpAllowedTools, McpRequireApproval).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from . import checks
from .errors import ConfigError

_set: Final = object.__setattr__  # how a frozen dataclass stores what its checks return
_URL_ALLOWED: Final = "https://host/path (or http), without user name and password: those go into headers"


@checks.settings("mcp.")
@dataclass(frozen=True, slots=True, kw_only=True)
class McpToolFilter:
    """Some of a server's tools: those that it names and, where said, those that only read.

    Attributes:
        tool_names: the tools by name.
        read_only: whether the tools that their server annotates as reading only are meant, or those that are not.
    """

    tool_names: Sequence[str] = ()
    read_only: bool | None = None

    def __post_init__(self) -> None:
        _set(self, "tool_names", checks.texts("mcp.tool_names", self.tool_names))
        if self.read_only is not None:
            checks.flag("mcp.read_only", self.read_only)
        if not self.tool_names and self.read_only is None:
            raise ConfigError(
                "mcp.tool_names", self.tool_names, "at least one name, or read_only=True or False"
            )


@checks.settings("mcp.require_approval.")
@dataclass(frozen=True, slots=True, kw_only=True)
class McpApproval:
    """Which tools of a server need the application's approval at each call, and which never do; the rest is the provider's."""

    always: McpToolFilter | None = None
    never: McpToolFilter | None = None

    def __post_init__(self) -> None:
        for name in ("always", "never"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, McpToolFilter):
                raise ConfigError(f"mcp.require_approval.{name}", value, "McpToolFilter(...) or None")
        if self.always is None and self.never is None:
            raise ConfigError(
                "mcp.require_approval", None, "always=McpToolFilter(...), never=McpToolFilter(...)"
            )


Approval: TypeAlias = Literal["always", "never"] | McpApproval


@checks.settings("mcp.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mcp:
    """A remote MCP server (by URL), or a service the provider connects to (by connector id). Give one of the two.

    What may be secret (URL, headers, authorization) is in no repr and in no error, but it is in a pickle, as in that of the Config.

    Attributes:
        server_label: its name within the session; the provider repeats it with each call.
        server_url: where it is, seen from the provider.
        connector_id: ``connector_gmail``, ``connector_dropbox`` ...
        server_description: what it is for, in words for the model.
        allowed_tools: the tools the model may call, by name or filter; None for all.
        require_approval: "always", "never" or `McpApproval`; None is the provider's default, which is always.
        headers: what the provider sends along to the server.
        authorization: an OAuth access token for it. The session repeats it on each line it opens.
    """

    server_label: str
    server_url: str | None = field(default=None, repr=False)
    connector_id: str | None = None
    server_description: str | None = None
    allowed_tools: Sequence[str] | McpToolFilter | None = None
    require_approval: Approval | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    authorization: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _set(self, "server_label", checks.text("mcp.server_label", self.server_label))
        self._check_address()
        for name in ("server_description", "authorization"):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, checks.text(f"mcp.{name}", value))
        if self.allowed_tools is not None and not isinstance(self.allowed_tools, McpToolFilter):
            _set(self, "allowed_tools", checks.texts("mcp.allowed_tools", self.allowed_tools))
        if self.require_approval is not None and not isinstance(self.require_approval, McpApproval):
            choices = ("always", "never")
            wanted = checks.one_of("mcp.require_approval", self.require_approval, choices, "McpApproval(...)")
            _set(self, "require_approval", wanted)
        if self.headers is not None:
            _set(self, "headers", _checked_headers(self.headers))

    def _check_address(self) -> None:
        if (self.server_url is None) == (self.connector_id is None):
            given = "neither" if self.server_url is None else "both"
            raise ConfigError("mcp", given, "either server_url or connector_id")
        if self.server_url is not None:
            _set(self, "server_url", _checked_url(self.server_url))
        else:
            connector = checks.text("mcp.connector_id", self.connector_id)
            if not connector.startswith("connector_"):
                raise ConfigError("mcp.connector_id", connector, 'the provider\'s id, "connector_..."')
            _set(self, "connector_id", connector)


@dataclass(frozen=True, slots=True)
class McpToolChoice:
    """Make the model call a tool of this server: the one named, else any. Source: ToolChoiceMcp."""

    server_label: str
    name: str | None = None

    def __post_init__(self) -> None:
        _set(self, "server_label", checks.text("tool_choice.server_label", self.server_label))
        if self.name is not None:
            _set(self, "name", checks.text("tool_choice.name", self.name))


def _checked_url(url: object) -> str:
    checked = checks.text("mcp.server_url", url, what=_URL_ALLOWED)
    try:
        parts = urlsplit(checked)
        good = parts.scheme in ("https", "http") and parts.hostname and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise ConfigError("mcp.server_url", "...", _URL_ALLOWED)  # the value may hold a password
    return checked


def _checked_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigError("mcp.headers", headers, "a dict of header names and their values")
    return {
        checks.text("mcp.headers", name): checks.text("mcp.headers", value, empty=True)
        for name, value in headers.items()
    }
