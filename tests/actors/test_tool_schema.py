"""JSON Schema of parameter types: where definitions go, defaults."""

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
import pytest

from trunkline.actors.tool import tool
from trunkline.actors.tool_schema import describe, own_description, why_not_describable


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Line:
    start: Point
    end: Point


class Node(msgspec.Struct):
    """A tree."""

    value: int
    spot: Point
    children: "list[Node]" = []


class Options(TypedDict):
    loud: bool
    volume: NotRequired[int]


class Cat(msgspec.Struct, tag=True):
    discriminator: str


class Dog(msgspec.Struct, tag=True):
    age: int


def schema_of(annotation):
    schemas, definitions = describe([annotation])
    return schemas[0], definitions


POINT = {
    "title": "Point",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
    "required": ["x"],
}


def test_a_definition_stands_where_it_is_used():
    schema, definitions = schema_of(list[Line] | None)
    items = schema["anyOf"][0]["items"]
    assert items["properties"] == {"start": POINT, "end": POINT}
    assert definitions == {}


def test_a_type_that_contains_itself_stays_a_definition_and_the_rest_is_put_in_place():
    schema, definitions = schema_of(dict[str, Node])
    assert schema["additionalProperties"] == {"$ref": "#/$defs/Node"}
    assert list(definitions) == ["Node"]
    node = definitions["Node"]["properties"]
    assert node["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert node["spot"] == POINT


def test_definitions_of_recursive_types_reach_the_tools_parameters():
    @tool
    def walk(tree: Annotated[Node, "where to start"]): ...

    parameters = walk.descriptor.parameters
    assert parameters["properties"]["tree"] == {"$ref": "#/$defs/Node", "description": "where to start"}
    assert set(parameters["$defs"]) == {"Node"}


def test_a_tagged_union_keeps_its_tags_and_its_fields_but_no_dangling_mapping():
    schema, definitions = schema_of(Cat | Dog)
    assert definitions == {}
    assert "discriminator" not in schema
    cat, dog = schema["anyOf"]
    assert cat["properties"]["type"] == {"enum": ["Cat"]}
    assert cat["properties"]["discriminator"] == {"type": "string"}
    assert dog["properties"]["age"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Colour, {"title": "Colour", "enum": ["blue", "red"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (dt.date, {"type": "string", "format": "date"}),
    ],
    ids=str,
)
def test_types_as_the_model_sees_them(annotation, expected):
    assert schema_of(annotation)[0] == expected


def test_a_typed_dict_says_which_keys_it_needs():
    schema, _ = schema_of(Options)
    assert schema["required"] == ["loud"]
    assert set(schema["properties"]) == {"loud", "volume"}


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        (3, 3),
        (None, None),
        ([1, 2], [1, 2]),
        (Colour.RED, "red"),
        (Point(1), {"x": 1, "y": 0}),
        (dt.date(2026, 1, 2), "2026-01-02"),
    ],
    ids=str,
)
def test_a_default_is_shown_as_json(default, expected):
    def f(value=default): ...

    f.__annotations__["value"] = object if default is None else type(default)
    if default is None:
        f.__annotations__["value"] = int | None
    schema = tool(f).descriptor.parameters
    assert schema["properties"]["value"]["default"] == expected
    assert schema["required"] == []


@pytest.mark.parametrize("default", [object(), float("nan"), float("inf")], ids=str)
def test_a_default_that_json_cannot_hold_is_left_out_and_works_all_the_same(default):
    @tool
    def f(value: float = default):
        return value is default

    schema = f.descriptor.parameters
    assert schema["properties"]["value"] == {"type": "number"}
    assert schema["required"] == []
    assert f.run({}, None) is True


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, None),
        (Annotated[int, "text"], "text"),
        (Annotated[int, msgspec.Meta(ge=1), "text"], "text"),
        (Annotated[int, msgspec.Meta(description="meta"), "text"], "meta"),
        (Annotated[int, 5], None),
    ],
    ids=str,
)
def test_the_first_description_in_an_annotation_counts(annotation, expected):
    assert own_description(annotation) == expected


def test_why_a_type_cannot_be_described_is_said():
    assert why_not_describable(int) is None
    assert "complex" in str(why_not_describable(complex))
