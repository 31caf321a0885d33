"""From the socket to the subscriber: one session, three frame mixes, against websocket-client's own recv() in the same run.

The floor is one plain thread: ``recv()`` with ``skip_utf8_validation`` and the same msgspec decode, no actor. Prints a table
on standard error and JSON on standard output. Ratios count: above 1 is faster than the floor.
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
from typing import Any

import pykka
import websocket
from frames import END, MIXES, average_size, flood

from trunkline import (
    AssistantTextDelta,
    AssistantTurnStarted,
    Broker,
    Config,
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


class Clock:
    """From the first event of the flood to its last."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.done = threading.Event()

    def see(self, event: Event) -> None:
        """Take the time of the first and the last event."""
        kind = type(event)
        if kind is AssistantTextDelta:
            if event.delta == END:
                self.ended = time.perf_counter()
                self.done.set()
        elif kind is AssistantTurnStarted:
            self.began = time.perf_counter()


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


def floor(url: str, mix: str, rounds: int) -> float:
    """websocket-client's recv() and the decode, in one thread. Returns seconds."""
    line = websocket.create_connection(
        f"{url}?model={mix}-{rounds}", skip_utf8_validation=True, http_no_proxy=["127.0.0.1"]
    )
    try:
        line.send("configure")
        decode_server_event(line.recv().encode())
        decode_server_event(line.recv().encode())
        line.send("go")
        began = 0.0
        while True:
            _, data = line.recv_data()
            event = decode_server_event(data)
            if type(event) is ResponseCreated:
                began = time.perf_counter()
            elif type(event) is ResponseOutputTextDelta and event.delta == END:
                return time.perf_counter() - began
    finally:
        line.shutdown()


def session(subscribe: Callable[[Any, Clock], Any]) -> Callable[[str, str, int], float]:
    """Return a measurement of a session whose events go where ``subscribe`` says."""

    def measure(url: str, mix: str, rounds: int) -> float:
        clock = Clock()
        gateway = OpenAIGateway("none", base_url=url)
        with Broker.start(f"{mix}-{rounds}", gateway=gateway, config=CONFIG) as broker:
            proxy = broker.connect().get(timeout=PATIENCE_S)
            end = subscribe(proxy, clock)
            proxy.send_text("go").get(timeout=PATIENCE_S)
            if not clock.done.wait(PATIENCE_S):
                raise SystemExit(f"{mix}: the flood did not end within {PATIENCE_S} s")
            end()
        return clock.ended - clock.began

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


VARIANTS: dict[str, Callable[[str, str, int], float]] = {
    "floor: recv() and decode": floor,
    "session to callback": session(to_callback),
    "session to actor (GenServer)": session(to_actor(SupervisedActor)),
    "session to actor (plain pykka)": session(to_actor(PlainActor)),
    "session to EventStream": session(to_stream),
}


def run(url: str, repeats: int, scale: float) -> dict[str, dict[str, float]]:
    """Return microseconds per frame by mix and variant: medians, the variants interleaved."""
    found: dict[str, dict[str, float]] = {}
    for mix in MIXES:
        data, count = flood(mix)
        rounds = max(1, round(MEGABYTES[mix] * scale * 1e6 / len(data)))
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(repeats):
            for name, measure in VARIANTS.items():
                times[name].append(measure(url, mix, rounds) / (rounds * count) * 1e6)
        found[mix] = {name: statistics.median(seen) for name, seen in times.items()}
    return found


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


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the figures for people."""
    head = "".join(f"{f'{mix} {average_size(mix)} B':>22}" for mix in MIXES)
    lines = [f"{'us per frame (x = times the floor)':<36}{head}"]
    base = {mix: found[mix]["floor: recv() and decode"] for mix in MIXES}
    for name in VARIANTS:
        cells = "".join(f"{found[mix][name]:>13.2f} ({base[mix] / found[mix][name]:4.2f}x)" for mix in MIXES)
        lines.append(f"{name:<36}{cells}")
    return "\n".join(lines)


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
        found = run(f"ws://127.0.0.1:{port}/v1/realtime", options.repeats, options.scale)
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()
    point_ns = unused_crash_point_ns()
    share = point_ns / 10 / found["text"]["session to callback"]
    print(table(found), file=sys.stderr)
    print(
        f"\na crash point that is not armed: {point_ns:.1f} ns, {share:.2f} % of a text frame",
        file=sys.stderr,
    )
    ratios = {
        mix: {name: base / us for name, us in rows.items()}
        for mix, rows in found.items()
        for base in [rows["floor: recv() and decode"]]
    }
    where = {"python": platform.python_version(), "machine": platform.machine(), "pykka": version("pykka")}
    figures = {"us_per_frame": found, "ratio_to_floor": ratios, "unused_crash_point_ns": point_ns}
    print(json.dumps({"where": where, **figures}, indent=1))


if __name__ == "__main__":
    main()
