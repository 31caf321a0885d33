"""Contract statement 13 on real sockets: how a session begins, how it ends, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import sys
import threading
import traceback
from typing import Any

import pykka
import pytest

from trunkline import (
    Broker,
    Config,
    ConfigError,
    ConnectError,
    ConnectTimeout,
    HandshakeRefused,
    OpenAIGateway,
    SerialToolRunner,
    ServerError,
    SessionClosed,
    SessionProxy,
    ToolDefinitionError,
    Unreachable,
    tool,
)
from trunkline.gateway.errors import GatewayError, MissingApiKey
from trunkline.gateway.simulator import CallTool, FunctionBrain, Gate, Hold, Say
from trunkline.supervision import KILLED, ActorDown, Down, StartError

CREATED = json.dumps({"type": "session.created", "event_id": "e1", "session": {"id": "s1", "model": "m"}})
ANSWER = FunctionBrain(lambda _: [Say("all right")])


def failure(broker: Any, patience_s: float = 10.0, **overrides: Any) -> Any:
    """Connect, in vain; return the error, which has to be typed, to say what to do, and to pickle."""
    with pytest.raises(Exception) as caught:
        broker.connect(**overrides).get(timeout=patience_s)
    error = caught.value
    assert isinstance(error, GatewayError), repr(error)
    assert "(" in str(error) or "use" in str(error), f"says not what to do: {error}"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    return error


# -- connect fails


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "model"), (401, "API key"), (403, "may use"), (404, "model"), (429, "wait"), (500, "try again")],
)
def test_an_http_status_fails_connect_with_advice_and_the_broker_goes_on(
    trunk: Any, nothing_is_left_behind: Any, status: int, advice: str
) -> None:
    line = trunk(ANSWER)
    before = type(nothing_is_left_behind)()
    line.simulator.refuse_status = status
    error = failure(line.broker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == status
    assert advice in str(error)
    assert not line.directory.entries()
    before.comes_back()
    line.simulator.refuse_status = None
    line.connect().close().get(timeout=10)


@pytest.mark.parametrize(
    ("code", "close_code"),
    [("invalid_api_key", 3000), ("insufficient_quota", 4000), ("model_not_found", 4000)],
)
def test_an_error_and_a_close_after_the_upgrade_fail_connect_with_both_codes(
    trunk: Any, nothing_is_left_behind: Any, code: str, close_code: int
) -> None:
    line = trunk(ANSWER)
    before = type(nothing_is_left_behind)()
    line.simulator.refuse_error = (code, "no entry", close_code)
    error = failure(line.broker)
    assert isinstance(error, HandshakeRefused)
    assert (error.code, error.close_code, error.recoverable) == (code, close_code, False)
    before.comes_back()
    line.simulator.refuse_error = None
    line.connect().close().get(timeout=10)


@pytest.mark.parametrize("close_code", [1000, 1001, 1008, 1011, 3000, 4000])
def test_a_close_right_after_the_upgrade_fails_connect(
    raw_server: Any, start_broker: Any, close_code: int
) -> None:
    def script(peer: Any) -> None:
        peer.upgrade()
        peer.close(close_code, "go away")
        peer.hold()

    error = failure(start_broker(raw_server(script).url))
    assert isinstance(error, HandshakeRefused)
    assert error.close_code == close_code
    assert f"{close_code}" in str(error)
    assert "go away" in str(error)


def test_a_server_that_hangs_up_after_session_created_fails_connect(
    raw_server: Any, start_broker: Any
) -> None:
    def script(peer: Any) -> None:
        peer.upgrade()
        peer.send(CREATED)

    error = failure(start_broker(raw_server(script).url))
    assert isinstance(error, HandshakeRefused)
    assert (error.code, error.close_code) == ("connection_lost", 1006)


def test_a_refused_port_fails_connect(start_broker: Any) -> None:
    with socket.socket() as taken:  # nobody else gets the port, and nobody listens at it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = failure(start_broker(f"ws://127.0.0.1:{port}/v1/realtime"))
    assert isinstance(error, Unreachable)
    assert str(port) in str(error)


def test_an_unknown_host_fails_connect(start_broker: Any) -> None:
    host = f"no-such-host.{'x' * 64}.invalid"  # no name server is asked about a label of 64 letters
    error = failure(start_broker(f"wss://{host}/v1/realtime"))
    assert isinstance(error, Unreachable)
    assert host in str(error)


def test_a_server_that_never_answers_the_upgrade_costs_the_deadline_and_no_more(
    raw_server: Any, start_broker: Any, nothing_is_left_behind: Any
) -> None:
    before = type(nothing_is_left_behind)()
    server = raw_server(lambda peer: peer.hold())
    broker = start_broker(server.url, connect_timeout_s=1.5)
    connecting = broker.connect()
    assert server.accepted.wait(10)
    assert "running" in str(broker.tree()), "the broker serves others meanwhile"
    with pytest.raises(ConnectTimeout) as caught:
        connecting.get(timeout=10)
    assert "1.5 s" in str(caught.value)
    broker.stop().get(timeout=10)
    server.stop()
    before.comes_back()


@pytest.mark.parametrize("frames", [[], [CREATED]], ids=["nothing", "session.created alone"])
def test_a_server_that_upgrades_and_then_falls_silent_costs_the_deadline(
    raw_server: Any, start_broker: Any, frames: list[str]
) -> None:
    def script(peer: Any) -> None:
        peer.upgrade()
        for frame in frames:
            peer.send(frame)
        peer.hold()

    error = failure(start_broker(raw_server(script).url, connect_timeout_s=2.0))
    assert isinstance(error, ConnectTimeout)
    assert "session.updated" in str(error)


def test_a_configuration_that_the_provider_refuses_fails_connect_with_its_words(trunk: Any) -> None:
    line = trunk(ANSWER)
    error = failure(line.broker, provider_extras={"output_modalities": ["smell"]})
    assert isinstance(error, HandshakeRefused | ServerError)
    assert error.code == "invalid_value"
    assert "smell" in str(error)
    assert not line.directory.entries()
    line.simulator.wait_connections(0, 10)
    line.connect().close().get(timeout=10)


@pytest.mark.parametrize("model", ["", "   ", None])
def test_an_empty_model_is_refused_before_anything_starts(model: Any) -> None:
    with pytest.raises(ConfigError, match="model"):
        Broker.start(model, gateway=OpenAIGateway("a-key"))
    assert not pykka.ActorRegistry.get_all()


@pytest.mark.parametrize(
    ("argument", "value", "advice"),
    [
        ("gateway", "openai", r"OpenAIGateway\(\.\.\.\)"),
        ("gateway", OpenAIGateway, r"OpenAIGateway\(\.\.\.\)"),
        ("config", {"voice": "marin"}, r"Config\(\.\.\.\)"),
        ("tool_runner", SerialToolRunner, r"SerialToolRunner\(\)"),
        ("session_log", "sessions.db", r"SqliteSessionLog\(path\)"),
    ],
)
def test_an_argument_of_another_kind_is_refused_before_anything_starts(
    argument: str, value: Any, advice: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{argument}=.*{advice}"):
        Broker.start("gpt-realtime-2", **{"gateway": OpenAIGateway("a-key"), argument: value})
    assert not pykka.ActorRegistry.get_all()


def test_a_missing_key_fails_connect_and_names_the_variable(
    simulate: Any, start_broker: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    error = failure(start_broker(OpenAIGateway(base_url=simulate(ANSWER).url)))
    assert isinstance(error, MissingApiKey)
    assert "OPENAI_API_KEY" in str(error)


def raising() -> str:
    raise RuntimeError("sk-secret-of-the-store")


def leaving() -> str:
    sys.exit("sk-secret-of-the-store")


@pytest.mark.parametrize("key", [raising, leaving])
def test_a_key_callable_that_raises_or_exits_fails_connect_and_tells_no_secret(
    simulate: Any, start_broker: Any, key: Any
) -> None:
    simulator = simulate(ANSWER)
    error = failure(start_broker(OpenAIGateway(key, base_url=simulator.url)))
    assert isinstance(error, ConnectError)
    assert error.code == "api_key_unavailable" if key is raising else "SystemExit" in str(error)
    assert "sk-secret" not in str(error) + repr(error) + "".join(traceback.format_exception(error))
    assert not simulator.accepted


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"voise": "x"}, "voise"),
        ({"modalities": ["smell"]}, "modalities"),
        ({"connect_timeout_s": -1}, "connect_timeout_s"),
        ({"tools": [3]}, "tools"),
    ],
)
def test_overrides_that_cannot_work_fail_connect_and_the_broker_lives(
    trunk: Any, overrides: dict[str, Any], field: str
) -> None:
    line = trunk(ANSWER)
    before = line.actors()
    with pytest.raises((ConfigError, ToolDefinitionError), match=field.removesuffix("s")):
        line.broker.connect(**overrides).get(timeout=10)
    assert line.actors() == before
    assert not line.simulator.accepted


def test_twenty_connects_at_once_of_which_every_other_is_refused(trunk: Any) -> None:
    line = trunk(ANSWER)
    futures = [
        line.broker.connect(**({"provider_extras": {"output_modalities": ["smell"]}} if n % 2 else {}))
        for n in range(20)
    ]
    sessions = [future.get(timeout=10) for future in futures[::2]]
    for future in futures[1::2]:
        with pytest.raises(GatewayError):
            future.get(timeout=10)
    assert len({session.session_id for session in sessions}) == 10
    assert len(line.directory.entries()) == 10
    line.simulator.wait_connections(10, 10)


# -- connect succeeds


def test_connect_resolves_behind_session_created_and_session_updated(
    raw_server: Any, start_broker: Any
) -> None:
    seen: list[bool] = []
    connecting: list[Any] = []
    asked = threading.Event()

    def script(peer: Any) -> None:
        peer.upgrade()
        asked.wait(10)
        seen.append(connecting[0].done())
        peer.send(CREATED)
        seen.append(connecting[0].done())
        peer.send(json.dumps({"type": "session.updated", "event_id": "e2", "session": {"id": "s1"}}))
        peer.hold()

    connecting.append(start_broker(raw_server(script).url).connect())
    asked.set()
    session = connecting[0].get(timeout=10)
    assert seen == [False, False]
    opened = session.events().get(10)
    assert (opened.session_id, opened.server_session_id, opened.model) == (session.session_id, "s1", "m")


def test_the_wire_carries_no_beta_header_and_a_type_in_each_session_update(trunk: Any, read: Any) -> None:
    line = trunk(ANSWER)
    session = line.connect(instructions="first")
    session.update_instructions("second").get(timeout=10)
    reader = read(session.events())
    line.simulator.abort_all()
    reader.until("session_updated", resumed=True)
    assert session.get_instructions().get(timeout=10) == "second"
    for handshake in line.wire.handshakes():
        assert "openai-beta" not in handshake.headers
        assert handshake.headers["authorization"] == "Bearer a-key"
    updates = line.wire.sent("session.update")
    assert [update["session"]["type"] for update in updates] == ["realtime"] * 3
    assert [update["session"].get("instructions") for update in updates] == ["first", "second", "second"]


def test_a_subscriber_however_late_sees_session_opened_first_and_once(
    trunk: Any, read: Any, probe: Any, wait_until: Any
) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    early = read(session.events())
    session.send_text("one").get(timeout=10)
    early.until("assistant_turn_completed")  # else it is answered anew
    line.simulator.abort_all()
    early.until("session_updated", resumed=True)
    ref, actor = probe()
    called: list[Any] = []
    for subscriber in (ref, called.append, ref, called.append):
        session.subscribe(subscriber).get(timeout=10)
    late = read(session.events())
    session.send_text("two").get(timeout=10)
    early.texts(1)
    late.texts(1)
    session.close().get(timeout=10)
    assert actor.closed.wait(10)
    for kinds in (
        early.rest(),
        late.rest(),
        [event.kind for event in actor.events],
        [event.kind for event in called],
    ):
        assert kinds[0] == "session_opened"
        assert kinds.count("session_opened") == 1
        assert kinds[-1] == "session_closed"
        assert kinds.count("session_closed") == 1
        assert kinds.count("assistant_text") in (1, 2)
    assert late.kinds.count("assistant_text") == 1
    assert type(actor.messages[-1]).__name__ == "RealtimeClose"
    assert actor.messages[-1].reason == "client"


# -- close


def test_close_is_idempotent_and_concurrent(trunk: Any, read: Any) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    reader = read(session.events())
    start = threading.Barrier(8)
    errors: list[BaseException] = []

    def close() -> None:
        start.wait(10)
        try:
            session.close().get(timeout=10)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    session.close().get(timeout=10)
    assert not errors
    reader.rest()
    assert reader.seen[-1].reason == "client"
    closed = line.wire.wait_closed(1, 10)
    assert [one.code for one in closed] == [1000]


def test_close_is_bounded_when_the_server_is_mute(trunk: Any, read: Any, nothing_is_left_behind: Any) -> None:
    line = trunk(ANSWER)
    before = type(nothing_is_left_behind)()
    session = line.connect()
    reader = read(session.events())
    line.simulator.mute()
    session.close().get(timeout=20)  # ten times the bound
    reader.rest()
    line.simulator.wait_connections(0, 10)
    before.comes_back()


@pytest.mark.parametrize("cooperative", [True, False])
def test_close_does_not_wait_for_a_tool(trunk: Any, read: Any, cooperative: bool, wait_until: Any) -> None:
    release, entered, told = threading.Event(), threading.Event(), threading.Event()

    @tool
    def stuck(ctx: Any) -> str:
        entered.set()
        if cooperative:
            while not ctx.cancelled:
                release.wait(0.01)
            told.set()
        else:
            release.wait(30)  # as good as C: it looks at nothing
        return "late"

    line = trunk(FunctionBrain(lambda _: [CallTool("stuck", {})]), tools=[stuck])
    session = line.connect()
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    assert entered.wait(10)
    try:
        session.close().get(timeout=10)
        reader.rest()
        assert "tool_call_completed" not in reader.kinds
        wait_until(lambda: not line.workers(), "no worker is left")
        if cooperative:
            assert told.wait(10)
    finally:
        release.set()


@pytest.mark.parametrize("hangs_at", ["assistant_text", "session_closed", "both"])
def test_close_is_bounded_with_a_callback_that_hangs_and_everybody_else_hears_of_it(
    trunk: Any, read: Any, probe: Any, wait_until: Any, hangs_at: str
) -> None:
    release, entered = threading.Event(), threading.Event()
    before_it: list[str] = []
    behind_it: list[str] = []
    hanging: list[str] = []

    def hang(event: Any) -> None:
        hanging.append(event.kind)
        if event.kind == hangs_at or (
            hangs_at == "both" and event.kind in ("assistant_text", "session_closed")
        ):
            entered.set()
            release.wait(30)

    line = trunk(ANSWER)
    neighbour = line.connect()
    elsewhere = read(neighbour.events())
    session = line.connect(close_timeout_s=0.3)
    ref, actor = probe()
    session.subscribe(lambda event: before_it.append(event.kind)).get(timeout=10)
    session.subscribe(hang).get(timeout=10)
    session.subscribe(lambda event: behind_it.append(event.kind)).get(timeout=10)
    session.subscribe(ref).get(timeout=10)
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    try:
        if hangs_at != "session_closed":
            assert entered.wait(10)
        session.close().get(timeout=10)
        assert "session_closed" in [event.kind for event in reader.stream._queue], "done means: they have it"
        reader.rest()
        assert reader.seen[-1].reason == "client"
        assert actor.closed.wait(10)
        wait_until(lambda: before_it[-1:] == ["session_closed"], "the callback before it")
        wait_until(lambda: behind_it[-1:] == ["session_closed"], lambda: f"the one behind it: {behind_it}")
        line.broker.tree()
        neighbour.send_text("and you?").get(timeout=10)
        elsewhere.texts(1)
        line.connect().close().get(timeout=10)
    finally:
        release.set()
    wait_until(lambda: "session_closed" in hanging, "the one that hung")
    for kinds in (before_it, behind_it, hanging):
        assert kinds.count("session_closed") == 1
    wait_until(lambda: not any("SessionActor " + session.session_id in t.name for t in threading.enumerate()))
    assert before_it[-1] == behind_it[-1] == "session_closed", (
        "what the zombie still had in hand reaches nobody"
    )


def test_a_client_that_closes_a_session_that_hangs_is_who_ended_it_whoever_hears_of_the_end_first(
    trunk: Any, read: Any
) -> None:
    release, hanging = threading.Event(), threading.Event()

    def hang(event: Any) -> None:
        if event.kind == "assistant_text":
            hanging.set()
            release.wait(30)

    line = trunk(ANSWER)
    session = line.connect(close_timeout_s=20.0)
    reader = read(session.events())
    session.subscribe(hang).get(timeout=10)
    session.send_text("go").get(timeout=10)
    assert hanging.wait(10)
    closing = session.close()
    try:
        # The kill as the broker may hear of it before the one who closes:
        line.broker.actor_ref.tell(Down(session.session_id, session.actor_ref, KILLED))
        reader.until("session_closed")
        assert reader.seen[-1] == SessionClosed("client")
    finally:
        release.set()
    closing.get(timeout=10)


def test_a_killed_session_takes_its_tools_with_it(trunk: Any, read: Any, wait_until: Any) -> None:
    release, entered, hanging = threading.Event(), threading.Event(), threading.Event()

    @tool
    def stuck() -> str:
        entered.set()
        release.wait(30)
        return "late"

    def hang(event: Any) -> None:
        if event.kind == "assistant_text":
            hanging.set()
            release.wait(30)

    line = trunk(FunctionBrain(lambda c: [CallTool("stuck", {}), Say("wait")]), tools=[stuck])
    session = line.connect(close_timeout_s=0.3)
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    assert entered.wait(10)
    session.subscribe(hang).get(timeout=10)
    session.send_text("go on").get(timeout=10)
    try:
        assert hanging.wait(10)
        session.close().get(timeout=10)
        reader.rest()
        wait_until(lambda: not line.workers(), line.workers)
    finally:
        release.set()


def test_a_session_closes_while_it_is_connecting_again(trunk: Any, read: Any, raw_server: Any) -> None:
    line = trunk(ANSWER, connect_timeout_s=5.0)
    session = line.connect()
    reader = read(session.events())
    line.simulator.mute(future=True)
    line.simulator.abort_all()
    reader.until("error", code="connection_lost")
    session.close().get(timeout=10)
    reader.rest()
    assert reader.seen[-1].reason == "client"
    line.simulator.unmute()


def test_a_callback_may_close_its_own_session(trunk: Any, read: Any) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    reader = read(session.events())
    futures: list[Any] = []

    def close(event: Any) -> None:
        if event.kind == "assistant_text":
            futures.append(session.close())

    session.subscribe(close).get(timeout=10)
    session.send_text("go").get(timeout=10)
    reader.rest()
    futures[0].get(timeout=10)


@pytest.mark.parametrize("waits_for", ["send_text", "close", "update_instructions", "get_instructions"])
def test_a_callback_that_waits_for_its_own_session_is_refused_instead_of_hanging(
    trunk: Any, read: Any, waits_for: str
) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    reader = read(session.events())
    caught: list[BaseException] = []
    arguments = () if waits_for in ("close", "get_instructions") else ("and this?",)

    def wait(event: Any) -> None:
        if event.kind == "assistant_text" and not caught:
            try:
                getattr(session, waits_for)(*arguments).get(timeout=30)
            except BaseException as error:
                caught.append(error)

    session.subscribe(wait).get(timeout=10)
    session.send_text("go").get(timeout=10)
    reader.until("session_closed" if waits_for == "close" else "assistant_turn_completed")
    assert [type(error).__name__ for error in caught] == ["WaitingForOneself"]
    assert "add_done_callback" in str(caught[0])
    if waits_for == "send_text":
        reader.texts(1)  # it was sent all the same
    session.close().get(timeout=10)
    if waits_for != "close":
        reader.rest()


def test_a_callback_may_stop_the_broker_and_must_not_wait_for_it(trunk: Any, read: Any) -> None:
    line = trunk(ANSWER)
    session, neighbour = line.connect(), line.connect()
    reader, elsewhere = read(session.events()), read(neighbour.events())
    caught: list[Any] = []

    def stop(event: Any) -> None:
        if event.kind == "assistant_text":
            caught.append(line.broker.stop())
            caught.append(_error_of(caught[0]))

    session.subscribe(stop).get(timeout=10)
    session.send_text("go").get(timeout=10)
    reader.rest()
    elsewhere.rest()
    caught[0].get(timeout=10)
    assert type(caught[1]).__name__ == "WaitingForOneself"


def _error_of(future: Any) -> Any:
    try:
        return future.get(timeout=30)
    except BaseException as error:
        return error


class UnreadableGateway(OpenAIGateway):
    """Somebody's own gateway, with a bug in the constructor's path of a session."""

    @property
    def decode(self) -> Any:  # type: ignore[override]
        raise LookupError("no decoder yet")


class DumbGateway(OpenAIGateway):
    """Somebody's own gateway, with a bug that every incarnation of a session runs into."""

    def encode(self, event: Any) -> bytes:
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("kind", [UnreadableGateway, DumbGateway])
def test_a_gateway_with_a_bug_fails_connect_and_leaves_nothing(
    simulate: Any, start_broker: Any, wait_until: Any, kind: Any
) -> None:
    simulator = simulate(ANSWER)
    broker = start_broker(kind("a-key", base_url=simulator.url))
    for _ in range(2):
        with pytest.raises((StartError, ActorDown)) as caught:
            broker.connect().get(timeout=10)
        assert isinstance(caught.value.__cause__, LookupError | ZeroDivisionError)
    assert "SessionActor" not in str(broker.tree())
    simulator.wait_connections(0, 10)


