"""pykka's gaps, each shown on plain pykka and shown closed here by the same probe.

The numbers are the rows of the reference's table C. The plain half asserts what plain pykka does, so that we notice when it
changes. A probe that would wreck this process (ghosts, stop_all) runs its plain half in a process of its own: this file.
"""

import asyncio
import gc
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
import weakref
from ast import literal_eval
from pathlib import Path

import pykka
import pytest

from trunkline.supervision import (
    CallingSelf,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    Mailbox,
    StartChild,
    Supervised,
    Supervisor,
    TerminateChild,
    call,
    cast,
    join,
    kill,
    link,
    stop,
    watch,
)

PATIENCE_S = 30.0
BRIEF_S = 0.1
"""How long a probe waits for what, on plain pykka, never comes: it cannot come too early."""


class Plain:
    """pykka as it is."""

    name = "plain"
    wait_s = BRIEF_S  # for what this cannot do
    actor = crashing_actor = pykka.ThreadingActor

    def supervise(self, actor_class, *args, **_spec):
        return actor_class.start(*args)

    def end(self, ref, limit_s=PATIENCE_S):
        return ref.stop(timeout=limit_s)

    def call(self, ref, message):
        return ref.ask(message, timeout=BRIEF_S)

    def stop(self, ref):
        return ref.stop(timeout=BRIEF_S)

    def kill(self, ref):
        ref.stop(block=False)

    def send(self, ref, message):
        ref.tell(message)

    def is_over(self, ref):
        return not ref.is_alive()

    def default_timeout(self):
        return inspect.signature(pykka.ActorRef.ask).parameters["timeout"].default

    def keep_running(self, actor_class):
        """What one writes in plain pykka: an actor that starts another when one stops."""

        class Keeper(pykka.ThreadingActor):
            def on_start(self):
                actor_class.start(self.actor_ref)

            def on_receive(self, message):
                if message == "start another":
                    actor_class.start(self.actor_ref)

        return Keeper.start().ask("wait until on_start is done")

    def close(self):
        pass


class ByMixin(Supervised, pykka.ThreadingActor):
    """What a pykka user writes to have supervision."""


class Ours(Plain):
    """The same with this project."""

    name = "ours"
    wait_s = PATIENCE_S
    actor = ByMixin
    crashing_actor = GenServer

    def __init__(self):
        self._supervisor = DynamicSupervisor.start()

    def supervise(self, actor_class, *args, restart="temporary", **spec):
        spec = ChildSpec(actor_class.__name__, actor_class, args, restart=restart, **spec)
        return call(self._supervisor, StartChild(spec), PATIENCE_S)

    def end(self, ref, limit_s=PATIENCE_S):
        return call(self._supervisor, TerminateChild(ref), limit_s) is None

    def call(self, ref, message):
        return call(ref, message)

    def stop(self, ref):
        return stop(ref)

    def kill(self, ref):
        kill(ref)

    def send(self, ref, message):
        cast(ref, message)

    def is_over(self, ref):
        return join(ref, 0.0)

    def default_timeout(self):
        return inspect.signature(call).parameters["timeout_s"].default

    def keep_running(self, actor_class):
        Supervisor.start([ChildSpec("kept", actor_class, (None,))])

    def close(self):
        self._supervisor.stop()


def outcome(fn, *args, **kwargs):
    """What came of it, in a word: "hangs" if nothing did, "dead" if the actor was, else the value or the error's type."""
    try:
        return fn(*args, **kwargs)
    except pykka.ActorDeadError:
        return "dead"
    except pykka.Timeout:
        return "hangs"
    except Exception as error:
        return type(error).__name__


def threads_of(actor_class):
    return [
        t
        for t in threading.enumerate()
        if t.name.startswith((f"{actor_class.__name__}-", f"{actor_class.__name__} "))
    ]


def wait_for_the_end_of(actor_class):
    for thread in threads_of(actor_class):
        thread.join(PATIENCE_S)
    assert not threads_of(actor_class)


# -- the probes --


