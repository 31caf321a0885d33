"""What all sessions of a simulator have in common. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .arguments import check_at_least_0, check_callable, check_mcp_servers, check_more_than_0
from .ids import Ids
from .mcp import McpServer
from .session_core import SessionCore
from .transcription import Transcriber


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecipe:
    """How sessions are made; the arguments are those of `Simulator`.

    Raises:
        ConfigError: One of them is impossible: the caller's fault.
    """

    delta_interval_s: float
    session_max_age_s: float
    mcp_servers: Mapping[str, McpServer] | None
    audio_pace: float | None
    transcriber: Transcriber | None
    transcription_delay_s: float

    def __post_init__(self) -> None:
        check_more_than_0(session_max_age_s=self.session_max_age_s)
        check_at_least_0(
            delta_interval_s=self.delta_interval_s,
            audio_pace=0.0 if self.audio_pace is None else self.audio_pace,
            transcription_delay_s=self.transcription_delay_s,
        )
        check_mcp_servers(self.mcp_servers)
        check_callable(transcriber=self.transcriber)

    def session(self, ids: Ids, model: str, now_s: float) -> SessionCore:
        """Return a session that begins now.

        Args:
            ids: Makes its identifiers.
            model: The model named in the URL.
            now_s: Seconds since the epoch.
        """
        return SessionCore(
            ids,
            model,
            int(now_s + self.session_max_age_s),
            self.delta_interval_s,
            self.mcp_servers,
            transcriber=self.transcriber,
            transcription_delay_s=self.transcription_delay_s,
            audio_pace=self.audio_pace or 0.0,
        )
