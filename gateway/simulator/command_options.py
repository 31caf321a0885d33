"""The options of `python -m trunkline.simulator`: their names, their help, and what they take. Owns nothing."""

from __future__ import annotations

import argparse
import os

KEY_VARIABLE = "TRUNKLINE_SIMULATOR_API_KEY"
_PROGRAM = "python -m trunkline.simulator"
_MOST = 1_000_000_000
_EPILOG = f"""\
example:
  {_PROGRAM} --port 8765 --record wire.jsonl
  then, elsewhere:  OpenAI(api_key="any", websocket_base_url="ws://127.0.0.1:8765/v1")
               or:  trunkline.OpenAIGateway("any", base_url="ws://127.0.0.1:8765/v1/realtime")

The first line on standard output is the URL, so that a script can read it. SIGTERM ends it with status 0, SIGINT (Ctrl-C)
with 130, SIGHUP with 129; what cannot be started ends with 2 and a line that says why.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="A server that speaks OpenAI's Realtime protocol on this machine: point any client at it, no key needed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what is short for one option now could be short for two later
    )
    _add_serving(parser)
    _add_sessions(parser.add_argument_group("sessions"))
    _add_tls(parser.add_argument_group("TLS"))
    return parser


def _add_serving(group: argparse.ArgumentParser) -> None:
    add = group.add_argument
    add("--port", type=_port, required=True, help="TCP port; 0 takes a free one")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    remote_help = "serve other machines too, as --host says; needs an API key"
    add("--allow-remote", action="store_true", help=remote_help)
    add(
        "--api-key",
        default=os.environ.get(KEY_VARIABLE) or None,
        help=f"the only key accepted (default: ${KEY_VARIABLE}, which ps does not show; if unset, any key and none)",
    )
    add("--record", metavar="FILE.jsonl", help="write both directions to this file, a line per frame")


def _add_sessions(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--brain",
        default="rule",
        metavar="rule|echo|MODULE:NAME",
        help="what answers: rules (default), the caller's own words, or your Brain: an object, or a class or function "
        "that makes one",
    )
    age_help = "age at which a session expires (3600)"
    add("--max-age-s", type=_above_0, default=3600.0, metavar="S", help=age_help)
    add("--ping-interval-s", type=_above_0, default=20.0, metavar="S", help="time between two pings (20)")
    delta_help = "time between two deltas of an answer (0: as fast as possible)"
    add("--delta-interval-s", type=_from_0, default=0.0, metavar="S", help=delta_help)
    pace_help = "seconds that a second of speech takes to be sent: 1 is real time (0: as fast as possible)"
    add("--audio-pace", type=_from_0, default=0.0, metavar="FACTOR", help=pace_help)


def _add_tls(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--tls", action="store_true", help="serve wss://, with a certificate made on the fly")
    ca_help = "where to put the authority to trust (default: a temporary file, gone at the end)"
    add("--ca-file", metavar="FILE.pem", help=ca_help)
    cert_help = "serve wss:// with this certificate chain instead; needs --key"
    add("--cert", metavar="FILE.pem", help=cert_help)
    add("--key", metavar="FILE.pem", help="its private key")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it is a number from 0 to 65535")
    return int(text)


def _from_0(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1e9")
    return number


def _above_0(text: str) -> float:
    if _from_0(text) == 0:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return float(text)
