"""The soak: many sessions on a simulator in another process, a fault about every second; exits with 1 if a zero is not.

    python benchmarks/soak [--seconds 180] [--sessions 100] [--seed N] [--rate 1.0]

Each caller holds conversations of 8 to 20 turns (typed, spoken by push to talk or under voice activity detection, with tools,
interrupted), has each session judged, closes it and opens the next. Every message carries a token that the far end's brain
answers once (`far_end`). Which faults are fair says `wire_faults`, which crashes `chaos`. The provider ends a session after
14 s, so that most lines have to be followed by another in time (*rollovers*).

The figures, each over all sessions, as a subscriber (an EventStream) saw it and as the far end has it at the session's end:

- *turns completed*: responses whose ``assistant_turn_completed`` says completed.
- *turns lost*: messages that were accepted (the future resolved; of spoken ones: whose transcript was delivered) and not
  interrupted on purpose, and of which no final text or transcript carried the answer within 30 s. Zero.
- *duplicated answers*: messages that two completed turns answered, parts of an answer that were told twice, and completed
  turns without anything to answer, but for those right behind something that was cut off on purpose (there it can be meant). Zero.
- *accepted messages lost*: accepted messages that are not exactly once, or not in their order, in the conversation as the
  provider has it at the end (*audited*), or that were told twice on one line; and what was spoken on a line that held and was
  not transcribed (under VAD: that had no successor meanwhile; by push to talk: that had not to be left before it). Zero.
- *tool outputs missing or doubled*: calls that have two outputs in that conversation or on one line, or two outcomes at the
  subscriber, or that were dispatched, not interrupted, and have no output there, or no outcome. *Tools run after their
  outcome*: calls that were dispatched once more after their outcome was told. Zero. (A call whose session is *killed* before
  that may run again: *calls run twice* counts them.)
- *messages that failed, yet were answered*: the future failed with the crash of the actor that had the command in hand, and
  the next incarnation found it in the log. Counted, not forbidden: who sends again what failed is answered twice.
- *unresolved futures*: futures of commands that did not resolve within 30 s (``close()``: 10 s), and what `leak_check`
  finds at the end: futures, threads and actors. Zero.
- *sessions lost*: sessions that ended before they were closed. *Turns without an end*: started, and never completed at the
  subscriber. *Deltas after interrupted*, *order of events*, *interrupted twice*, *turns that end twice*,
  *errors that no fault explains*: zero.
- *threads* (but for those that open a line: sessions at rest move, too), *RSS* and *objects* (what the garbage collector
  knows of) of this process, which holds the client alone: at the
  start, when a quarter of the time is over, and at the end, all callers quiet, the sessions open. Flat means: at most 5
  threads more, a fifth more objects, and RSS at most a fifth and 8 MB more.
- *reconnect*: from ``error(connection_lost)`` to ``session_updated(resumed)``, in the session's thread; *beyond the backoff*: from
  the beginning of the attempt that succeeded. Crashes of the actor tell of no loss, and are not in it.

It wants the machine for itself: where a provider in another process takes more than 15 s to be heard of, nobody is to blame.
Zeros of which too little is known fail too: a caller without turns, sessions that were not audited, crashes that stopped.

A violation names session, token and time; what its subscriber saw and what went over its lines is in the folder that is printed.
The seed decides what happens to which connection and which session says what; threads decide the rest.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import logging
import multiprocessing
import platform
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from random import SystemRandom
from typing import Any

from caller import Caller, Session, World
from chaos import Chaos
from far_end import serve
from judge import Judge, Violation
from near_end import MARGIN_S, SoakGateway

from trunkline import Broker, Config
from trunkline.gateway.open_files import raise_open_file_limit
from trunkline.supervision import zombies
from trunkline.testing import LeakError, leak_check

ZEROS = (
    "turns lost",
    "duplicated answers",
    "accepted messages lost",
    "tool outputs missing or doubled",
    "tools run after their outcome",
    "unresolved futures",
    "sessions lost",
    "turns without an end",
    "turns that end twice",
    "deltas after interrupted",
    "interrupted twice",
    "order of events",
    "errors that no fault explains",
)
WIRE_SHARE = 0.6
MORE_THREADS = 5
MORE = 1.2
MORE_RSS_MB = 8.0
AUDITED = 0.9
"""Of the sessions, at least: what the provider has in the end is known of these alone. A fault may hit the audit itself."""


class Clerk:
    """Collects what the callers report; any thread may call it."""

    def __init__(self, far_end: Connection, folder: Path) -> None:
        self._far_end = far_end
        self._folder = folder
        self._lock = threading.Lock()
        self.violations: list[Violation] = []
        self.turns = self.sessions = self.audited = self.resumptions = self.rollovers = self.tool_calls = 0
        self.reruns = self.failed_yet_answered = 0
        self.errors: Counter[str] = Counter()
        self.crashes: list[str] = []

    def report(self, judge: Judge, session: Session) -> None:
        with self._lock:
            self.sessions += 1
            self.turns += judge.turns_completed()
            self.audited += judge.audit is not None
            self.resumptions += judge.resumptions
            self.rollovers += judge.rollovers
            self.tool_calls += len(judge.settled_calls)
            self.errors.update(judge.errors)
            self.reruns += judge.reruns
            self.failed_yet_answered += judge.answered_all_the_same
            self.violations += judge.violations
            if judge.violations:
                self._keep(judge, session)

    def ask(self, what: str, argument: str = "") -> Any:
        self._far_end.send((what, argument))
        return self._far_end.recv()

    def far_end_saw(self, name: str, told: str) -> None:
        """Note what was told twice on one line."""
        is_output = told.startswith("output of ")
        figure = "tool outputs missing or doubled" if is_output else "accepted messages lost"
        self.violations.append(Violation(figure, name, f"{told}: told twice on one line"))
        print(f"{figure}: {name}: {told}: told twice on one line", file=sys.stderr)

    def _keep(self, judge: Judge, session: Session) -> None:
        for violation in judge.violations:
            print(f"{violation.figure}: {violation.session}: {violation.text}", file=sys.stderr)
        path = self._folder / f"{session.name.replace('/', '-').replace(' ', '-')}.txt"
        wrong = [f"{one.figure}: {one.text}" for one in judge.violations]
        wire = self.ask("frames", session.name)
        lines = [
            judge.session,
            *wrong,
            "",
            "events",
            *judge.recent,
            "",
            "wire",
            *wire,
            "",
            "crashes, of all sessions",
            *self.crashes,
        ]
        path.write_text("\n".join(lines) + "\n")


def rss_mb_now() -> float:
    status = Path("/proc/self/status").read_text()
    kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(kb / 1024, 1)


def lasting(threads: Iterable[str]) -> int:
    """Return how many of them are not at work on a line that is opened. Where the provider starves there are many of these."""
    return sum(not name.startswith("ConnectWorker ") for name in threads)


def footprint() -> dict[str, float]:
    """Measure, when what is free has been given back: a hundred threads leave the allocator with many half-empty pages."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
    objects = len(gc.get_objects())
    return {
        "threads": lasting(thread.name for thread in threading.enumerate())
        - lasting(zombie.thread_name for zombie in zombies()),
        "rss_mb": rss_mb_now(),
        "objects": objects,
    }


