"""An exception's twin is the same in all but identity."""

import asyncio
import json
import traceback
import types
from pathlib import Path

import pytest

from trunkline.supervision import ActorDown, StartError
from trunkline.supervision.twins import twin_of


class OtherArguments(Exception):
    made = 0

    def __init__(self, code, *, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        OtherArguments.made += 1


class Slotted(Exception):
    __slots__ = ("detail", "never_set")

    def __init__(self, detail):
        super().__init__()
        self.detail = detail


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def of(what):
    try:
        what()
    except BaseException as caught:
        return caught


def chained():
    try:
        try:
            raise LookupError("first")
        except LookupError as error:
            raise KeyError("second") from error
    except KeyError as error:
        error.add_note("a note")
        return error


ERRORS = [
    raised(ValueError("x")),
    raised(OtherArguments(7, text="seven")),
    raised(Slotted("detail")),
    raised(ActorDown(ValueError("why"))),
    raised(StartError(ValueError("why"))),
    of(lambda: Path("/no/such/file").read_bytes()),
    of(lambda: b"\xff".decode()),
    of(lambda: json.loads("{")),
    of(lambda: compile("a b", "text", "exec")),
    of(lambda: {}["key"]),
    of(lambda: object().nothing),
    of(lambda: __import__("no_such_module")),
    raised(SystemExit(3)),
    raised(StopIteration(5)),
    raised(asyncio.CancelledError("cancelled")),
    raised(ExceptionGroup("several", [ValueError(1), TypeError(2)])),
    chained(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_twin_has_the_same_type_content_and_traceback(error):
    twin = twin_of(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
    assert twin.__traceback__ is error.__traceback__
    assert twin.__cause__ is error.__cause__
    assert twin.__context__ is error.__context__
    assert "".join(traceback.format_exception(twin)) == "".join(traceback.format_exception(error))
    for name in dir(error):
        if not name.startswith("__") and not isinstance(
            getattr(error, name, None), types.MethodType | types.BuiltinMethodType
        ):
            assert getattr(twin, name, None) == getattr(error, name, None), name


def test_to_raise_a_twin_leaves_the_original_alone():
    error = raised(ValueError("x"))
    before = error.__traceback__, error.__context__
    try:
        raise LookupError("the asker's own")
    except LookupError:
        caught = raised(twin_of(error))
    assert isinstance(caught.__context__, LookupError)
    assert (error.__traceback__, error.__context__) == before
    caught.add_note("the asker's")
    assert not hasattr(error, "__notes__")


def test_notes_are_each_ones_own():
    error = raised(ValueError("x"))
    error.add_note("shared")
    twin = twin_of(error)
    twin.add_note("the twin's")
    assert error.__notes__ == ["shared"]


def test_no_code_of_the_exceptions_constructor_runs():
    error = raised(OtherArguments(1, text="one"))
    made = OtherArguments.made
    assert twin_of(error).code == 1
    assert OtherArguments.made == made


def test_an_exception_that_cannot_be_made_from_its_args_is_returned_itself():
    class Peculiar(Exception):
        def __new__(cls, *, key):
            return super().__new__(cls, key)

        def __init__(self, *, key):
            pass

    error = raised(Peculiar(key=1))
    assert twin_of(error) is error
