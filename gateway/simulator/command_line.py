"""The program `python -m trunkline.simulator`: a simulator until a signal ends it. Owns the process and its signals."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import queue
import resource
import signal
import ssl
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

from .arguments import check_brain, is_loopback
from .brains import Brain
from .local_certificate import LocalCertificate
from .server import Simulator

KEY_VARIABLE = "TRUNKLINE_SIMULATOR_API_KEY"
_BRAINS = {"rule": f"{__package__}:RuleBrain", "echo": f"{__package__}:EchoBrain"}
_MOST_FILES = 65_536
_PROGRAM = "python -m trunkline.simulator"
_EPILOG = f"""\
example:
  {_PROGRAM} --port 8765 --record wire.jsonl
  then, elsewhere:  OpenAI(api_key="any", websocket_base_url="ws://127.0.0.1:8765/v1")
               or:  trunkline.OpenAIGateway("any", base_url="ws://127.0.0.1:8765/v1/realtime")

The first line on standard output is the URL, so that a script can read it. SIGTERM ends it with status 0, SIGINT (Ctrl-C)
with 130; what cannot be started ends with 2 and a line that says why.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 after SIGTERM, 130 after SIGINT.

    Args:
        arguments: Those of the command line; None takes the process's.

    Raises:
        SystemExit: 2 when it cannot be started as asked, 0 after `--help`.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    parser = _parser()
    options = parser.parse_args(arguments)
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(_caught(signals))
        try:
            simulator, ca_file = _simulator(options, stack)
            _allow_many_files()
            simulator.start()
        except (OSError, ValueError, TypeError, ImportError) as error:
            parser.exit(2, f"{parser.prog}: error: {_reason(error, options)}\n")
        sys.stdout.write(_greeting(simulator.url, options.api_key is not None, ca_file))
        sys.stdout.flush()
        received = signals.get()
        try:
            simulator.stop()
        except TimeoutError as error:
            parser.exit(1, f"{parser.prog}: error: {error}\n")
    return 130 if received == signal.SIGINT else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="A server that speaks OpenAI's Realtime protocol on this machine: point any client at it, no key needed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=_port, required=True, help="TCP port; 0 takes a free one")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--allow-remote",
        action="store_true",
        help="serve other machines too, as --host says; needs an API key",
    )
    add(
        "--api-key",
        default=os.environ.get(KEY_VARIABLE) or None,
        help=f"the only key accepted (default: ${KEY_VARIABLE}, which ps does not show; if unset, any key and none)",
    )
    add(
        "--brain",
        default="rule",
        metavar="rule|echo|MODULE:NAME",
        help="what answers: rules (default), the caller's own words, or your Brain: an object, or a class or function "
        "that makes one",
    )
    add("--record", metavar="FILE.jsonl", help="write both directions to this file, a line per frame")
    add(
        "--max-age-s",
        type=_seconds,
        default=3600.0,
        metavar="S",
        help="age at which a session expires (3600)",
    )
    add("--ping-interval-s", type=_seconds, default=20.0, metavar="S", help="time between two pings (20)")
    add(
        "--delta-interval-s",
        type=_interval,
        default=0.0,
        metavar="S",
        help="time between two deltas of an answer (0: as fast as possible)",
    )
    add(
        "--audio-pace",
        type=_interval,
        default=0.0,
        metavar="FACTOR",
        help="seconds that a second of speech takes to be sent: 1 is real time (0: as fast as possible)",
    )
    tls = parser.add_argument_group("TLS")
    tls.add_argument("--tls", action="store_true", help="serve wss://, with a certificate made on the fly")
    tls.add_argument(
        "--ca-file",
        metavar="FILE.pem",
        help="where to put the authority to trust (default: a temporary file, gone at the end)",
    )
    tls.add_argument(
        "--cert", metavar="FILE.pem", help="serve wss:// with this certificate chain instead; needs --key"
    )
    tls.add_argument("--key", metavar="FILE.pem", help="its private key")
    return parser


