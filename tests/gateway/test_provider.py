"""The Gateway seam fits the pure functions of this room, and the front of the room offers what it says."""

import trunkline.gateway as room
from trunkline.gateway.client_events import ClientEvent, ResponseCreate, SessionUpdate
from trunkline.gateway.codec import decode_server_event, encode_client_event
from trunkline.gateway.config import Config
from trunkline.gateway.errors import Unreachable
from trunkline.gateway.provider import Gateway
from trunkline.gateway.server_events import ServerEvent
from trunkline.gateway.session_update import instructions_update, session_update
from trunkline.gateway.transport import Transport


class Nowhere:
    """The least a gateway is."""

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        raise Unreachable(f"there is no {model} here, not even after {timeout_s:g} s")

    def encode(self, event: ClientEvent) -> bytes:
        return encode_client_event(event)

    def decode(self, frame: bytes | memoryview) -> ServerEvent:
        return decode_server_event(frame)

    def session_update(self, config: Config) -> SessionUpdate:
        return session_update(config)

    def instructions_update(self, text: str) -> SessionUpdate:
        return instructions_update(text)


def test_a_gateway_is_whatever_has_these_five_methods():
    gateway: Gateway = Nowhere()
    assert gateway.encode(ResponseCreate()) == b'{"type":"response.create"}'
    assert gateway.decode(b'{"type":"session.created"}').type == "session.created"
    assert gateway.session_update(Config()).session["type"] == "realtime"
    assert gateway.instructions_update("x").session == {"type": "realtime", "instructions": "x"}


def test_the_front_of_the_room_has_every_name_it_promises():
    assert all(hasattr(room, name) for name in room.__all__)
    assert sorted(set(room.__all__)) == sorted(room.__all__)
