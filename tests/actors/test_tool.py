"""``@tool``, tool objects, and what is refused, and where."""

import functools
import pickle
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
import pytest

from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool import FunctionTool, Tool, as_tool, tool, tool_terms
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_errors import ToolArgumentsError, ToolDefinitionError
from trunkline.actors.tool_terms import ToolTerms
from trunkline.gateway.config import Config
from trunkline.gateway.tool_descriptor import ToolDescriptor

if TYPE_CHECKING:
    from decimal import Decimal


def a_context(name="weather") -> ToolContext:
    return ToolContext("call_1", name, "sess_1", "resp_1", CancelToken())


@tool
def weather(city: str, days: int = 1) -> str:
    """Say what the weather will be
    in a city.

    It knows all cities.

    Args:
        city: Its name, in English,
            without the country.
        days: How many days ahead.

    Returns:
        A sentence.
    """
    return f"{city}: rain for {days} days"


@tool(name="later", description="Waits.", timeout_s=2.5)
async def wait_a_while(seconds: float) -> float:
    return seconds


@dataclass
class Oven:
    temperature: int = 180

    def heat(self, to: int) -> int:
        """Heat the oven."""
        self.temperature = to
        return self.temperature

    def __eq__(self, other):
        return isinstance(other, Oven)

    __hash__ = None


renamed = tool(weather, name="forecast")


