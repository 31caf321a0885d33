"""Many threads, few sessions, everything at once: no future stays open, nothing is left, every story has one end."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from trunkline import SessionGone, tool
from trunkline.gateway.errors import GatewayError
from trunkline.gateway.simulator import CallTool, FunctionBrain, Say
from trunkline.supervision import ActorDown, SupervisionError
from trunkline.supervision.testing import crash

N_THREADS = 6
N_STEPS = 100
N_SESSIONS = 4
BUG = RuntimeError("on purpose")


@tool
def look() -> str:
    """Look."""
    return "seen"


def brain(conversation: Any) -> list[Any]:
    """Call a tool now and then, else say something."""
    texts = conversation.user_texts
    if texts and texts[-1].endswith("look") and conversation.unanswered:
        last = conversation.items[-1]
        if last.get("type") != "function_call_output":
            return [CallTool("look", {}), CallTool("look", {})]
    return [Say("one two three")]


@pytest.fixture
def tiny_switch_interval() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Mob:
    """Threads that do to a broker and its sessions whatever a program may do, and what it should not."""

    def __init__(self, line: Any, seed: int) -> None:
        self.line = line
        self.seed = seed
        self.sessions: list[Any] = []
        self.streams: list[Any] = []
        self.called: list[list[str]] = []
        self.futures: list[Any] = []
        self.errors: list[BaseException] = []
        self.crashes = [self._crash_of(name) for name in ("BrokerActor", "WorkerSupervisor")]

    def run(self) -> None:
        threads = [threading.Thread(target=self._misbehave, args=(n,)) for n in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
            assert not thread.is_alive(), "a caller hangs"
        assert not self.errors, "".join("".join(traceback.format_exception(error)) for error in self.errors)

    def _misbehave(self, n: int) -> None:
        dice = random.Random(f"{self.seed} {n}")
        try:
            for _ in range(N_STEPS):
                self._step(dice)
        except BaseException as error:
            self.errors.append(error)

    def _step(self, dice: random.Random) -> None:
        sessions = list(self.sessions)  # others remove from it
        if len(sessions) < N_SESSIONS:
            future = self.line.broker.connect()
            self.futures.append(future)
            try:
                session = future.get(timeout=20)
            except (ActorDown, GatewayError):
                return
            self.sessions.append(session)
            self.streams.append(session.events())
            return
        session = dice.choice(sessions)
        what = dice.choices(
            ["say", "look", "interrupt", "instruct", "stream", "call", "close", "crash", "abort", "others"],
            [20, 8, 6, 4, 6, 4, 4, 3, 1, 0.5],
        )[0]
        self._do(what, session, dice)

    def _do(self, what: str, session: Any, dice: random.Random) -> None:
        match what:
            case "say" | "look":
                self.futures.append(session.send_text(what))
            case "interrupt":
                self.futures.append(session.interrupt())
            case "instruct":
                self.futures.append(session.update_instructions("be brief"))
            case "stream":
                self.streams.append(session.events())
            case "call":
                kinds: list[str] = []
                self.called.append(kinds)
                future = session.subscribe(lambda event: kinds.append(event.kind))
                self.futures.append(future)
            case "close":
                if session in self.sessions:
                    try:
                        self.sessions.remove(session)
                    except ValueError:
                        return  # another thread was faster
                self.futures.append(session.close())
            case "crash":
                try:
                    crash(session.actor_ref, BUG)
                except SupervisionError:
                    pass  # it is gone, or restarting with a full house
            case "abort":
                self.line.simulator.abort_all()
            case _:
                if self.crashes:
                    self.crashes.pop()()

    def _crash_of(self, name: str) -> Any:
        def crash_it() -> None:
            for ref in pykka.ActorRegistry.get_all():
                if ref.actor_class.__name__ == name:
                    try:
                        crash(ref, BUG)
                    except pykka.ActorDeadError:
                        return

        return crash_it


@pytest.mark.parametrize("seed", range(int(os.environ.get("TRUNKLINE_MOB_SEEDS", "3"))))
def test_whatever_a_mob_does_every_future_resolves_and_every_story_has_one_end(
    trunk: Any, tiny_switch_interval: None, nothing_is_left_behind: Any, seed: int
) -> None:
    before = type(nothing_is_left_behind)()
    line = trunk(FunctionBrain(brain), tools=[look], connect_timeout_s=5.0)
    mob = Mob(line, seed)
    mob.run()
    line.broker.stop().get(timeout=30)
    unresolved = settled(mob.futures)
    assert not unresolved, unresolved
    for future in mob.futures:
        error = future.exception(timeout=1)
        allowed = (ActorDown, SupervisionError, SessionGone, GatewayError, RuntimeError, TimeoutError)
        assert error is None or isinstance(error, allowed), repr(error)
    for stream in mob.streams:
        kinds = [event.kind for event in stream]
        assert kinds[0] == "session_opened", kinds
        assert kinds[-1] == "session_closed", kinds
        assert kinds.count("session_opened") == kinds.count("session_closed") == 1, kinds
    line.simulator.stop()
    before.comes_back()  # a callback may hear of the end in a thread of its own
    for kinds in mob.called:
        assert kinds.count("session_opened") <= 1, kinds
        assert kinds.count("session_closed") <= 1, kinds
        assert "session_closed" not in kinds[:-1], kinds
        assert not kinds or kinds[-1] == "session_closed", kinds


def settled(futures: list[Any]) -> list[Any]:
    """Wait a while for all of them; return those that are still open."""
    deadline = time.monotonic() + 10
    for future in futures:
        try:
            future.exception(timeout=max(0.0, deadline - time.monotonic()))
        except pykka.Timeout:
            pass
    return [future for future in futures if not future.done()]
