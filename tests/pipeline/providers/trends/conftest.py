"""A web server on the loopback whose answers a test writes byte by byte."""

import contextlib
import socket
import threading

import pytest


class HostileServer:
    """Answers every request by calling `answer(connection)`; keeps what was asked."""

    def __init__(self):
        self.requests = []
        self.answer = None
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/trending/rss"

    def respond(self, body, *, status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.answer = lambda connection: connection.sendall("\r\n".join(lines).encode() + body)

    def drip(self, head, piece):
        """Send the head, then one piece after another until the client has had enough."""

        def answer(connection):
            connection.sendall(head)
            while not self.stopping.wait(0.02):
                connection.sendall(piece)

        self.answer = answer

    def close(self):
        self.stopping.set()
        self._socket.close()
        self._thread.join(5)

    def _serve(self):
        while not self.stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.requests.append(connection.recv(65536).decode("latin-1"))
                self.answer(connection)


@pytest.fixture
def server():
    server = HostileServer()
    yield server
    # The waiting accept() only returns for a connection.
    server.stopping.set()
    with contextlib.suppress(OSError):
        socket.create_connection(server._socket.getsockname(), timeout=1).close()
    server.close()