def exception_in_an_ask(lab):
    failures = []

    class Crasher(lab.crashing_actor):
        def on_receive(self, message):
            raise ValueError(message)

        def on_failure(self, exception_type, exception_value, _):
            failures.append(exception_type.__name__)

    ref = Crasher.start()
    seen = (outcome(ref.ask, "x", timeout=PATIENCE_S), "alive" if ref.is_alive() else "dead", failures)
    ref.stop()
    return seen


def proxy_call_nobody_reads(lab):
    class Crasher(lab.crashing_actor):
        def fail(self):
            raise ValueError

    ref = Crasher.start()
    ref.proxy().fail()
    try:
        return outcome(ref.ask, "x", timeout=PATIENCE_S)
    finally:
        ref.stop()


def cleanup_after_a_crash(lab):
    hooks = []

    class Crasher(lab.actor):
        def on_receive(self, message):
            raise ValueError(message)

        def on_failure(self, exception_type, exception_value, _):
            hooks.append("on_failure")

        def on_stop(self):
            hooks.append("on_stop")

        def terminate(self, reason):
            hooks.append("terminate")

    Crasher.start().tell("x")
    wait_for_the_end_of(Crasher)
    return hooks


def reason_of_a_failing_on_stop(lab):
    class Crasher(lab.actor):
        def on_stop(self):
            raise ValueError

    ref = Crasher.start()
    stopped = ref.stop()
    wait_for_the_end_of(Crasher)
    return stopped, type(getattr(ref.actor_inbox, "reason", None)).__name__


def exception_in_on_start(lab):
    class Crasher(lab.actor):
        def on_start(self):
            raise ValueError

    started = outcome(lab.supervise, Crasher)
    wait_for_the_end_of(Crasher)
    return "a reference" if isinstance(started, pykka.ActorRef) else started


def base_exception_in_a_handler(error):
    def probe(lab):
        class Crasher(lab.actor):
            def on_receive(self, message):
                raise error

        class Bystander(pykka.ThreadingActor):
            pass

        bystander = Bystander.start()
        crasher = lab.supervise(Crasher)
        asked = outcome(crasher.ask, "x", timeout=lab.wait_s)
        wait_for_the_end_of(Crasher)
        bystanders = "alive" if bystander.is_alive() else "dead"
        bystander.stop()
        return asked, bystanders

    return probe


def base_exception_when_an_actor_asks(lab):
    class Crasher(lab.actor):
        def on_receive(self, message):
            raise SystemExit

    class Asker(pykka.ThreadingActor):
        def on_receive(self, message):
            return outcome(message.ask, "x")

    asker = Asker.start()
    asked = outcome(asker.ask, lab.supervise(Crasher), timeout=lab.wait_s)
    asker.stop(timeout=PATIENCE_S) if asked != "hangs" else None
    return asked


def base_exception_in_on_start(lab):
    class Ghost(lab.actor):
        def on_start(self):
            raise SystemExit

    ref = Ghost.start()
    wait_for_the_end_of(Ghost)
    registered = ref in pykka.ActorRegistry.get_all()
    return ref.is_alive(), registered, outcome(ref.ask, "x", timeout=lab.wait_s)


def base_exception_in_on_stop(lab):
    class Ghost(lab.actor):
        def on_stop(self):
            raise SystemExit

    return outcome(Ghost.start().stop, timeout=lab.wait_s)


def base_exception_in_on_failure(lab):
    go = threading.Event()

    class Ghost(lab.actor):
        def on_receive(self, message):
            go.wait(PATIENCE_S)
            raise ValueError

        def on_failure(self, exception_type, exception_value, _):
            raise SystemExit

    ref = Ghost.start()
    ref.tell("crash")
    queued = ref.ask("x", block=False)
    go.set()
    return outcome(queued.get, timeout=lab.wait_s)


def end_between_the_look_and_the_put(send):
    """pykka's ask looks whether the actor is alive and then puts: it ends in between, to the last."""

    def probe(lab):
        class Target(lab.actor):
            pass

        ref = Target.start()
        look = type(ref).is_alive

        def look_and_lose():
            del ref.is_alive
            alive = look(ref)
            ref.stop()
            wait_for_the_end_of(Target)
            return alive

        ref.is_alive = look_and_lose
        return outcome(send, ref, lab.wait_s)

    return probe


