"""What pykka's users rely on, the same on plain pykka and with our mixin: the list at the end of the reference's table C.

pykka's own suite says the same at length (tests/conformance/test_pykka_suite.py); this is the list, promise by promise.
"""

import os
import subprocess
import sys
import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    ActorDown,
    CallTimeout,
    ChildSpec,
    DynamicSupervisor,
    Supervised,
    Supervisor,
    kill,
)

PATIENCE_S = 30.0


class ByMixin(Supervised, pykka.ThreadingActor):
    """What a pykka user writes to have supervision."""


@pytest.fixture(params=[pykka.ThreadingActor, ByMixin], ids=["plain", "ours"])
def base(request):
    """The same test on both: what holds for plain pykka must hold here."""
    return request.param


def wait_for_the_end_of(actor_class):
    name = actor_class.__name__
    for thread in threading.enumerate():
        if thread.name.startswith((f"{name}-", f"{name} ")):
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_start_returns_an_actor_ref_and_does_not_wait_for_on_start(base):
    go, threads = threading.Event(), []

    class Slow(base):
        def __init__(self, word, *, number):
            super().__init__()
            threads.append(threading.current_thread())
            self._got = word, number

        def on_start(self):
            go.wait(PATIENCE_S)
            threads.append(threading.current_thread())

        def on_receive(self, message):
            return self._got

    ref = Slow.start("x", number=1)
    assert isinstance(ref, pykka.ActorRef)
    assert ref.is_alive()
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert threads == [threading.current_thread()]
    go.set()
    assert ref.ask("x", timeout=PATIENCE_S) == ("x", 1)
    assert threads[1] is not threading.current_thread()
    ref.stop()


def test_an_exception_in_init_is_the_callers_and_nothing_is_registered(base):
    class Crasher(base):
        def __init__(self):
            super().__init__()
            raise ValueError

    with pytest.raises(ValueError):
        Crasher.start()
    assert pykka.ActorRegistry.get_all() == []


class Engine:
    pykka_traversable = True

    def __init__(self):
        self.power = 3

    def double(self):
        return self.power * 2


def test_proxies_futures_and_get_all_work(base):
    class Car(base):
        def __init__(self):
            super().__init__()
            self.engine = Engine()
            self.colour = "red"

        def add(self, a, b):
            return a + b

    ref = Car.start()
    proxy = ref.proxy()
    assert proxy.add(1, b=2).get(timeout=PATIENCE_S) == 3
    assert proxy.colour.get(timeout=PATIENCE_S) == "red"
    proxy.colour = "blue"
    assert proxy.colour.get(timeout=PATIENCE_S) == "blue"
    assert proxy.engine.double().get(timeout=PATIENCE_S) == 6
    proxy.engine.double.defer()
    assert proxy.add(1, 2).map(str).get(timeout=PATIENCE_S) == "3"
    assert pykka.get_all([proxy.add(n, n) for n in range(3)], timeout=PATIENCE_S) == [0, 2, 4]
    ref.stop()


def test_an_exception_of_an_ask_goes_to_its_asker_alone_and_on_failure_is_for_the_unreturnable(base):
    failures = []

    class Crasher(base):
        def on_receive(self, message):
            if message == "crash":
                raise ValueError
            return message

        def on_failure(self, exception_type, exception_value, traceback):
            failures.append(exception_type)

    ref = Crasher.start()
    with pytest.raises(ValueError):
        ref.ask("crash", timeout=PATIENCE_S)
    assert ref.ask("x", timeout=PATIENCE_S) == "x"
    assert failures == []
    ref.tell("crash")
    wait_for_the_end_of(Crasher)
    assert failures == [ValueError]
    assert not ref.is_alive()


def test_a_stop_waits_its_turn_and_what_is_behind_it_is_refused(base):
    entered, go, heard, stopped_in = threading.Event(), threading.Event(), [], []

    class Slow(base):
        def on_receive(self, message):
            heard.append(message)
            if message == 1:
                entered.set()
                go.wait(PATIENCE_S)
            return message

        def on_stop(self):
            stopped_in.append(threading.current_thread())

    ref = Slow.start()
    first, second = ref.ask(1, block=False), ref.ask(2, block=False)
    assert entered.wait(PATIENCE_S)
    stop_it, left, stop_again = ref.stop(block=False), ref.ask(3, block=False), ref.stop(block=False)
    ref.tell(4)
    go.set()
    assert stop_it.get(timeout=PATIENCE_S) is True
    assert [first.get(timeout=0), second.get(timeout=0)] == [1, 2]
    wait_for_the_end_of(Slow)
    assert heard == [1, 2]
    assert len(stopped_in) == 1
    with pytest.raises(pykka.ActorDeadError):
        left.get(timeout=PATIENCE_S)
    assert stop_again.get(timeout=PATIENCE_S) is True  # left behind, and it has what it wanted
    assert ref.stop() is False
    with pytest.raises(pykka.ActorDeadError):
        ref.tell(5)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(6)


