"""What can be offered as a tool, and what is refused."""

import pickle
from typing import Any

import pytest

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.tool_descriptor import ToolChoice, ToolDescriptor, descriptor_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolDescriptor("weather", "Tell the weather.", SCHEMA)


class Offered:
    def __init__(self, descriptor: Any) -> None:
        self.descriptor = descriptor


class Raising:
    @property
    def descriptor(self) -> Any:
        raise RuntimeError("out of order")


@pytest.mark.parametrize(
    "tool",
    [
        WEATHER,
        Offered(WEATHER),
        Offered(
            {"type": "function", "name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}
        ),
        Offered(
            {
                "type": "function",
                "function": {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA},
            }
        ),
    ],
    ids=["descriptor", "object", "flat dict", "nested dict"],
)
def test_every_way_of_describing_a_tool_gives_the_same_descriptor(tool: Any):
    assert descriptor_of(tool) == WEATHER


def test_a_tool_without_parameters_takes_an_empty_object():
    assert ToolDescriptor("now").parameters == {"type": "object", "properties": {}}
    assert descriptor_of(Offered({"name": "now"})) == ToolDescriptor("now")


@pytest.mark.parametrize(
    "tool",
    [
        None,
        5,
        "weather",
        {},
        [],
        object(),
        Offered,
        Offered(None),
        Offered("weather"),
        Offered({}),
        Offered({"name": 5}),
        Raising(),
        lambda city: city,
    ],
)
def test_what_is_no_tool_is_refused_where_it_stands(tool: Any):
    with pytest.raises(ConfigError) as refused:
        descriptor_of(tool, "tools[3]")
    assert refused.value.field in ("tools[3]", "tool.name")


@pytest.mark.parametrize(
    "described",
    [
        {"function": None},
        {"function": "weather"},
        {"name": "x", "parameters": 5},
        {"name": "x", "parameters": {"type": "string"}},
        {"name": "x", "description": 5},
        {"name": "x", "parameters": {"type": "object", "default": object()}},
    ],
)
def test_a_described_tool_with_a_broken_part_is_refused(described: Any):
    with pytest.raises(ConfigError):
        descriptor_of(Offered(described))


@pytest.mark.parametrize("name", ["a", "A_b-9", "x" * 64])
def test_a_name_may_be_letters_digits_underscores_and_hyphens(name: str):
    assert ToolDescriptor(name).name == name
    assert ToolChoice(name).name == name


@pytest.mark.parametrize("name", ["", " ", "two words", "x" * 65, "ü", "a.b", "a\n", None, 5, b"a", []])
def test_any_other_name_is_refused(name: Any):
    for make in (ToolDescriptor, ToolChoice):
        with pytest.raises(ConfigError) as refused:
            make(name)
        assert refused.value.field.endswith("name")


@pytest.mark.parametrize(
    "parameters", [None, 5, "{}", [], {}, {"type": "array"}, {"type": "object", "x": {1, 2}.__iter__()}]
)
def test_parameters_must_be_the_schema_of_an_object(parameters: Any):
    with pytest.raises(ConfigError) as refused:
        ToolDescriptor("x", "", parameters)
    assert refused.value.field == "tool.parameters"


def test_parameters_that_contain_themselves_are_refused():
    loop: dict[str, Any] = {"type": "object"}
    loop["properties"] = loop
    with pytest.raises(ConfigError):
        ToolDescriptor("x", "", loop)


def test_a_descriptor_keeps_its_own_copy_of_the_schema():
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    tool = ToolDescriptor("x", "", schema)
    schema["properties"]["later"] = {}
    assert tool.parameters == {"type": "object", "properties": {}}


def test_descriptors_and_choices_compare_and_pickle():
    for value in (WEATHER, ToolChoice("weather")):
        assert pickle.loads(pickle.dumps(value)) == value
