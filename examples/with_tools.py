"""The model calls a Python function and answers from what it returns."""

from provider import gateway

from trunkline import AssistantText, Broker, Config, ToolCallCompleted, ToolCallDispatched, tool


@tool
def lookup_order(order_id: str) -> dict[str, str]:
    """Look up the status of an order.

    Args:
        order_id: the number on the receipt.
    """
    return {"order": order_id, "status": "shipped", "arrives": "tomorrow"}


config = Config(modalities=["text"], turn_detection="none", tools=[lookup_order])

with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
    session = broker.connect().get()
    events = session.events()
    session.send_text("Please look up order 4711.").get()
    for event in events:
        match event:
            case ToolCallDispatched(name=name, args=args):
                print(f"calls {name}({dict(args)})")
            case ToolCallCompleted(result=result):
                print(f"it returns {result}")
            case AssistantText(text=text):
                print(text)
                break
