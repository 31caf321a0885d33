"""From the loss of a socket to the resumed session, on loopback, the backoff left out: one session alone, and many at once.

A simulator in this process breaks every line; each session opens a new one, is configured, and tells its history again. The
backoff, a random wait of up to half a second at first, is set to nothing here: what is left is the work. Resumed is when the
subscriber hears so. Prints a table on standard error and JSON on standard output; the exit status is 1 if one session alone
takes longer than the target at the median. (Many at once share this process with the server that they reconnect to.)
"""

import argparse
import json
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field

from trunkline import AssistantTurnCompleted, Broker, Config, Event, OpenAIGateway, SessionUpdated
from trunkline.actors import line_state
from trunkline.gateway.simulator import FunctionBrain, Say, Simulator

CONFIG = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)
PATIENCE_S = 60.0
TARGET_P50_MS = 100.0


@dataclass
class Watch:
    """What one session's subscriber saw, and when."""

    resumed_at: float = 0.0
    answered: threading.Event = field(default_factory=threading.Event)
    resumed: threading.Event = field(default_factory=threading.Event)

    def see(self, event: Event) -> None:
        """Note the time."""
        match event:
            case SessionUpdated(resumed=True):
                self.resumed_at = time.perf_counter()
                self.resumed.set()
            case AssistantTurnCompleted():
                self.answered.set()
            case _:
                pass


def measure(n_sessions: int, rounds: int, turns: int) -> list[float]:
    """Return the milliseconds of each reconnection."""
    line_state.FIRST_DELAY_S = 0.0
    took_ms: list[float] = []
    with Simulator(FunctionBrain(lambda _: [Say("I see.")])) as simulator:
        gateway = OpenAIGateway("key", base_url=simulator.url)
        with Broker.start("gpt-realtime-2", gateway=gateway, config=CONFIG) as broker:
            sessions = [broker.connect().get(timeout=PATIENCE_S) for _ in range(n_sessions)]
            watches = [Watch() for _ in sessions]
            for session, watch in zip(sessions, watches, strict=True):
                session.subscribe(watch.see).get(timeout=PATIENCE_S)
                for turn in range(turns):
                    watch.answered.clear()
                    session.send_text(f"This is message {turn}.").get(timeout=PATIENCE_S)
                    assert watch.answered.wait(PATIENCE_S), "no answer"
            for _ in range(rounds):
                began = time.perf_counter()
                simulator.drop_all()
                for watch in watches:
                    assert watch.resumed.wait(PATIENCE_S), "not resumed"
                    watch.resumed.clear()
                    took_ms.append(1000 * (watch.resumed_at - began))
                for session, watch in zip(sessions, watches, strict=True):  # the retry budget begins anew
                    watch.answered.clear()
                    session.send_text("And this one?").get(timeout=PATIENCE_S)
                    assert watch.answered.wait(PATIENCE_S), "no answer"
    return took_ms


def figures(took_ms: list[float]) -> dict[str, float]:
    """Return the percentiles."""
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    return {"n": len(took_ms), "p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20, help="how many lose their line at once")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turns", type=int, default=10, help="said and answered before, and told again")
    options = parser.parse_args()
    alone = figures(measure(1, 5 * options.rounds, options.turns))
    result = {
        "one session": alone,
        f"{options.sessions} at once": figures(measure(options.sessions, options.rounds, options.turns)),
        "target_p50_ms": TARGET_P50_MS,
    }
    for name, row in result.items():
        print(f"{name:>16}: {row}", file=sys.stderr)
    print(json.dumps(result))
    return 0 if alone["p50_ms"] <= TARGET_P50_MS else 1


if __name__ == "__main__":
    sys.exit(main())
