"""What a fault keeps from being sent: control ahead of audio, let go at a pace. Pure: time comes in."""

from collections import deque
from collections.abc import Iterator
from math import inf

__all__ = ["HeldBack"]


class HeldBack:
    """Messages that wait; true while there are any.

    Attributes:
        size: How many bytes wait.
        taken: How many bytes have gone.
    """

    def __init__(self) -> None:
        self.size = 0
        self.taken = 0
        self._control: deque[bytes] = deque()
        self._audio: deque[bytes] = deque()
        self._bytes_per_s = inf
        self._began = 0.0

    def __bool__(self) -> bool:
        return self.size > 0

    @property
    def is_paced(self) -> bool:
        """Whether messages may only go at a pace: all have to come through here then."""
        return self._bytes_per_s < inf

    def slow_down(self, bytes_per_s: float, now: float) -> None:
        """Let so many bytes go per second from now on; 0: none."""
        self._bytes_per_s = bytes_per_s
        self._began = now

    def add(self, message: bytes, *, urgent: bool, now: float) -> None:
        """Keep a message, behind all control, and behind all audio unless it is urgent."""
        if not self.size:
            self._began = now
        (self._control if urgent else self._audio).append(message)
        self.size += len(message)

    def front(self, now: float) -> tuple[bytes, bool] | None:
        """Return the message that may go by now, and whether it is urgent; None if none may."""
        return (self._line()[0], bool(self._control)) if self.size and self.wait_s(now) <= 0 else None

    def advance(self) -> None:
        """Take the front message out: it has gone."""
        message = self._line().popleft()
        self.size -= len(message)
        self.taken += len(message)
        if self.is_paced:
            self._began += len(message) / self._bytes_per_s

    def progress(self, now: float) -> int:
        """Return how many bytes have gone, those of a message that is half through included."""
        half = int((now - self._began) * self._bytes_per_s) if self.is_paced and self.size else 0
        return self.taken + half

    def wait_s(self, now: float) -> float:
        """Return in how many seconds the front message may go; inf if none may."""
        return self._through_in_s(len(self._line()[0]), now) if self.size else inf

    def empty_in_s(self, now: float) -> float:
        """Return in how many seconds all of it may have gone."""
        return max(0.0, self._through_in_s(self.size, now)) if self.size else 0.0

    def drain(self) -> Iterator[tuple[bytes, bool]]:
        """Take everything out, in order."""
        while self.size:
            urgent = bool(self._control)
            message = self._line().popleft()
            self.size -= len(message)
            yield message, urgent

    def _line(self) -> deque[bytes]:
        return self._control or self._audio

    def _through_in_s(self, n_bytes: int, now: float) -> float:
        if not self.is_paced:
            return 0.0
        return self._began + n_bytes / self._bytes_per_s - now if self._bytes_per_s else inf
