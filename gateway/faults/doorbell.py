"""A descriptor of one's own to wait on: readable when another one is, unless that is not to be heard, or when rung.

Owns a selector, a pipe, and a thread while an alarm is set. The selector's own descriptor is the trick: epoll's (kqueue's) can be
polled like any other, stays the same, and what it watches may change. A stalled line is so a silent one to whoever polls, and
not one that is readable again and again.
"""

import os
import selectors
import threading
import time

__all__ = ["Doorbell"]


class Doorbell:
    """Watches one descriptor for its owner, and can be rung. One thread owns it; `ring` may be called from any.

    Args:
        fd: The descriptor to listen to; it has to be open until `close`.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._heard = 0
        self._selector = selectors.DefaultSelector()
        self._end, self._button = os.pipe()
        os.set_blocking(self._end, False)
        os.set_blocking(self._button, False)
        self._selector.register(self._end, selectors.EVENT_READ)
        self._changed = threading.Condition()
        self._alarm_at: float | None = None
        self._alarm: threading.Thread | None = None
        self._closed = False

    def fileno(self) -> int:
        """Return the descriptor to wait on: readable, never writable."""
        return -1 if self._closed else self._selector.fileno()

    def listen(self, *, read: bool, write: bool) -> None:
        """Say what of the watched descriptor is to be heard: nothing, that it is readable, or that it is writable."""
        wanted = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        if wanted == self._heard or self._closed:
            return
        # taken out altogether, not watched for nothing: epoll reports errors and hang-ups unasked
        if not wanted:
            self._selector.unregister(self._fd)
        elif not self._heard:
            self._selector.register(self._fd, wanted)
        else:
            self._selector.modify(self._fd, wanted)
        self._heard = wanted

    def ring(self) -> None:
        """Be readable until `silence`."""
        with self._changed:
            self._press()

    def silence(self) -> None:
        """Take back all rings so far."""
        try:
            while os.read(self._end, 512):
                pass
        except BlockingIOError:
            pass  # nobody has rung since

    def ring_after(self, seconds: float) -> None:
        """Ring then, or at an earlier time that has been asked for."""
        at = time.monotonic() + seconds
        with self._changed:
            if self._closed or (self._alarm_at is not None and self._alarm_at <= at):
                return
            self._alarm_at = at
            if self._alarm is None:
                self._alarm = threading.Thread(target=self._watch, name="trunkline fault alarm", daemon=True)
                self._alarm.start()
            self._changed.notify()

    def close(self) -> None:
        """Close what it owns; the watched descriptor is somebody else's. Idempotent."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
            alarm = self._alarm
        if alarm is not None:
            alarm.join()
        self._selector.close()
        os.close(self._end)
        os.close(self._button)

    def _press(self) -> None:
        if not self._closed:
            try:
                os.write(self._button, b"!")
            except BlockingIOError:
                pass  # full of rings: readable it is

    def _watch(self) -> None:
        with self._changed:
            while self._alarm_at is not None and not self._closed:
                left = self._alarm_at - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                else:
                    self._alarm_at = None
                    self._press()
            self._alarm = None
