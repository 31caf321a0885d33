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
from .command_options import KEY_VARIABLE, parser
from .local_certificate import LocalCertificate
from .server import Simulator

_BRAINS = {"rule": f"{__package__}:RuleBrain", "echo": f"{__package__}:EchoBrain"}
_MOST_FILES = 65_536
_STATUSES = {signal.SIGTERM: 0, signal.SIGINT: 130, signal.SIGHUP: 129}
"""The signals that end it, and the exit status of each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 after SIGTERM, 130 after SIGINT, 129 after SIGHUP.

    Args:
        arguments: Those of the command line; None takes the process's.

    Raises:
        SystemExit: 2 when it cannot be started as asked, 0 after `--help`.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    program = parser()
    options = program.parse_args(arguments)
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(_caught(signals))
        try:
            simulator, ca_file = _simulator(options, stack)
            _allow_many_files()
            simulator.start()
            _say(_greeting(simulator.url, options.api_key is not None, ca_file))
        except (OSError, ValueError, TypeError, ImportError) as error:
            program.exit(2, f"{program.prog}: error: {_reason(error, options)}\n")
        received = signals.get()
        try:
            simulator.stop()
        except TimeoutError as error:
            program.exit(1, f"{program.prog}: error: {error}\n")
    return _STATUSES[signal.Signals(received)]


def _simulator(options: argparse.Namespace, stack: ExitStack) -> tuple[Simulator, Path | None]:
    for option in ("host", "api_key", "record", "ca_file", "cert", "key"):
        if getattr(options, option) == "":
            raise ValueError(f"--{option.replace('_', '-')} is empty: give one, or leave it out")
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
    if options.ca_file and (options.cert or not options.tls):
        raise ValueError(
            "--ca-file needs --tls, and no --cert: it is where the authority goes that is made on the fly"
        )
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(options.cert, options.key)
        except OSError as error:
            raise ValueError(f"cannot load --cert {options.cert} and --key {options.key}: {error}") from error
        return context, None
    if not options.tls:
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


def _say(greeting: str) -> None:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it is where standard output is closed
        return
    try:
        sys.stdout.write(greeting)
        sys.stdout.flush()
    except OSError as error:
        # What could not be written would be tried again, and complained about, at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ValueError(f"cannot say on standard output where it listens: {error.strerror}") from error


def _reason(error: BaseException, options: argparse.Namespace) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}"
    # asyncio wraps the system's words for a port that is taken in a sentence of its own
    says = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return f"cannot listen on {options.host} port {options.port}: {says or error}"


@contextmanager
def _caught(signals: queue.SimpleQueue[int]) -> Generator[None]:
    """Put signals into a queue: unlike a lock's, its `put` may run in a handler that interrupts `get`."""

    def note(number: int, _: FrameType | None) -> None:
        signals.put(number)

    # Under nohup SIGHUP is ignored, and so it stays.
    wanted = [
        number
        for number in _STATUSES
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    ]
    previous = {number: signal.signal(number, note) for number in wanted}
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