class Adder:
    """A tool object, as somebody else would write it."""

    descriptor = ToolDescriptor("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
    timeout_s = 4.0

    def run(self, arguments, ctx):
        return arguments["a"] + 1


# -- what the model is told


def test_a_typed_function_describes_itself_to_the_model():
    assert weather.descriptor == ToolDescriptor(
        name="weather",
        description="Say what the weather will be in a city.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name, in English, without the country."},
                "days": {"type": "integer", "description": "How many days ahead.", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )


def test_name_description_and_timeout_can_be_given():
    assert wait_a_while.descriptor.name == "later"
    assert wait_a_while.descriptor.description == "Waits."
    assert wait_a_while.timeout_s == 2.5


def test_a_tool_can_be_renamed_by_wrapping_it_again():
    assert renamed.descriptor.name == "forecast"
    assert renamed.descriptor.parameters == weather.descriptor.parameters
    assert weather.descriptor.name == "weather"


def test_a_function_without_docstring_or_parameters_is_a_tool():
    @tool
    def ping():
        return "pong"

    assert ping.descriptor == ToolDescriptor(
        "ping", "", {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    )
    assert ping.run({}, a_context()) == "pong"


def test_a_bound_method_is_a_tool():
    oven = Oven()
    heat = tool(oven.heat)
    assert heat.descriptor.name == "heat"
    assert heat.descriptor.description == "Heat the oven."
    assert heat.run({"to": 200}, a_context()) == 200
    assert oven.temperature == 200


def test_a_decorated_wrapper_shows_the_signature_of_what_it_wraps():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @tool
    @logged
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    assert list(double.descriptor.parameters["properties"]) == ["n"]
    assert double.run({"n": 4}, a_context()) == 8


def test_an_annotation_describes_its_parameter_before_the_docstring_does():
    @tool
    def f(
        a: Annotated[int, "from a text"],
        b: Annotated[int, msgspec.Meta(description="from Meta", ge=3)],
        c: int,
    ):
        """F.

        Args:
            a: from the docstring
            b: from the docstring
            c: from the docstring
        """

    properties = f.descriptor.parameters["properties"]
    assert properties["a"] == {"type": "integer", "description": "from a text"}
    assert properties["b"] == {"type": "integer", "description": "from Meta", "minimum": 3}
    assert properties["c"] == {"type": "integer", "description": "from the docstring"}


# -- the function stays what it was


def test_the_decorated_function_is_called_as_before():
    assert weather("Rome", days=2) == "Rome: rain for 2 days"
    assert weather.__name__ == "weather"
    assert weather.__doc__.startswith("Say what")
    assert weather.function.__name__ == "weather"


def test_tools_pickle_by_import_path():
    assert pickle.loads(pickle.dumps(weather)) is weather
    assert pickle.loads(pickle.dumps(wait_a_while)) is wait_a_while


def test_a_tool_that_is_no_module_attribute_pickles_with_its_function_and_options():
    copy = pickle.loads(
        pickle.dumps(tool(Oven(90).heat, name="bake", timeout_s=3.0, background=True, needs_approval=True))
    )
    assert copy.descriptor.name == "bake"
    assert (copy.timeout_s, copy.background, copy.needs_approval) == (3.0, True, True)
    assert copy.run({"to": 99}, a_context()) == 99


# -- the context


def test_a_parameter_named_ctx_receives_the_context_and_is_hidden_from_the_model():
    @tool
    def f(n: int, ctx):
        return n, ctx.call_id

    assert list(f.descriptor.parameters["properties"]) == ["n"]
    assert f.run({"n": 1}, a_context()) == (1, "call_1")


@pytest.mark.parametrize("annotation", [ToolContext, ToolContext | None, "ToolContext", "tools.ToolContext"])
def test_a_parameter_annotated_tool_context_receives_it_whatever_its_name(annotation):
    def f(call, n: int):
        return call.call_id

    f.__annotations__["call"] = annotation
    made = tool(f)
    assert list(made.descriptor.parameters["properties"]) == ["n"]
    assert made.run({"n": 1}, a_context()) == "call_1"


def test_the_model_cannot_set_the_context_itself():
    @tool
    def f(ctx):
        return ctx

    with pytest.raises(ToolArgumentsError, match="`ctx`: unknown"):
        f.run({"ctx": "me"}, a_context())


# -- string annotations


def test_a_string_annotation_may_name_a_local_type():
    @dataclass
    class Spot:
        x: int

    @tool
    def direct(spot: "Spot") -> int:
        return spot.x

    @tool()
    def with_parentheses(spots: "list[Spot]") -> int:
        return len(spots)

    assert direct.run({"spot": {"x": 3}}, a_context()) == 3
    assert with_parentheses.run({"spots": [{"x": 1}, {"x": 2}]}, a_context()) == 2


def test_an_annotation_imported_for_type_checkers_only_is_refused_by_name():
    def f(price: "Decimal"):
        return price

    with pytest.raises(ToolDefinitionError, match=r"'price'.*'Decimal'.*run time"):
        tool(f)


# -- what is refused, and that it is refused at decoration


class Opaque:
    pass


class Colour:
    def paint(self, name: str):
        return name


def takes_args(*args: int): ...
def takes_kwargs(**kwargs: int): ...
def positional(a: int, /): ...
def bare(a): ...
def opaque(a: Opaque): ...
def an_array(a: np.ndarray): ...
def nested(a: list[dict[str, Opaque]]): ...
def ambiguous(a: "Oven | Adder | Node"): ...
def nowhere(a: "Nowhere"): ...  # noqa: F821
def broken(a: "list["): ...  # noqa: F722
def context_of_another_type(ctx: str): ...
def two_contexts(ctx, more: ToolContext): ...
def yields(n: int):
    yield n


async def yields_later(n: int):
    yield n


def naïve(n: int): ...


@pytest.mark.parametrize(
    ("function", "parameter", "says"),
    [
        (takes_args, "args", "any number"),
        (takes_kwargs, "kwargs", "any number"),
        (positional, "a", "positional-only"),
        (bare, "a", "no annotation"),
        (opaque, "a", "Opaque"),
        (an_array, "a", "ndarray"),
        (nested, "a", "Opaque"),
        (ambiguous, "a", "no JSON form"),
        (nowhere, "a", "Nowhere"),
        (broken, "a", "cannot be resolved"),
        (context_of_another_type, "ctx", "rename it"),
        (two_contexts, "more", "second ToolContext"),
        (Colour.paint, "self", r"tool\(obj.method\)"),
        (yields, None, "yields"),
        (yields_later, None, "yields"),
        (naïve, None, "1 to 64"),
        (lambda: 1, None, "lambda"),
        (print, "args", "any number"),
        (staticmethod(bare), None, "below @staticmethod"),
        (classmethod(bare), None, "below @classmethod"),
        (functools.partial(bare, 1), None, "wrap the call"),
        (Opaque, None, "wrap the call"),
        (5, None, "wrap the call"),
    ],
    ids=str,
)
def test_a_function_that_no_model_could_call_is_refused_when_it_is_decorated(function, parameter, says):
    with pytest.raises(ToolDefinitionError, match=says) as caught:
        tool(function)
    assert caught.value.parameter == parameter
    assert isinstance(caught.value, TypeError)
    if parameter:
        assert repr(parameter) in str(caught.value)


@pytest.mark.parametrize(
    ("option", "advice"), [("timeout", "did you mean timeout_s?"), ("retries", "there are name, description")]
)
def test_an_option_that_does_not_exist_is_named_with_those_that_do(option, advice):
    with pytest.raises(ToolDefinitionError, match=f"{option!r} that @tool does not know; ") as refused:
        tool(**{option: 3})(weather.function)
    assert refused.value.advice.startswith(advice)


@pytest.mark.parametrize("timeout_s", [0, -1, "3", True, float("nan")])
def test_a_timeout_that_is_no_positive_number_is_refused(timeout_s):
    with pytest.raises(ToolDefinitionError, match="timeout_s"):
        tool(weather, timeout_s=timeout_s)


@pytest.mark.parametrize("option", ["background", "needs_approval"])
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_a_switch_that_is_neither_true_nor_false_is_refused(option, value):
    with pytest.raises(ToolDefinitionError, match=option):
        tool(weather, **{option: value})
    with pytest.raises(ToolDefinitionError, match=option):
        as_tool(type("Odd", (Adder,), {option: value})())


def test_an_option_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="timeout"):
        tool(weather, timeout=3.0)


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a.b"])
def test_a_name_that_no_provider_takes_is_refused(name):
    with pytest.raises(ToolDefinitionError, match="1 to 64"):
        tool(weather, name=name)


# -- tool objects


def test_a_tool_object_is_taken_as_it_is():
    adder = Adder()
    assert as_tool(adder) is adder
    assert isinstance(adder, Tool)


def test_a_function_tool_is_a_tool():
    assert as_tool(weather) is weather
    assert isinstance(weather, Tool)


def test_a_plain_function_becomes_a_tool():
    made = as_tool(Oven().heat)
    assert isinstance(made, FunctionTool)
    assert made.descriptor.name == "heat"


def test_a_tool_object_may_describe_itself_with_the_providers_own_mapping():
    class Foreign:
        descriptor = {
            "type": "function",
            "function": {"name": "shout", "description": "Shouts.", "parameters": None},
        }

        def run(self, arguments, ctx):
            return arguments, ctx.call_id

    made = as_tool(Foreign())
    assert made.descriptor.name == "shout"
    assert made.run({"a": 1}, a_context()) == ({"a": 1}, "call_1")


class NothingToCall:
    descriptor = Adder.descriptor


class BadTimeout(Adder):
    timeout_s = -1.0


@pytest.mark.parametrize(
    "candidate",
    [5, "weather", None, Adder, NothingToCall(), BadTimeout(), Adder.descriptor, object(), threading.Event()],
    ids=repr,
)
def test_what_is_neither_a_function_nor_a_tool_object_is_refused(candidate):
    with pytest.raises(ToolDefinitionError):
        as_tool(candidate)


def test_a_tools_own_timeout_goes_before_the_configs():
    assert tool_terms(Adder(), Config(tool_timeout_s=9.0)).timeout_s == 4.0
    assert tool_terms(weather, Config(tool_timeout_s=9.0)).timeout_s == 9.0
    assert tool_terms(weather, Config()).timeout_s is None


def test_a_tool_object_may_be_in_the_background_and_need_approval():
    class Careful(Adder):
        background = True
        needs_approval = True

    config = Config(approval_timeout_s=7.0)
    for candidate in (Careful(), tool(weather, background=True, needs_approval=True)):
        terms = tool_terms(as_tool(candidate), config)
        assert (terms.background, terms.approval_s) == (True, 7.0)
    assert tool_terms(weather, config) == ToolTerms()


class Node(msgspec.Struct):
    """A tree."""

    value: Literal[1, 2]
    children: "list[Node]" = []


def any_json(value: Any = None): ...


def test_any_is_any_json_value():
    assert tool(any_json).descriptor.parameters["properties"] == {"value": {"default": None}}
