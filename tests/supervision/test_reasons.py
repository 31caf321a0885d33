"""Exit reasons."""

import pickle

import pytest

from trunkline.supervision import IGNORE, KILLED, NOPROC, NORMAL, SHUTDOWN, Exit, Shutdown, is_clean


@pytest.mark.parametrize(
    ("reason", "clean"),
    [
        (NORMAL, True),
        (SHUTDOWN, True),
        (Shutdown("enough"), True),
        (Shutdown(["enough"]), True),
        (IGNORE, True),
        (KILLED, False),
        (NOPROC, False),
        (ValueError("x"), False),
        (SystemExit(1), False),
    ],
)
def test_normal_and_shutdown_are_the_clean_reasons(reason, clean):
    assert is_clean(reason) is clean


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, KILLED, NOPROC, IGNORE])
def test_a_reason_is_the_same_object_after_pickling(reason):
    assert pickle.loads(pickle.dumps(reason)) is reason


def test_a_reason_is_its_name_wherever_it_is_shown():
    assert f"{KILLED} {KILLED!r}" == "KILLED KILLED"


def test_a_shutdown_with_a_term_survives_pickling():
    assert pickle.loads(pickle.dumps(Shutdown(("why", 3)))) == Shutdown(("why", 3))


def test_exit_carries_its_reason_also_through_pickle():
    assert Exit().reason is NORMAL
    assert pickle.loads(pickle.dumps(Exit(Shutdown("x")))).reason == Shutdown("x")
