"""How long it takes to fall silent: from `speech_started` on the wire to `interrupted` and to the truncation on the wire.

A server in a process of its own speaks to all sessions at once, twice as fast as the sound plays, and hears each caller cut in
at random; the callers' microphones are on meanwhile. Both processes read the same clock (CLOCK_MONOTONIC): the server puts the
time into the event that it sends, the session's callback and an EventStream's reader take it out, and the server notes when the
`conversation.item.truncate` comes.

On a machine that others use too, the tail is the scheduler's: so a thread of the same process that does nothing but wait for
5 ms, again and again, tells how late it was woken (*noise*). Prints a table on standard error and JSON on standard output; the
exit status is 1 if a p99 is above `--limit-ms` and what the noise has above 1 ms, or an interruption brought no truncation.
"""

import argparse
import asyncio
import base64
import itertools
import json
import multiprocessing
import platform
import random
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from trunkline import Broker, Config, Event, Interrupted, OpenAIGateway, SessionProxy, UserSpeechStarted

PIECE_MS = 100
PACE = 2.0
TALK_S = (0.3, 0.7)
MICROPHONE_S = 0.04
NOISE_S = 0.005
PATIENCE_S = 120.0
NOISE = "noise"
PIECE = base64.b64encode(np.zeros(24 * PIECE_MS, np.int16).tobytes()).decode()
SESSION = {"id": "sess_1", "type": "realtime", "model": "gpt-realtime-2", "object": "realtime.session"}


