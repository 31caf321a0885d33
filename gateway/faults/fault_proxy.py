"""A proxy on loopback between any client and any server, that acts on faults. Owns a thread with an event loop, and its sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import Future
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..url import parse_endpoint, public_url
from . import values
from .errors import ImpossibleFault, InvalidSchedule
from .plan import FaultPlan, check_plan
from .proxy_line import ProxyLine
from .schedule import After

__all__ = ["FaultProxy"]

_BUFFER_BYTES = 16384
_CALL_TIMEOUT_S = 5.0


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    # -- life

    def start(self) -> Self:
        """Listen, and return self.

        Raises:
            RuntimeError: it runs already (the caller's fault).
            OSError: there is no port to be had.
        """
        if self._thread is not None:
            raise RuntimeError("the fault proxy is running already")
        self._failure = None
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="trunkline fault proxy", daemon=True
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Drop all connections, stop listening, and end the thread. Idempotent.

        Raises:
            BaseException: what went wrong inside the proxy, if anything did: a defect of ours.
        """
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None:
            return
        self._thread = None
        if loop is not None and stopping is not None:
            try:
                loop.call_soon_threadsafe(stopping.set)
            except RuntimeError:
                pass  # the loop has ended by itself
        thread.join()
        if self._failure is not None:
            raise self._failure

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
        if self._thread is None:
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
        loop = self._loop
        if loop is None:
            raise RuntimeError("the fault proxy is not running")
        done: Future[None] = Future()

        def abort() -> None:
            for task, line in self._lines.items():
                line.reset()
                task.cancel()
            done.set_result(None)

        loop.call_soon_threadsafe(abort)
        done.result(_CALL_TIMEOUT_S)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({public_url(self._target_url)!r}, {self.plan!r})"

    # -- the thread

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:  # noqa: BLE001 - the thread's edge: start or stop raises it
            self._failure = error
            if not started.done():
                started.set_exception(error)
        finally:
            self._loop = None

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        with self._listen() as listener:
            server = await asyncio.start_server(self._accept, sock=listener, limit=_BUFFER_BYTES)
            self._port = listener.getsockname()[1]
            started.set_result(None)
            await self._stopping.wait()
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