def sampled_rss(world: World, until: float) -> list[float]:
    """Wait, and look at the memory ten times meanwhile."""
    step_s, samples = max(0.0, until - time.monotonic()) / 10, list[float]()
    for _ in range(10):
        world.stop.wait(step_s)
        samples.append(rss_mb_now())
    return samples


def quantile_ms(values: list[float], q: float) -> float | None:
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1) if ordered else None


def soak(options: argparse.Namespace, far_end: Connection, url: str, folder: Path) -> dict[str, Any]:
    attempts: Counter[str] = Counter()
    config = Config(
        modalities=["text"],
        turn_detection="none",
        input_audio_transcription=False,
        connect_timeout_s=3.0,
        rollover_margin_s=MARGIN_S,
    )
    clerk = Clerk(far_end, folder)
    gateway = SoakGateway(url, lambda: attempts.update(["connect"]))
    began_at = time.monotonic()
    with Broker.start("gpt-realtime-2", gateway=gateway, config=config) as broker:
        world = World(
            broker,
            options.seed,
            began_at,
            threading.Barrier(options.sessions + 1),
            threading.Event(),
            threading.Event(),
            clerk.report,
        )
        figures = run(options, world, clerk)
    figures["connect_attempts"] = attempts["connect"]
    return figures


def run(options: argparse.Namespace, world: World, clerk: Clerk) -> dict[str, Any]:
    callers = [Caller(number, world) for number in range(options.sessions)]
    rate = options.rate * (1 - WIRE_SHARE)
    chaos = Chaos(world.broker, lambda: list(world.open.values()), options.seed, rate, world.began_at)
    clerk.crashes = chaos.log
    for caller in callers:
        caller.start()
    world.stop.wait(min(45.0, options.seconds / 4))
    start = while_quiet(world)
    chaos.start()
    rss_mb = sampled_rss(world, world.began_at + options.seconds)
    chaos.stop()
    end = while_quiet(world, last=True)
    for caller in callers:
        caller.join(150.0)
    cpu_s = time.process_time()
    broken = [caller for caller in callers if caller.crashed is not None or caller.is_alive()]
    for caller in broken:
        clerk.violations.append(Violation("unresolved futures", caller.name, f"{caller.crashed!r}"))
    for name, told in clerk.ask("said twice"):
        clerk.far_end_saw(name, told)
    found = Counter(violation.figure for violation in clerk.violations)
    whole, attempt = [one for one, _ in world.reconnects], [one for _, one in world.reconnects]
    return {
        "turns completed": clerk.turns,
        **{figure: found[figure] for figure in ZEROS},
        "threads at start, at end": [start["threads"], end["threads"]],
        "rss_mb at start, at end": [start["rss_mb"], end["rss_mb"]],
        "rss_mb meanwhile": rss_mb,
        "objects at start, at end": [start["objects"], end["objects"]],
        "reconnect_ms p50, p99": [quantile_ms(whole, 0.5), quantile_ms(whole, 0.99)],
        "beyond the backoff_ms p50, p99": [quantile_ms(attempt, 0.5), quantile_ms(attempt, 0.99)],
        "reconnects timed": len(whole),
        "sessions, of them audited": [clerk.sessions, clerk.audited],
        "resumptions": clerk.resumptions,
        "rollovers": clerk.rollovers,
        "tool calls": clerk.tool_calls,
        "calls run twice": clerk.reruns,
        "messages that failed, yet were answered": clerk.failed_yet_answered,
        "cpu_s": round(cpu_s, 1),
        "faults of the line": dict(clerk.ask("fired")),
        "crashes": dict(chaos.done),
        "chaos": "to the end" if chaos.failure is None else f"ended by {chaos.failure!r}",
        "errors seen": dict(clerk.errors),
        "refused": dict(world.refused),
    }


