"""What the default brain makes of natural sentences."""

from __future__ import annotations

import pytest

from trunkline.gateway.simulator import CallTool, Conversation, RuleBrain, Say

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def tool(name, description, required=None, **properties):
    wanted = list(properties) if required is None else required
    parameters = {"type": "object", "properties": properties, "required": wanted}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


TOOLS = [
    tool(
        "get_weather",
        "Get the current weather in a city.",
        ["city"],
        city=TEXT,
        unit={"enum": ["celsius", "fahrenheit"]},
    ),
    tool("get_time", "Tell the local time in a city.", city=TEXT),
    tool("add", "Add two numbers.", a=WHOLE, b=WHOLE),
    tool("lookup_order", "Look up the state of an order.", order_id=TEXT),
    tool("book_flight", "Book a flight.", origin=TEXT, destination=TEXT),
    tool("send_email", "Send an email.", to=TEXT, subject=TEXT),
    tool("web_search", "Search the web.", query=TEXT),
    tool("set_timer", "Start a timer.", minutes=WHOLE),
    tool("cancel_timer", "Cancel a timer."),
    tool(
        "averageOf", "Take the mean of some figures.", values={"type": "array", "items": {"type": "number"}}
    ),
    tool(
        "lights",
        "Switch the lamps.",
        ["on"],
        on={"type": "boolean"},
        room={"anyOf": [{"type": "null"}, TEXT]},
    ),
]


def user(text):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(text):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id, name, arguments):
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id, text):
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def steps(*items, tools=TOOLS, **settings):
    items = [user(item) if isinstance(item, str) else item for item in items]
    return list(RuleBrain().reply(Conversation(items=items, tools=tools, **settings)))


def calls(*items, **settings):
    return [(step.name, step.arguments) for step in steps(*items, **settings) if isinstance(step, CallTool)]


def said(*items, **settings):
    (step,) = steps(*items, **settings)
    assert isinstance(step, Say)
    return step.text


def weather(*cities):
    return [("get_weather", {"city": city}) for city in cities]


def clock(*cities):
    return [("get_time", {"city": city}) for city in cities]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's the weather in Paris and in Tokyo?", weather("Paris", "Tokyo")),
        ("Compare the weather in Paris, Tokyo and New York.", weather("Paris", "Tokyo", "New York")),
        ("what's the weather in new york and tokyo", weather("New York", "Tokyo")),
        ("What\u2019s Paris\u2019s weather like today?", [("get_weather", {"city": "Paris"})]),
        ("How warm is it in Rome in fahrenheit?", [("get_weather", {"city": "Rome", "unit": "fahrenheit"})]),
        ("What time is it in Ottawa?", [("get_time", {"city": "Ottawa"})]),
        ("What's the weather and the time in Paris?", weather("Paris") + clock("Paris")),
        ("What's the time in Tokyo and the weather in Paris?", clock("Tokyo") + weather("Paris")),
        ("Add 2 and 3", [("add", {"a": 2, "b": 3})]),
        ("what is two plus -3", [("add", {"a": 2, "b": -3})]),
        ("Add 2 and 3, and 10 and 20.", [("add", {"a": 2, "b": 3}), ("add", {"a": 10, "b": 20})]),
        ("Add 2 and 3 and tell me the weather in Paris", [("add", {"a": 2, "b": 3}), ("get_weather", {"city": "Paris"})]),
        ("Where is my order #A-1234?", [("lookup_order", {"order_id": "A-1234"})]),
        ("Please call lookup_order for 77", [("lookup_order", {"order_id": "77"})]),
        ("Book a flight from Paris to Tokyo", [("book_flight", {"origin": "Paris", "destination": "Tokyo"})]),
        ("Email bob@example.com about 'lunch'", [("send_email", {"to": "bob@example.com", "subject": "lunch"})]),
        ("Search for cheap hotels in Rome", [("web_search", {"query": "cheap hotels in Rome"})]),
        ("set a timer for 5 minutes", [("set_timer", {"minutes": 5})]),
        ("cancel the timer", [("cancel_timer", {})]),
        ("the average of 1, 2.5 and 4", [("averageOf", {"values": [1, 2.5, 4]})]),
        ("lights on please", [("lights", {"on": True})]),
        ("What's the capital of Canada?", []),
        ("Hello", []),
    ],
)  # fmt: skip
def test_tools_are_called_for_what_they_do(text, expected):
    assert calls(text) == expected


