"""Who is let in, what goes wrong on purpose, and how the simulator ends."""

from __future__ import annotations

import inspect
import socket
import ssl
import subprocess
import sys
import threading
from http import HTTPStatus

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.simulator import EchoBrain, FunctionBrain, Gate, Hold, McpServer, Pause, Say, Simulator

DEADLINE_S = 30.0


def closed_with(client):
    """Wait for the end of a connection and return the CLOSE's code and reason (None, None: there was no CLOSE)."""
    with pytest.raises(ConnectionClosed) as caught:
        client.until("nothing ever")
    received = caught.value.rcvd
    return (received.code, received.reason) if received else (None, None)


# -- who is let in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"Authorization": "Bearer right"}},
        {"additional_headers": {"api-key": "right"}},
        {"subprotocols": ["realtime", "openai-insecure-api-key.right"]},
    ],
)
def test_the_right_key_is_let_in(simulate, connected, options):
    client = connected(simulate(api_key="right"), **options)
    client.expect("session.created")
    assert client.socket.subprotocol == ("realtime" if "subprotocols" in options else None)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic right"}])
def test_a_wrong_key_is_told_so_and_closed_with_3000(simulate, connected, headers):
    client = connected(simulate(api_key="right"), additional_headers=headers)
    error = client.expect("error")["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert "wrong" not in error["message"]
    assert closed_with(client) == (3000, "invalid_request_error.invalid_api_key")


def test_any_key_will_do_where_none_is_set(simulate, connected):
    connected(simulate(), additional_headers={"Authorization": "Bearer whatever"}).expect("session.created")


@pytest.mark.parametrize(
    ("model", "code"), [(None, "missing_model"), ("", "missing_model"), ("gpt-unheard-of", "invalid_model")]
)
def test_a_model_that_is_not_served_is_closed_with_4000(simulate, connected, model, code):
    client = connected(simulate(models=["gpt-realtime-2"]), model)
    assert client.expect("error")["error"]["code"] == code
    assert closed_with(client) == (4000, f"invalid_request_error.{code}")


def test_the_beta_header_is_refused(simulate, connected):
    client = connected(simulate(), additional_headers={"OpenAI-Beta": "realtime=v1"})
    assert client.expect("error")["error"]["code"] == "beta_api_shape_disabled"
    assert closed_with(client)[0] == 4000


def test_any_error_and_close_can_be_asked_for(simulate, connected):
    simulator = simulate(refuse_error=("insufficient_quota", "Pay first", 3000))
    client = connected(simulator)
    assert client.expect("error")["error"]["message"] == "Pay first"
    assert closed_with(client) == (3000, "invalid_request_error.insufficient_quota")
    simulator.refuse_error = None
    connected(simulator).expect("session.created")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_api_key"), (404, "model_not_found"), (429, "rate_limit_exceeded"), (503, "server_error")],
)
def test_an_upgrade_can_be_refused_with_a_status(simulate, connected, status, code):
    simulator = simulate(refuse_status=status, retry_after_s=7)
    with pytest.raises(InvalidStatus) as caught:
        connected(simulator)
    response = caught.value.response
    assert response.status_code == status
    assert f'"code":"{code}"' in response.body.decode()
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers.get("Retry-After") == ("7" if status == 429 else None)
    simulator.refuse_status = None
    connected(simulator).expect("session.created")


def test_another_path_is_not_found(simulate):
    simulator = simulate()
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(simulator.url.replace("realtime", "chat"), proxy=None),
    ):
        pass
    assert caught.value.response.status_code == 404


def test_the_handshake_is_on_record_but_the_key_is_not_in_its_repr(simulate, connected):
    simulator = simulate()
    connected(simulator, additional_headers={"Authorization": "Bearer secret"}).expect("session.created")
    (handshake,) = simulator.wire.handshakes()
    assert handshake.headers["authorization"] == "Bearer secret"
    assert "openai-beta" not in handshake.headers
    assert "secret" not in repr(handshake)