def thread_blocked_in_recv(lab):
    ours, theirs = socket.socketpair()
    entered = threading.Event()

    class Reader(lab.actor):
        def on_receive(self, message):
            entered.set()
            ours.recv(1)

        def on_kill(self):
            ours.shutdown(socket.SHUT_RDWR)

    ref = lab.supervise(Reader, shutdown=0.1, kill_grace_s=PATIENCE_S)
    ref.tell("read")
    assert entered.wait(PATIENCE_S)
    ended = outcome(lab.end, ref, lab.wait_s)
    left = len(threads_of(Reader)) if ended == "hangs" else 0
    theirs.close()
    wait_for_the_end_of(Reader)
    ours.close()
    return ended, left


def ended_before_what_is_queued(lab):
    """How many of ten queued messages are still handled by an actor that is to end at once."""
    entered, go, handled = threading.Event(), threading.Event(), []

    class Busy(lab.actor):
        def on_receive(self, message):
            if message == "block":
                entered.set()
                go.wait(PATIENCE_S)
            else:
                handled.append(message)

    ref = Busy.start()
    ref.tell("block")
    assert entered.wait(PATIENCE_S)
    for n in range(10):
        ref.tell(n)
    lab.kill(ref)
    go.set()
    wait_for_the_end_of(Busy)
    return len(handled)


def process_with_a_blocked_actor(lab):
    with subprocess.Popen(
        program_of("blocked-at-exit", lab.name), stdout=subprocess.PIPE, env=its_environment()
    ) as running:
        try:
            assert running.stdout.readline() == b"the main thread ends\n"
            return running.wait(lab.wait_s * 2)
        except subprocess.TimeoutExpired:
            return "hangs"
        finally:
            running.kill()


def blocked_at_exit(lab):
    """The program of the probe above: its actor never comes back, its main thread ends."""
    entered = threading.Event()

    class Blocked(lab.actor):
        def on_receive(self, message):
            entered.set()
            threading.Event().wait()

    ref = lab.supervise(Blocked, shutdown=0.1, kill_grace_s=0.1)
    ref.tell("block")
    entered.wait(PATIENCE_S)
    outcome(lab.end, ref, lab.wait_s)
    lab.close()
    print("the main thread ends", flush=True)


def ask_to_oneself(lab):
    class Narcissus(lab.actor):
        def on_receive(self, message):
            return outcome(lab.call, self.actor_ref, "x") if message == "ask" else None

    ref = Narcissus.start()
    seen = ref.ask("ask", timeout=PATIENCE_S)
    ref.stop()
    return seen


def stop_of_oneself(lab):
    class Narcissus(lab.actor):
        def on_receive(self, message):
            return outcome(lab.stop, self.actor_ref)

    ref = Narcissus.start()
    seen = ref.ask("stop", timeout=PATIENCE_S)
    ref.stop()
    return seen


def stop_all_meets_who_restarts(lab):
    """Who is left, and how many there were."""
    started = []

    class Kept(lab.actor):
        def __init__(self, keeper):
            super().__init__()
            self._keeper = keeper
            started.append(self.actor_urn)

        def on_stop(self):
            if self._keeper is not None:
                self._keeper.tell("start another")

    lab.keep_running(Kept)
    pykka.ActorRegistry.stop_all()
    return [ref.actor_class.__name__ for ref in pykka.ActorRegistry.get_all()], len(started)


def flood(lab):
    entered, go = threading.Event(), threading.Event()

    class Slow(lab.actor):
        if lab.name == "ours":
            _create_actor_inbox = staticmethod(lambda: Mailbox(max_size=100))

        def on_receive(self, message):
            entered.set()
            go.wait(PATIENCE_S)

    ref = Slow.start()
    ref.tell("block")
    assert entered.wait(PATIENCE_S)
    ends = {outcome(ref.tell, n) for n in range(1000)}
    seen = sorted(map(str, ends)), ref.actor_inbox.qsize()
    go.set()
    ref.stop()
    return seen


class _Curious:
    """Notes in which thread somebody looks for an attribute of it."""

    def __init__(self):
        self.__dict__["seen"] = []

    def __getattr__(self, name):
        self.seen.append(threading.current_thread() is threading.main_thread())
        raise AttributeError(name)


