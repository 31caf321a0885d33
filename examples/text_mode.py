"""The 30-second example: one question, one answer, printed as it streams."""

from provider import gateway

from trunkline import AssistantTextDelta, AssistantTurnCompleted, Broker, Config

config = Config(
    modalities=["text"],
    instructions="You are a concise assistant.",
    turn_detection="none",
    input_audio_transcription=False,
)

with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
    session = broker.connect().get()
    events = session.events()
    session.send_text("What's the capital of Canada?").get()
    for event in events:
        match event:
            case AssistantTextDelta(delta=delta):
                print(delta, end="", flush=True)
            case AssistantTurnCompleted():
                print()
                break
    session.close().get()
