"""Push to talk: the model hears nothing but what was said while the button was down, and answers when it is let go.

The microphone is a thread that gives 20 ms at a time, as audio libraries do, here with tones that the simulator takes for words.
Put your own in ``speak_into``; with a key, the model will hear what it gives.
"""

import os
import threading
import time

from provider import gateway

from trunkline import (
    AssistantAudioDelta,
    AssistantTranscript,
    AssistantTurnCompleted,
    Broker,
    Config,
    EventStream,
    InvalidCommand,
    SessionProxy,
    UserTranscript,
)
from trunkline.simulator import encode_words

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
PACE = 1.0 if os.environ.get("OPENAI_API_KEY") else 0.02
PATIENCE_S = 30.0


def speak_into(session: SessionProxy, words: str, released: threading.Event) -> None:
    """Send frames while the button is down: the microphone's callback. It does not wait for anybody."""
    sound = encode_words(words, RATE_HZ)
    for at in range(0, len(sound), FRAME):
        session.send_audio_frame(sound[at : at + FRAME], RATE_HZ, wait=False)
        time.sleep(0.02 * PACE)
    released.set()


def push_and_talk(session: SessionProxy, events: EventStream, words: str) -> None:
    """Press the button, talk, let it go, and listen to the answer."""
    session.interrupt().get(timeout=PATIENCE_S)  # who presses the button wants to be heard
    session.clear_audio().get(timeout=PATIENCE_S)
    released = threading.Event()
    microphone = threading.Thread(target=speak_into, args=(session, words, released), name="microphone")
    microphone.start()
    released.wait(PATIENCE_S)
    microphone.join()
    session.commit_audio().get(timeout=PATIENCE_S)
    played_ms = 0.0
    for event in events:
        match event:
            case UserTranscript(text=text):
                print(f"you: {text}")
            case AssistantAudioDelta(pcm=pcm, rate_hz=rate_hz):
                played_ms += 1000 * len(pcm) / rate_hz
            case AssistantTranscript(text=text):
                print(f"assistant: {text}")
            case AssistantTurnCompleted():
                print(f"({played_ms:.0f} ms of speech)")
                return


def main() -> None:
    """Ask two questions, and touch the button once without a word."""
    config = Config(turn_detection="none", instructions="Answer in one sentence.")
    with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
        session = broker.connect().get(timeout=PATIENCE_S)
        events = session.events()
        push_and_talk(session, events, "What's the capital of Canada")
        try:
            session.commit_audio().get(timeout=PATIENCE_S)
        except InvalidCommand as nothing:
            print(f"nothing was said: {nothing}")
        push_and_talk(session, events, "What's the capital of Japan")
        session.close().get()


if __name__ == "__main__":
    main()
