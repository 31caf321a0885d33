"""From what a tool returns to the text on the wire."""

import datetime as dt
import decimal
import enum
import uuid
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from trunkline.actors.tool_errors import ToolResultError
from trunkline.actors.tool_result import MAX_OUTPUT_BYTES, serialise_result


@dataclass
class Point:
    x: int


class Spot(msgspec.Struct):
    x: int


class Colour(str, enum.Enum):  # noqa: UP042 - str() of a StrEnum is its value anyway
    RED = "red"


class Number(enum.Enum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("raw text", "raw text"),
        ("", ""),
        ('{"already": "json"}', '{"already": "json"}'),
        (Colour.RED, "red"),
        (np.str_("np"), "np"),
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (1.5, "1.5"),
        (float("nan"), "null"),
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
        ({1: "one"}, '{"1":"one"}'),
        ((1, 2), "[1,2]"),
        (Point(1), '{"x":1}'),
        (Spot(1), '{"x":1}'),
        (Number.ONE, "1"),
        (b"abc", '"YWJj"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (np.int64(5), "5"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.arange(4).reshape(2, 2), "[[0,1],[2,3]]"),
        ({"n": np.int16(3), "a": np.zeros(2)}, '{"n":3,"a":[0.0,0.0]}'),
        (np.datetime64("2026-01-02"), '"2026-01-02"'),
    ],
    ids=repr,
)
def test_a_result_is_written_as_text(value, text):
    assert serialise_result(value) == text


def circular():
    ring = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"a": object()},
        {(1, 2): 3},
        1 + 2j,
        np.complex64(1j),
        np.longdouble(1),
        np.array([object()]),
        circular(),
        "\ud800",
        {"a": "\ud800"},
        (n for n in range(3)),
        lambda: 1,
        int,
        2**70 * 1j,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_result_that_json_cannot_hold_is_a_typed_error_without_internals(value):
    with pytest.raises(ToolResultError) as caught:
        serialise_result(value)
    assert str(caught.value) == "The tool returned a result that cannot be written as JSON."
    assert type(value).__name__ in caught.value.detail


def test_a_result_too_long_for_any_model_is_refused_with_its_length():
    assert len(serialise_result("x" * MAX_OUTPUT_BYTES)) == MAX_OUTPUT_BYTES
    with pytest.raises(ToolResultError, match=str(MAX_OUTPUT_BYTES + 1)):
        serialise_result("x" * (MAX_OUTPUT_BYTES + 1))