@pytest.mark.parametrize("options", [{}, {"allow_remote": True}, {"api_key": "k"}])
def test_serving_others_needs_a_flag_and_a_key(options):
    with pytest.raises(ValueError, match="allow_remote"):
        Simulator(host="0.0.0.0", **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_remote", "yes"),
        ("api_key", ""),
        ("api_key", b"k"),
        ("audio_pace", -1),
        ("audio_pace", float("nan")),
        ("delta_interval_s", -0.1),
        ("delta_interval_s", True),
        ("delta_interval_s", None),
        ("host", ""),
        ("host", 127),
        ("host", None),
        ("log_limit", -1),
        ("log_limit", 1.5),
        ("log_limit", None),
        ("mcp_servers", ["docs"]),
        ("mcp_servers", {"docs": "https://example.com"}),
        ("mcp_servers", {1: McpServer()}),
        ("models", "gpt-realtime-2"),
        ("models", 2),
        ("models", ["gpt-realtime-2", None]),
        ("models", [""]),
        ("ping_interval_s", 0),
        ("ping_interval_s", "20"),
        ("port", -1),
        ("port", 65536),
        ("port", "8080"),
        ("port", True),
        ("record", ""),
        ("record", 1),
        ("refuse_error", "insufficient_quota"),
        ("refuse_error", ("insufficient_quota", "Pay first")),
        ("refuse_error", ("", "Pay first", 3000)),
        ("refuse_error", ("insufficient_quota", None, 3000)),
        ("refuse_error", ("insufficient_quota", "Pay first", "3000")),
        ("refuse_error", ("insufficient_quota", "Pay first", 1006)),
        ("refuse_error", ("insufficient_quota", "Pay first", 5000)),
        ("refuse_error", ("x" * 102, "Pay first", 3000)),
        ("refuse_status", 99),
        ("refuse_status", 101),
        ("refuse_status", 200),
        ("refuse_status", 600),
        ("refuse_status", "429"),
        ("refuse_status", 429.0),
        ("retry_after_s", -1),
        ("retry_after_s", 0.5),
        ("retry_after_s", None),
        ("session_max_age_s", 0),
        ("session_max_age_s", None),
        ("session_max_age_s", float("inf")),
        ("session_max_age_s", 10**400),
        ("ssl_context", True),
        ("ssl_context", ssl.create_default_context()),
        ("transcriber", "whisper-1"),
        ("transcription_delay_s", "soon"),
        ("transcription_delay_s", -1),
        ("transcription_delay_s", None),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_by_its_name(name, value):
    with pytest.raises(ConfigError) as caught:
        Simulator(**{name: value})
    assert caught.value.field == name


def test_a_wrong_type_of_faults_is_refused():
    with pytest.raises(ConfigError, match="FaultPlan"):
        Simulator(faults=[])


@pytest.mark.parametrize("tools", [["search"], [{"name": "search"}], [{"input_schema": {}}]])
def test_an_mcp_server_has_tools_with_names_and_schemas(tools):
    with pytest.raises(ConfigError) as caught:
        McpServer(tools=tools)
    assert caught.value.field == "tools"


def test_every_argument_that_can_be_impossible_is_in_the_table():
    (table,) = [
        mark.args[1]
        for mark in test_an_argument_that_cannot_be_meant_is_refused_by_its_name.pytestmark
        if mark.name == "parametrize"
    ]
    elsewhere = {"self", "brain", "faults"}
    assert {name for name, _ in table} == set(inspect.signature(Simulator.__init__).parameters) - elsewhere


@pytest.mark.parametrize(
    ("name", "value"), [("refuse_status", 99), ("refuse_error", ("code",)), ("retry_after_s", 0.5)]
)
def test_what_is_impossible_is_refused_later_too_and_what_was_set_stays(name, value):
    simulator = Simulator(refuse_status=503, refuse_error=("code", "text", 4000), retry_after_s=7)
    before = getattr(simulator, name)
    with pytest.raises(ConfigError, match=name):
        setattr(simulator, name, value)
    assert getattr(simulator, name) == before


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 300])
def test_a_status_that_has_a_name_is_taken(status):
    assert Simulator(refuse_status=status).refuse_status == status


