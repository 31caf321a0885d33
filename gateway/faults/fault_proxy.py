"""A proxy on loopback between any client and any server, that acts on faults. Owns a thread with an event loop, and its sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..loop_thread import LoopThread
from ..url import parse_endpoint, public_url
from . import values
from .errors import ImpossibleFault, InvalidSchedule
from .plan import FaultPlan, check_plan
from .proxy_line import ProxyLine
from .schedule import After

__all__ = ["FaultProxy"]

_BUFFER_BYTES = 16384
_STOP_TIMEOUT_S = 10.0


class FaultProxy:
    """Listens on a free port of loopback and carries each connection to the target, with the faults of the plan.

    It runs in one thread, `trunkline fault proxy`, from `start` to `stop`; as a context manager it does both. Frames are read and
    written whole, data frames are what schedules count, and nothing is kept but the frame in hand: who does not read makes the
    other side wait. Event types are read in whole text frames; fragments have none, and no compression is let through.

    Through `wss://` it sees bytes alone: faults that need no frame act there, while connecting or `after` a time.

    Args:
        target_url: `ws://` or `wss://` of a server on this machine.
        plan: What is to go wrong.

    Raises:
        ConfigError: the target is no URL of this machine (the caller's fault).
        ImpossibleFault: the plan has a fault that cannot act here (the caller's fault).
        InvalidSchedule: the plan counts frames, and the target is `wss://` (the caller's fault).
    """

    def __init__(self, target_url: str, plan: FaultPlan) -> None:
        self._target = parse_endpoint(target_url, "target_url")
        if not self._target.is_loopback:
            raise ConfigError(
                "target_url", public_url(target_url), "a server on this machine, such as ws://127.0.0.1:8000/"
            )
        check_plan(plan, "proxy")
        if self._target.secure:
            _check_opaque(plan)
        self.plan = plan
        self._target_url = target_url
        self._lines: dict[asyncio.Task[None], ProxyLine] = {}
        self._accepted = 0
        self._port = 0
        self._thread = LoopThread("trunkline fault proxy")
        self._failure: BaseException | None = None

    # -- life

    def start(self) -> Self:
        """Listen, and return self.

        Raises:
            RuntimeError: it runs already (the caller's fault).
            OSError: there is no port to be had.
        """
        self._thread.start(self._serve)
        return self

    def stop(self) -> None:
        """Drop all connections, stop listening, and end the thread. Idempotent.

        Raises:
            TimeoutError: the thread is blocked: a defect of ours.
            BaseException: what went wrong inside the proxy, if anything did: a defect of ours.
        """
        if not self._thread.stop(_STOP_TIMEOUT_S):
            raise TimeoutError(f"the fault proxy did not stop within {_STOP_TIMEOUT_S} s")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- what it is doing

    @property
    def url(self) -> str:
        """The target's URL with the proxy's port.

        Raises:
            RuntimeError: it does not run (the caller's fault).
        """
        if not self._thread.is_started:
            raise RuntimeError("the fault proxy is not running: call start(), or use it as a context manager")
        return (
            urlsplit(self._target_url)._replace(netloc=f"{self._target.bracketed_host}:{self._port}").geturl()
        )

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._lines)

    @property
    def accepted(self) -> int:
        """How many connections were made so far, refused ones included."""
        return self._accepted

    def abort_all(self) -> None:
        """End all connections with a TCP reset, on both sides.

        Raises:
            RuntimeError: it does not run (the caller's fault).
        """

        def abort() -> None:
            for task, line in self._lines.items():
                line.reset()
                task.cancel()

        self._thread.call(abort)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({public_url(self._target_url)!r}, {self.plan!r})"

    # -- the thread

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        with self._listen() as listener:
            server = await asyncio.start_server(self._accept, sock=listener, limit=_BUFFER_BYTES)
            self._port = listener.getsockname()[1]
            ready()
            await stopping.wait()
            server.close()
            while lines := list(self._lines):
                for task in lines:
                    task.cancel()
                await asyncio.wait(lines)

    def _listen(self) -> socket.socket:
        v6 = self._target.host == "::1"
        family, host = (socket.AF_INET6, "::1") if v6 else (socket.AF_INET, "127.0.0.1")
        listener = socket.create_server((host, 0), family=family)
        if any(isinstance(injection.fault, _BACKING_UP) for injection in self.plan.injections):
            # the kernel would take megabytes before the client notices that nobody reads
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        return listener

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        # asyncio does it for sockets that it makes: else an event would wait for the client to acknowledge the one before
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = ProxyLine(self.plan.for_connection(now=time.monotonic()), self._target, reader, writer)
        task = asyncio.get_running_loop().create_task(line.run(), name=f"fault proxy line {self._accepted}")
        self._lines[task] = line
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._lines[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error


_BACKING_UP = values.SlowReader | values.HalfOpen | values.Stall


def _check_opaque(plan: FaultPlan) -> None:
    for injection in plan.injections:
        fault = injection.fault
        if not fault.opaque:
            raise ImpossibleFault(
                "seam",
                f"{fault!r} at a proxy to wss://",
                "it with ws://: the proxy cannot read what TLS hides",
            )
        if not fault.connects and not isinstance(injection.schedule, After):
            raise InvalidSchedule(
                "schedule", injection, "after(seconds) with wss://: the proxy cannot see its frames"
            )
