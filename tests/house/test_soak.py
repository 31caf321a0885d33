"""The soak finds what it looks for: its judge is a pure module, and here it is judged."""

import importlib.util
import subprocess
import sys
from collections import Counter

import pytest

from trunkline import (
    AssistantText,
    AssistantTextDelta,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Error,
    Interrupted,
    SessionClosed,
    SessionOpened,
    SessionUpdated,
    ToolCallCompleted,
    ToolCallDispatched,
)

DEADLINE_S = 55.0


@pytest.fixture
def judge(root):
    """A judge of a session that has begun."""
    spec = importlib.util.spec_from_file_location("soak_judge", root / "benchmarks" / "soak" / "judge.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak_judge"] = module
    spec.loader.exec_module(module)
    yield told(module.Judge("soak 0/0"), SessionOpened("s"))
    del sys.modules["soak_judge"]


def told(judge, *events):
    for number, event in enumerate(events):
        judge.take(event, float(number))
    return judge


def turn(turn_id, text, status="completed"):
    return (
        AssistantTurnStarted(turn_id),
        AssistantText(turn_id, text),
        AssistantTurnCompleted(turn_id, status),
    )


def verdict(judge, runs=None):
    """What is wrong with a session that ends here, by figure."""
    told(judge, SessionClosed("client"))
    judge.conclude(runs or Counter())
    return [violation.figure for violation in judge.violations]


def audit(users, outputs=""):
    return turn("audit", f"t0x0x9 users {users} outputs {outputs} end")


def test_a_session_that_went_well_is_none_of_its_business(judge):
    judge.accepted += ["t0x0x1", "t0x0x9"]
    told(judge, *turn("r1", "t0x0x1 is answered"), *audit("t0x0x1,t0x0x9"))
    assert verdict(judge) == []
    assert judge.turns_completed() == 2


def test_two_whole_answers_to_one_message_are_one_too_many(judge):
    assert verdict(told(judge, *turn("r1", "t0x0x1"), *turn("r2", "t0x0x1"))) == ["duplicated answers"]


def test_an_answer_that_a_loss_broke_off_may_be_given_again(judge):
    told(judge, *turn("r1", "t0x0x1", "failed"), *turn("r2", "t0x0x1"))
    assert judge.is_settled("t0x0x1")
    assert verdict(judge) == []


def test_asking_for_an_answer_to_nothing_gives_a_doubled_request_away(judge):
    assert verdict(told(judge, *turn("r1", "idle"))) == ["duplicated answers"]


def test_what_was_cut_off_on_purpose_may_be_answered_or_not(judge):
    began = AssistantTurnStarted("r1"), AssistantText("r1", "t0x0x1"), Interrupted("r1", "manual")
    told(
        judge, *began, AssistantTurnCompleted("r1", "cancelled"), *turn("r2", "t0x0x1"), *turn("r3", "t0x0x1")
    )
    assert judge.is_settled("t0x0x1")
    assert verdict(judge) == []


@pytest.mark.parametrize("there", ["", "t0x0x2", "t0x0x1,t0x0x1,t0x0x2", "t0x0x2,t0x0x1"])
def test_a_message_that_is_missing_doubled_or_out_of_place_at_the_provider_is_lost(judge, there):
    judge.accepted += ["t0x0x1", "t0x0x2"]
    assert set(verdict(told(judge, *audit(there)))) == {"accepted messages lost"}


def called(call_id):
    return (
        *turn("r1", ""),
        ToolCallDispatched("r1", call_id, "stamp", {}),
        ToolCallCompleted("r1", call_id, "stamp", "ok"),
    )


@pytest.mark.parametrize("outputs", ["", "c=2"])
def test_a_call_has_one_output(judge, outputs):
    told(judge, *called("c"), *audit("", outputs))
    assert verdict(judge) == ["tool outputs missing or doubled"]


def test_a_tool_that_is_dispatched_again_when_its_outcome_is_known_is_found(judge):
    told(judge, *called("c"), ToolCallDispatched("r1", "c", "stamp", {}), *audit("", "c=1"))
    assert verdict(judge, Counter(c=2)) == ["tools run after their outcome"]
    assert judge.reruns == 1


def test_a_turn_that_never_ends_is_found(judge):
    assert verdict(told(judge, AssistantTurnStarted("r1"))) == ["turns without an end"]


def test_a_delta_after_the_interruption_is_found(judge):
    ended = AssistantTurnStarted("r1"), Interrupted("r1", "manual"), AssistantTurnCompleted("r1", "cancelled")
    assert verdict(told(judge, *ended, AssistantTextDelta("r1", "x"))) == ["deltas after interrupted"]


def test_a_stream_that_does_not_begin_with_session_opened_is_found(judge):
    assert set(verdict(told(judge, SessionOpened("s")))) == {"order of events"}


def test_an_error_that_no_fault_explains_is_found(judge):
    assert verdict(told(judge, Error("invalid_value", "no"))) == ["errors that no fault explains"]


def test_losses_and_resumptions_are_counted(judge):
    told(judge, Error("connection_lost", "lost"), SessionUpdated(resumed=True))
    assert (judge.losses, judge.resumptions) == (1, 1)


def test_a_short_soak_in_good_weather_is_clean(root):
    program = [sys.executable, str(root / "benchmarks" / "soak")]
    options = ["--seconds", "4", "--sessions", "4", "--rate", "0.0001", "--seed", "1"]
    done = subprocess.run(
        [*program, *options], capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr
