"""What the provider keeps for an application, as settings: stored prompts, and traces. Pure.

Source: ``reference/protocol.md`` A.3 (ResponsePrompt, TracingConfiguration).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import checks

_set: Final = object.__setattr__  # how a frozen dataclass stores what its checks return


def _nothing() -> dict[str, Any]:
    return {}


@checks.settings("prompt.")
@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that is stored at the provider.

    Attributes:
        id: its id, ``pmpt_...``.
        version: which of its versions; None for the latest.
        variables: what to fill in, by name: text, or an input part as the provider's own JSON object.
    """

    id: str
    version: str | None = None
    variables: Mapping[str, Any] = field(default_factory=_nothing, hash=False)

    def __post_init__(self) -> None:
        _set(self, "id", checks.text("prompt.id", self.id))
        if self.version is not None:
            _set(self, "version", checks.text("prompt.version", self.version))
        variables = checks.json_object("prompt.variables", self.variables)
        for name, value in variables.items():
            if not isinstance(value, dict):
                checks.text(f"prompt.variables[{name}]", value, empty=True)
        _set(self, "variables", variables)


@checks.settings("tracing.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """How the session shows in the provider's traces. It cannot be changed once tracing has begun.

    Attributes:
        workflow_name: the name of the trace.
        group_id: groups the traces of one conversation.
        metadata: what to attach, as JSON.
    """

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("workflow_name", "group_id"):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, checks.text(f"tracing.{name}", value))
        if self.metadata is not None:
            _set(self, "metadata", checks.json_object("tracing.metadata", self.metadata))