class Talker:
    """Speaks to one caller, who cuts in again and again."""

    def __init__(self, line: ServerConnection, n_cuts: int, dice: random.Random) -> None:
        self._line = line
        self._n_cuts = n_cuts
        self._dice = dice
        self._cut_at = 0.0
        self._truncated = asyncio.Event()
        self.truncated_ms: list[float] = []

    async def say(self, type_: str, **fields: Any) -> None:
        await self._line.send(json.dumps({"type": type_, "event_id": "event_1", **fields}))

    async def hold(self) -> None:
        """Speak until the last interruption."""
        await self.say("session.created", session=SESSION)
        talking: asyncio.Task[None] | None = None
        async for frame in self._line:
            kind = frame[9:40] if isinstance(frame, str) else ""
            if kind.startswith("input_audio_buffer.append"):
                continue
            event = json.loads(frame)
            if event["type"] == "session.update":
                await self.say("session.updated", session=SESSION)
                talking = asyncio.create_task(self._talk())
            elif event["type"] == "conversation.item.truncate":
                self.truncated_ms.append(1000 * time.monotonic() - self._cut_at)
                self._truncated.set()
        if talking is not None:
            talking.cancel()

    async def _talk(self) -> None:
        for number in range(self._n_cuts):
            names = {"response_id": f"resp_{number}", "output_index": 0}
            response = {"id": f"resp_{number}", "object": "realtime.response", "conversation_id": "conv_1"}
            item = {"id": f"item_{number}", "type": "message", "role": "assistant", "content": []}
            await self.say("response.created", response={**response, "status": "in_progress", "output": []})
            await self.say("response.output_item.added", item={**item, "status": "in_progress"}, **names)
            for _ in range(int(self._dice.uniform(*TALK_S) * PACE * 1000 / PIECE_MS)):
                names |= {"item_id": f"item_{number}", "content_index": 0}
                await self.say("response.output_audio.delta", delta=PIECE, **names)
                await asyncio.sleep(PIECE_MS / 1000 / PACE)
            self._truncated.clear()
            self._cut_at = 1000 * time.monotonic()
            await self.say(
                "input_audio_buffer.speech_started", audio_start_ms=self._cut_at, item_id=f"said_{number}"
            )
            await self.say("response.done", response={**response, "status": "cancelled", "output": []})
            await asyncio.wait_for(self._truncated.wait(), PATIENCE_S)
            await self.say("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=f"said_{number}")


def server(pipe: Connection, n_sessions: int, n_cuts: int) -> None:
    """Serve until the pipe says so, then tell how long the truncations took."""

    async def run() -> None:
        talkers: list[Talker] = []

        async def handle(line: ServerConnection) -> None:
            talkers.append(Talker(line, n_cuts, random.Random(len(talkers))))
            await talkers[-1].hold()

        async with serve(handle, "127.0.0.1", 0, compression=None, backlog=n_sessions) as listening:
            pipe.send(listening.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            pipe.send([took for talker in talkers for took in talker.truncated_ms])

    asyncio.run(run())


class Watch:
    """Takes the time of each interruption, for one way of subscribing."""

    def __init__(self, wanted: int, done: threading.Semaphore) -> None:
        self.took_ms: list[float] = []
        self._wanted = wanted
        self._done = done
        self._cut_at = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, UserSpeechStarted):
            self._cut_at = event.at_ms
        elif isinstance(event, Interrupted):
            self.took_ms.append(1000 * time.monotonic() - self._cut_at)
            if len(self.took_ms) == self._wanted:
                self._done.release()


def read(events: Iterator[Event], watch: Watch) -> None:
    for event in events:
        watch(event)


def noise(late_ms: list[float], enough: threading.Event) -> None:
    """Note how late a thread is woken that waits for the clock."""
    while True:
        due = time.monotonic() + NOISE_S
        if enough.wait(NOISE_S):
            return
        late_ms.append(1000 * (time.monotonic() - due))


def microphones(sessions: list[SessionProxy], enough: threading.Event) -> None:
    """Speak into all sessions, a frame each every 40 ms, one after the other."""
    frame = np.zeros(int(24_000 * MICROPHONE_S), np.int16)
    for session in itertools.cycle(sessions):
        if enough.wait(MICROPHONE_S / len(sessions)):
            return
        session.send_audio_frame(frame)


def measured(url: str, n_sessions: int, n_cuts: int) -> dict[str, list[float]]:
    gateway = OpenAIGateway("sk-none", base_url=url)
    done, enough = threading.Semaphore(0), threading.Event()
    callbacks = [Watch(n_cuts, done) for _ in range(n_sessions)]
    streams = [Watch(n_cuts, done) for _ in range(n_sessions)]
    with Broker.start("gpt-realtime-2", gateway=gateway, config=Config()) as broker:
        sessions = [future.get(timeout=PATIENCE_S) for future in [broker.connect() for _ in callbacks]]
        for session, callback, stream in zip(sessions, callbacks, streams, strict=True):
            session.subscribe(callback).get(timeout=PATIENCE_S)
            threading.Thread(target=read, args=(session.events(), stream), daemon=True).start()
        late_ms: list[float] = []
        others = [
            threading.Thread(target=microphones, args=(sessions, enough)),
            threading.Thread(target=noise, args=(late_ms, enough)),
        ]
        for other in others:
            other.start()
        try:
            for _ in (*callbacks, *streams):
                if not done.acquire(timeout=PATIENCE_S):
                    raise TimeoutError("interruptions are missing")
        finally:
            enough.set()
            for other in others:
                other.join()
    return {
        NOISE: late_ms,
        "interrupted at a callback": [took for watch in callbacks for took in watch.took_ms],
        "interrupted at an EventStream": [took for watch in streams for took in watch.took_ms],
    }


def quantile(values: list[float], q: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(q * len(values)))], 3)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=50, help="talking at once (default: 50)")
    parser.add_argument("--cuts", type=int, default=20, help="interruptions of each (default: 20)")
    parser.add_argument("--limit-ms", type=float, default=5.0, help="for each p99 (default: 5)")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    arguments = (there, options.sessions, options.cuts)
    process = multiprocessing.get_context("spawn").Process(target=server, args=arguments)
    process.start()
    try:
        took = measured(f"ws://127.0.0.1:{here.recv()}/v1/realtime", options.sessions, options.cuts)
    finally:
        here.send("stop")
        truncated = here.recv()
        process.join(PATIENCE_S)
    took["truncate on the wire"] = truncated
    figures: dict[str, Any] = {"sessions": options.sessions, "interruptions": len(truncated)}
    for name, values in took.items():
        figures[name] = {"p50_ms": quantile(values, 0.5), "p99_ms": quantile(values, 0.99)}
        print(
            f"{name:32} p50 {quantile(values, 0.5):8.3f} ms   p99 {quantile(values, 0.99):8.3f} ms",
            file=sys.stderr,
        )
    print(json.dumps({**figures, "python": platform.python_version()}))
    all_came = len(truncated) == options.sessions * options.cuts
    # 1 ms is what a quiet machine has.
    allowed_ms = options.limit_ms + max(0.0, quantile(took.pop(NOISE), 0.99) - 1.0)
    in_time = all(quantile(values, 0.99) <= allowed_ms for values in took.values())
    return 0 if all_came and in_time else 1


if __name__ == "__main__":
    sys.exit(main())
