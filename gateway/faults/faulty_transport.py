"""A transport on which faults act, around any other transport. Owns a descriptor of its own, for one thread.

It keeps the contract of `Transport` as the inner one does. What a fault holds back is held in here; whoever polls does not see it,
because `fileno()` is a `Doorbell` that hears the inner descriptor only when something may come of it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import TypeAlias

from ..deadline import Deadline
from ..errors import LineClosed, SendBufferFull
from ..line_health import Keepalive, Stall, Verdict
from ..line_limits import DEFAULT_LIMITS, LineLimits
from ..transport import Transport
from . import event_faults, values
from .doorbell import Doorbell
from .errors import ImpossibleFault
from .fault import Fault
from .held_back import HeldBack
from .plan import ConnectionPlan, FaultPlan, check_plan
from .rewriting import EXPIRED_REASON, Rewriter, type_of

__all__ = ["FaultyTransport"]

_UNTIL_PUMPED_S = 1.0

_Frozen: TypeAlias = values.Stall | values.HalfOpen
_Item: TypeAlias = memoryview | LineClosed | _Frozen
"""What is due at the owner: a message, the end, or a time in which nothing comes."""


class FaultyTransport:
    """Does to messages, and to the line, what a plan says; see each fault for what that is.

    Args:
        transport: The line; from now on it belongs to this one.
        plan: What is to go wrong, or what a `FaultPlan` has for this connection.
        clock: Monotonic seconds; the one whose time `service` is given.
        limits: Those of the real transport; they count while a fault keeps the line silent, or holds back what is sent.

    Raises:
        ImpossibleFault: the plan has a fault that cannot act here (the caller's fault).
    """

    def __init__(
        self,
        transport: Transport,
        plan: FaultPlan | ConnectionPlan,
        *,
        clock: Callable[[], float] = time.monotonic,
        limits: LineLimits = DEFAULT_LIMITS,
    ) -> None:
        self._plan = plan if isinstance(plan, ConnectionPlan) else _open(plan, clock())
        self._inner = transport
        self._clock = clock
        self._limits = limits
        self._keepalive = self._new_keepalive(clock())
        self._stall = Stall(limits.stall_timeout_s)
        self._received = Rewriter(self._plan.random, "received")
        self._sent = Rewriter(self._plan.random, "sent")
        self._ready: deque[_Item] = deque()
        self._held = HeldBack()
        self._frozen_until = -inf
        self._over = False
        self._refused = False
        self._ended: LineClosed | None = None
        self._closed = False
        self._aborted = threading.Event()
        self._bell = Doorbell(transport.fileno())
        self._arrange()

    # -- what the owner sees

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be written, in here or in the inner transport."""
        return bool(self._held) or self._inner.wants_write

    def fileno(self) -> int:
        """Return the descriptor to wait on, -1 after `close()`. It becomes readable when there is something to write, too."""
        return self._bell.fileno()

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        """Read what has arrived and hand over what the faults make of it."""
        self._require_line()
        self._bell.silence()
        now = self._clock()
        try:
            self._proceed(now)
            if self._hears():
                self._read()
            self._deliver(handle)
        finally:
            self._arrange()

    def send(self, data: bytes) -> None:
        """Send one message ahead of waiting audio."""
        self._require_line()
        self._say(data, urgent=True)

    def send_audio(self, data: bytes) -> None:
        """Send one message behind all others, or refuse it whole."""
        self._require_line()
        if self._held and self._held.size + len(data) > self._limits.send_buffer_bytes:
            raise SendBufferFull(self._limits.send_buffer_bytes)
        self._say(data, urgent=False)

    def flush(self) -> None:
        """Write what may be written."""
        self._require_line()
        try:
            self._proceed(self._clock())
        finally:
            self._arrange()

    def service(self, now: float) -> float:
        """Do what time demands: the inner transport's part, the faults' part, and that of a line which fails by a fault."""
        self._require_line()
        try:
            self._proceed(now)
            if self._over and not self._is_frozen():
                # The end waits in front of the next pump, which the bell asks for.
                return now + _UNTIL_PUMPED_S
            # a mute line's pongs lie unread in the inner transport, which would take them for its owner's delay
            due = self._look_for_pongs(now) if self._is_frozen() else self._inner.service(now)
            due = min(due, self._look_for_stall(now))
        except LineClosed as closed:
            raise self._end(closed) from None
        finally:
            self._arrange()
        timed = self._plan.next_due()
        return due if timed is None else min(due, timed)

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        """End the line within the bound, as its faults let it end."""
        if self._closed:
            return
        self._closed = True
        deadline = Deadline(timeout_s if timeout_s > 0 else 0.0)
        if self._ended is None and not self._over and self._sit_out(deadline):
            self._inner.close(code, reason, deadline.left())
        else:
            self._inner.abort()
            self._inner.close(timeout_s=0.0)
        self._ended = self._ended or LineClosed(code, "closed by this side")
        self._ready.clear()
        self._bell.listen(read=False, write=False)
        self._bell.close()

    def abort(self) -> None:
        """Kill the line from any thread."""
        self._aborted.set()
        self._inner.abort()
        self._bell.ring()

    # -- received

    def _hears(self) -> bool:
        return not self._over and not self._is_frozen()

    def _read(self) -> None:
        """Let the inner transport read, and take what it has, its end included."""
        try:
            self._inner.pump(self._take)
        except LineClosed as closed:
            if not self._over:
                self._ready.append(closed)
                self._over = True

    def _take(self, view: memoryview) -> None:
        if self._over:
            return
        faults = self._plan.frame("received", type_of(view), self._clock())
        if not faults and not self._received.is_waiting:
            self._ready.append(view)
        else:
            self._act(faults, bytes(view))

    def _act(self, faults: Iterable[Fault], message: bytes | None) -> None:
        """Apply faults to a received message, or to the silent line, and queue what comes of it."""
        faults = list(faults)
        self._ready.extend(one for one in faults if isinstance(one, _Frozen))
        for fault in faults:
            if isinstance(fault, values.Garbage):
                self._ready.append(memoryview(self._received.garbage(fault)))
        rewritten = self._received.rewrite(message, faults)
        end = next((end for end in map(self._end_of, faults) if end is not None), None)
        own = [] if end is not None else rewritten.own
        self._ready.extend(memoryview(one) for one in [*rewritten.before, *own])
        for fault in rewritten.in_vain:
            self._plan.in_vain(fault)
        if end is not None:
            self._ready.append(end)
            self._over = True

    def _end_of(self, fault: Fault) -> LineClosed | None:
        match fault:
            case values.Reset():
                return LineClosed(1006, f"Connection reset by peer ({self._plan.sign(fault)})")
            case values.Close(code=code, reason=reason):
                return LineClosed(code, reason)
            case event_faults.SessionExpired():
                return LineClosed(1001, EXPIRED_REASON)
            case _:
                return None

    def _deliver(self, handle: Callable[[memoryview], None]) -> None:
        while self._ready and not self._is_frozen():
            item = self._ready.popleft()
            if isinstance(item, LineClosed):
                raise self._end(item)
            if isinstance(item, _Frozen):
                self._freeze(item)
            else:
                handle(item)

    # -- sent

    def _say(self, data: bytes, *, urgent: bool) -> None:
        if self._over:
            return  # written to a line that is lost: the next pump says so
        now = self._clock()
        faults = self._plan.frame("sent", type_of(data), now)
        messages = [data]
        if faults or self._sent.is_waiting:
            messages = self._act_on_sent(faults, data, now)
        for message in messages:
            if self._is_frozen() or self._held or self._held.is_paced:
                self._held.add(message, urgent=urgent, now=now)
            elif urgent:
                self._inner.send(message)
            else:
                self._inner.send_audio(message)
        self._write(now)
        self._arrange()

    def _act_on_sent(self, faults: tuple[Fault, ...], data: bytes, now: float) -> list[bytes]:
        rewritten = self._sent.rewrite(data, faults)
        self._ready.extend(memoryview(one) for one in rewritten.answers)
        for fault in faults:
            if isinstance(fault, values.SlowReader):
                self._held.slow_down(fault.bytes_per_s, now)
            elif isinstance(fault, _Frozen):
                self._freeze(fault)
            elif end := self._end_of(fault):
                self._ready.append(end)
                self._over = True
                return []
        return rewritten.messages

    def _write(self, now: float) -> None:
        """Give the inner transport what may go, as far as it takes it."""
        self._refused = False
        while not self._is_frozen() and not self._over and (entry := self._held.front(now)) is not None:
            message, urgent = entry
            try:
                (self._inner.send if urgent else self._inner.send_audio)(message)
            except SendBufferFull:
                self._refused = True  # it wants to write itself: then there will be room
                return
            self._held.advance()

    # -- time

    def _is_frozen(self) -> bool:
        return self._frozen_until > -inf

    def _freeze(self, fault: _Frozen) -> None:
        now = self._clock()
        seconds = fault.seconds if isinstance(fault, values.Stall) else inf
        self._frozen_until = max(self._frozen_until, now + seconds)
        self._keepalive = self._new_keepalive(now)

    def _new_keepalive(self, now: float) -> Keepalive:
        keepalive = Keepalive(self._limits.ping_interval_s, self._limits.pong_timeout_s)
        keepalive.look(now, 0)  # its time begins now, not when the owner looks next
        return keepalive

    def _proceed(self, now: float) -> None:
        """Do what has become due: the end of a stall, a fault of a silent line, and what may be written by now."""
        if self._aborted.is_set() and self._is_frozen():
            raise self._end(LineClosed(1006, "aborted by this side"))
        if now >= self._frozen_until:
            self._frozen_until = -inf
        if not self._over and (faults := self._plan.due(now)):
            self._act(faults, None)
            for fault in faults:
                if isinstance(fault, values.SlowReader):
                    self._held.slow_down(fault.bytes_per_s, now)
        if self._inner.wants_write and not self._is_frozen() and not self._over:
            self._inner.flush()
        self._write(now)

    def _look_for_pongs(self, now: float) -> float:
        verdict, due = self._keepalive.look(now, 0)
        if verdict is Verdict.DEAD:
            raise LineClosed(1011, "the server answered no ping")
        return min(due, self._frozen_until)

    def _look_for_stall(self, now: float) -> float:
        progress = self._held.taken if self._is_frozen() else self._held.progress(now)
        verdict, due = self._stall.look(now, bool(self._held), progress)
        if verdict is Verdict.DEAD:
            raise LineClosed(1006, "the socket takes no data")
        return due

    def _arrange(self) -> None:
        """See to it that the owner is woken when there is something for it to do, and only then."""
        if self._closed:
            return
        hears = self._hears()
        self._bell.listen(read=hears, write=hears and self._inner.wants_write)
        if self._ready and not self._is_frozen():
            self._bell.ring()
        now = self._clock()
        wait_s = self._held.wait_s(now) if not self._refused else inf
        if self._is_frozen():
            wait_s = self._frozen_until - now
        if wait_s < inf and not self._over:
            self._bell.ring_after(max(0.0, wait_s))

    # -- the end

    def _require_line(self) -> None:
        if self._ended is not None:
            raise LineClosed(self._ended.close_code, self._ended.reason)

    def _end(self, closed: LineClosed) -> LineClosed:
        """Note the end, and let the other side notice it."""
        self._ended = closed
        self._over = True
        self._inner.abort()
        return closed

    def _sit_out(self, deadline: Deadline) -> bool:
        """Wait for what holds the line to let go, within the bound; say whether CLOSE can still be said."""
        now = self._clock()
        wait_s = max(0.0, self._frozen_until - now) if self._is_frozen() else self._held.empty_in_s(now)
        self._aborted.wait(min(wait_s, deadline.left()))
        if wait_s > deadline.left():
            return False
        try:
            for message, urgent in self._held.drain():
                (self._inner.send if urgent else self._inner.send_audio)(message)
        except (LineClosed, SendBufferFull):
            return False
        return True


def _open(plan: FaultPlan, now: float) -> ConnectionPlan:
    check_plan(plan, "transport")
    for injection in plan.injections:
        if injection.fault.connects:
            raise ImpossibleFault(
                "seam", f"{injection.fault!r} at an open transport", "a FaultyGateway for it"
            )
    return plan.for_connection(now=now)
