"""No call of any service follows a redirect to another host."""

import asyncio
import socketserver
import threading

import pytest
from faults import calls
from faults.calls import CALLS, meet
from standins.server import redirect

from bot.sandbox.instagram import Reply


class Foreigner(socketserver.ThreadingTCPServer):
    """Counts who connects; says nothing."""

    daemon_threads = True

    def __init__(self):
        self.visits = 0
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request, client_address):
        self.visits += 1
        super().process_request(request, client_address)


@pytest.fixture
def foreigner():
    with Foreigner() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("service", "call"), [(service, call) for service, names in CALLS.items() for call in names]
)
def test_a_redirect_to_a_foreign_host_is_not_followed(
    service, call, foreigner, tmp_path, monkeypatch
):
    away = redirect(f"{foreigner.url}/steal")
    monkeypatch.setattr(calls, "fault_of", lambda name, quota=None: away)
    monkeypatch.setitem(calls.IG_FAULTS, "redirect", Reply(302, "", headers=away.headers))

    seen = asyncio.run(meet(service, call, "redirect", tmp_path))

    assert seen.sent >= 1
    assert foreigner.visits == 0
