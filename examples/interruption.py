"""Barge-in: the user speaks while the assistant does, and the model learns how much of its answer was heard.

A loudspeaker plays what comes, and reports how far it is; on ``interrupted`` it falls silent. The session cancels what is being
said, takes back what was not played, and drops whatever still arrives of it. The speech is made of tones that the simulator
takes for words, and the loudspeaker only counts.
"""

import threading
import time
from collections import deque
from typing import Self

from provider import gateway

from trunkline import (
    AssistantAudioDelta,
    AssistantTranscript,
    AssistantTurnCompleted,
    Broker,
    Config,
    EventStream,
    Interrupted,
    ServerVad,
    SessionProxy,
    UserSpeechStarted,
    UserTranscript,
)
from trunkline.gateway.audio import Pcm16
from trunkline.simulator import encode_words

STORY = "Please repeat after me one two three four five six seven eight nine ten eleven twelve"
PATIENCE_S = 30.0
RATE_HZ = 24_000


class Loudspeaker:
    """Plays in real time what it is given, and tells the session how far it is with each item. ``with`` ends it."""

    def __init__(self, session: SessionProxy) -> None:
        self._session = session
        self._queue: deque[tuple[str, float]] = deque()
        self._changed = threading.Condition()
        self._played_ms: dict[str, float] = {}
        self._running = True
        self._thread = threading.Thread(target=self._play, name="loudspeaker")
        self._thread.start()

    def add(self, item_id: str, pcm: Pcm16, rate_hz: int) -> None:
        """Play this when everything before it was played."""
        with self._changed:
            for at in range(0, len(pcm), rate_hz // 50):
                self._queue.append((item_id, 1000 * len(pcm[at : at + rate_hz // 50]) / rate_hz))
            self._changed.notify_all()

    def flush(self) -> None:
        """Fall silent at once."""
        with self._changed:
            self._queue.clear()

    def wait_until_playing(self, at_least_ms: float) -> bool:
        """Return when so much was heard, or it was ended. Returns whether it still plays."""
        with self._changed:
            heard = lambda: sum(self._played_ms.values()) >= at_least_ms  # noqa: E731
            return self._changed.wait_for(lambda: heard() or not self._running, PATIENCE_S) and self._running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._thread.join()

    def _play(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or not self._running)
                if not self._running:
                    return
                item_id, length_ms = self._queue.popleft()
            time.sleep(length_ms / 1000)
            with self._changed:
                played_ms = self._played_ms[item_id] = self._played_ms.get(item_id, 0.0) + length_ms
                self._changed.notify_all()
            self._session.report_playback(item_id, played_ms)


def speak(session: SessionProxy, words: str) -> None:
    """Say something, followed by the silence by which the server knows that it is over."""
    sound = encode_words(words, RATE_HZ)
    session.send_audio(sound, RATE_HZ).get(timeout=PATIENCE_S)
    session.send_audio(bytes(2 * RATE_HZ)).get(timeout=PATIENCE_S)


def main() -> None:
    """Let the assistant begin, and cut in."""
    config = Config(turn_detection=ServerVad(silence_duration_ms=300), instructions="Do what you are asked.")
    with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
        session = broker.connect().get(timeout=PATIENCE_S)
        events = session.events()
        with Loudspeaker(session) as loudspeaker:
            converse(session, events, loudspeaker)
        for item in session.history().get(timeout=PATIENCE_S):
            print(f"{item.role}: {item.text}" + (" [cut off here]" if item.truncated else ""))
        session.close().get()


def converse(session: SessionProxy, events: EventStream, loudspeaker: Loudspeaker) -> None:
    """Ask for a story, cut in, and hear the answer to that."""
    cutter: threading.Thread | None = None
    turns = 0
    speak(session, STORY)
    for event in events:
        match event:
            case UserTranscript(text=text):
                print(f"you: {text}")
            case AssistantAudioDelta(item_id=str(item_id), pcm=pcm, rate_hz=rate_hz):
                loudspeaker.add(item_id, pcm, rate_hz)
                if cutter is None:
                    cutter = threading.Thread(target=cut_in, args=(session, loudspeaker), name="user")
                    cutter.start()
            case UserSpeechStarted():
                print("the user speaks")
            case Interrupted(reason=reason, audio_end_ms=audio_end_ms):
                loudspeaker.flush()
                print(f"interrupted ({reason}): {audio_end_ms} ms were heard")
            case AssistantTranscript(text=text):
                print(f"assistant: {text}")
            case AssistantTurnCompleted(status=status):
                turns += 1
                print(f"turn {turns} is {status}")
                if turns == 2:
                    break
    if cutter is not None:
        cutter.join()


def cut_in(session: SessionProxy, loudspeaker: Loudspeaker) -> None:
    """Wait until half a second was heard, and speak."""
    if loudspeaker.wait_until_playing(500):
        speak(session, "What's the capital of Canada")


if __name__ == "__main__":
    main()
