"""What tools cost: from interrupt() to the tool that sees it, with fifty at work, and a process of one's own for a tool.

Prints a table on standard error and JSON on standard output. The session is a real one, with the simulator at the other end of its
line. The contract's figure (statement 7): a tool sees its cancel token within 50 ms; the exit status is 1 if the 99th
percentile does not hold it. On a busy machine it measures the others: `chrt -f 50 python benchmarks/tools.py` keeps them away.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from trunkline import Broker, Config, OpenAIGateway, ParallelToolRunner, SqliteSessionLog, ToolContext, tool
from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_process import ToolProcess, origin_of
from trunkline.actors.tool_processes import ToolProcesses
from trunkline.gateway.simulator import CallTool, FunctionBrain, Simulator

PATIENCE_S = 60.0
LIMIT_MS = 50.0


@tool(isolation="process")
def nothing(text: str = "") -> str:
    """Return what it gets."""
    return text


@tool(isolation="process")
def stuck() -> None:
    """Never come back."""
    time.sleep(PATIENCE_S)


class Watch:
    """Counts who is at work, and notes when each saw that it is not wanted."""

    def __init__(self, wanted: int) -> None:
        self._lock = threading.Condition()
        self._wanted = wanted
        self._at_work = 0
        self.seen: list[float] = []

    def begin(self) -> None:
        with self._lock:
            self._at_work += 1
            self._lock.notify_all()

    def note(self) -> None:
        now = time.perf_counter()
        with self._lock:
            self.seen.append(now)
            self._lock.notify_all()

    def wait(self, what: Callable[[], int]) -> None:
        with self._lock:
            assert self._lock.wait_for(lambda: what() >= self._wanted, PATIENCE_S)

    def wait_at_work(self) -> None:
        self.wait(lambda: self._at_work)

    def wait_seen(self) -> None:
        self.wait(lambda: len(self.seen))


def make_tools(watch: Callable[[], Watch]) -> dict[str, Any]:
    """Return the three ways in which a tool can see its token."""

    @tool(name="waits")
    def waits(ctx: ToolContext) -> None:
        """Wait for the token."""
        watch().begin()
        ctx.wait_cancelled(PATIENCE_S)
        watch().note()

    @tool(name="polls")
    def polls(ctx: ToolContext) -> None:
        """Look at the token every five milliseconds."""
        watch().begin()
        while not ctx.cancelled:
            time.sleep(0.005)
        watch().note()

    @tool(name="is_async")
    async def is_async() -> None:
        """Be cancelled."""
        watch().begin()
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            watch().note()
            raise

    return {"waits": waits, "polls": polls, "is_async": is_async}


def cancelling(kind: str, n_tools: int, rounds: int, log: SqliteSessionLog | None = None) -> dict[str, float]:
    """Measure from interrupt() to each of the tools that see it, in milliseconds. ``log``: where the session writes down."""
    current: list[Watch] = [Watch(n_tools)]
    offered = make_tools(lambda: current[0])

    def brain(conversation: Any) -> list[Any]:
        return [CallTool(kind, {}) for _ in range(n_tools)]

    took: list[float] = []
    settings = {"modalities": ["text"], "turn_detection": "none", "input_audio_transcription": False}
    config = Config(tools=[offered[kind]], **settings)  # type: ignore[arg-type]  # the three are of their types
    runner = ParallelToolRunner(n_tools)
    with Simulator(FunctionBrain(brain), delta_interval_s=0.0) as simulator:
        gateway = OpenAIGateway(api_key="k", base_url=simulator.url)
        options = {"gateway": gateway, "config": config, "tool_runner": runner, "session_log": log}
        with Broker.start("m", **options) as broker:  # type: ignore[arg-type]  # of their types
            session = broker.connect().get()
            for _ in range(rounds):
                watch = current[0] = Watch(n_tools)
                session.send_text("go").get()
                watch.wait_at_work()
                begun = time.perf_counter()
                session.interrupt().get()
                watch.wait_seen()
                took += [1000 * (seen - begun) for seen in watch.seen]
    return percentiles(took)


def processes(rounds: int) -> dict[str, dict[str, float]]:
    """Measure a new process, a call in a warm one, and from cancel() to the end of a killed one, in milliseconds."""
    cold, warm, killed = [], [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        process = ToolProcess(origin_of(nothing))
        process.get_ready()
        cold.append(1000 * (time.perf_counter() - begun))
        process.close()
    pool = ToolProcesses()
    try:
        pool.prepare([nothing])
        for _ in range(50 * rounds):
            begun = time.perf_counter()
            assert pool.run(nothing, '{"text": "x"}', context()).ok
            warm.append(1000 * (time.perf_counter() - begun))
        for _ in range(rounds):
            pool.prepare([stuck])
            ctx, ended = context(), threading.Event()
            thread = threading.Thread(target=lambda c=ctx, e=ended: (pool.run(stuck, "{}", c), e.set()))
            thread.start()
            time.sleep(0.02)  # let it get stuck
            begun = time.perf_counter()
            ctx.token.cancel("interrupted")
            assert ended.wait(PATIENCE_S)
            killed.append(1000 * (time.perf_counter() - begun))
            thread.join()
    finally:
        pool.close()
    return {
        "a new process": percentiles(cold),
        "a call in a warm one": percentiles(warm),
        "cancel() to killed": percentiles(killed),
    }


def context() -> ToolContext:
    """Make a call's context."""
    return ToolContext("c", "nothing", "s", "r", CancelToken())


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the figures of a sample."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "max": round(ordered[-1], 3),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tools", type=int, default=50, help="how many are at work")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    figures = {
        f"interrupt() to a tool that {kind}": cancelling(kind, options.tools, options.rounds)
        for kind in ("waits", "polls", "is_async")
    }
    with tempfile.TemporaryDirectory() as folder, SqliteSessionLog(f"{folder}/log") as log:
        name = "the same that waits, with a SqliteSessionLog"
        figures[name] = cancelling("waits", options.tools, options.rounds, log)
    held = all(figure["p99"] <= LIMIT_MS for figure in figures.values())
    figures |= processes(options.rounds)
    for name, figure in figures.items():
        cells = "  ".join(f"{key} {value:8.2f} ms" for key, value in figure.items())
        print(f"{name:46} {cells}", file=sys.stderr)
    result = {"tools": options.tools, "rounds": options.rounds, "limit_ms": LIMIT_MS, "milliseconds": figures}
    print(json.dumps({"cpus": os.cpu_count(), **result}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
