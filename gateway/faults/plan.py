"""A plan: injections and a seed, what each connection has counted, and what has fired. Owns a lock; any thread may use it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from .errors import FaultNeverFired, ImpossibleFault, InvalidSchedule
from .fault import Fault, Seam
from .schedule import After, AtConnection, AtFrame, Direction, Every, Injection, OnEvent, WithProbability

__all__ = ["ConnectionPlan", "FaultPlan", "Firing"]


@dataclass(frozen=True, slots=True)
class Firing:
    """A fault that acted.

    Attributes:
        injection: What was scheduled.
        connection: On which connection, counted from 1.
        direction: Of the frame; None without one (while connecting, or in a silent line).
        frame: The frame's number among all of its direction, counted from 1; 0 without one.
        event_type: The frame's; None if it has none.
    """

    injection: Injection
    connection: int
    direction: Direction | None = None
    frame: int = 0
    event_type: str | None = None

    @property
    def fault(self) -> Fault:
        """What happened."""
        return self.injection.fault

    def __str__(self) -> str:
        kind = f" ({self.event_type})" if self.event_type else ""
        where = f" at {self.direction} frame {self.frame}{kind}" if self.frame else ""
        return f"{self.fault!r} on connection {self.connection}{where}"


class FaultPlan:
    """What is to go wrong, and a record of what did. The same seed and the same frames give the same faults.

    A plan serves any number of connections; each counts by itself. It pickles, and compares, as the recipe it is: a copy
    has fired nothing.

    Args:
        injections: Faults with their schedules, such as ``Reset().at_frame(3)``. They do not know of each other: what fires is the
            union of what each would fire alone.
        seed: Decides what is random; drawn if None. It is in the repr and in every failure text.

    Raises:
        InvalidSchedule: a fault without a schedule, or what is no injection at all (the caller's fault).
    """

    def __init__(self, *injections: Injection, seed: int | None = None) -> None:
        for injection in injections:
            if not isinstance(injection, Injection):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
                raise InvalidSchedule(
                    "injections",
                    injection,
                    "faults that say when, such as Reset().at_frame(1) or Refuse().at_connection(1)",
                )
        if seed is not None and not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance] - likewise
            raise InvalidSchedule("seed", seed, "a whole number, or None to have one drawn")
        self.injections = injections
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        self._lock = threading.Lock()
        self._n_connections = 0
        self._counts: Counter[int] = Counter()
        self._frames: Counter[Direction] = Counter()
        self._fired: list[tuple[int, Firing]] = []
        self._in_vain: list[Firing] = []

    def check(self, seam: Seam) -> None:
        """Refuse the plan if one of its faults cannot act at this place.

        Raises:
            ImpossibleFault: it names the fault and the seams that it has (the caller's fault).
        """
        for injection in self.injections:
            fault = injection.fault
            if seam not in fault.seams:
                raise ImpossibleFault(
                    "seam", f"{fault!r} at {seam}", f"it at {' or '.join(sorted(fault.seams))}"
                )

    def for_connection(self, number: int | None = None, *, now: float = 0.0) -> ConnectionPlan:
        """Return the plan of one connection, which counts what that connection sees.

        Args:
            number: Counted from 1; None: the next one of this plan. Attempts that a fault refuses count as well.
            now: Monotonic seconds; what `after` counts from, unless `opened` says otherwise.
        """
        with self._lock:
            self._n_connections = (
                self._n_connections + 1 if number is None else max(self._n_connections, number)
            )
            return ConnectionPlan(self, self._n_connections if number is None else number, now)

    @property
    def fired(self) -> tuple[Firing, ...]:
        """What has acted so far, oldest first."""
        with self._lock:
            return tuple(firing for _, firing in self._fired)

    def unfired(self) -> tuple[Injection, ...]:
        """Return the injections that have not acted yet."""
        with self._lock:
            acted = {index for index, _ in self._fired}
            return tuple(one for index, one in enumerate(self.injections) if index not in acted)

    def verify(self) -> None:
        """Make sure that each injection has acted at least once.

        Raises:
            FaultNeverFired: some have not; it names them, the seed, and what went over the wire.
        """
        if unfired := self.unfired():
            raise FaultNeverFired(tuple(map(repr, unfired)), self.seed, self._seen())

    def describe(self) -> str:
        """Return the seed, what has fired and what has not, for a failure text."""
        fired = "".join(f"\n  {firing}" for firing in self.fired) or " nothing"
        unfired = "".join(f"\n  {injection!r}" for injection in self.unfired()) or " none"
        return f"faults with seed {self.seed}: fired:{fired}\nnever fired:{unfired}\n{self._seen()}"

    def _seen(self) -> str:
        with self._lock:
            seen = (
                f"the plan saw {self._n_connections} connection(s),"
                f" {self._frames['received']} received and {self._frames['sent']} sent frames"
            )
            return seen + "".join(f"; {firing} found nothing to act on" for firing in self._in_vain)

    def __repr__(self) -> str:
        parts = [repr(injection) for injection in self.injections]
        return f"FaultPlan({', '.join([*parts, f'seed={self.seed}'])})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FaultPlan):
            return NotImplemented
        return (self.injections, self.seed) == (other.injections, other.seed)

    def __hash__(self) -> int:
        return hash((self.injections, self.seed))

    def __reduce__(self) -> tuple[Any, ...]:
        return _plan, (self.injections, self.seed)


def _plan(injections: tuple[Injection, ...], seed: int) -> FaultPlan:
    return FaultPlan(*injections, seed=seed)


def check_plan(plan: object, seam: Seam) -> None:
    """Refuse what is no plan, or one with a fault that cannot act at this place.

    Raises:
        ImpossibleFault: it says which (the caller's fault).
    """
    if not isinstance(plan, FaultPlan):
        raise ImpossibleFault("plan", plan, "a FaultPlan, such as FaultPlan(Reset().at_frame(3))")
    plan.check(seam)


class ConnectionPlan:
    """What a `FaultPlan` has for one connection; made by `FaultPlan.for_connection`. Any thread may use it.

    Attributes:
        number: Of the connection, counted from 1.
        random: Decides what is random inside a fault, such as the bytes of `Garbage`; for one thread.
    """

    def __init__(self, plan: FaultPlan, number: int, now: float) -> None:
        self.number = number
        self.random = random.Random(f"{plan.seed}/{number}")
        self._plan = plan
        self._began = now
        self._frames: Counter[Direction] = Counter()
        self._watches = self._watch(plan)

    def _watch(self, plan: FaultPlan) -> list[_Watch]:
        """One watch per injection; each has dice of its own, so that none changes what another one throws."""
        equals: Counter[str] = Counter()
        watches: list[_Watch] = []
        for index, injection in enumerate(plan.injections):
            name = f"{injection.fault!r}.{injection.schedule!r}"
            on_all = not injection.connections
            if on_all or self.number in injection.connections:
                dice = f"{plan.seed}/{name}/{equals[name]}"
                if not injection.fault.connects:
                    dice += f"/{self.number}"
                watches.append(_Watch(index, injection, dice, self.number))
            equals[name] += 1
        return watches

    def connect(self) -> tuple[Fault, ...]:
        """Return the faults of this attempt to connect; call it once, before anything is answered."""
        with self._plan._lock:
            return self._fire(
                [w for w in self._watches if w.injection.fault.connects and w.connects()], None, None
            )

    def opened(self, now: float) -> None:
        """Say that the connection is open: `after` counts from here."""
        with self._plan._lock:
            self._began = now

    def frame(self, direction: Direction, event_type: str | None, now: float) -> tuple[Fault, ...]:
        """Count a frame, and return the faults that act on it, in the order of the plan.

        Args:
            direction: "received" for what the server says, "sent" for what the client says.
            event_type: The event's type; None for a frame without one.
            now: Monotonic seconds, of the clock that `for_connection` was given.
        """
        with self._plan._lock:
            self._frames[direction] += 1
            self._plan._frames[direction] += 1
            due = [w for w in self._watches if w.frame(direction, event_type, now - self._began)]
            return self._fire(due, direction, event_type)

    def due(self, now: float) -> tuple[Fault, ...]:
        """Return the faults that act now without a frame: those of `after`, unless they need a frame."""
        with self._plan._lock:
            return self._fire([w for w in self._watches if w.silent(now - self._began)], None, None)

    def next_due(self) -> float | None:
        """Return when to call `due`, in monotonic seconds; None if nothing is waiting for the time."""
        with self._plan._lock:
            times = [w.when() for w in self._watches if not self._spent(w)]
            waiting = [seconds for seconds in times if seconds is not None]
            return self._began + min(waiting) if waiting else None

    def in_vain(self, fault: Fault) -> None:
        """Say that a fault of the last frame found nothing to act on: it has not fired, and none of its times is spent."""
        with self._plan._lock:
            for place in range(len(self._plan._fired) - 1, -1, -1):
                firing = self._plan._fired[place][1]
                if firing.connection == self.number and firing.fault == fault:
                    index, _ = self._plan._fired.pop(place)
                    self._plan._counts[index] -= 1
                    for watch in self._watches:
                        watch.note_in_vain(index)
                    self._plan._in_vain.append(firing)
                    return

    def sign(self, fault: Fault) -> str:
        """Return the fault with its connection and seed, for the text of what it causes."""
        return f"fault {fault!r} of connection {self.number}, seed {self._plan.seed}"

    def _spent(self, watch: _Watch) -> bool:
        limit = watch.injection.limit
        return limit is not None and self._plan._counts[watch.index] >= limit

    def _fire(
        self, due: list[_Watch], direction: Direction | None, event_type: str | None
    ) -> tuple[Fault, ...]:
        firing = [watch for watch in due if not self._spent(watch)]
        frame = self._frames[direction] if direction else 0
        for watch in firing:
            self._plan._counts[watch.index] += 1
            entry = Firing(watch.injection, self.number, direction, frame, event_type)
            self._plan._fired.append((watch.index, entry))
        return tuple(watch.injection.fault for watch in firing)


class _Watch:
    """One injection on one connection: what it has counted."""

    def __init__(self, index: int, injection: Injection, dice: str, connection: int) -> None:
        self.index = index
        self.injection = injection
        self._directions, self._event_type = injection.watched
        self._dice = random.Random(f"{dice}")
        self._connection = connection
        self._count = 0
        self._over = False

    def connects(self) -> bool:
        """Whether it fires at this attempt to connect."""
        match self.injection.schedule:
            case AtConnection(n=n):
                return self._connection == n
            case Every(n=n):
                return self._connection % n == 0
            case WithProbability(p=p):
                throws = (self._dice.random() for _ in range(self._connection))
                return [*throws][-1] < p
            case _:
                return False

    def frame(self, direction: Direction, event_type: str | None, age_s: float) -> bool:
        """Whether it fires at this frame."""
        counts = direction in self._directions and self._event_type in (None, event_type)
        if not counts or self.injection.fault.connects:
            return False
        self._count += 1
        match self.injection.schedule:
            case AtFrame(n=n) | OnEvent(nth=n):
                return self._count == n
            case Every(n=n):
                return self._count % n == 0
            case WithProbability(p=p):
                return self._dice.random() < p
            case After(seconds=seconds):
                return self._once(age_s >= seconds)
            case AtConnection():
                return False

    def silent(self, age_s: float) -> bool:
        """Whether it fires now, without a frame."""
        seconds = self.when()
        return seconds is not None and self._once(age_s >= seconds)

    def when(self) -> float | None:
        """At which age of the connection it fires without a frame."""
        schedule = self.injection.schedule
        waits = isinstance(schedule, After) and not self._over and not self.injection.fault.needs_frame
        return schedule.seconds if waits else None  # type: ignore[union-attr] # After: it waits

    def note_in_vain(self, index: int) -> None:
        """Wait for the next frame, if it is this one's fault that has found nothing to act on."""
        if index == self.index:
            self._over = False

    def _once(self, now: bool) -> bool:
        fires = now and not self._over
        self._over = self._over or fires
        return fires
