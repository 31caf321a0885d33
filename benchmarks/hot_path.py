"""From the socket to the subscriber: one session, three frame mixes, against websocket-client's own recv() in the same run.

The floor is one plain thread: ``recv()`` with ``skip_utf8_validation`` and the same msgspec decode, no actor. Prints tables
on standard error and JSON on standard output. Ratios count: above 1 is faster than the floor. On a machine that does other things
as well, the CPU time is the steadier figure; it adds up all threads.

What is per frame is per frame that the session has read. A flood is faster than a subscriber in another thread reads, and who lags
loses deltas: how many is told (*lost*), as they cost the subscriber nothing. Of the mix one frame in four is an event of its own, a
transcript; the items and ends of responses come again and again under the same ids, which a session knows and tells nobody.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import pykka
import websocket
from frames import END, MIXES, average_size, flood

from trunkline import (
    AssistantTextDelta,
    AssistantTurnStarted,
    Broker,
    Config,
    Error,
    Event,
    OpenAIGateway,
    RealtimeEvent,
)
from trunkline.gateway.codec import decode_server_event
from trunkline.gateway.server_events import ResponseCreated, ResponseOutputTextDelta
from trunkline.supervision import GenServer, crash_points

MEGABYTES = {"text": 24, "mix": 48, "audio": 160}
CONFIG = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)
PATIENCE_S = 120.0


class Instant(NamedTuple):
    """A moment, or the time between two: on the wall, and of this process's threads together. Seconds.

    Attributes:
        lost: how many deltas the subscriber was too slow for in that time.
    """

    wall: float = 0.0
    cpu: float = 0.0
    lost: int = 0

    @classmethod
    def now(cls) -> Self:
        """Return this moment."""
        return cls(time.perf_counter(), time.process_time())

    def until(self, later: "Instant") -> "Instant":
        """Return how long it is."""
        return Instant(later.wall - self.wall, later.cpu - self.cpu)


class Clock:
    """From the first event of the flood to its last."""

    def __init__(self) -> None:
        self.began = self.ended = Instant()
        self.done = threading.Event()
        self.lost = 0

    def see(self, event: Event) -> None:
        """Take the time of the first and the last event."""
        kind = type(event)
        if kind is AssistantTextDelta:
            if event.delta == END:
                self.ended = Instant.now()
                self.done.set()
        elif kind is AssistantTurnStarted:
            self.began = Instant.now()
        elif isinstance(event, Error):
            self.lost += event.dropped


class PlainActor(pykka.ThreadingActor):
    """A subscriber as pykka users have it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def on_receive(self, message: Any) -> None:
        if type(message) is RealtimeEvent:
            self._clock.see(message.event)


class SupervisedActor(GenServer):
    """A subscriber with this project's mailbox."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def on_receive(self, message: Any) -> None:
        if type(message) is RealtimeEvent:
            self._clock.see(message.event)


def floor(url: str, mix: str, rounds: int) -> Instant:
    """websocket-client's recv() and the decode, in one thread. Returns the time it takes."""
    line = websocket.create_connection(
        f"{url}?model={mix}-{rounds}", skip_utf8_validation=True, http_no_proxy=["127.0.0.1"]
    )
    try:
        line.send("configure")
        decode_server_event(line.recv().encode())
        decode_server_event(line.recv().encode())
        line.send("go")
        began = Instant()
        while True:
            _, data = line.recv_data()
            event = decode_server_event(data)
            if type(event) is ResponseCreated:
                began = Instant.now()
            elif type(event) is ResponseOutputTextDelta and event.delta == END:
                return began.until(Instant.now())
    finally:
        line.shutdown()


def session(subscribe: Callable[[Any, Clock], Any]) -> Callable[[str, str, int], Instant]:
    """Return a measurement of a session whose events go where ``subscribe`` says."""

    def measure(url: str, mix: str, rounds: int) -> Instant:
        clock = Clock()
        gateway = OpenAIGateway("none", base_url=url)
        with Broker.start(f"{mix}-{rounds}", gateway=gateway, config=CONFIG) as broker:
            proxy = broker.connect().get(timeout=PATIENCE_S)
            end = subscribe(proxy, clock)
            proxy.send_text("go").get(timeout=PATIENCE_S)
            if not clock.done.wait(PATIENCE_S):
                raise SystemExit(f"{mix}: the flood did not end within {PATIENCE_S} s")
            end()
        return clock.began.until(clock.ended)._replace(lost=clock.lost)

    return measure


def to_callback(proxy: Any, clock: Clock) -> Any:
    proxy.subscribe(clock.see).get()
    return lambda: None


def to_actor(actor: Any) -> Callable[[Any, Clock], Any]:
    def subscribe(proxy: Any, clock: Clock) -> Any:
        ref = actor.start(clock)
        proxy.subscribe(ref).get()
        return ref.stop

    return subscribe