def test_an_expired_request_is_executed_all_the_same(base):
    go, heard = threading.Event(), []

    class Slow(base):
        def on_receive(self, message):
            go.wait(PATIENCE_S)
            heard.append(message)

    ref = Slow.start()
    with pytest.raises(pykka.Timeout):
        ref.ask("x", timeout=0.01)
    go.set()
    ref.stop()
    assert heard == ["x"]


def test_the_registry_finds_by_class_and_by_name_and_stop_all_is_youngest_first(base):
    heard, stopped = [], []

    class Listed(base):
        def on_receive(self, message):
            heard.append(message)

        def on_stop(self):
            stopped.append(self.actor_urn)

    refs = [Listed.start() for _ in range(3)]
    assert pykka.ActorRegistry.get_by_class(Listed) == refs
    assert pykka.ActorRegistry.get_by_class_name("Listed") == refs
    pykka.ActorRegistry.broadcast("x", target_class="Listed")
    assert pykka.ActorRegistry.stop_all(timeout=PATIENCE_S) == [True] * 3
    assert heard == ["x"] * 3
    assert stopped == [ref.actor_urn for ref in reversed(refs)]


def test_a_supervised_foreign_actor_is_found_by_its_class_and_name(run_tree):
    class Foreign(pykka.ThreadingActor):
        pass

    run_tree(Supervisor, [ChildSpec("x", Foreign)])
    assert len(pykka.ActorRegistry.get_by_class(Foreign)) == 1
    assert len(pykka.ActorRegistry.get_by_class_name("Foreign")) == 1


STOPS_ALL = """
import os, pykka
from trunkline.supervision import Supervised

class ByMixin(Supervised, pykka.ThreadingActor):
    pass

class Bystander({base}):
    pass

class Crasher({base}):
    def on_receive(self, message):
        raise KeyboardInterrupt

bystander = Bystander.start()
Crasher.start().tell("x")
stopped = bystander.actor_stopped.wait({patience_s})
print(stopped, len(pykka.ActorRegistry.get_all()), flush=True)
os._exit(0)
"""


def test_a_base_exception_in_an_actor_that_nobody_supervises_stops_all(base):
    name = "ByMixin" if base is ByMixin else "pykka.ThreadingActor"
    done = subprocess.run(
        [sys.executable, "-c", STOPS_ALL.format(base=name, patience_s=PATIENCE_S)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True 0\n"


def test_what_pykka_logs_is_logged_as_often_and_at_its_level(caplog):
    def logged(base):
        caplog.clear()

        class Logger(base):
            def on_receive(self, message):
                raise ValueError

        with caplog.at_level("DEBUG", logger="pykka"):
            first = Logger.start()
            with pytest.raises(ValueError):
                first.ask("x", timeout=PATIENCE_S)
            first.stop()
            second = Logger.start()
            second.tell("x")
            wait_for_the_end_of(Logger)
        texts = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "pykka"]
        return sorted(
            (level, text.replace(first.actor_urn, "first").replace(second.actor_urn, "second"))
            for level, text in texts
        )

    assert logged(ByMixin) == logged(pykka.ThreadingActor) != []


@pytest.mark.parametrize(
    ("ours", "theirs"), [(CallTimeout, pykka.Timeout), (ActorDown, pykka.ActorDeadError)]
)
def test_our_errors_are_caught_as_pykkas(ours, theirs):
    assert issubclass(ours, theirs)


def test_the_end_of_a_supervised_actor_is_caught_as_pykkas(run_tree, start_child, worker_class):
    child = start_child(run_tree(DynamicSupervisor), "x", worker_class, restart="temporary")
    kill(child)
    with pytest.raises(pykka.ActorDeadError) as caught:
        child.ask("x", timeout=PATIENCE_S)
    assert caught.value.reason is KILLED
