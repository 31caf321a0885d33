"""The faults as values: what they promise of themselves, and what they refuse."""

import pickle

import pytest

from trunkline.gateway import faults
from trunkline.gateway.errors import GatewayError
from trunkline.gateway.faults import FAULTS, ImpossibleFault

ARGUMENTS = {
    "HttpStatus": (503,),
    "Stall": (1.5,),
    "Close": (1011, "no"),
    "SlowReader": (100,),
    "MissingField": ("response.id",),
    "WrongType": ("response.id",),
}
ALL = [kind(*ARGUMENTS.get(kind.__name__, ())) for kind in FAULTS]


def test_every_fault_of_the_issue_is_there():
    asked_for = """Refuse SilentUpgrade HttpStatus Reset HalfOpen Stall Drip CutFrame Close NoClose Garbage InvalidUtf8
        NotJson MissingField WrongType OversizedFrame EndlessFrame FragmentFlood CompressedBit MaskedFrame Duplicate Reorder
        Lose DoneTwice DoneForUnknown ActiveResponseRace SessionExpired RateLimit SlowReader"""
    assert {kind.__name__ for kind in FAULTS} == set(asked_for.split())
    assert {kind.__name__ for kind in FAULTS} <= set(faults.__all__)


@pytest.mark.parametrize("fault", ALL, ids=repr)
def test_a_fault_is_a_frozen_value_that_pickles_and_is_its_repr(fault):
    assert pickle.loads(pickle.dumps(fault)) == fault
    again = eval(repr(fault), vars(faults))  # noqa: S307 - our own repr, which is the point
    assert (again, hash(again)) == (fault, hash(fault))
    with pytest.raises((AttributeError, TypeError)):
        fault.seams = frozenset()


@pytest.mark.parametrize("fault", ALL, ids=repr)
def test_a_fault_says_where_it_acts_and_what_it_does(fault):
    assert fault.seams
    assert fault.seams <= {"simulator", "transport", "proxy"}
    assert fault.connects == (not fault.directions)
    assert type(fault).__doc__


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("HttpStatus", (402,), "status"),
        ("HttpStatus", (429, -1), "retry_after_s"),
        ("HttpStatus", (429, 1.5), "retry_after_s"),
        ("Stall", (0,), "seconds"),
        ("Stall", (-1,), "seconds"),
        ("Stall", (float("nan"),), "seconds"),
        ("Stall", (float("inf"),), "seconds"),
        ("Stall", (True,), "seconds"),
        ("Stall", ("1",), "seconds"),
        ("Stall", (None,), "seconds"),
        ("Drip", (1, "fast"), "interval_s"),
        ("Close", (1000, 5), "reason"),
        ("Close", (1000, "\ud800"), "reason"),
        ("Drip", (0,), "bytes_per_write"),
        ("Drip", (1, -1.0), "interval_s"),
        ("Close", (65536,), "code"),
        ("Close", (-1,), "code"),
        ("Close", (1000, "x" * 124), "reason"),
        ("SlowReader", (-1,), "bytes_per_s"),
        ("SlowReader", (True,), "bytes_per_s"),
        ("Garbage", (1,), "n_bytes"),
        ("OversizedFrame", (0,), "n_bytes"),
        ("FragmentFlood", (1,), "n"),
        ("MissingField", ("",), "name"),
        ("MissingField", ("a..b",), "name"),
        ("WrongType", (3,), "name"),
    ],
)
def test_arguments_that_cannot_be_are_refused_with_field_value_and_what_is_allowed(name, arguments, field):
    with pytest.raises(ImpossibleFault) as refused:
        getattr(faults, name)(*arguments)
    assert refused.value.field == field
    assert refused.value.allowed in str(refused.value)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, GatewayError)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
