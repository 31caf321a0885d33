"""The restart tables, over their whole product."""

import itertools

import pytest

from trunkline.supervision import KILLED, NOPROC, NORMAL, SHUTDOWN, Shutdown
from trunkline.supervision.policy import (
    AUTO_SHUTDOWNS,
    RESTART_TYPES,
    STATES,
    STRATEGIES,
    Decision,
    Scope,
    State,
    Verdict,
    affected,
    after_exit,
    ends_supervisor,
    is_reported,
)

CLEAN = [NORMAL, SHUTDOWN, Shutdown("x")]
UNCLEAN = [KILLED, NOPROC, ValueError("x"), SystemExit(1)]
REPORTED = {
    ("permanent", True): True,
    ("permanent", False): True,
    ("transient", True): False,
    ("transient", False): True,
    ("temporary", True): False,
    ("temporary", False): True,
}
SCOPES = {"one_for_one": Scope.ITSELF, "one_for_all": Scope.ALL, "rest_for_one": Scope.REST}


def expected(strategy, restart, clean, state):
    """OTP's rules in the words of its manual: told apart from the table under test by being rules."""
    if restart == "temporary":
        return Decision(Verdict.REMOVE, significant=state is State.RUNNING)
    match state:
        case State.TERMINATING:
            return Decision(Verdict.STOP)
        case State.BYSTANDER:
            return Decision(Verdict.START_AGAIN)
        case State.RUNNING if restart == "transient" and clean:
            return Decision(Verdict.STOP, significant=True)
        case _:
            return Decision(Verdict.RESTART, SCOPES[strategy])


@pytest.mark.parametrize(
    ("strategy", "restart", "reason", "state"),
    [*itertools.product(STRATEGIES, RESTART_TYPES, CLEAN + UNCLEAN, STATES)],
)
def test_what_becomes_of_a_child_is_otps_table(strategy, restart, reason, state):
    assert after_exit(strategy, restart, reason, state) == expected(strategy, restart, reason in CLEAN, state)


@pytest.mark.parametrize(("restart", "reason"), [*itertools.product(RESTART_TYPES, CLEAN + UNCLEAN)])
def test_any_end_of_a_permanent_child_and_every_unclean_one_is_reported(restart, reason):
    assert is_reported(restart, reason) is REPORTED[restart, reason in CLEAN]


@pytest.mark.parametrize(
    ("scope", "ended", "again"),
    [
        *((Scope.NOBODY, ended, "") for ended in "abc"),
        *((Scope.ITSELF, ended, ended) for ended in "abc"),
        *((Scope.ALL, ended, "abc") for ended in "abc"),
        (Scope.REST, "a", "abc"),
        (Scope.REST, "b", "bc"),
        (Scope.REST, "c", "c"),
    ],
)
def test_a_scope_names_who_is_started_again_in_start_order(scope, ended, again):
    assert affected(scope, ["a", "b", "c"], ended) == list(again)


@pytest.mark.parametrize(("auto_shutdown", "left"), [*itertools.product(AUTO_SHUTDOWNS, [0, 1, 2])])
def test_a_significant_end_ends_the_supervisor_as_auto_shutdown_says(auto_shutdown, left):
    ends = {"never": False, "any_significant": True, "all_significant": left == 0}
    assert ends_supervisor(auto_shutdown, left) is ends[auto_shutdown]
