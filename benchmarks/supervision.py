"""What supervision costs: restarts, children by the thousand, asks and tells against plain pykka's in the same run.

Prints a table on standard error and JSON on standard output. Times are medians, the variants interleaved, and only their
ratios count: above 1 is slower than plain pykka. What must hold whatever the machine (no thread left over, memory flat, no ask
without an answer) is checked: then the exit status is 1. Nothing is logged meanwhile: a traceback costs more than a restart.
"""

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pykka

from trunkline.supervision import (
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    StartChild,
    Supervisor,
    call,
    cast,
    join,
)

PATIENCE_S = 120.0
RESTARTS = {"max_restarts": 1_000_000, "max_seconds": 0.001}
MAX_GROWTH_MB = 4.0
"""Over 1,000 restarts: an actor that is kept alive by each, with its thread's objects, would be more."""


class PlainEcho(pykka.ThreadingActor):
    """An actor as pykka users have it."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message


class Echo(GenServer):
    """The same with our base class."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


class Mortal(GenServer):
    """Dies when told to and says when it did; tells the time otherwise."""

    def __init__(self, died: list[float]) -> None:
        super().__init__()
        self._died = died

    def on_receive(self, message: Any) -> Any:
        if message == "die":
            self._died.append(time.perf_counter())
            raise RuntimeError(message)
        return time.perf_counter()


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


# -- restarts --


def kill_and_ask(ref: Any, died: list[float]) -> float:
    """Return the seconds from the crash to the first message that the next incarnation serves."""
    ref.tell("die")
    served: float = ref.ask("time", timeout=PATIENCE_S)  # kept for the next incarnation: mailbox="keep"
    return served - died[-1]


