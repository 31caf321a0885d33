"""Every fault at every seam: the possible ones act and are seen by a client, the impossible ones are refused when built."""

import json
import select
import time

import pytest

from trunkline.gateway.errors import ConnectError, LineClosed
from trunkline.gateway.faults import (
    FAULTS,
    FaultPlan,
    FaultProxy,
    FaultyGateway,
    FaultyTransport,
    ImpossibleFault,
)
from trunkline.gateway.simulator import Simulator
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0
QUIET_S = 0.15
BRIEFLY_S = 0.3
ARGUMENTS = {
    "HttpStatus": (503,),
    "Stall": (30.0,),
    "Drip": (1, 0.05),
    "Close": (1011, "no"),
    "SlowReader": (0,),
    "MissingField": ("event_id",),
    "WrongType": ("event_id",),
}
PAIRS = [
    (kind(*ARGUMENTS.get(kind.__name__, ())), seam)
    for kind in FAULTS
    for seam in ("transport", "proxy", "simulator")
]
POSSIBLE = [(fault, seam) for fault, seam in PAIRS if seam in fault.seams]
IMPOSSIBLE = [(fault, seam) for fault, seam in PAIRS if seam not in fault.seams]

HELLO = json.dumps({"type": "session.created", "event_id": "e1", "session": {"id": "sess_1"}}).encode()
DONE = json.dumps(
    {
        "type": "response.done",
        "event_id": "e2",
        "response": {"id": "resp_1", "status": "completed", "output": []},
    }
).encode()
CREATE = json.dumps({"type": "response.create", "event_id": "mine"}).encode()


def scheduled(fault):
    if fault.connects:
        return fault.at_connection(1)
    return fault.at_frame(1)


class Direct:
    """A gateway to one URL."""

    def __init__(self, url):
        self.url = url

    def connect(self, _model, *, timeout_s):
        return connect_websocket(self.url, headers={}, timeout_s=timeout_s)


@pytest.fixture
def origin(raw_server, handshake, wire):
    """A server that says two events, answers CLOSE, and keeps what it heard."""
    heard = []

    def script(sock):
        sock.sendall(handshake.accept(handshake.read(sock)) + wire.frame(HELLO) + wire.frame(DONE))
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
            while len(data) >= 6 and len(data) >= 6 + (n := data[1] & 127):
                payload = wire.xor(data[6 : 6 + n], data[2:6])
                if data[0] == wire.CLOSE:
                    sock.sendall(wire.frame(payload, wire.CLOSE))
                    return
                heard.append(payload)
                data = data[6 + n :]

    server = raw_server(script)
    server.heard = heard
    return server


def transcript(gateway, heard, quiet_s=QUIET_S, *, connect_s=LIMIT_S, close_s=BRIEFLY_S):
    """Connect, listen, say one thing, close; return everything that a client can tell."""
    try:
        line = gateway.connect("m", timeout_s=connect_s)
    except ConnectError as error:
        return (type(error).__name__, error.status)
    messages, end = listen(line, lambda: line.send(CREATE), quiet_s)
    began = time.monotonic()
    line.close(timeout_s=close_s)
    late = time.monotonic() - began >= close_s
    return (messages, end, list(heard), late)


def listen(line, speak, quiet_s):
    """Take what comes until the line is quiet, or ends."""
    messages, spoken = [], False
    poll = select.poll()
    try:
        line.service(time.monotonic())
        while True:
            poll.register(line.fileno(), select.POLLIN)
            began = time.monotonic()
            while not poll.poll(quiet_s * 1000) and time.monotonic() - began < quiet_s:
                pass
            before = len(messages)
            line.pump(lambda view: messages.append(bytes(view)))
            if not spoken:
                speak()
                spoken = True
            elif len(messages) == before:
                return messages, None
    except LineClosed as closed:
        return messages, closed.close_code


def connect_s(fault):
    """How long a connect may take: where it is never answered, the test waits for that."""
    return BRIEFLY_S if fault.connects else LIMIT_S


CONTROL = ([HELLO, DONE], None, [CREATE], False)


def test_without_faults_the_client_sees_what_the_server_says(origin):
    gateway = FaultyGateway(Direct(origin.url), FaultPlan())
    assert transcript(gateway, origin.heard, 1.0, close_s=LIMIT_S) == CONTROL
    origin.heard.clear()
    with FaultProxy(origin.url, FaultPlan()) as proxy:
        assert transcript(Direct(proxy.url), origin.heard, 1.0, close_s=LIMIT_S) == CONTROL


@pytest.mark.parametrize("fault", [f for f, seam in POSSIBLE if seam == "transport"], ids=repr)
def test_at_the_transport_each_possible_fault_acts_and_is_seen(origin, fault):
    plan = FaultPlan(scheduled(fault))
    gateway = FaultyGateway(Direct(origin.url), plan)
    assert transcript(gateway, origin.heard, connect_s=connect_s(fault)) != CONTROL
    plan.verify()


@pytest.mark.parametrize("fault", [f for f, seam in POSSIBLE if seam == "proxy"], ids=repr)
def test_at_the_proxy_each_possible_fault_acts_and_is_seen(origin, fault, eventually):
    plan = FaultPlan(scheduled(fault))
    with FaultProxy(origin.url, plan) as proxy:
        assert transcript(Direct(proxy.url), origin.heard, connect_s=connect_s(fault)) != CONTROL
        eventually(lambda: not plan.unfired(), f"{fault!r} has fired")


@pytest.mark.parametrize(("fault", "seam"), IMPOSSIBLE, ids=repr)
def test_an_impossible_pair_is_refused_when_it_is_built(fault, seam):
    plan = FaultPlan(scheduled(fault))
    build = {
        "transport": lambda: FaultyGateway(Direct("ws://127.0.0.1:1/"), plan),
        "proxy": lambda: FaultProxy("ws://127.0.0.1:1/", plan),
        "simulator": lambda: Simulator(faults=plan),
    }[seam]
    with pytest.raises(ImpossibleFault) as refused:
        build()
    assert refused.value.field == "seam"
    assert type(fault).__name__ in refused.value.value
    if seam == "transport":
        with pytest.raises(ImpossibleFault):
            FaultyTransport(object(), plan)


def test_the_table_of_the_package_is_the_seams_of_the_faults(package_table):
    assert package_table == {kind.__name__: set(kind.seams) for kind in FAULTS}