def making_a_proxy_looks_at_attributes(lab):
    curious = _Curious()

    class Owner(lab.actor):
        def __init__(self):
            super().__init__()
            self.curious = curious

    ref = lab.supervise(Owner)
    del curious.seen[:]
    ref.proxy()
    lab.end(ref)
    return any(curious.seen)


def proxy_of_the_dead(lab):
    class Mortal(lab.actor):
        def __init__(self):
            super().__init__()
            living.append(weakref.ref(self))

        def name(self):
            return "x"

    living = []
    ref = lab.supervise(Mortal)
    proxy = ref.proxy()
    assert proxy.name().get(timeout=PATIENCE_S) == "x"
    lab.end(ref)
    wait_for_the_end_of(Mortal)
    gc.collect()
    kept = living[0]() is not None
    del proxy
    return kept


def dead_before_on_stop_is_done(lab):
    entered, go = threading.Event(), threading.Event()

    class Slow(lab.actor):
        def on_stop(self):
            entered.set()
            go.wait(PATIENCE_S)

    ref = Slow.start()
    ref.stop(block=False)
    assert entered.wait(PATIENCE_S)
    early = lab.is_over(ref)
    go.set()
    wait_for_the_end_of(Slow)
    return early, lab.is_over(ref)


def tell_to_the_dead(lab):
    class Dead(lab.actor):
        pass

    class Teller(lab.actor):
        def on_receive(self, message):
            if message == "tell":
                lab.send(dead, "x")

    dead = Dead.start()
    dead.stop()
    teller = Teller.start()
    teller.tell("tell")
    seen = outcome(teller.ask, "still there?", timeout=PATIENCE_S)
    teller.stop()
    return seen


def broadcast_with_a_dead_one(lab):
    heard = []

    class Listener(lab.actor):
        def on_receive(self, message):
            heard.append(message)

    refs = [Listener.start() for _ in range(3)]
    refs[1].stop()

    def broadcast():
        for ref in refs:
            lab.send(ref, "x")

    outcome(broadcast)
    for ref in refs:
        ref.stop()
    return heard


def default_timeout_s(lab):
    return lab.default_timeout()


def no_thread_for_an_actor(lab):
    class Ghost(lab.actor):
        def _start_actor_loop(self):
            raise RuntimeError("can't start new thread")

    started = outcome(lab.supervise, Ghost)
    ghosts = len(pykka.ActorRegistry.get_by_class_name("Ghost"))
    stopped = outcome(pykka.ActorRegistry.stop_all, timeout=lab.wait_s)
    return started, ghosts, "hangs" if stopped == "hangs" else "returns"


def an_end_can_be_watched(lab):
    class Mortal(lab.actor):
        pass

    ref = Mortal.start()
    seen = []
    watched = outcome(watch, ref, lambda reason: seen.append(str(reason)))
    ref.stop()
    wait_for_the_end_of(Mortal)
    return watched if isinstance(watched, str) else seen


def the_other_of_two_that_are_linked(lab):
    class Mortal(lab.actor):
        def on_receive(self, message):
            raise ValueError

    class Friend(lab.actor):
        pass

    ref, friend = Mortal.start(), Friend.start()
    linked = outcome(link, ref, friend)
    ref.tell("crash")
    wait_for_the_end_of(Mortal)
    if isinstance(linked, str):
        friend.stop()
        return linked
    wait_for_the_end_of(Friend)
    return "ends with it"


def the_reference_after_a_crash(lab):
    class Mortal(lab.actor):
        def on_receive(self, message):
            if message == "crash":
                raise ValueError
            return message

    ref = lab.supervise(Mortal, restart="permanent", mailbox="keep")
    ref.tell("crash")
    seen = outcome(ref.ask, "x", timeout=PATIENCE_S)
    outcome(lab.end, ref)
    return seen


def awaiting_in_an_event_loop(lab):
    """The actor answers whether the loop ran while its answer was awaited."""
    ran = threading.Event()

    class Slow(lab.actor):
        def on_receive(self, message):
            return ran.wait(lab.wait_s)

    async def ask():
        asyncio.get_running_loop().call_later(0.01, ran.set)
        return await ref.ask("x", block=False)

    ref = Slow.start()
    seen = asyncio.run(ask())
    ref.stop()
    return seen


