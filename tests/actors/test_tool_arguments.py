"""From the model's text to a tool's arguments."""

import enum
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest

from trunkline.actors.tool import tool
from trunkline.actors.tool_arguments import convert_arguments, parse_arguments
from trunkline.actors.tool_errors import ToolArgumentsError
from trunkline.actors.tool_signature import read_signature


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


def parameters_of(function):
    return read_signature(function, function.__name__, {}).parameters


def convert(annotation, value):
    def f(value): ...

    f.__annotations__["value"] = annotation
    return convert_arguments(parameters_of(f), {"value": value})["value"]


@pytest.mark.parametrize("raw", ["", "  ", "\n", "{}", " {} "])
def test_empty_arguments_are_none(raw):
    assert parse_arguments(raw) == {}


def test_arguments_are_a_json_object():
    assert parse_arguments('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ('{"a": 1', "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": NaN}', "not valid JSON"),
        ('{"a": 1} {"b": 2}', "not valid JSON"),
        ('{"a": "\ud800"}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' * 100_000, "not valid JSON"),
        ("[1]", "are an array"),
        ('"a"', "are a string"),
        ("5", "are a number"),
        ("5.5", "are a number"),
        ("true", "are a boolean"),
        ("null", "are null"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_json_object_is_told_to_the_model(raw, says):
    with pytest.raises(ToolArgumentsError, match=says) as caught:
        parse_arguments(raw)
    assert len(str(caught.value)) < 400
    assert "Send one JSON object" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 5, 5),
        (int, "5", 5),
        (int, 5.0, 5),
        (float, 5, 5.0),
        (float, "5.5", 5.5),
        (bool, "true", True),
        (str, "5", "5"),
        (int | str, "5", "5"),
        (int | str, 5, 5),
        (float | int, 5.0, 5.0),
        (str | None, "null", "null"),
        (list[int], ["5", 6.0], [5, 6]),
        (dict[str, int], {"a": "5"}, {"a": 5}),
        (Point, {"x": "1"}, Point(1)),
        (Point, {"x": 1, "z": 9}, Point(1)),
        (Colour, "red", Colour.RED),
        (tuple[int, str], [1, "a"], (1, "a")),
    ],
    ids=str,
)
def test_a_value_is_converted_where_nothing_can_be_lost(annotation, value, expected):
    converted = convert(annotation, value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "says"),
    [
        (int, 5.5, "`value`: Expected `int`, got `float`"),
        (int, "five", "`value`: Expected `int`, got `str`"),
        (str, 5, "`value`: Expected `str`, got `int`"),
        (bool, 7, "`value`: Expected `bool`, got `int`"),
        (int, None, "`value`: Expected `int`, got `null`"),
        (list[int], [1, "a"], "`value[1]`: Expected `int`, got `str`"),
        (Point, {"y": 1}, "`value`: Object missing required field `x`"),
        (list[Point], [{"x": []}], "`value[0].x`: Expected `int`, got `array`"),
        (dict[str, Point], {"k": {"x": []}}, r"`value[...].x`: Expected `int`, got `array`"),
        (Annotated[int, msgspec.Meta(ge=3)], 2, "`value`: Expected `int` >= 3"),
        (Literal["a", "b"], "c", """`value`: Invalid enum value 'c', expected one of ["a","b"]"""),
        (Colour, "blue", """`value`: Invalid enum value 'blue', expected one of ["red"]"""),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_by_its_path_and_what_was_expected(annotation, value, says):
    with pytest.raises(ToolArgumentsError) as caught:
        convert(annotation, value)
    assert says in str(caught.value)


def two(a: int, b: int = 2): ...


def test_all_problems_are_named_at_once():
    with pytest.raises(ToolArgumentsError) as caught:
        convert_arguments(parameters_of(two), {"b": "x", "c": 1})
    assert str(caught.value) == (
        "Invalid arguments. `a`: missing, and required; `b`: Expected `int`, got `str`; "
        "`c`: unknown, this tool takes a, b."
    )


def test_many_or_long_problems_do_not_make_a_long_message():
    with pytest.raises(ToolArgumentsError, match="and 993 more") as caught:
        convert_arguments(parameters_of(two), {str(n) * 5_000: 1 for n in range(1000)})
    assert len(str(caught.value)) < 4_000


def test_what_has_a_default_may_be_left_out_and_is_not_passed():
    assert convert_arguments(parameters_of(two), {"a": 1}) == {"a": 1}


def test_a_mutable_default_is_pythons_own():
    seen = ["kept"]

    @tool
    def f(names: list[str] = seen):
        return names

    assert f.run({}, None) is seen


def test_a_type_may_refuse_a_value_itself():
    class Even(msgspec.Struct):
        n: int

        def __post_init__(self):
            if self.n % 2:
                raise ValueError(f"{self.n} is odd")

    with pytest.raises(ToolArgumentsError, match=r"`value`: 3 is odd"):
        convert(Even, {"n": 3})