def test_events_after_the_end_end_at_once(trunk: Any) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    session.close().get(timeout=10)
    for _ in range(2):
        assert [event.kind for event in session.events()] == ["session_opened", "session_closed"]


def test_commands_after_close_fail_at_once(trunk: Any) -> None:
    line = trunk(ANSWER)
    session = line.connect()
    session.close().get(timeout=10)
    for future in (
        session.send_text("hello"),
        session.interrupt(),
        session.update_instructions("x"),
        session.create_response(),
        session.commit_audio(),
        session.subscribe(print),
    ):
        with pytest.raises(ActorDown):
            future.get(timeout=10)
    with pytest.raises(ActorDown):
        session.actor_ref.tell("anything")


# -- the broker's end


def test_a_broker_stops_with_sessions_open_and_every_one_of_them_hears_it(
    trunk: Any, read: Any, probe: Any, nothing_is_left_behind: Any
) -> None:
    before = type(nothing_is_left_behind)()
    line = trunk(ANSWER)
    readers = [read(line.connect().events()) for _ in range(5)]
    ref, actor = probe()
    session = line.connect()
    session.subscribe(ref).get(timeout=10)
    futures = [line.broker.stop() for _ in range(3)]
    for future in futures:
        future.get(timeout=10)
    line.broker.stop().get(timeout=10)
    assert actor.closed.wait(10)
    for reader in readers:
        reader.rest()
    for future in (line.broker.connect(), session.send_text("x"), session.close()):
        if future.exception(timeout=10) is not None:
            assert isinstance(future.exception(), ActorDown)
    with pytest.raises(ActorDown):
        line.broker.tree()
    ref.stop()
    line.simulator.stop()
    before.comes_back()