def test_what_is_missing_is_asked_for_and_the_answer_completes_the_call():
    question = said("What's the weather?")
    assert question == "To do that I need to know the city."
    assert calls("What's the weather?", assistant(question), "Paris") == [("get_weather", {"city": "Paris"})]
    assert calls("What's the weather?", assistant(question), "in paris please") == [
        ("get_weather", {"city": "Paris"})
    ]


def test_no_tool_is_called_when_the_choice_is_none():
    assert calls("What's the weather in Paris?", tool_choice="none") == []


def test_a_tool_is_called_when_the_choice_requires_one():
    assert calls("Hi", tool_choice="required") == [("get_weather", {"city": ""})]
    assert calls("Hi", tool_choice="required", tools=[]) == []


def test_the_chosen_function_is_called_whatever_was_said():
    choice = {"type": "function", "name": "add"}
    assert calls("The weather in Paris with 4 and 5", tool_choice=choice) == [("add", {"a": 4, "b": 5})]
    assert calls("Hello", tool_choice=choice) == [("add", {"a": 0, "b": 0})]


def test_schemas_with_references_and_self_references_are_followed():
    city = {"$ref": "#/$defs/City"}
    loop = {"$ref": "#/$defs/Loop"}
    weather = tool("get_weather", "", ["city"], city=city, loop=loop)
    weather["parameters"]["$defs"] = {"City": {"type": "string"}, "Loop": {"$ref": "#/$defs/Loop"}}
    assert calls("weather in Paris", tools=[weather]) == [("get_weather", {"city": "Paris"})]


@pytest.mark.parametrize(
    "odd", [{}, {"parameters": None}, {"description": None}, {"parameters": {"required": ["x"]}}]
)
def test_a_tool_with_next_to_no_description_can_be_called(odd):
    assert calls("ping", tools=[{"type": "function", "name": "ping", **odd}]) == [("ping", {})]


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        ('{"city": "Paris"}', "18 degrees and sunny", "Paris: 18 degrees and sunny."),
        ('{"city": "Paris"}', '{"degrees": 18, "sky": "sunny"}', "Paris: degrees 18, sky sunny."),
        ('{"city": "Paris"}', '"In Paris it is 18."', "In Paris it is 18."),
        ('{"a": 2, "b": 3}', "5", "The answer is 5."),
        ('{"a": 2, "b": 3}', '{"error": "overflow"}', "f did not work: overflow."),
        ("{}", "[1, true, null]", "1, yes, nothing."),
        ("{", "", "Done."),
    ],
)
def test_outputs_are_put_into_words(arguments, text, expected):
    assert said("x", call("1", "f", arguments), output("1", text)) == expected


def test_all_outputs_are_answered_together_and_only_once():
    turn = [
        "weather in Paris and Tokyo",
        call("1", "get_weather", '{"city":"Paris"}'),
        call("2", "get_weather", '{"city":"Tokyo"}'),
        output("1", "18"),
        output("2", "21"),
    ]
    answer = said(*turn)
    assert answer == "Paris: 18. Tokyo: 21."
    assert said(*turn, assistant(answer), "What's the capital of Japan?") == "The capital of Japan is Tokyo."


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["What's the capital of Canada?"], "The capital of Canada is Ottawa."),
        (["capital of the united states"], "The capital of united states is Washington, D.C."),
        (["My name is Ada.", "What is my name?"], "Your name is Ada."),
        (["Call me Ada", "no, call me Grace", "who is it?", "what's my name"], "Your name is Grace."),
        (["What is my name?"], "You have not told me your name."),
        (["My favourite colour is green", "What's my favourite colour?"], "Your favourite colour is green."),
        (["My dog is brown"], "I will remember that your dog is brown."),
        (["Hi", "What did I just say?"], "You said: Hi"),
        (["What did I say?"], "You have not said anything before."),
        (["What is 6 times 7?"], "The answer is 42."),
        (["1 / 0"], "Nothing can be divided by zero."),
        (["Count to five"], "1, 2, 3, 4, 5."),
        (["Repeat after me: all is well"], "all is well"),
        (["Thanks"], "You are welcome."),
        (["Hello there"], "Hello! How can I help you?"),
        (["Quux"], "I heard: Quux"),
        ([""], "I heard you, but I cannot make out words."),
        ([], "Hello! How can I help you?"),
    ],
)
def test_small_talk(texts, expected):
    assert said(*texts, tools=[]) == expected


def test_an_out_of_band_response_without_input_follows_its_instructions():
    assert said(instructions="Say hello", out_of_band=True) == "hello"
