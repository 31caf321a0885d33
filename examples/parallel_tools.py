"""Two tools run at the same time: each waits until it has seen the other, which only works in parallel."""

import threading

from provider import gateway

from trunkline import AssistantText, Broker, Config, ToolCallCompleted, ToolCallDispatched, tool

both_are_here = threading.Barrier(2)


@tool(timeout_s=5.0)
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    both_are_here.wait(timeout=4.0)
    return f"18 degrees and sunny in {city}"


config = Config(modalities=["text"], turn_detection="none", tools=[get_weather])

with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
    session = broker.connect().get()
    events = session.events()
    session.send_text("What's the weather in Paris and in Tokyo?").get()
    for event in events:
        match event:
            case ToolCallDispatched(args=args):
                print(f"asked for {args['city']}")
            case ToolCallCompleted(result=result):
                print(f"known: {result}")
            case AssistantText(text=text):
                print(text)
                break