def to_stream(proxy: Any, clock: Clock) -> Any:
    stream = proxy.events()

    def read() -> None:
        for event in stream:
            clock.see(event)

    reader = threading.Thread(target=read, name="reader")
    reader.start()

    def end() -> None:
        stream.close()
        reader.join(PATIENCE_S)

    return end


VARIANTS: dict[str, Callable[[str, str, int], Instant]] = {
    "floor: recv() and decode": floor,
    "session to callback": session(to_callback),
    "session to actor (GenServer)": session(to_actor(SupervisedActor)),
    "session to actor (plain pykka)": session(to_actor(PlainActor)),
    "session to EventStream": session(to_stream),
}


Figures: TypeAlias = dict[str, dict[str, float]]
"""By mix and variant."""


def run(url: str, repeats: int, scale: float) -> tuple[Figures, Figures, Figures]:
    """Return microseconds per frame, the variants interleaved: wall medians, the least CPU; and the share of frames lost."""
    found: Figures = {}
    cpu: Figures = {}
    lost: Figures = {}
    for mix in MIXES:
        data, count = flood(mix)
        rounds = max(1, round(MEGABYTES[mix] * scale * 1e6 / len(data)))
        times: dict[str, list[Instant]] = {name: [] for name in VARIANTS}
        for _ in range(repeats):
            for name, measure in VARIANTS.items():
                times[name].append(measure(url, mix, rounds))
        per_frame = 1e6 / (rounds * count)
        found[mix] = {
            name: statistics.median(one.wall for one in seen) * per_frame for name, seen in times.items()
        }
        cpu[mix] = {name: min(one.cpu for one in seen) * per_frame for name, seen in times.items()}
        n_frames = repeats * rounds * count
        lost[mix] = {name: sum(one.lost for one in seen) / n_frames for name, seen in times.items()}
    return found, cpu, lost


def unused_crash_point_ns() -> float:
    """Return what a crash point costs that no test has armed, nanoseconds. A frame passes one."""
    passes = range(1_000_000)

    def with_point() -> None:
        for _ in passes:
            if crash_points.armed:
                crash_points.reach("session.before_emit")

    def without() -> None:
        for _ in passes:
            pass

    def spent(loop: Callable[[], None]) -> float:
        began = time.thread_time()
        loop()
        return time.thread_time() - began

    rounds = [spent(with_point) - spent(without) for _ in range(9)]
    return max(0.0, min(rounds)) * 1e9 / len(passes)


def table(title: str, found: Figures) -> str:
    """Return the figures for people."""
    head = "".join(f"{f'{mix} {average_size(mix)} B':>22}" for mix in MIXES)
    lines = [f"{title:<36}{head}"]
    base = {mix: found[mix]["floor: recv() and decode"] for mix in MIXES}
    for name in VARIANTS:
        cells = "".join(f"{found[mix][name]:>13.2f} ({base[mix] / found[mix][name]:4.2f}x)" for mix in MIXES)
        lines.append(f"{name:<36}{cells}")
    return "\n".join(lines)


def ratios_to_floor(found: Figures) -> Figures:
    """Return how many times faster than the floor each variant is."""
    return {
        mix: {name: rows["floor: recv() and decode"] / us for name, us in rows.items()}
        for mix, rows in found.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="how often each variant runs (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is sent, as a factor (default 1)")
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
        port = int(server.stdout.readline())
        found, cpu, lost = run(f"ws://127.0.0.1:{port}/v1/realtime", options.repeats, options.scale)
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()
    point_ns = unused_crash_point_ns()
    share = point_ns / 10 / found["text"]["session to callback"]
    print(table("wall us per frame (x = times the floor)", found), file=sys.stderr)
    print(table("CPU us per frame, all threads", cpu), file=sys.stderr)
    for mix, rows in lost.items():
        for name, share in rows.items():
            if share:
                print(
                    f"{name}, {mix}: {100 * share:.1f} % lost, the subscriber was too slow", file=sys.stderr
                )
    print(
        f"\na crash point that is not armed: {point_ns:.1f} ns, {share:.2f} % of a text frame",
        file=sys.stderr,
    )
    ratios = ratios_to_floor(found)
    where = {"python": platform.python_version(), "machine": platform.machine(), "pykka": version("pykka")}
    figures = {
        "us_per_frame": found,
        "ratio_to_floor": ratios,
        "cpu_us_per_frame": cpu,
        "cpu_ratio_to_floor": ratios_to_floor(cpu),
        "lost_share": lost,
        "unused_crash_point_ns": point_ns,
    }
    print(json.dumps({"where": where, **figures}, indent=1))


if __name__ == "__main__":
    main()