def restart_latency(kind: Any, siblings: int, restarts: int) -> dict[str, float]:
    """Return the percentiles of the restart latency in microseconds."""
    died: list[float] = []
    supervisor = kind.start(**RESTARTS)
    try:
        for number in range(siblings):
            call(supervisor, StartChild(ChildSpec(number, Echo)), PATIENCE_S)
        child = call(supervisor, StartChild(ChildSpec("mortal", Mortal, (died,), mailbox="keep")), PATIENCE_S)
        kill_and_ask(child, died)
        seen = sorted(kill_and_ask(child, died) * 1e6 for _ in range(restarts))
    finally:
        supervisor.stop()
    return {"p50": seen[len(seen) // 2], "p99": seen[min(len(seen) - 1, len(seen) * 99 // 100)]}


def restarts(scale: float) -> dict[str, dict[str, float]]:
    count = max(20, round(1000 * scale))
    crowd = max(5, round(500 * scale))
    return {
        f"{kind.__name__}, {siblings or 'no'} siblings": restart_latency(kind, siblings, count)
        for kind in (Supervisor, DynamicSupervisor)
        for siblings in (0, crowd)
    }


# -- children by the thousand --


def children_of_a_supervisor(count: int) -> tuple[float, float]:
    """Return microseconds per child for starting and for stopping this many."""
    supervisor = DynamicSupervisor.start(max_children=count)
    began = time.perf_counter()
    started = [supervisor.ask(StartChild(ChildSpec(n, Echo)), block=False) for n in range(count)]
    for future in started:
        future.get(timeout=PATIENCE_S)
    running = time.perf_counter()
    supervisor.stop()
    stopped = time.perf_counter()
    return (running - began) / count * 1e6, (stopped - running) / count * 1e6


def plain_actors(count: int) -> tuple[float, float]:
    """Return the same for plain actors that nobody supervises: their registry is a list that is searched for each end."""
    began = time.perf_counter()
    refs = [PlainEcho.start() for _ in range(count)]
    for future in [ref.ask(None, block=False) for ref in refs]:
        future.get(timeout=PATIENCE_S)
    running = time.perf_counter()
    for future in [ref.stop(block=False) for ref in refs]:
        future.get(timeout=PATIENCE_S)
    stopped = time.perf_counter()
    return (running - began) / count * 1e6, (stopped - running) / count * 1e6


def bare_threads(count: int) -> tuple[float, float]:
    """Return the same for threads that do nothing but wait and end: what the machine itself takes for this many."""
    gates = [threading.Event() for _ in range(count)]
    began = time.perf_counter()
    threads = [threading.Thread(target=gate.wait, args=(PATIENCE_S,), daemon=True) for gate in gates]
    for thread in threads:
        thread.start()
    running = time.perf_counter()
    for gate in gates:
        gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    stopped = time.perf_counter()
    return (running - began) / count * 1e6, (stopped - running) / count * 1e6


def children(scale: float, repeats: int) -> dict[str, dict[str, float]]:
    sizes = [max(10, round(size * scale)) for size in (500, 1000, 2000, 4000)]
    variants = {"dynamic": children_of_a_supervisor, "plain": plain_actors, "threads": bare_threads}
    seen: dict[tuple[str, int], list[tuple[float, float]]] = {}
    children_of_a_supervisor(sizes[0])
    for _ in range(repeats):
        for size in sizes:
            for name, measure in variants.items():
                seen.setdefault((name, size), []).append(measure(size))
    return {
        str(size): {
            f"{name}_{phase}_us": statistics.median(times[at] for times in seen[name, size])
            for name in variants
            for at, phase in enumerate(("start", "stop"))
        }
        for size in sizes
    }


# -- asks and tells --


def time_asks(ref: Any, count: int) -> float:
    began = time.perf_counter()
    for n in range(count):
        ref.ask(n)
    return (time.perf_counter() - began) / count * 1e6


def time_tells(ref: Any, count: int) -> float:
    began = time.perf_counter()
    for n in range(count):
        ref.tell(n)
    ref.ask(None)  # the last is handled
    return (time.perf_counter() - began) / count * 1e6


def messages(scale: float, repeats: int) -> dict[str, dict[str, float]]:
    """Return microseconds per message by kind and variant, and the ratios to plain pykka: medians of interleaved runs."""
    supervisor = Supervisor.start([ChildSpec("ours", Echo), ChildSpec("foreign", PlainEcho)])
    infos = {info.id: info for info in supervisor.proxy().which_children().get()}
    variants: dict[str, Any] = {
        "plain pykka": PlainEcho.start(),
        "GenServer": infos["ours"].ref,
        "GenServer by StableRef": infos["ours"].stable_ref,
        "plain class, supervised": infos["foreign"].ref,
        "plain class, supervised, by StableRef": infos["foreign"].stable_ref,
    }
    found: dict[str, dict[str, float]] = {name: {} for name in variants}
    for kind, measure, count in (("ask", time_asks, 10_000), ("tell", time_tells, 50_000)):
        count = max(100, round(count * scale))
        times: dict[str, list[float]] = {name: [] for name in variants}
        for turn in range(repeats + 1):
            for name in list(variants)[:: 1 if turn % 2 else -1]:  # nobody is always first
                spent = measure(variants[name], count)
                if turn:  # the first is to warm up
                    times[name].append(spent)
        for name, seen in times.items():
            found[name][f"{kind}_us"] = statistics.median(seen)
    for row in found.values():
        for kind in ("ask", "tell"):
            row[f"{kind}_ratio"] = row[f"{kind}_us"] / found["plain pykka"][f"{kind}_us"]
    variants["plain pykka"].stop()
    supervisor.stop()
    return found


# -- what must hold --


def rss_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0.0  # not Linux
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def flatness(scale: float) -> dict[str, float]:
    """Return memory and threads before and after 1,000 restarts of one child."""
    count = max(50, round(1000 * scale))
    died: list[float] = []
    supervisor = Supervisor.start([ChildSpec("mortal", Mortal, (died,), mailbox="keep")], **RESTARTS)
    child = supervisor.proxy().which_children().get()[0].stable_ref
    for _ in range(count):  # what the interpreter and the allocator keep once
        kill_and_ask(child, died)
    died.clear()
    gc.collect()
    found = {"restarts": count, "rss_start_mb": rss_mb(), "threads_start": threading.active_count()}
    before = child.restarts
    for _ in range(count):
        kill_and_ask(child, died)
    gc.collect()
    wait_for(lambda: threading.active_count() <= found["threads_start"], 5.0)  # the last victim's
    found |= {"rss_end_mb": rss_mb(), "threads_end": threading.active_count()}
    found["restarts_counted"] = child.restarts - before
    supervisor.stop()
    return found


def race(actor: Any, end: str, asks: int) -> list[Any]:
    """Ask from four threads, one of which ends the actor half-way. Return the futures."""
    ref = actor.start()
    futures: list[Any] = []
    go = threading.Event()

    def ask(ends_it: bool) -> None:
        go.wait(PATIENCE_S)
        for n in range(asks // 4):
            if ends_it and n == asks // 8:
                cast(ref, RuntimeError("crash") if end == "crash" else pykka.messages._ActorStop())
            futures.append(ref.ask(n, block=False))

    askers = [threading.Thread(target=ask, args=(n == 0,)) for n in range(4)]
    for asker in askers:
        asker.start()
    go.set()
    for asker in askers:
        asker.join(PATIENCE_S)
    join(ref, PATIENCE_S)
    return futures


def unresolved(scale: float) -> dict[str, int]:
    """Return how many of 100,000 asks that raced stops and crashes have no answer, one second after the last of them."""
    rounds, per_round = max(4, round(1000 * scale)), 100
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        futures = [f for n in range(rounds) for f in race(Echo, ("stop", "crash")[n % 2], per_round)]
        wait_for(lambda: all(future.done() for future in futures), 1.0)
    finally:
        sys.setswitchinterval(interval)
    errors = [future.exception(timeout=0) for future in futures if future.done()]
    return {
        "asks": len(futures),
        "unresolved": sum(not future.done() for future in futures),
        "answered": sum(error is None for error in errors),
        "refused": sum(isinstance(error, pykka.ActorDeadError) for error in errors),
        "other_errors": sum(
            error is not None and not isinstance(error, pykka.ActorDeadError) for error in errors
        ),
    }


def broken(found: dict[str, Any]) -> list[str]:
    """Return what does not hold that must hold on every machine."""
    flat, raced, left = found["flatness"], found["race"], found["left"]
    growth = flat["rss_end_mb"] - flat["rss_start_mb"]
    return [
        message
        for holds, message in [
            (flat["restarts_counted"] == flat["restarts"], "not every crash was one restart"),
            (flat["threads_end"] <= flat["threads_start"], "restarts leave threads behind"),
            (growth <= MAX_GROWTH_MB, f"memory grew by {growth:.1f} MB over {flat['restarts']} restarts"),
            (raced["unresolved"] == 0, f"{raced['unresolved']} asks have no answer"),
            (raced["other_errors"] == 0, f"{raced['other_errors']} asks got an error that is none of ours"),
            (left["actors"] == 0, f"{left['actors']} actors are left"),
            (left["threads"] == 0, f"{left['threads']} threads are left"),
        ]
        if not holds
    ]


def table(found: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [f"{'restart: crash to first message served, us':<44}{'p50':>10}{'p99':>10}"]
    lines += [
        f"  {name:<42}{row['p50']:>10.0f}{row['p99']:>10.0f}" for name, row in found["restart_us"].items()
    ]
    lines += [
        "",
        f"{'us per child':<24}{'dynamic: start':>16}{'stop':>8}{'plain: start':>16}{'stop':>8}{'threads: start':>16}{'stop':>8}",
    ]
    lines += [
        f"  {f'{count} at once':<22}"
        + "".join(
            f"{row[f'{name}_start_us']:>16.0f}{row[f'{name}_stop_us']:>8.0f}"
            for name in ("dynamic", "plain", "threads")
        )
        for count, row in found["children"].items()
    ]
    lines += ["", f"{'us per message (x = times plain pykka)':<44}{'ask':>18}{'tell':>18}"]
    lines += [
        f"  {name:<42}"
        + "".join(f"{row[f'{kind}_us']:>10.2f} ({row[f'{kind}_ratio']:4.2f}x)" for kind in ("ask", "tell"))
        for name, row in found["messages"].items()
    ]
    flat, raced = found["flatness"], found["race"]
    return "\n".join(
        [
            *lines,
            "",
            f"{flat['restarts']} restarts: {flat['rss_start_mb']:.1f} -> {flat['rss_end_mb']:.1f} MB, "
            f"{flat['threads_start']} -> {flat['threads_end']} threads",
            f"unresolved futures: {raced['unresolved']} of {raced['asks']} asks racing stops and crashes "
            f"({raced['answered']} answered, {raced['refused']} refused)",
            *(f"BROKEN: {message}" for message in found["broken"]),
        ]
    )


def run(repeats: int, scale: float) -> dict[str, Any]:
    """Measure everything."""
    threads = threading.active_count()
    found: dict[str, Any] = {
        "flatness": flatness(scale),  # first: memory that the others give back would hide what it keeps
        "restart_us": restarts(scale),
        "children": children(scale, repeats),
        "messages": messages(scale, repeats),
        "race": unresolved(scale),
    }
    wait_for(lambda: threading.active_count() <= threads, 5.0)
    found["left"] = {
        "actors": len(pykka.ActorRegistry.get_all()),
        "threads": threading.active_count() - threads,
    }
    found["broken"] = broken(found)
    return found


def main() -> int:
    """Measure and print. Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="how often each variant runs (default 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is done, as a factor (default 1)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = run(options.repeats, options.scale)
    print(table(found), file=sys.stderr)
    where = {"python": platform.python_version(), "machine": platform.machine(), "pykka": version("pykka")}
    print(json.dumps({"where": where, **found}, indent=1))
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
