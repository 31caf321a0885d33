"""A certificate made on the fly: trusted by who is told to, by nobody else."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys

import pytest
from websockets.exceptions import ConnectionClosed

from trunkline.gateway.faults import Close, Duplicate, FaultPlan
from trunkline.gateway.simulator.local_certificate import LocalCertificate


def test_a_client_that_trusts_the_authority_is_served(simulate, connected):
    certificate = LocalCertificate.make()
    simulator = simulate(ssl_context=certificate.ssl_context)
    assert simulator.url.startswith("wss://127.0.0.1:")
    client = connected(simulator, ssl=ssl.create_default_context(cadata=certificate.ca_pem)).text_session()
    assert client.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."


def test_a_client_that_does_not_is_not_and_harms_nobody(simulate, connected):
    certificate = LocalCertificate.make()
    simulator = simulate(ssl_context=certificate.ssl_context)
    trusting = ssl.create_default_context(cadata=certificate.ca_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        connected(simulator, ssl=ssl.create_default_context(cadata=LocalCertificate.make().ca_pem))
    connected(simulator, ssl=trusting).expect("session.created")


def test_a_certificate_is_for_the_hosts_it_was_made_for(simulate, connected):
    certificate = LocalCertificate.make("elsewhere.test")
    simulator = simulate(ssl_context=certificate.ssl_context)
    trusting = ssl.create_default_context(cadata=certificate.ca_pem)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        connected(simulator, ssl=trusting)
    connected(simulator, ssl=trusting, server_hostname="elsewhere.test").expect("session.created")


def test_without_trustme_it_says_what_to_install():
    program = (
        "import sys; sys.modules['trustme'] = None\n"
        "from trunkline.gateway.simulator.local_certificate import LocalCertificate as C; C.make()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 1
    assert "pip install 'trunkline[simulator]'" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b"", bytes(70_000)]
)
def test_who_speaks_no_tls_harms_nobody(simulate, connected, caplog, junk):
    certificate = LocalCertificate.make()
    simulator = simulate(ssl_context=certificate.ssl_context)
    port = int(simulator.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as stranger:
        try:
            stranger.sendall(junk)
            stranger.shutdown(socket.SHUT_WR)
            list(iter(lambda: stranger.recv(1 << 16), b""))
        except ConnectionError:
            pass  # it had enough
    client = connected(simulator, ssl=ssl.create_default_context(cadata=certificate.ca_pem)).text_session()
    assert client.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_faults_act_under_tls_as_well(simulate, connected):
    certificate = LocalCertificate.make()
    plan = FaultPlan(
        Duplicate().on("input_audio_buffer.cleared"), Close(1012).on("input_audio_buffer.cleared", nth=2)
    )
    simulator = simulate(ssl_context=certificate.ssl_context, faults=plan)
    client = connected(simulator, ssl=ssl.create_default_context(cadata=certificate.ca_pem)).text_session()
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")
    client.expect("input_audio_buffer.cleared")
    client.send("input_audio_buffer.clear")
    with pytest.raises(ConnectionClosed) as caught:
        client.next()
    assert caught.value.rcvd.code == 1012
    plan.verify()
