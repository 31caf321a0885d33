"""An hour of speech, as fast as it goes, at a session whose subscribers do not read: memory stays flat.

Subscribed are a stream, a stream with frames, an actor with pykka's queue and one with our mailbox, none of which reads, and a
function that does: it must get everything. What the four may hold is bounded (8 MiB of audio each), so memory grows until they
are full, within the first few minutes of speech, and then no more. Prints a table on standard error and JSON on standard output;
the exit status is 1 if the function missed any of it, or memory grew by more than a few megabytes after that.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pykka
from frames import END, audio_delta, flood

from trunkline import AssistantAudioDelta, AssistantTextDelta, Broker, Config, Event, OpenAIGateway
from trunkline.gateway.codec import decode_server_event
from trunkline.supervision import GenServer

RATE_HZ = 24_000
FULL_S = 600.0  # by then each of them holds all it may
MAX_GROWTH_MB = 4.0
PATIENCE_S = 600.0
CONFIG = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)


def rss_mb() -> float:
    """Return the resident memory of this process."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    return int(fields["VmRSS"].split()[0]) / 1024


class Stuck:
    """Begins with its first message and does not come back until it is let."""

    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self._release = release

    def on_receive(self, message: Any) -> None:
        self._release.wait(PATIENCE_S)


class StuckPlain(Stuck, pykka.ThreadingActor):
    """With pykka's queue."""


class StuckServer(Stuck, GenServer):
    """With our mailbox."""


class Listener:
    """The one subscriber that reads: counts what it gets, and takes the memory as speech goes by."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.speech_s = 0.0
        self.samples: list[tuple[float, float]] = []
        self.done = threading.Event()

    def __call__(self, event: Event) -> None:
        if type(event) is AssistantAudioDelta:
            self.speech_s += len(event.pcm) / RATE_HZ
            if self.speech_s >= self._every_s * (len(self.samples) + 1):
                self.samples.append((self.speech_s, rss_mb()))
        elif type(event) is AssistantTextDelta and event.delta == END:
            self.done.set()


def run(url: str, hours: float) -> dict[str, Any]:
    """Push the speech and return what it did to memory."""
    rounds = max(1, round(hours * 3600 / seconds_per_round()))
    release, listener = threading.Event(), Listener(every_s=hours * 3600 / 12)
    with Broker.start(
        f"audio-{rounds}", gateway=OpenAIGateway("none", base_url=url), config=CONFIG
    ) as broker:
        session = broker.connect().get(timeout=PATIENCE_S)
        actors = [StuckPlain.start(release), StuckServer.start(release)]
        for ref in actors:
            session.subscribe(ref).get()
        session.subscribe(listener).get()
        streams: list[Any] = [session.events(), session.events(raw=True)]
        before_mb, began = rss_mb(), time.perf_counter()
        session.send_text("go").get(timeout=PATIENCE_S)
        if not listener.done.wait(PATIENCE_S):
            raise SystemExit(f"the speech did not end within {PATIENCE_S} s")
        took_s, end_mb = time.perf_counter() - began, rss_mb()
        waiting = {
            "stream": streams[0].backlog,
            "stream with frames": streams[1].backlog,
            **{f"actor ({type(ref._actor_weakref()).__name__})": ref.actor_inbox.qsize() for ref in actors},  # type: ignore[attr-defined]  # both kinds of inbox have it
        }
        release.set()
        for ref in actors:
            ref.stop()
    full_mb = next((mb for at_s, mb in listener.samples if at_s >= FULL_S), end_mb)
    return {
        "speech_s": listener.speech_s,
        "sent_s": rounds * seconds_per_round(),
        "took_s": took_s,
        "rss_before_mb": before_mb,
        "rss_when_all_are_full_mb": full_mb,
        "rss_end_mb": end_mb,
        "growth_after_full_mb": end_mb - full_mb,
        "samples": listener.samples,
        "events_waiting": waiting,
    }


def seconds_per_round() -> float:
    """Return how much speech the server sends at a time."""
    _, count = flood("audio")
    pcm = decode_server_event(audio_delta()[4:]).delta  # type: ignore[union-attr]  # behind the frame's head of four bytes
    return float(count * len(pcm) / 2 / RATE_HZ)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="how much speech (default 1 hour)")
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("flood_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        found = run(f"ws://127.0.0.1:{int(server.stdout.readline())}/v1/realtime", options.hours)
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()
    for at_s, mb in found["samples"]:
        print(f"after {at_s / 60:5.1f} min of speech: {mb:6.1f} MB", file=sys.stderr)
    print(
        f"{found['speech_s'] / 60:.0f} min in {found['took_s']:.1f} s: {found['rss_before_mb']:.1f} MB before, "
        f"{found['rss_when_all_are_full_mb']:.1f} MB when all are full, {found['rss_end_mb']:.1f} MB at the end; "
        f"waiting: {found['events_waiting']}",
        file=sys.stderr,
    )
    print(json.dumps(found, indent=1))
    heard_all = abs(found["speech_s"] - found["sent_s"]) < 0.001
    if not found["samples"] or found["samples"][-1][0] < FULL_S:
        print(f"too short to judge: give it more than {FULL_S / 60:.0f} minutes", file=sys.stderr)
        return 1
    return 0 if heard_all and found["growth_after_full_mb"] <= MAX_GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
