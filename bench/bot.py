"""How soon a slash command is answered while a reel is being rendered."""

import asyncio
import math
import tempfile
import time
from pathlib import Path

from bot.evening import evening

COMMANDS = ("render status", "publish queue", "status", "trends list")
CALLS = 200


async def measure() -> dict[str, float]:
    """`ack_p99_ms`: the 99th percentile of the time to the first answer."""
    with tempfile.TemporaryDirectory() as folder:
        async with evening(Path(folder)) as world:
            await world.start()
            world.discord.invoke(world.approver, "make", {"topic": "coffee"})
            took = []
            for n in range(CALLS):
                start = time.perf_counter()
                command = COMMANDS[n % len(COMMANDS)]
                await world.discord.invoke(world.approver, command).answered(10)
                took.append(1000 * (time.perf_counter() - start))
                await asyncio.sleep(0.1)  # over some twenty seconds of rendering
            await world.stop()
    took.sort()
    return {"ack_p99_ms": took[math.ceil(0.99 * CALLS) - 1], "ack_median_ms": took[CALLS // 2]}
