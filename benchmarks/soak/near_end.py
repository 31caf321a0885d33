"""The near end of the soak: the gateway whose lines tell when they were begun. Owns nothing.

The time from the loss of a line to the resumed session holds the backoff, which is meant; so the time from the beginning of the
attempt that succeeded is measured besides. A line notes it in its session's thread, with the greeting.
"""

import threading
import time
from collections.abc import Callable

from far_end import MAX_AGE_S

from trunkline import OpenAIGateway
from trunkline.gateway import LineLimits, Transport

PING_S = 3.0
MARGIN_S = 6.0
"""How long before its end a line is left, at the first idle moment; at the latest when half of that is over."""
HAS_TO_MOVE_S = MAX_AGE_S - MARGIN_S / 2 - 1.0
"""A line that is older may have been left in the middle of something: the provider tells its end in whole seconds."""
begun_by_thread: dict[int, float] = {}
"""Session threads, and when the line that they have now was begun."""


class TimedLine:
    """A transport that notes in its owner's thread when it was begun."""

    def __init__(self, line: Transport, begun_at: float) -> None:
        self._line = line
        self._begun_at = begun_at
        self._is_told = False
        self.fileno = line.fileno
        self.pump = line.pump
        self.send_audio = line.send_audio
        self.flush = line.flush
        self.service = line.service
        self.close = line.close
        self.abort = line.abort

    @property
    def wants_write(self) -> bool:
        return self._line.wants_write

    def send(self, data: bytes) -> None:
        if not self._is_told:
            self._is_told = True
            begun_by_thread[threading.get_ident()] = self._begun_at
        self._line.send(data)


class SoakGateway(OpenAIGateway):
    """OpenAI's, with pings every three seconds, so that a half-open line is found out within a soak."""

    def __init__(self, url: str, attempted: Callable[[], object]) -> None:
        limits = LineLimits(ping_interval_s=PING_S, pong_timeout_s=PING_S)
        super().__init__("sk-soak", base_url=url, limits=limits)
        self._attempted = attempted

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        begun_at = time.monotonic()
        self._attempted()
        return TimedLine(super().connect(model, timeout_s=timeout_s), begun_at)


class Stopwatch:
    """Called with a session's events in the session's thread.

    Args:
        note: told how long each loss of its line lasted.
        had_to_move: called when it left a line that it had to leave, idle or not.
    """

    def __init__(self, note: Callable[[float, float], object], had_to_move: Callable[[], object]) -> None:
        self._note = note
        self._had_to_move = had_to_move
        self._lost_at: float | None = None
        self._begun_at: float | None = None  # the line that serves

    def __call__(self, event: object) -> None:
        kind = getattr(event, "kind", "")
        if kind == "error" and getattr(event, "code", "") == "connection_lost":
            self._lost_at = time.monotonic()
        elif kind == "session_opened" or getattr(event, "resumed", False):
            self._begun_at = begun_by_thread.get(threading.get_ident())
        elif getattr(event, "rolled_over", False):
            left, self._begun_at = self._begun_at, begun_by_thread.get(threading.get_ident())
            if left is not None and time.monotonic() - left > HAS_TO_MOVE_S:
                self._had_to_move()
        if kind == "session_updated" and getattr(event, "resumed", False) and self._lost_at is not None:
            now, lost_at, self._lost_at = time.monotonic(), self._lost_at, None
            begun_at = begun_by_thread.get(threading.get_ident(), lost_at)
            if begun_at >= lost_at:
                self._note(now - lost_at, now - begun_at)