def test_a_broker_stops_while_sessions_are_connecting(raw_server: Any, start_broker: Any) -> None:
    server = raw_server(lambda peer: peer.hold())
    broker = start_broker(server.url, connect_timeout_s=30.0)
    connecting = [broker.connect() for _ in range(3)]
    assert server.accepted.wait(10)
    broker.stop().get(timeout=10)
    for future in connecting:
        with pytest.raises(ActorDown):
            future.get(timeout=10)


def test_with_closes_a_session_and_stops_a_broker(simulate: Any, nothing_is_left_behind: Any) -> None:
    simulator = simulate(ANSWER)
    before = type(nothing_is_left_behind)()
    gateway = OpenAIGateway("a-key", base_url=simulator.url)
    config = Config(modalities=["text"], turn_detection="none")
    with Broker.start("m", gateway=gateway, config=config) as broker:
        with broker.connect().get(timeout=10) as session:
            stream = session.events()
        assert [event.kind for event in stream][-1] == "session_closed"
        second = broker.connect().get(timeout=10).events()
        with pytest.raises(ZeroDivisionError), broker.connect().get(timeout=10):
            _ = 1 / 0
    assert [event.kind for event in second][-1] == "session_closed"
    before.comes_back()


# -- asyncio


def test_futures_and_streams_are_awaited_without_blocking_the_loop(trunk: Any) -> None:
    gate = Gate()
    line = trunk(FunctionBrain(lambda _: [Hold(gate), Say("done")]))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            if ticks == 20:
                gate.open()
            await asyncio.sleep(0.001)

    async def talk() -> list[str]:
        ticking = asyncio.create_task(tick())
        session: SessionProxy = await line.broker.connect()
        events = session.events()
        await session.send_text("go")
        kinds: list[str] = []
        async for event in events:
            kinds.append(event.kind)
            if event.kind == "assistant_turn_completed":
                await session.close()
        with pytest.raises(ActorDown):
            await session.send_text("too late")
        with pytest.raises(ConfigError):
            await line.broker.connect(voise="x")
        await line.broker.stop()
        ticking.cancel()
        return kinds

    kinds = asyncio.run(asyncio.wait_for(talk(), 30))
    assert kinds[0] == "session_opened"
    assert kinds[-1] == "session_closed"
    assert ticks >= 20
