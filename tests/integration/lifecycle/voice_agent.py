"""A program that dies: it opens a session with a durable log, says what it is told, and waits to be killed.

python voice_agent.py <url> <database> <file the tools write to> <what to say>
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from trunkline import Broker, Config, OpenAIGateway, SqliteSessionLog, tool

_printing = threading.Lock()


def say(*words: object) -> None:
    """Print a line whole, whatever another thread prints."""
    with _printing:
        print(*words, flush=True)


def main(url: str, database: str, diary: str, text: str) -> None:
    written = Path(diary)

    def note(name: str) -> None:
        with written.open("a") as file:
            file.write(name + "\n")

    @tool
    def quick(city: str) -> str:
        """Look something up."""
        note("quick")
        return f"{city} is fine"

    @tool
    def slow(city: str) -> str:
        """Look something up for ever."""
        note("slow")
        threading.Event().wait()
        return "never"

    config = Config(
        modalities=["text"], turn_detection="none", input_audio_transcription=False, tools=[quick, slow]
    )
    log = SqliteSessionLog(database)
    broker = Broker.start(
        "gpt-realtime-2", gateway=OpenAIGateway("a-key", base_url=url), config=config, session_log=log
    )
    session = broker.connect().get(timeout=10)
    session.subscribe(lambda event: say(event.kind)).get(timeout=10)
    item_id = session.send_text(text).get(timeout=10)
    say("accepted", session.session_id, item_id)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
