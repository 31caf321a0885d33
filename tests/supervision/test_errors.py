"""The room's errors: one root, attributes that survive pickling, texts that say what to do."""

import pickle

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    CallerError,
    CallingSelf,
    CallTimeout,
    InvalidSpec,
    MailboxFull,
    MaxChildren,
    NotFound,
    Restarting,
    Running,
    Shutdown,
    StableRef,
    StartError,
    StartTimeout,
    SupervisionError,
)

ERRORS = [
    ActorDown(KILLED),
    AlreadyPresent("a"),
    AlreadyStarted("a ref"),
    CallTimeout(5.0),
    CallingSelf(),
    InvalidSpec("restart", "always", "permanent"),
    MailboxFull(1000),
    MaxChildren(3),
    NotFound("a"),
    Restarting("a"),
    Running("a"),
    StartError(Shutdown(("failed_to_start_child", "a", KILLED))),
    StartTimeout(2.0),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_attributes_through_pickle(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
    assert isinstance(error, SupervisionError)


def test_errors_can_be_caught_as_pykkas_and_as_pythons():
    assert issubclass(ActorDown, pykka.ActorDeadError)
    assert issubclass(CallTimeout, pykka.Timeout)
    assert issubclass(InvalidSpec, ValueError)


def test_a_caller_error_is_not_of_this_rooms_tree_so_that_other_rooms_can_derive_from_it():
    assert not issubclass(CallerError, SupervisionError)


def test_a_reference_in_an_error_is_pickled_as_its_text(worker_class):
    ref = StableRef(worker_class, "a")
    assert pickle.loads(pickle.dumps(AlreadyStarted(ref))).ref == str(ref)
    assert pickle.loads(pickle.dumps(NotFound(ref))).child == str(ref)


def test_a_start_errors_cause_is_the_exception_at_the_bottom_of_its_reason():
    bottom = ValueError("no such file")
    nested = Shutdown(("failed_to_start_child", "a", Shutdown(("failed_to_start_child", "b", bottom))))
    assert StartError(nested).__cause__ is bottom
    assert StartError(KILLED).__cause__ is None


def test_actor_down_is_caused_by_the_exception_that_ended_the_actor():
    error = ValueError("x")
    assert ActorDown(error).__cause__ is error
