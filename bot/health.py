"""Whether the running bot is well: it answers on a loopback port that DATA_DIR names.

A bot that hangs does not answer, so this says more than that a process is there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import write_atomically

if TYPE_CHECKING:
    from bot.settings import Settings

TIMEOUT_S = 4.0
PORT_FILE = Path("run") / "health.port"


@asynccontextmanager
async def answering(
    data_dir: Path, is_well: Callable[[], dict[str, object]]
) -> AsyncIterator[None]:
    """Answer each connection with one line of JSON; `ok` in it decides."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(json.dumps(is_well()).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port_file = data_dir / PORT_FILE
    port_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(port_file, str(server.sockets[0].getsockname()[1]).encode())
    try:
        yield
    finally:
        port_file.unlink(missing_ok=True)
        server.close()
        await server.wait_closed()


async def ask(settings: Settings) -> int:
    """0 when the bot of DATA_DIR answers and is connected."""
    try:
        port = int((settings.data_dir / PORT_FILE).read_text())
        async with asyncio.timeout(TIMEOUT_S):
            state = json.loads(await _answer_of(port))
    except (OSError, OverflowError, ValueError, TimeoutError):
        sys.stderr.write(f"No bot answers for {settings.data_dir}; `emf run` starts one.\n")
        return 1
    sys.stdout.write(json.dumps(state) + "\n")
    return 0 if state.get("ok") else 1


async def _answer_of(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.readline()
    finally:
        writer.close()
