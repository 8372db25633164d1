"""For every test: no network beyond this machine, and no setting from the outside."""

import functools
import os
import socket
import ssl

import pytest

from bot.settings import Settings

os.environ["PYTHON_DOTENV_DISABLED"] = "1"


def pytest_collection_modifyitems(items):
    """Processes agree on who runs what by the tests' names, so they must be the same in each."""
    changing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if changing:
        raise pytest.UsageError(f"Give this test other ids, as an address is in it: {changing[0]}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n`: a file stays in one process, as its tests share what is costly to make.

    Tests on a whole bot share one reel through a folder and mostly wait, so they go one by one.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return nodeid if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch):
    connect = socket.socket.connect
    connect_ex = socket.socket.connect_ex

    def refuse_others(sock, address):
        if sock.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
        ):
            raise AssertionError(f"a test tried to reach {address}")

    def guarded_connect(self, address):
        refuse_others(self, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        refuse_others(self, address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once():
    """Every HTTP client reads them anew, which takes longer than most tests; no test uses TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def pytest_terminal_summary(terminalreporter):
    """The table of faults: what people read and what was paid."""
    rows = [
        row
        for report in terminalreporter.stats.get("passed", ())
        for name, row in report.user_properties
        if name == "fault"
    ]
    if not rows:
        return
    terminalreporter.section("what people read when a call fails, what was booked, requests sent")
    for service, call, fault, said, booked, sent in sorted(rows):
        terminalreporter.write_line(
            f"{service:10} {call:12} {fault:15} {booked:>8} {sent:>2}  {said}"
        )
