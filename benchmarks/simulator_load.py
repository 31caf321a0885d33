"""How many sessions one simulator process holds at once, each completing turns: held, turns per second, memory per session.

The simulator runs as its users run it (`python -m trunkline.simulator`), the clients in this process, over real WebSockets.
Prints a table on standard error and JSON on standard output. That every session is held and gets its own answers is checked:
else the exit status is 1. Both processes raise their soft limit of open files as far as the hard one: a session is a socket
at each end, and the usual soft limit is 1024.
"""

import argparse
import asyncio
import json
import platform
import resource
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATIENCE_S = 60.0
AT_ONCE = 100
"""Handshakes under way at the same moment."""


async def expect(client: ClientConnection, type: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), PATIENCE_S))
        if event["type"] == "error":
            raise AssertionError(event)
        if event["type"] == type:
            return event


async def opened(url: str, gate: asyncio.Semaphore) -> ClientConnection:
    async with gate:
        client = await connect(
            f"{url}?model=gpt-realtime-2",
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=PATIENCE_S,
        )
        await expect(client, "session.created")
        session = {"type": "realtime", "output_modalities": ["text"]}
        await client.send(json.dumps({"type": "session.update", "session": session}))
        await expect(client, "session.updated")
        return client


async def turns(client: ClientConnection, number: int, count: int) -> int:
    """Complete turns one after another and return how many were answered as asked."""
    right = 0
    for turn in range(count):
        said = {"type": "input_text", "text": f"say session {number} turn {turn}"}
        item = {"type": "message", "role": "user", "content": [said]}
        await client.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await client.send(json.dumps({"type": "response.create"}))
        done = await expect(client, "response.done")
        right += done["response"]["output"][0]["content"][0]["text"] == f"session {number} turn {turn}"
    return right


def rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


async def load(url: str, pid: int, n_sessions: int, n_turns: int) -> dict[str, Any]:
    empty_kb = rss_kb(pid)
    gate = asyncio.Semaphore(AT_ONCE)
    began = time.perf_counter()
    results = await asyncio.gather(*(opened(url, gate) for _ in range(n_sessions)), return_exceptions=True)
    opening_s = time.perf_counter() - began
    clients = [client for client in results if isinstance(client, ClientConnection)]
    for error in {repr(result) for result in results if isinstance(result, BaseException)}:
        print(f"not held: {error}", file=sys.stderr)
    idle_kb = rss_kb(pid)
    began = time.perf_counter()
    right = sum(await asyncio.gather(*(turns(client, n, n_turns) for n, client in enumerate(clients))))
    turning_s = time.perf_counter() - began
    held = sum(client.state.name == "OPEN" for client in clients)
    busy_kb = rss_kb(pid)
    await asyncio.gather(*(client.close() for client in clients))
    return {
        "sessions": n_sessions,
        "held": held,
        "turns": n_sessions * n_turns,
        "turns_answered": right,
        "opened_per_s": round(len(clients) / opening_s),
        "turns_per_s": round(right / turning_s),
        "rss_empty_mb": round(empty_kb / 1024, 1),
        "rss_kb_per_session_idle": round((idle_kb - empty_kb) / max(1, held), 1),
        "rss_kb_per_session_after_turns": round((busy_kb - empty_kb) / max(1, held), 1),
    }


def measured(n_sessions: int, n_turns: int) -> dict[str, Any]:
    program = [sys.executable, "-m", "trunkline.simulator", "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        try:
            figures = asyncio.run(
                load(simulator.stdout.readline().strip(), simulator.pid, n_sessions, n_turns)
            )
        finally:
            simulator.send_signal(signal.SIGTERM)
        figures["simulator_ended_with"] = simulator.wait(PATIENCE_S)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=500, metavar="N", help="at once (default: 500)")
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of each session (default: 5)")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.sessions + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    figures = measured(options.sessions, options.turns)
    for name, figure in figures.items():
        print(f"{name.replace('_', ' '):32} {figure:>10}", file=sys.stderr)
    about = {
        "python": platform.python_version(),
        "websockets": version("websockets"),
        "soft_limit_of_files_was": soft,
    }
    print(json.dumps({**figures, **about}))
    is_whole = figures["held"] == options.sessions and figures["turns_answered"] == figures["turns"]
    return 0 if is_whole and figures["simulator_ended_with"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
