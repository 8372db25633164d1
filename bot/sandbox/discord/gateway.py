"""The websocket side: hello, identify, resume, heartbeats, and the events that go out."""

import asyncio
import contextlib
import json
import secrets
import zlib
from collections import deque
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Any

from aiohttp import WSMsgType, web

from bot.sandbox.discord.changes import Changes
from bot.sandbox.discord.errors import Json
from bot.sandbox.discord.state import Clock

HEARTBEAT_INTERVAL_MS = 41_250
RESUME_WINDOW_S = 180.0
_ENDING_CLOSES = (1000, 1001)  # a client that leaves with one of these gives its session up


class Op(IntEnum):
    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE = 3
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class Intents(IntFlag):
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED = Intents.GUILD_MEMBERS | Intents.GUILD_PRESENCES | Intents.MESSAGE_CONTENT
Build = Callable[[Intents], Json]


class Connection:
    """One websocket; what is sent goes through a queue, so that events keep their order."""

    def __init__(self, ws: web.WebSocketResponse, *, zlib_stream: bool) -> None:
        self.session: Session | None = None
        self.is_closed_here = False
        self._ws = ws
        self._compressor = zlib.compressobj() if zlib_stream else None
        self._outgoing: asyncio.Queue[Json | int] = asyncio.Queue()

    def send(self, op: Op, data: Any = None, *, seq: int | None = None, event: str = "") -> None:
        self._outgoing.put_nowait({"op": op, "d": data, "s": seq, "t": event or None})

    def close(self, code: int) -> None:
        self.is_closed_here = True
        self._outgoing.put_nowait(code)

    async def write(self) -> None:
        while not isinstance(item := await self._outgoing.get(), int):
            with contextlib.suppress(ConnectionError):
                await self._write(json.dumps(item))
        await self._ws.close(code=item)

    async def _write(self, text: str) -> None:
        if self._compressor is None:
            await self._ws.send_str(text)
            return
        data = self._compressor.compress(text.encode())
        await self._ws.send_bytes(data + self._compressor.flush(zlib.Z_SYNC_FLUSH))


class Session:
    def __init__(self, intents: Intents) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.connection: Connection | None = None
        self.lost_s: float | None = None
        self._seq = 0
        self._events: deque[tuple[int, str, Json]] = deque(maxlen=1000)

    def dispatch(self, event: str, data: Json) -> None:
        self._seq += 1
        self._events.append((self._seq, event, data))
        if self.connection is not None:
            self.connection.send(Op.DISPATCH, data, seq=self._seq, event=event)

    def attach(self, connection: Connection) -> None:
        self.connection, self.lost_s = connection, None
        connection.session = self

    def replay(self, seq: int) -> None:
        assert self.connection is not None
        for number, event, data in self._events:
            if number > seq:
                self.connection.send(Op.DISPATCH, data, seq=number, event=event)


class Gateway:
    def __init__(self, *, token: str, granted: Intents, clock: Clock, changes: Changes) -> None:
        self.url = ""
        self.identifies = 0
        self.resumes = 0
        self.greet: Callable[[Session], None] = lambda session: None
        self._token = token
        self._granted = granted
        self._clock = clock
        self._changes = changes
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()

    @property
    def live_sessions(self) -> list[Session]:
        return [each for each in self._sessions.values() if each.connection is not None]

    def dispatch(self, event: str, build: Build, *, intent: Intents | None = None) -> None:
        """Sends to each session with the intent; events of lost ones wait for a RESUME."""
        for session in self._sessions.values():
            if intent is None or session.intents & intent:
                session.dispatch(event, build(session.intents))

    def reconnect(self) -> None:
        """Op 7: the bot has to come back and resume."""
        for connection in self._connections:
            connection.send(Op.RECONNECT)

    def invalidate(self, *, resumable: bool) -> None:
        """Op 9: without `resumable` the session is gone and the events of the gap are lost."""
        for connection in self._connections:
            connection.send(Op.INVALID_SESSION, resumable)
            if not resumable:
                self._end(connection.session)

    def close(self, code: int) -> None:
        for connection in self._connections:
            connection.close(code)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False, timeout=1.0)
        await ws.prepare(request)
        connection = Connection(ws, zlib_stream=request.query.get("compress") == "zlib-stream")
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        connection.send(Op.HELLO, {"heartbeat_interval": HEARTBEAT_INTERVAL_MS})
        try:
            async for message in ws:
                self._receive(connection, message.data if message.type is WSMsgType.TEXT else "")
        finally:
            self._connections.discard(connection)
            self._lose(connection, ws.close_code)
            writer.cancel()
        return ws

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            message = json.loads(text)
            op, data = message["op"], message.get("d")
        except (ValueError, KeyError, TypeError):
            connection.close(4002)
            return
        if op == Op.HEARTBEAT:
            connection.send(Op.HEARTBEAT_ACK)
        elif op == Op.IDENTIFY:
            self._identify(connection, data)
        elif op == Op.RESUME:
            self._resume(connection, data)
        elif op != Op.PRESENCE or connection.session is None:
            connection.close(4001 if connection.session else 4003)

    def _identify(self, connection: Connection, data: Json) -> None:
        intents = data.get("intents")
        if connection.session is not None:
            connection.close(4005)
        elif data.get("token") != self._token:
            connection.close(4004)
        elif not isinstance(intents, int) or not 0 <= intents < 1 << 27:
            connection.close(4013)
        elif intents & PRIVILEGED & ~self._granted:
            connection.close(4014)
        else:
            self._forget_expired()
            session = Session(Intents(intents))
            self._sessions[session.id] = session
            session.attach(connection)
            self.identifies += 1
            self.greet(session)
            self._changes.notify()

    def _resume(self, connection: Connection, data: Json) -> None:
        session = self._sessions.get(data.get("session_id", ""))
        if data.get("token") != self._token:
            connection.close(4004)
        elif session is None or self._is_expired(session):
            connection.send(Op.INVALID_SESSION, data=False)
        else:
            session.attach(connection)
            self.resumes += 1
            session.replay(data.get("seq") or 0)
            session.dispatch("RESUMED", {})
            self._changes.notify()

    def _is_expired(self, session: Session) -> bool:
        return session.lost_s is not None and self._clock.now_s() - session.lost_s > RESUME_WINDOW_S

    def _forget_expired(self) -> None:
        for session in list(self._sessions.values()):
            if self._is_expired(session):
                self._end(session)

    def _lose(self, connection: Connection, code: int | None) -> None:
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection, session.lost_s = None, self._clock.now_s()
            if code in _ENDING_CLOSES and not connection.is_closed_here:
                self._end(session)
        self._changes.notify()

    def _end(self, session: Session | None) -> None:
        if session is not None:
            self._sessions.pop(session.id, None)
