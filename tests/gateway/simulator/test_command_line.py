"""`python -m trunkline.simulator` as its users have it: a process, its output, its signals and its exit status."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from trunkline.gateway.simulator.command_line import main

LIMIT_S = 60.0
HERE = os.pathsep.join(filter(None, sys.path))
"""The path of this process: the program is the one under test, not another one that is installed."""
TLS = Path(__file__).parents[1] / "tls"


@pytest.fixture
def start(cleanup, tmp_path):
    """Start the program; it is killed at the end if it is still there."""

    def start(*arguments, **variables):
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline.simulator", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": HERE, **variables},
        )
        cleanup.callback(process.communicate, timeout=LIMIT_S)
        cleanup.callback(process.kill)
        return process

    return start


@pytest.fixture
def serving(start):
    """Start the program and read its URL."""

    def serve(*arguments, **variables):
        process = start("--port", "0", *arguments, **variables)
        return process, process.stdout.readline().strip()

    return serve


def ended(process):
    """Wait for the end and return (status, what was left on stdout, stderr)."""
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def failed(process):
    """Return the single line that a program says which could not start."""
    status, out, err = ended(process)
    assert (status, out) == (2, ""), err
    assert "Traceback" not in err
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_cleanly_with_a_session_open(serving, client_of, number, status):
    process, url = serving()
    client = client_of(url).text_session()
    assert client.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."
    process.send_signal(number)
    assert ended(process)[0::2] == (status, "")
    with pytest.raises(ConnectionClosed) as caught:
        client.next()
    assert caught.value.rcvd.code == 1001


def test_the_greeting_says_how_to_point_a_client_at_it(serving):
    process, url = serving()
    out = "".join(process.stdout.readline() for _ in range(3))
    assert f'websocket_base_url="{url.removesuffix("/realtime")}"' in out
    assert f'base_url="{url}"' in out
    assert "SSL_CERT_FILE" not in out


def test_a_port_that_is_taken_is_one_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = failed(start("--port", port))
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--port"),
        (("--port", "70000"), "from 0 to 65535"),
        (("--port", "web"), "from 0 to 65535"),
        (("--port", "0", "--max-age-s", "0"), "more than 0"),
        (("--port", "0", "--max-age-s", "soon"), "no number from 0"),
        (("--port", "0", "--delta-interval-s", "-1"), "no number from 0"),
        (("--port", "0", "--audio-pace", "1e10"), "no number from 0 to 1e9"),
        (("--port", "\u0663"), "from 0 to 65535"),
        (("--port", "0", "--rec", "wire.jsonl"), "--rec"),
        (("--port", "0", "--host", "0.0.0.0"), "--allow-remote"),
        (("--port", "0", "--host", "0.0.0.0", "--allow-remote"), "--api-key"),
        (("--port", "0", "--api-key", ""), "--api-key is empty"),
        (("--port", "0", "--host", ""), "--host is empty"),
        (("--port", "0", "--record", ""), "--record is empty"),
        (("--port", "0", "--record", "."), "cannot write .: Is a directory"),
        (("--port", "0", "--cert", "a.pem", "--key", "b.pem", "--ca-file", "ca.pem"), "no --cert"),
        (("--port", "0", "--brain", "clever"), "MODULE:NAME"),
        (("--port", "0", "--brain", "nowhere.at_all:Brain"), "--brain nowhere.at_all:Brain: "),
        (("--port", "0", "--brain", "json:loads"), "--brain json:loads: "),
        (("--port", "0", "--brain", "trunkline.simulator:Nothing"), "Nothing"),
        (("--port", "0", "--brain", "collections:OrderedDict"), "no method 'reply'"),
        (("--port", "0", "--record", "nowhere/wire.jsonl"), "nowhere/wire.jsonl"),
        (("--port", "0", "--cert", "a.pem"), "go together"),
        (("--port", "0", "--cert", "a.pem", "--key", "b.pem"), "cannot load --cert a.pem"),
        (("--port", "0", "--ca-file", "ca.pem"), "needs --tls"),
        (("--port", "0", "--tls", "--ca-file", "nowhere/ca.pem"), "nowhere/ca.pem"),
    ],
)
def test_what_cannot_be_started_says_why_in_a_line(arguments, says, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


def reader_that_is_gone():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("output", [full_disk, reader_that_is_gone])
def test_where_nobody_can_read_where_it_listens_it_says_so(output):
    out = output()
    try:
        process = subprocess.run(
            [sys.executable, "-m", "trunkline.simulator", "--port", "0"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": HERE},
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(out)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "cannot say on standard output where it listens" in line


def test_the_authority_is_gone_when_the_terminal_is_closed(serving, tmp_path):
    process, _ = serving("--tls", TMPDIR=str(tmp_path))
    assert len(list(tmp_path.glob("trunkline-simulator-*"))) == 1
    process.send_signal(signal.SIGHUP)
    assert ended(process)[0::2] == (129, "")
    assert list(tmp_path.glob("trunkline-simulator-*")) == []


def test_help_has_an_example(start):
    status, out, _ = ended(start("--help"))
    assert status == 0
    assert "python -m trunkline.simulator --port 8765" in out


def test_the_key_may_come_from_the_environment(serving, client_of):
    process, url = serving(TRUNKLINE_SIMULATOR_API_KEY="s3cret")
    assert client_of(url).expect("error")["error"]["code"] == "invalid_api_key"
    client_of(url, additional_headers={"Authorization": "Bearer s3cret"}).expect("session.created")
    process.terminate()
    assert "s3cret" not in "".join(map(str, ended(process)))


def test_it_serves_others_when_told_to(serving, client_of):
    process, url = serving("--host", "0.0.0.0", "--allow-remote", "--api-key", "k")
    client = client_of(url.replace("0.0.0.0", "127.0.0.1"), additional_headers={"Authorization": "Bearer k"})
    client.expect("session.created")
    process.terminate()
    assert ended(process)[0] == 0


def test_a_brain_may_be_ones_own(serving, client_of, tmp_path):
    (tmp_path / "parrots.py").write_text(
        "from trunkline.simulator import FunctionBrain, Say\n"
        "grey = FunctionBrain(lambda conversation: [Say('Squawk')])\n"
        "def make():\n    return grey\n"
        "class Green(FunctionBrain):\n"
        "    def __init__(self):\n        super().__init__(lambda conversation: [Say('Squeak')])\n"
    )
    for name, word in (("grey", "Squawk"), ("make", "Squawk"), ("Green", "Squeak")):
        process, url = serving("--brain", f"parrots:{name}")
        assert client_of(url).text_session().ask("Hello") == word
        process.terminate()
        assert ended(process)[0] == 0


def test_the_echo_brain_has_a_name(serving, client_of):
    process, url = serving("--brain", "echo", "--audio-pace", "1")
    client_of(url).expect("session.created")
    process.terminate()
    assert ended(process)[0] == 0


def test_a_session_ends_at_the_age_it_is_given(serving, client_of):
    _, url = serving("--max-age-s", "0.05")
    client = client_of(url)
    client.expect("session.created")
    assert client.expect("error")["error"]["code"] == "session_expired"


def test_it_records(serving, client_of, tmp_path):
    process, url = serving("--record", "wire.jsonl")
    client_of(url).text_session()
    process.terminate()
    assert ended(process)[0] == 0
    recorded = [json.loads(line) for line in (tmp_path / "wire.jsonl").read_text().splitlines()]
    assert [entry["event"]["type"] for entry in recorded] == [
        "session.created",
        "session.update",
        "session.updated",
    ]


def test_tls_is_made_on_the_fly_and_its_authority_is_gone_at_the_end(serving, client_of):
    process, url = serving("--tls")
    greeting = [process.stdout.readline() for _ in range(4)]
    ca_file = Path(greeting[-1].strip().rpartition("SSL_CERT_FILE=")[2])
    client = client_of(url, ssl=ssl.create_default_context(cafile=ca_file)).text_session()
    assert client.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    assert not ca_file.exists()


def test_trunkline_itself_trusts_it_by_the_environment(serving, tmp_path):
    _, url = serving("--tls", "--ca-file", "ca.pem")
    program = (
        "import sys; from trunkline import OpenAIGateway\n"
        "transport = OpenAIGateway('any', base_url=sys.argv[1]).connect('gpt-realtime-2', timeout_s=10.0)\n"
        "print(type(transport).__name__); transport.close(1000, timeout_s=1.0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
    )
    assert result.returncode == 0, result.stderr
    assert "Transport" in result.stdout


def test_a_certificate_may_be_ones_own(serving, client_of):
    _, url = serving("--cert", str(TLS / "localhost.pem"), "--key", str(TLS / "localhost.key"))
    trusting = ssl.create_default_context(cafile=TLS / "localhost.pem")
    trusting.check_hostname = False
    client_of(url, ssl=trusting).expect("session.created")


@pytest.mark.parametrize("missing", ["websockets", "trustme"])
def test_without_the_extra_it_says_in_a_line_what_to_install(missing):
    program = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; sys.argv[1:] = ['--port', '0', '--tls']\n"
        "runpy.run_module('trunkline.simulator', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "PYTHONPATH": HERE},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'trunkline[simulator]'" in done.stderr
