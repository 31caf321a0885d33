"""websocket-client's WebSocket with its two frame codecs replaced, so that one read gives many messages. Owns a socket.

The one module that imports `websocket`. Replaced through public methods: `recv_frame`, behind which `recv_data_frame`
reassembles fragments and answers PING and CLOSE, and `send_frame`, which `ping`, `pong` and `send_close` use. Added: `pump`. The
upgrade's request, checks and accept key stay websocket-client's as well.
"""

import mmap
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import websocket

from .cancellation import shut_down
from .deadline import Deadline
from .errors import ConnectTimeout, HandshakeRefused, LineClosed, Unreachable
from .frame_parser import TEXT, FrameParser, ProtocolViolation
from .handshake_socket import HandshakeSocket, HeadTooLong
from .line_limits import LineLimits
from .mask import client_frame
from .send_buffer import SendBuffer
from .sent_secrets import SentSecrets

__all__ = ["FrameSocket", "upgrade"]

_READ_BYTES = 128_000  # twice 64 KiB: 5 % less CPU for audio to a callback
_MAX_READS = 16
_MAX_FRAGMENTS = 16384
_NO_STATUS = 1005
_ABNORMAL = 1006
_CLOSE = 0x88
_PONG = 0x8A
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError)
_TLS_BEGUN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_ABNF = websocket.ABNF

Handle = Callable[[memoryview], None]


