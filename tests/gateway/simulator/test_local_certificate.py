"""A certificate made on the fly: trusted by who is told to, by nobody else."""

from __future__ import annotations

import ssl
import subprocess
import sys

import pytest

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
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert "pip install 'trunkline[simulator]'" in result.stderr.splitlines()[-1]
