"""A server that floods: raw sockets, ready-made frames, a process of its own, so that the client is what is measured.

Usage: flood_server.py  (prints its port; ends when its standard input does)
"""

import base64
import hashlib
import socket
import sys
import threading

from frames import END, RESPONSE, event, flood, text_delta


def upgrade(connection: socket.socket) -> str:
    """Answer the handshake; return what the URL's ``model`` asks for."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    lines = request.decode().split("\r\n")
    key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return lines[0].split("model=")[1].split(" ")[0]


def serve(connection: socket.socket) -> None:
    """One session: greet, wait for the client's word, flood. The model's name is MIX-ROUNDS."""
    with connection:
        mix, rounds = upgrade(connection).split("-")
        data, _ = flood(mix)
        connection.sendall(event("session.created", session={"id": "sess_1", "type": "realtime"}))
        connection.recv(65536)  # session.update
        connection.sendall(event("session.updated", session={"id": "sess_1", "type": "realtime"}))
        connection.recv(65536)  # go
        response = {"id": RESPONSE, "conversation_id": "conv_1", "status": "in_progress"}
        connection.sendall(event("response.created", response=response))
        for _ in range(int(rounds)):
            connection.sendall(data)
        connection.sendall(text_delta(END))
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass  # the client is done with it


def main() -> None:
    """Serve until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        sys.stdin.read()


def accept(listener: socket.socket) -> None:
    """Take every connection."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