@pytest.mark.parametrize(
    ("code", "reason"), [(1006, ""), (1005, ""), (999, ""), (5000, ""), (1000, "x" * 124)]
)
def test_a_close_that_cannot_be_sent_is_the_callers_fault(simulate, connected, code, reason):
    simulator = simulate()
    client = connected(simulator).text_session()
    with pytest.raises(ConfigError):
        simulator.close_all(code, reason)
    assert client.ask("What's the capital of France?") == "The capital of France is Paris."


@pytest.mark.parametrize("brain", [EchoBrain, "echo", lambda conversation: []])
def test_a_brain_that_is_none_is_refused(brain):
    with pytest.raises(TypeError, match="brain"):
        Simulator(brain)


# -- faults ----------------------------------------------------------------------------------------------------------


def test_frames_can_be_injected(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    simulator.inject("not json")
    simulator.inject(b"\x00\x01")
    assert client.socket.recv(timeout=DEADLINE_S) == "not json"
    assert client.socket.recv(timeout=DEADLINE_S) == b"\x00\x01"
    assert client.ask("What's the capital of France?") == "The capital of France is Paris."


def test_connections_can_be_closed_with_any_code(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    simulator.close_all(1012, "service restart")
    assert closed_with(client) == (1012, "service restart")
    simulator.wait_connections(0, DEADLINE_S)
    connected(simulator).expect("session.created")


def test_connections_can_be_reset(simulate, cleanup):
    simulator = simulate()
    raw = cleanup.enter_context(
        socket.create_connection(("127.0.0.1", int(simulator.url.split(":")[2].split("/")[0])))
    )
    raw.settimeout(DEADLINE_S)
    raw.sendall(
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    simulator.wire.wait_received("session.created")
    simulator.abort_all()
    with pytest.raises(ConnectionResetError):
        list(iter(lambda: raw.recv(65536), b""))
    simulator.wait_connections(0, DEADLINE_S)


def test_a_mute_connection_reads_and_answers_nothing_not_even_close(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    simulator.mute()
    client.send("response.create")
    pong = client.socket.ping()
    client.socket.close()  # its own close timeout ends this: no CLOSE comes back
    assert not pong.is_set()
    assert client.socket.close_code == 1006
    connected(simulator).expect("session.created")


def test_new_connections_can_be_mute_too(simulate, connected):
    simulator = simulate()
    simulator.mute(future=True)
    with pytest.raises(TimeoutError), connect(f"{simulator.url}?model=m", open_timeout=0.2, proxy=None):
        pass
    simulator.unmute()
    connected(simulator).expect("session.created")


def test_a_session_that_is_too_old_is_ended_as_the_service_does(simulate, connected):
    client = connected(simulate(session_max_age_s=0.05))
    client.expect("session.created")
    error = client.expect("error")["error"]
    assert error["code"] == "session_expired"
    assert closed_with(client) == (1001, error["message"])


def test_faults_can_be_called_from_a_brain(simulate, connected):
    def reply(conversation):
        simulator.inject("from the brain")
        return [Say("done")]

    simulator = simulate(FunctionBrain(reply))
    client = connected(simulator).text_session()
    client.send("response.create")
    client.expect("response.created")
    assert client.socket.recv(timeout=DEADLINE_S) == "from the brain"


def test_a_text_that_no_frame_can_hold_is_the_callers_fault(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    with pytest.raises(UnicodeEncodeError):
        simulator.inject("\ud800")
    assert client.ask("What's the capital of France?") == "The capital of France is Paris."


def test_a_defect_inside_a_response_is_reported_and_does_not_look_like_silence(simulate, connected, caplog):
    class NoGate:
        def when_open(self, wake):
            raise RuntimeError("broken gate")

    simulator = simulate(FunctionBrain(lambda conversation: [Hold(NoGate())]))
    client = connected(simulator).text_session()
    client.send("response.create")
    assert closed_with(client) == (None, None)
    simulator.wait_connections(0, DEADLINE_S)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "broken gate" in str(record.exc_info[1])
    connected(simulator).expect("session.created")


# -- life ------------------------------------------------------------------------------------------------------------


def test_a_hundred_sessions_at_once_each_get_their_own_answer(simulate, connected):
    simulator = simulate()
    clients = [connected(simulator).text_session() for _ in range(100)]
    assert simulator.connections == simulator.accepted == 100
    for number, client in enumerate(clients):
        client.send(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": f"say number {number}"}],
            },
        )
        client.send("response.create")
    for number, client in enumerate(clients):
        response = client.until("response.done")[-1]["response"]
        assert response["output"][0]["content"][0]["text"] == f"number {number}"


def test_stopping_ends_every_kind_of_connection(connected, cleanup):
    gate = Gate()
    simulator = Simulator(FunctionBrain(lambda conversation: [Say(["x", Hold(gate)]), Pause(3600)])).start()
    streaming = connected(simulator).text_session()
    streaming.send("response.create")
    gate.wait_reached(DEADLINE_S)
    silent = connected(simulator)
    port = int(simulator.url.split(":")[2].split("/")[0])
    cleanup.enter_context(socket.create_connection(("127.0.0.1", port)))  # never asks for the upgrade
    simulator.stop(DEADLINE_S)
    assert closed_with(streaming)[0] == 1001
    assert closed_with(silent)[0] == 1001
    assert simulator.connections == 0
    gate.open()  # nobody is left to wake, and that is no error


def test_stopping_is_bounded_with_clients_that_do_not_read_or_answer(connected):
    endless = FunctionBrain(lambda conversation: (Say("word " * 1000) for _ in range(10**9)))
    simulator = Simulator(endless).start()
    flooded, mute = connected(simulator).text_session(), connected(simulator).text_session()
    flooded.send("response.create")
    simulator.wire.wait_received("response.output_text.delta", 2000, 6 * DEADLINE_S)
    mute.send("response.create")
    simulator.mute()
    simulator.stop(DEADLINE_S)
    assert simulator.connections == 0


def test_a_client_that_does_not_read_is_not_buffered_for_without_bound(simulate, connected):
    """Every reply to a flood costs room: when it is used up, the simulator stops reading."""
    simulator = simulate()
    client = connected(simulator).text_session()
    done = threading.Event()

    def flood():
        try:
            for _ in range(20_000):
                client.socket.send('{"type": "nonsense"}' + " " * 1000)
        except ConnectionClosed:
            pass
        done.set()

    # The websockets client reads in a thread of its own, up to a queue; beyond that it is a client that does not read.
    thread = threading.Thread(target=flood)
    thread.start()
    simulator.wire.wait_sent("nonsense", 500, 3 * DEADLINE_S)
    assert simulator.wire.wait_received("error", 100, 3 * DEADLINE_S)
    other = connected(simulator).text_session()
    assert other.ask("What's the capital of Italy?") == "The capital of Italy is Rome."
    assert not done.is_set(), "the simulator read everything although nobody takes its answers"
    simulator.abort_all()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_a_vanished_client_takes_its_responses_with_it(simulate, connected):
    gate = Gate()
    closed = threading.Event()

    def reply(conversation):
        try:
            yield Hold(gate)
        finally:
            closed.set()

    simulator = simulate(FunctionBrain(reply))
    client = connected(simulator).text_session()
    client.send("response.create")
    gate.wait_reached(DEADLINE_S)
    client.socket.close()
    assert closed.wait(DEADLINE_S)
    simulator.wait_connections(0, DEADLINE_S)


def test_a_simulator_can_be_started_again(connected):
    simulator = Simulator()
    for _ in range(2):
        with simulator:
            connected(simulator).expect("session.created")
    simulator.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url


def test_starting_twice_is_an_error(simulate):
    with pytest.raises(RuntimeError, match="already"):
        simulate().start()


def test_a_port_that_is_taken_is_said_so_and_leaves_no_thread(simulate):
    port = int(simulate().url.split(":")[2].split("/")[0])
    second = Simulator(port=port)
    with pytest.raises(OSError):
        second.start()


def test_without_websockets_the_import_says_what_to_install():
    program = "import sys; sys.modules['websockets'] = None; import trunkline.gateway.simulator"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert "pip install 'trunkline[simulator]'" in result.stderr.splitlines()[-1]
