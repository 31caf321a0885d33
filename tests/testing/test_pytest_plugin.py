"""The pytest plugin, as its users run it: in a pytest of its own, by a test file of theirs."""

from __future__ import annotations

import os
import re
import sys

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import pytest
from trunkline import Broker, Config, OpenAIGateway
from trunkline.simulator import CallTool, Say, ScriptBrain, Simulator, expect, reply
from trunkline.testing import Close, EventLog, Lose, FaultyGateway

CONFIG = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)
OPENING = [
    expect("session.update"),
    expect("conversation.item.create", item__role="user", item__content__0__text="hello"),
    expect("response.create"),
]

@pytest.fixture
def talk():
    brokers = []

    def start(url, gateway=lambda gateway: gateway):
        broker = Broker.start("m", gateway=gateway(OpenAIGateway("k", base_url=url)), config=CONFIG)
        brokers.append(broker)
        return broker.connect().get(timeout=10)

    yield start
    for broker in brokers:
        broker.stop().get(timeout=10)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """`run(code, *options)`: what pytest says of these tests; each gets the head above."""
    # Our plugin and no other, whether it is installed with its entry point or lies in a checkout.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # And the one under test, not another one that is installed.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def start(code, *options, head=HEAD):
        pytester.makepyfile(test_of_a_user=head + code)
        arguments = ("-p", "trunkline.pytest_plugin", "-p", "no:cacheprovider", "-W", "error", *options)
        return pytester.runpytest_subprocess(*arguments, timeout=50)

    return start


def passes(result, n=1):
    result.assert_outcomes(passed=n)
    assert result.ret == 0


def fails(result, **outcomes):
    result.assert_outcomes(**outcomes)
    assert result.ret == 1
    return result.stdout.str()


SCRIPTED = """
def test_the_agent_says_hello(trunkline_simulator, trunkline_events, talk):
    simulator = trunkline_simulator(ScriptBrain([*OPENING, reply(Say("hi"))]))
    session = talk(simulator.url)
    log = trunkline_events(session)
    session.send_text({said!r}).get(timeout=5)
    assert log.wait_for("assistant_text").text == "hi"
    simulator.wire.sent("response.create").once()
"""


def test_a_client_that_follows_its_script_passes(run):
    passes(run(SCRIPTED.format(said="hello")))


def test_a_client_that_does_not_follow_its_script_fails_with_the_diff(run):
    said = fails(run(SCRIPTED.format(said="goodbye")), passed=1, errors=1)
    assert "the script was not followed: 1 not as expected, 0 never reached" in said
    assert "item.content.0.text: expected 'hello', got 'goodbye'" in said
    assert "pytest_plugin.py" not in said  # the traceback of a fixture helps nobody
    assert re.search(r"trunkline events.*assistant_text .*text='hi'", said, re.DOTALL)
    assert re.search(r"trunkline wire.*1 -> response.create", said, re.DOTALL)


def test_a_script_that_is_not_played_to_its_end_fails_and_says_which_step(run):
    code = """
def test_silent(trunkline_simulator):
    trunkline_simulator(ScriptBrain([*OPENING, reply(Say("hi"))]))
"""
    said = fails(run(code, "-o", "trunkline_timeout_s=0.01"), passed=1, errors=1)
    assert "connection 1, step 1 of 4, was never reached: expect('session.update')" in said
    assert "connection 1, step 4 of 4, was never reached: reply(Say" in said


def test_what_comes_when_the_test_is_over_still_counts(run):
    """The first script is at its end; while the second is waited for, one event too many comes for the first."""
    code = """
import json, threading
from contextlib import ExitStack
from websockets.sync.client import connect

@pytest.fixture
def clients():
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(connect(url + "?model=m", proxy=None))

def test_late(clients, trunkline_simulator):
    scripts = [ScriptBrain([]), ScriptBrain([expect("session.update")])]
    one, other = [clients(trunkline_simulator(script).url) for script in scripts]
    one.recv(timeout=10)

    def say_more():
        one.send(json.dumps({"type": "response.create"}))
        while "done" not in one.recv(timeout=10):
            pass
        other.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))

    threading.Timer(0.2, say_more).start()
"""
    said = fails(run(code), passed=1, errors=1)
    assert "0 never reached" in said
    assert "after the last of 0 steps" in said


def test_events_are_not_watched_any_longer_than_the_test(run):
    code = """
class Session:
    subscribers = []

    def subscribe(self, subscriber):
        self.subscribers.append(subscriber)
        return self

    def unsubscribe(self, subscriber):
        self.subscribers.remove(subscriber)
        return self

    def get(self, timeout):
        return None

@pytest.fixture
def nobody_is_left():
    yield
    assert Session.subscribers == []

def test_watching(nobody_is_left, trunkline_events):
    trunkline_events(Session())
    assert len(Session.subscribers) == 1
"""
    passes(run(code))


def test_a_test_that_fails_by_itself_fails_for_that_and_shows_the_mismatch(run):
    code = """
def test_stuck(trunkline_simulator, trunkline_events, talk):
    session = talk(trunkline_simulator(ScriptBrain(OPENING[1:])).url)
"""
    code += "    session.send_text('hello').get(timeout=5)\n"
    code += "    trunkline_events(session).wait_for('assistant_text', 0.01)\n"
    said = fails(run(code), failed=1)
    assert "no assistant_text within 0.01 s; what came:" in said
    assert re.search(r"trunkline script.*got +session.update", said, re.DOTALL)


