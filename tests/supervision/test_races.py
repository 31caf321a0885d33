"""Races, hunted on purpose: threads switched as often as can be, and no future left unresolved."""

import threading

import pykka
import pytest

from trunkline.supervision import KILLED, GenServer, SelectableMailbox, cast, kill

PATIENCE_S = 30.0
ASKS = 10_000


class Target(GenServer):
    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        if message == "defer":
            self._defer_reply()
        return message


class SelectableTarget(Target):
    _create_actor_inbox = staticmethod(SelectableMailbox)


def by_stop(ref):
    ref.stop()


def by_crash(ref):
    cast(ref, ValueError("crash"))  # one of the askers' stops may have been quicker


def by_crashing_ask(ref):
    ref.ask(ValueError("crash"), block=False)


def by_kill(ref):
    kill(ref)


def by_killer_that_finalizes(ref):
    kill(ref)
    ref.actor_inbox.finalize(KILLED)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("target", [Target, SelectableTarget])
@pytest.mark.parametrize("end", [by_stop, by_crash, by_crashing_ask, by_kill, by_killer_that_finalizes])
def test_every_ask_that_races_an_actors_end_gets_a_value_or_actor_dead(target, end):
    rounds, per_round = 20, ASKS // 20 // 4 // 5
    for _ in range(rounds):
        ref = target.start()
        futures, stops = [], []
        go = threading.Event()

        def ask(ref=ref, futures=futures, stops=stops, go=go):
            go.wait(PATIENCE_S)
            mine = [ref.ask("defer" if n % 10 == 9 else n, block=False) for n in range(per_round)]
            stops.append(ref.ask(pykka.messages._ActorStop(), block=False))
            futures.extend(mine)

        askers = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for asker in askers:
            asker.start()
        go.set()
        end(ref)
        for asker in askers:
            asker.join(PATIENCE_S)
            assert not asker.is_alive()
        assert len(futures) == 4 * per_round
        for future in [*futures, *stops]:
            error = future.exception(timeout=PATIENCE_S)
            assert error is None or isinstance(error, pykka.ActorDeadError), error
        assert ref.actor_inbox.down.wait(PATIENCE_S)


@pytest.mark.usefixtures("switching")
def test_concurrent_stops_all_return(start_worker):
    for _ in range(50):
        ref = start_worker()
        stoppers = [threading.Thread(target=ref.stop, daemon=True) for _ in range(4)]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join(PATIENCE_S)
            assert not stopper.is_alive()
        assert ref.actor_inbox.down.is_set()