def _simulator(options: argparse.Namespace, stack: ExitStack) -> tuple[Simulator, Path | None]:
    if options.api_key == "":
        raise ValueError("--api-key is empty: give a key, or leave it out to accept any")
    if not is_loopback(options.host) and not (options.allow_remote and options.api_key):
        raise ValueError(
            f"--host {options.host} is not loopback: serving others needs --allow-remote, and --api-key or ${KEY_VARIABLE}"
        )
    context, ca_file = _tls(options, stack)
    simulator = Simulator(
        _brain(options.brain),
        host=options.host,
        port=options.port,
        api_key=options.api_key,
        delta_interval_s=options.delta_interval_s,
        audio_pace=options.audio_pace,
        session_max_age_s=options.max_age_s,
        ping_interval_s=options.ping_interval_s,
        log_limit=0,
        ssl_context=context,
        allow_remote=options.allow_remote,
        record=options.record,
    )
    return simulator, ca_file


def _tls(options: argparse.Namespace, stack: ExitStack) -> tuple[ssl.SSLContext | None, Path | None]:
    if bool(options.cert) != bool(options.key):
        raise ValueError("--cert and --key go together")
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(options.cert, options.key)
        except OSError as error:
            raise ValueError(f"cannot load --cert {options.cert} and --key {options.key}: {error}") from error
        return context, None
    if not options.tls:
        if options.ca_file:
            raise ValueError("--ca-file needs --tls")
        return None, None
    certificate = LocalCertificate.make(*dict.fromkeys((options.host, "localhost", "127.0.0.1", "::1")))
    if options.ca_file:
        path = Path(options.ca_file).absolute()
    else:
        folder = tempfile.TemporaryDirectory(prefix="trunkline-simulator-")
        path = Path(stack.enter_context(folder)) / "ca.pem"
    path.write_text(certificate.ca_pem)
    return certificate.ssl_context, path


def _brain(name: str) -> Brain:
    module, colon, attribute = _BRAINS.get(name, name).partition(":")
    if not colon:
        raise ValueError(f"--brain {name}: it is 'rule', 'echo' or MODULE:NAME")
    try:
        brain: Any = getattr(importlib.import_module(module), attribute)
        if callable(brain) and (isinstance(brain, type) or not hasattr(brain, "reply")):
            brain = brain()
        check_brain(brain)
    except (
        Exception
    ) as error:  # whatever a module of the user's does when it is imported, or its class when it is called
        raise ValueError(f"--brain {name}: {type(error).__name__}: {error}") from error
    return cast(Brain, brain)


def _greeting(url: str, needs_key: bool, ca_file: Path | None) -> str:
    key = "the-key" if needs_key else "any"
    lines = [
        url,
        "Point a client at it (Ctrl-C ends it):",
        f'  OpenAI(api_key="{key}", websocket_base_url="{url.removesuffix("/realtime")}")',
        f'  trunkline.OpenAIGateway("{key}", base_url="{url}")',
    ]
    if ca_file is not None:
        lines.append(f"  having it trust the certificate:  export SSL_CERT_FILE={ca_file}")
    return "\n".join([*lines, ""])


def _reason(error: BaseException, options: argparse.Namespace) -> str:
    if not isinstance(error, OSError) or error.filename is not None:
        return str(error)
    # asyncio wraps the system's words for a port that is taken in a sentence of its own
    says = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return f"cannot listen on {options.host} port {options.port}: {says or error}"


@contextmanager
def _caught(signals: queue.SimpleQueue[int]) -> Generator[None]:
    """Put SIGINT and SIGTERM into a queue: unlike a lock's, its `put` may run in a handler that interrupts `get`."""

    def note(number: int, _: FrameType | None) -> None:
        signals.put(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _allow_many_files() -> None:
    """Raise the soft limit of open files as far as the hard one: a session is a socket, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it is a number from 0 to 65535")
    return int(text)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return seconds


def _seconds(text: str) -> float:
    if _interval(text) == 0:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return float(text)
