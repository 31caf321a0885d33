"""The crashes of the soak: actors that fail or are killed, about as often as asked for, by seed. Owns a thread.

Fair are: a crash of a session's actor, a tool's or a connection's worker, or the broker at any of their crash points; a
session that is killed or fails in a handler; a broker or a WorkerSupervisor that fails, not oftener than the root's restart
budget allows. Left out is the end of the SessionSupervisor: its sessions end with it, by design, with
``session_closed(error, supervisor_failed)``.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from trunkline import BrokerProxy, SessionProxy
from trunkline.supervision import ActorDown, WhichChild, call, kill
from trunkline.testing import CRASH_POINTS, crash, crash_at

POINTS = [point for point in CRASH_POINTS if not point.startswith("supervisor.")]
OF_THE_ROOT_S = 4.0
"""Between two crashes of the root's children: it allows three within five seconds."""


class SoakCrash(Exception):
    """What the soak has actors fail with."""


class Chaos:
    """Crashes something now and then until it is stopped.

    Args:
        broker: the tree.
        sessions: returns the open sessions, by caller.
        seed: decides what and when.
        rate: crashes per second.
        began_at: the zero of the times in `log`.
    """

    def __init__(
        self,
        broker: BrokerProxy,
        sessions: Callable[[], list[SessionProxy]],
        seed: int,
        rate: float,
        began_at: float,
    ) -> None:
        self._began_at = began_at
        self._broker = broker
        self._sessions = sessions
        self._dice = Random(f"{seed}/crashes")
        self._rate = rate
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak chaos", daemon=True)
        self._at_s = self._root_spared_until_s = 0.0
        self.done: Counter[str] = Counter()
        self.log: list[str] = []
        self.failure: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        try:
            self._crash_on()
        except Exception as error:  # noqa: BLE001 - told in the figures: a soak without crashes must not pass for one with them
            self.failure = error

    def _crash_on(self) -> None:
        dice = self._dice
        while not self._enough.wait(pause_s := dice.expovariate(self._rate)):
            self._at_s += pause_s
            match dice.choices(("point", "fail", "kill", "broker", "workers"), (10, 4, 4, 1, 1))[0]:
                case "point":
                    self._at_a_point(dice.choice(POINTS), dice.randrange(40))
                case "fail":
                    self._a_session("a session fails", lambda ref: crash(ref, SoakCrash()))
                case "kill":
                    self._a_session("a session is killed", kill)
                case "broker":
                    self._of_the_root("broker")
                case _:
                    self._of_the_root("workers")

    def _at_a_point(self, point: str, after: int) -> None:
        armed = crash_at(point, after=after, exception=SoakCrash)
        armed.arm()
        try:
            armed.wait(1.0)
        except AssertionError:
            pass  # nobody came there
        finally:
            armed.disarm()
        self._at_s += 0.5
        if armed.fired:
            self._note(point)

    def _a_session(self, what: str, harm: Callable[[Any], object]) -> None:
        sessions = self._sessions()
        if sessions:
            session = self._dice.choice(sessions)
            self._harm(what, harm, session.actor_ref, session.session_id)

    def _of_the_root(self, child: str) -> None:
        if self._at_s < self._root_spared_until_s:
            return
        self._root_spared_until_s = self._at_s + OF_THE_ROOT_S
        ref = call(self._broker._root, WhichChild(child), 10.0).stable_ref
        self._harm(
            f"the {child} fail{'s' if child == 'broker' else ''}", lambda it: crash(it, SoakCrash()), ref
        )

    def _harm(self, what: str, harm: Callable[[Any], object], ref: Any, whose: str = "") -> None:
        try:
            harm(ref)
        except ActorDown:
            return
        self._note(what, whose)

    def _note(self, what: str, whose: str = "") -> None:
        self.done[what] += 1
        self.log.append(f"{time.monotonic() - self._began_at:8.3f} {what} {whose}")