def two_readers_of_a_stop(lab):
    """The first waits as long as it takes; does the second, that will wait for 0.05 s, get its Timeout meanwhile?"""
    entered, go = threading.Event(), threading.Event()

    class Slow(lab.actor):
        def on_receive(self, message):
            entered.set()
            go.wait(PATIENCE_S)

    ref = Slow.start()
    ref.tell("block")
    assert entered.wait(PATIENCE_S)
    future = ref.stop(block=False)
    first = threading.Thread(target=outcome, args=(future.get,), kwargs={"timeout": PATIENCE_S})
    first.start()
    lock = getattr(future, "_condition", None) or future._lock
    deadline = time.monotonic() + PATIENCE_S
    while lock.acquire(blocking=False):  # until the first reader holds it
        lock.release()
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)
    second = threading.Thread(target=outcome, args=(future.get,), kwargs={"timeout": 0.05})
    second.start()
    second.join(lab.wait_s / 2)
    in_time = not second.is_alive()
    go.set()
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    return in_time


def the_askers_error_is_the_actors(lab):
    """Whether each of three readers got the very object, whether its traceback grew by that, and whether it is the reason."""
    error = ValueError("x")

    class Crasher(lab.crashing_actor):
        def on_receive(self, message):
            raise error

    def depth():
        return len(list(traceback.walk_tb(error.__traceback__)))

    ref = Crasher.start()
    future = ref.ask("x", block=False)
    outcome(ref.stop)
    before = depth()
    same = []
    for _ in range(3):
        with pytest.raises(ValueError, match="x") as caught:
            future.get(timeout=PATIENCE_S)
        assert "on_receive" in [entry.name for entry in caught.traceback]
        same.append(caught.value is error)
    return same, depth() > before, getattr(ref.actor_inbox, "reason", None) is error