class FrameSocket(websocket.WebSocket):
    """One connection's frames, for one thread. Raises `LineClosed` and `ProtocolViolation`, nothing of websocket-client's.

    After `upgrade` the socket is non-blocking. `set_mask_key` has no effect: keys are random, as RFC 6455 asks.

    Attributes:
        reads: How many reads have given data: the sign of life.
        written: How many bytes the socket has taken: the sign of progress.
        broken: Why nothing can be written any more, once that is so: what is written is dropped then, and reading goes on
            until what the server said before (a CLOSE with the true reason) has been read.
    """

    def __init__(self, limits: LineLimits, secrets: SentSecrets) -> None:
        # one thread, so no locks; msgspec validates the text it decodes, 100 times faster
        super().__init__(enable_multithread=False, skip_utf8_validation=True)
        self.reads = 0
        self.written = 0
        self.broken: str | None = None
        self.pumping = False
        self._sealed = False
        self._parser = FrameParser(min(limits.max_frame_bytes, limits.max_message_bytes))
        self._max_message_bytes = limits.max_message_bytes
        self._secrets = secrets
        self._message_bytes = 0
        self._fragments = 0
        self._frames: deque[websocket.ABNF] = deque()
        self._out = SendBuffer()
        self._handle: Handle = _ignore
        # Not recv(n), which takes n bytes from the heap and gives most of them back: of that the heap of a process with many
        # sessions came to be full of holes, and grew by 0.3 MB a second. Of this only what is used takes memory.
        self._landing = memoryview(mmap.mmap(-1, _READ_BYTES))

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 when it is closed."""
        return -1 if self.sock is None else self.sock.fileno()

    def adopt(self, sock: socket.socket) -> None:
        """Go over from the handshake's view of the socket to the socket itself."""
        sock.settimeout(0)
        self.sock = sock

    # ------------------------------------------------------------------------------------------------- receiving

    def recv_frame(self) -> websocket.ABNF:
        """Return the next frame that `pump` has parsed; websocket-client's logic calls it.

        Raises:
            BlockingIOError: there is none: only `pump` reads from the socket.
        """
        if not self._frames:
            raise BlockingIOError("no frame")
        return self._frames.popleft()

    def pump(self, handle: Handle) -> None:
        """Read once, without blocking, and call `handle` per complete message.

        Raises:
            LineClosed: CLOSE, EOF or a socket error.
            ProtocolViolation: the server broke the protocol or a limit.
        """
        self._handle = handle
        self.pumping = True
        try:
            for _ in range(_MAX_READS):
                data = self._read()
                if data is not None:
                    self._parser.feed(data, handle, self._other)
                # a decrypted record may wait inside OpenSSL, where poll does not see it
                if not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                    return
        finally:
            self.pumping = False
            self._handle = _ignore

    def _read(self) -> bytes | None:
        sock = self.sock
        if sock is None:
            raise LineClosed(_ABNORMAL, "the socket is closed")
        try:
            n = sock.recv_into(self._landing)
        except _WOULD_BLOCK:
            return b"" if self._parser.behind else None
        except OSError as error:
            raise LineClosed(_ABNORMAL, self.broken or _describe(error)) from error
        if not n:
            raise LineClosed(
                _ABNORMAL, self.broken or "the server ended the connection without a CLOSE frame"
            )
        self.reads += 1
        return bytes(self._landing[:n])

    def _other(self, first_byte: int, payload: memoryview) -> None:
        """Give control frames, fragments and binary frames to websocket-client's own logic."""
        opcode = first_byte & 15
        if opcode <= _ABNF.OPCODE_BINARY:
            self._count_fragment(opcode, len(payload))
        # a bytearray lets websocket-client's `+=` grow the message in place instead of copying it per fragment
        data = bytearray(payload) if first_byte < 0x80 else bytes(payload)
        frame = _ABNF(first_byte >> 7, 0, 0, 0, opcode, 0, data)  # type: ignore[arg-type] # bytearray is as good as bytes
        try:
            frame.validate(True)
            self._frames.append(frame)
            kind, frame = self.recv_data_frame(control_frame=True)
        except BlockingIOError:
            kind = None  # a fragment, which websocket-client has kept
        except websocket.WebSocketProtocolException as error:
            raise ProtocolViolation(1002, str(error)) from error
        self._parser.fragmented(bool(self.cont_frame.recving_frames))
        if kind in (_ABNF.OPCODE_TEXT, _ABNF.OPCODE_BINARY):
            self._handle(_payload(frame))
        elif kind == _ABNF.OPCODE_CLOSE:
            said = _payload(frame)
            code = int.from_bytes(said[:2], "big") if said else _NO_STATUS
            raise LineClosed(code, self._secrets.hide(bytes(said[2:]).decode("utf-8", "replace")))

    def _count_fragment(self, opcode: int, n_bytes: int) -> None:
        first = opcode != _ABNF.OPCODE_CONT
        self._fragments = 1 if first else self._fragments + 1
        self._message_bytes = n_bytes if first else self._message_bytes + n_bytes
        if self._message_bytes > self._max_message_bytes:
            raise ProtocolViolation(1009, f"a message over {self._max_message_bytes} bytes")
        if self._fragments > _MAX_FRAGMENTS:
            raise ProtocolViolation(1009, f"a message of more than {_MAX_FRAGMENTS} fragments")

    # --------------------------------------------------------------------------------------------------- sending

    @property
    def buffered(self) -> int:
        """How many bytes wait for the socket."""
        return self._out.size

    def send_frame(self, frame: websocket.ABNF) -> int:
        """Send a frame ahead of waiting audio, without blocking; `ping`, `pong` and `send_close` come here."""
        return self.write(frame.fin << 7 | frame.opcode, bytes(_payload(frame)), urgent=True)

    def write(self, first_byte: int, payload: bytes, *, urgent: bool) -> int:
        """Mask a frame and write as much of it as the socket takes now; the rest waits in the buffer.

        Returns:
            The size of the frame in bytes. A socket that fails shows in `broken`, and at the next `pump`.
        """
        data = client_frame(first_byte, payload, os.urandom(4))
        if self.broken is None and not self._sealed:
            if first_byte == _PONG:
                self._out.add_pong(data)
            else:
                self._out.add(data, urgent=urgent)
            self.flush()
        return len(data)

    def write_text(self, payload: bytes, *, urgent: bool) -> int:
        """Write an unfragmented text message."""
        return self.write(TEXT, payload, urgent=urgent)

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        out = self._out
        while (data := out.peek()) is not None and self.sock is not None:
            try:
                n_bytes = self.sock.send(data)
            except _TLS_BEGUN:
                out.begin()
                return
            except _WOULD_BLOCK:
                return
            except OSError as error:
                self._fail(_describe(error))
                return
            self.written += n_bytes
            out.advance(n_bytes)

    def _fail(self, why: str) -> None:
        """Give up writing: half a frame may be out, so the stream is lost. What has been received stays readable."""
        self.broken = f"writing failed: {why}"
        self._out.clear()
        self.kill()

    # ---------------------------------------------------------------------------------------------------- ending

    def say_close(self, payload: bytes, *, urgent: bool) -> None:
        """Write a CLOSE frame; nothing may follow it, so nothing does, and the read in hand gives no more messages."""
        if self.pumping:
            self._parser.stop()
        self.write(_CLOSE, payload, urgent=urgent)
        self._sealed = True

    def release(self) -> None:
        """Close the socket."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.connected = False

    def kill(self) -> None:
        """Shut the connection down in both directions, which wakes a poll; the descriptor stays open."""
        if self.sock is not None:
            shut_down(self.sock)


def _ignore(_: memoryview) -> None:
    """Take a message and do nothing."""


def _payload(frame: websocket.ABNF) -> memoryview:
    data: str | bytes | bytearray = frame.data
    return memoryview(data.encode() if isinstance(data, str) else data).toreadonly()


def _describe(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def upgrade(
    sock: socket.socket,
    url: str,
    *,
    headers: Mapping[str, str],
    deadline: Deadline,
    limits: LineLimits,
) -> FrameSocket:
    """Make a WebSocket of a connected socket, which it closes when that fails.

    Raises:
        HandshakeRefused: the server answered, but not with a WebSocket.
        Unreachable: it ended the connection instead of answering.
        ConnectTimeout: the deadline passed.
    """
    secrets = SentSecrets(url, headers)
    frames = FrameSocket(limits, secrets)
    borrowed = HandshakeSocket(sock, deadline)
    try:
        _shake_hands(frames, borrowed, url, headers, deadline, secrets)
        frames.adopt(sock)
    except BaseException:
        deadline.discard(sock)
        raise
    return frames


def _shake_hands(
    frames: FrameSocket,
    borrowed: HandshakeSocket,
    url: str,
    headers: Mapping[str, str],
    deadline: Deadline,
    secrets: SentSecrets,
) -> None:
    header = [f"{name}: {value}" for name, value in headers.items()]
    try:
        frames.connect(  # type: ignore[no-untyped-call] # websocket-client leaves it unannotated
            url, socket=borrowed, header=header, redirect_limit=0, suppress_origin=True
        )
    except websocket.WebSocketBadStatusException as error:
        # no `from`: its text repeats every response header
        raise _refusal(error, borrowed.read_excerpt(300, wait_s=0.5), secrets) from None
    except (websocket.WebSocketTimeoutException, TimeoutError):
        raise ConnectTimeout(f"no answer to the upgrade within {deadline.timeout_s:g} s") from None
    except (websocket.WebSocketConnectionClosedException, OSError) as error:
        raise Unreachable(f"the server ended the connection during the upgrade: {error}") from error
    except (websocket.WebSocketException, HeadTooLong, ValueError, LookupError) as error:
        # the last two: what some releases of websocket-client make of a malformed status line
        raise _no_websocket(frames.getstatus(), secrets.hide(str(error))) from None
    if (
        status := frames.getstatus()
    ) != 101:  # a redirect, which some releases return as if it were a success
        raise _no_websocket(status, "")


def _no_websocket(status: int | None, detail: str) -> HandshakeRefused:
    what = f"a redirect (HTTP {status})" if status else detail
    return HandshakeRefused(f"the answer to the upgrade is no WebSocket: {what}", status=status)


def _refusal(
    error: websocket.WebSocketBadStatusException, body: bytes, secrets: SentSecrets
) -> HandshakeRefused:
    status = error.status_code
    text = secrets.hide(" ".join(body.decode("utf-8", "replace").split()))
    message = f"the server refused the upgrade with HTTP {status}" + (f": {text[:200]}" if text else "")
    answer = {name.lower(): value for name, value in (error.resp_headers or {}).items()}
    return HandshakeRefused(message, status=status, retry_after_s=_retry_after(answer))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, as seconds or as a date against the server's own Date. Source: RFC 9110 section 10.2.3."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, wait.total_seconds())
    except (TypeError, ValueError):
        return None