FAULTY = """
def test_faults(trunkline_simulator, trunkline_faults, talk):
    plan = trunkline_faults(Close(1012).on("response.done", nth={nth}))
    simulator = trunkline_simulator()
    session = talk(simulator.url, lambda gateway: FaultyGateway(gateway, plan))
    with EventLog(session) as log:
        session.send_text("hello").get(timeout=5)
        log.wait_for("assistant_turn_completed")
        {more}
"""


def test_a_fault_that_acts_passes(run):
    passes(run(FAULTY.format(nth=1, more="simulator.wire.wait_sent('session.update', 2)")))


def test_a_fault_that_never_acts_fails_and_is_named_with_the_seed(run):
    said = fails(run(FAULTY.format(nth=7, more=""), "--trunkline-seed=4711"), passed=1, errors=1)
    assert "Close(code=1012" in said
    assert "never fired" in said
    assert "(seed 4711)" in said
    assert "repeat it with --trunkline-seed=4711" in said


def test_the_seed_is_printed_when_a_test_fails_and_repeats_it(run):
    code = """
def test_seed(trunkline_faults):
    plan = trunkline_faults(Lose().with_probability(0.5))
    assert plan.seed == trunkline_faults().seed
    assert trunkline_faults(seed=1).seed == 1
    assert not plan.seed, plan.seed
"""
    said = fails(run(code), failed=1)
    (seed,) = re.findall(r"E +AssertionError: (\d+)", said)
    assert f"faults with seed {seed}" in said
    assert f"AssertionError: {seed}\n" in fails(run(code, f"--trunkline-seed={seed}"), failed=1)


def test_each_test_draws_a_seed_of_its_own(run):
    code = """
seeds = set()
@pytest.mark.parametrize("n", range(3))
def test_seed(n, trunkline_faults):
    seeds.add(trunkline_faults().seed)
    assert len(seeds) == n + 1
"""
    passes(run(code), 3)


def test_an_unfired_fault_of_a_failing_or_skipped_test_is_no_second_failure(run):
    code = """
def test_fails(trunkline_faults):
    trunkline_faults(Lose().at_frame(3))
    assert False

def test_is_skipped(trunkline_faults):
    trunkline_faults(Lose().at_frame(3))
    pytest.{skip}("no reason")
""".format(skip="sk" + "ip")
    said = fails(run(code), failed=1, skipped=1)
    assert "never fired:\n  Lose().at_frame(3)" in said


def test_what_cannot_be_is_the_failure_of_the_test(run):
    code = """
def test_impossible(trunkline_faults):
    trunkline_faults(Lose().at_frame(0))
"""
    assert "InvalidSchedule" in fails(run(code), failed=1)


def test_simulators_are_stopped_whatever_happens(run):
    code = """
simulators = []

@pytest.mark.parametrize("n", range(2))
def test_some(n, trunkline_simulator):
    for simulator in simulators:
        with pytest.raises(RuntimeError, match="not running"):
            simulator.url
    simulators.extend(trunkline_simulator(delta_interval_s=0.5) for _ in range(2))
    assert len({simulator.url for simulator in simulators[-2:]}) == 2
    trunkline_simulator(ScriptBrain([expect("session.update")]))
"""
    said = fails(run(code, "-o", "trunkline_timeout_s=0.01"), passed=2, errors=2)
    assert said.count("was never reached: expect('session.update')") >= 2


def test_the_deadline_of_all_waits_is_an_ini_option(run, pytester):
    pytester.makeini("[pytest]\ntrunkline_timeout_s = 1.5\n")
    code = """
def test_deadline(trunkline_simulator, trunkline_events, talk):
    simulator = trunkline_simulator()
    with pytest.raises(TimeoutError, match=r"waited 1\\.5 s"):
        simulator.wire.wait_sent("response.create")
    log = trunkline_events(talk(simulator.url))
    assert log.timeout_s == 1.5
    log.timeout_s = 5
"""
    passes(run(code))


def test_leaks_are_looked_for_when_everything_else_is_gone(run):
    code = """
pytestmark = pytest.mark.usefixtures("trunkline_leaks")

def test_clean(trunkline_simulator, trunkline_events, talk):
    trunkline_events(talk(trunkline_simulator().url)).wait_for("session_opened")

def test_leaks():
    Simulator().start()
"""
    said = fails(run(code), passed=2, errors=1)
    assert "left behind" in said
    assert "trunkline simulator" in said


def test_without_the_extra_the_simulator_says_what_to_install_and_the_rest_works(run, pytester):
    pytester.makeconftest("import sys\nsys.modules['websockets'] = None\n")
    code = """
from trunkline.testing import EventLog, FaultPlan, Lose, leak_check

def test_simulator(trunkline_simulator):
    trunkline_simulator()

def test_faults(trunkline_faults):
    trunkline_faults()
"""
    result = run(code, head="")
    said = fails(result, passed=1, errors=1)
    assert (
        "the fixture trunkline_simulator cannot be used: the simulator needs the package 'websockets': "
        "pip install 'trunkline[simulator]'"
    ) in said


def test_the_fixtures_are_listed_with_what_they_do(run):
    said = run("", "--fixtures", head="").stdout.str()
    for name in ("trunkline_simulator", "trunkline_faults", "trunkline_events", "trunkline_leaks"):
        assert re.search(rf"^{name} -- .*\n    \S", said, re.MULTILINE), name


def test_a_test_that_uses_none_of_it_is_left_alone(run):
    code = """
import sys

def test_plain():
    assert not {"pykka", "websockets", "numpy", "msgspec"} & sys.modules.keys()
"""
    passes(run(code, head=""))


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_none_is_refused_before_any_test(run, seconds):
    result = run("def test_it(): pass", "-o", f"trunkline_timeout_s={seconds}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: trunkline_timeout_s = {seconds}: *more than 0"])