def while_quiet(world: World, *, last: bool = False) -> dict[str, float]:
    """Have every caller rest, measure, and let them go on, or finish."""
    world.paused.set()
    try:
        world.settled.wait(120.0)
        measured = footprint()
        world.paused.clear()
        if last:
            world.stop.set()
        world.settled.wait(120.0)
    except threading.BrokenBarrierError:
        world.stop.set()
        return footprint()
    return measured


def is_flat(figures: dict[str, Any]) -> bool:
    threads, rss, objects = (figures[f"{name} at start, at end"] for name in ("threads", "rss_mb", "objects"))
    is_held = objects[1] <= objects[0] * MORE and rss[1] <= rss[0] * MORE + MORE_RSS_MB
    return bool(threads[1] <= threads[0] + MORE_THREADS and is_held)


def looked(figures: dict[str, Any], options: argparse.Namespace) -> bool:
    """Whether there was anything to find: every caller had turns, sessions were audited, and crashes went on to the end."""
    n_sessions, n_audited = figures["sessions, of them audited"]
    enough = figures["turns completed"] >= options.sessions and n_sessions >= options.sessions
    return bool(enough and n_audited >= AUDITED * n_sessions and figures["chaos"] == "to the end")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="how long (default: 180)")
    parser.add_argument("--sessions", type=int, default=100, help="at once (default: 100)")
    parser.add_argument("--rate", type=float, default=1.0, help="faults per second (default: 1)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; drawn by default")
    options = parser.parse_args()
    options.seed = SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    return options


def main() -> int:
    options = parsed()
    logging.getLogger("trunkline").setLevel(logging.CRITICAL)
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
    raise_open_file_limit()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-soak-"))
    print(f"seed {options.seed}; violations are written to {folder}", file=sys.stderr)
    here, there = multiprocessing.Pipe()
    arguments = (there, options.seed, options.seconds, options.sessions, options.rate * WIRE_SHARE)
    far_end = multiprocessing.get_context("spawn").Process(target=serve, args=arguments)
    far_end.start()
    figures: dict[str, Any] = {}
    try:
        url = here.recv()
        try:
            with leak_check(within_s=20.0):
                figures |= soak(options, here, url, folder)
        except LeakError as error:
            (folder / "leaks.txt").write_text(str(error))
            print(f"unresolved futures: left behind at the end: {folder}/leaks.txt", file=sys.stderr)
            figures["leaked"] = str(error)[:400]
    finally:
        here.send(("stop", ""))
        far_end.join(20.0)
    figures |= {"seed": options.seed, "seconds": options.seconds, "python": platform.python_version()}
    for name, figure in figures.items():
        print(f"{name:34} {figure}", file=sys.stderr)
    print(json.dumps(figures))
    wrong = [figure for figure in ZEROS if figures[figure]]
    if "leaked" in figures:
        wrong.append("something was left behind")
    if not is_flat(figures):
        wrong.append("threads, objects or RSS are not flat")
    if not looked(figures, options):
        wrong.append("too little was looked at: these zeros say nothing")
    print("FAILED: " + "; ".join(wrong) if wrong else "passed", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
