"""The error tree of the actors room: typed, telling, picklable."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from trunkline.actors import errors
from trunkline.actors.errors import (
    CommandTimeout,
    InvalidCommand,
    LineDown,
    SessionError,
    SessionGone,
    SessionInUse,
    SessionLogError,
    UnknownSession,
    WaitingForOneself,
)
from trunkline.actors.event_stream import StreamEnded, StreamTimeout
from trunkline.supervision import CallerError, CallingSelf

ERRORS = [
    SessionError("it broke"),
    SessionError("it broke", code="my_code"),
    InvalidCommand("send_text takes a str"),
    SessionGone(),
    SessionInUse("session_1", 42),
    SessionGone("gone"),
    UnknownSession("session_1"),
    SessionLogError("the disk is full"),
    WaitingForOneself(),
    CommandTimeout("update_instructions", 5.0),
    LineDown("commit_audio"),
    StreamTimeout(1.5),
    StreamEnded(),
]


def test_this_file_knows_every_error_of_the_module() -> None:
    defined = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
    }
    assert defined <= {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_pickling(error: Any) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.code == error.code


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_has_a_code_a_text_and_goes_to_the_caller_alone(error: Any) -> None:
    assert isinstance(error, CallerError)
    assert error.code
    assert error.code == error.code.lower()
    assert str(error)
    assert type(error).__doc__


def test_errors_are_caught_by_the_standard_names_too() -> None:
    assert issubclass(InvalidCommand, ValueError)
    assert issubclass(CommandTimeout, TimeoutError)
    assert issubclass(StreamTimeout, TimeoutError)
    assert issubclass(WaitingForOneself, CallingSelf)