#: by row and name: the probe, what plain pykka does, what this does, whether the plain half needs a process of its own
GAPS = {
    "1 an exception in an ask leaves the actor as it is": (
        exception_in_an_ask,
        ("ValueError", "alive", []),
        ("ValueError", "dead", ["ValueError"]),
        False,
    ),
    "1 a failed proxy call whose future nobody reads has no effect": (
        proxy_call_nobody_reads,
        None,
        "dead",
        False,
    ),
    "2 no clean-up hook runs on every end": (
        cleanup_after_a_crash,
        ["on_failure"],
        ["on_failure", "terminate"],
        False,
    ),
    "2 a failing on_stop is no reason": (
        reason_of_a_failing_on_stop,
        (True, "NoneType"),
        (True, "ValueError"),
        False,
    ),
    "3 start returns a reference though on_start raises": (
        exception_in_on_start,
        "a reference",
        "StartError",
        False,
    ),
    "4 SystemExit stops everybody and its asker hangs": (
        base_exception_in_a_handler(SystemExit()),
        ("hangs", "dead"),
        ("dead", "alive"),
        True,
    ),
    "4 CancelledError stops everybody and its asker hangs": (
        base_exception_in_a_handler(asyncio.CancelledError()),
        ("hangs", "dead"),
        ("dead", "alive"),
        True,
    ),
    "4 everything hangs if the asker is an actor": (base_exception_when_an_actor_asks, "hangs", "dead", True),
    "5 SystemExit in on_start leaves a ghost": (
        base_exception_in_on_start,
        (True, True, "hangs"),
        (False, False, "dead"),
        True,
    ),
    "5 SystemExit in on_stop makes stop hang": (base_exception_in_on_stop, "hangs", True, True),
    "5 SystemExit in on_failure makes queued asks hang": (
        base_exception_in_on_failure,
        "hangs",
        "dead",
        True,
    ),
    "6 an ask that races the end is never answered": (
        end_between_the_look_and_the_put(lambda ref, limit_s: ref.ask("x", timeout=limit_s)),
        "hangs",
        "dead",
        False,
    ),
    "6 a stop that races the end never returns": (
        end_between_the_look_and_the_put(lambda ref, limit_s: ref.stop(timeout=limit_s)),
        "hangs",
        True,
        False,
    ),
    "7 a thread blocked in recv cannot be ended": (thread_blocked_in_recv, ("hangs", 1), (True, 0), False),
    "7 nothing ends an actor before what it has queued": (ended_before_what_is_queued, 10, 0, False),
    "8 a blocked actor keeps the process alive": (process_with_a_blocked_actor, "hangs", 0, False),
    "9 an ask to oneself hangs": (ask_to_oneself, "hangs", CallingSelf.__name__, False),
    "9 a stop of oneself hangs": (stop_of_oneself, "hangs", CallingSelf.__name__, False),
    "10 who is restarted survives stop_all": (stop_all_meets_who_restarts, (["Kept"], 2), ([], 1), True),
    "11 an inbox has no bound": (flood, (["None"], 1000), (["MailboxFull", "None"], 100), False),
    "12 making a proxy looks at the actor's attributes": (
        making_a_proxy_looks_at_attributes,
        True,
        False,
        False,
    ),
    "12 a proxy keeps a dead actor": (proxy_of_the_dead, True, False, False),
    "13 an actor counts as dead before on_stop is done": (
        dead_before_on_stop_is_done,
        (True, True),
        (False, True),
        False,
    ),
    "14 a tell to the dead kills the teller": (tell_to_the_dead, "dead", None, False),
    "15 an ask waits for ever by default": (default_timeout_s, None, 5.0, False),
    "16 an actor without a thread is a ghost": (
        no_thread_for_an_actor,
        ("RuntimeError", 1, "hangs"),
        ("StartError", 0, "returns"),
        True,
    ),
    "17 an asker raises the object that others hold, and its traceback grows": (
        the_askers_error_is_the_actors,
        ([True] * 3, True, False),
        ([False] * 3, False, True),
        False,
    ),
    "18 an end cannot be watched": (an_end_can_be_watched, "TypeError", ["NORMAL"], False),
    "18 actors cannot be linked": (the_other_of_two_that_are_linked, "TypeError", "ends with it", False),
    "18 a reference dies with the incarnation": (the_reference_after_a_crash, "dead", "x", False),
    "18 a broadcast ends at the first dead one": (broadcast_with_a_dead_one, ["x"], ["x", "x"], False),
    "19 await blocks the event loop": (awaiting_in_an_event_loop, False, True, False),
    "20 a second reader of a stop waits for the first": (two_readers_of_a_stop, False, True, False),
}
LABS = {"plain": Plain, "ours": Ours}


def program_of(name, lab):
    """Return the command that runs a probe of this file in a process of its own."""
    return [sys.executable, str(Path(__file__)), name, lab]


def its_environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("gap", GAPS)
def test_plain_pykka_still_has_the_gap(gap):
    probe, plain, _, isolated = GAPS[gap]
    if isolated:
        done = subprocess.run(
            program_of(gap, "plain"),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
            env=its_environment(),
        )
        assert done.returncode == 0, done.stderr
        assert literal_eval(done.stdout) == plain
    else:
        assert probe(Plain()) == plain


@pytest.mark.parametrize("gap", GAPS)
def test_the_gap_is_closed(gap):
    probe, plain, ours, _ = GAPS[gap]
    assert plain != ours, "a probe that cannot tell them apart shows nothing"
    lab = Ours()
    try:
        assert probe(lab) == ours
    finally:
        lab.close()


def test_every_row_of_the_table_has_a_probe():
    assert {int(gap.split()[0]) for gap in GAPS} == set(range(1, 21))


def test_our_own_actors_show_a_proxy_nothing_but_pykkas_attributes():
    """Row 12: a proxy looks at every public attribute, in its user's thread."""

    def public(actor_class):
        return {name for name in vars(actor_class()) if not name.startswith("_")}

    pykkas = public(type("Bare", (pykka.ThreadingActor,), {}))
    assert public(GenServer) == public(Supervisor) == public(DynamicSupervisor) == pykkas


def main():
    """Run one probe as a program: nothing in this process is cleaned up."""
    name, lab = sys.argv[1], LABS[sys.argv[2]]()
    if name == "blocked-at-exit":
        blocked_at_exit(lab)
        return
    print(repr(GAPS[name][0](lab)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
