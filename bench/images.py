"""Pictures for a script: one query for all lines, against one query for each line."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from storage.database import Database
from storage.images import Images
from storage.records import NewImage

LINES, PICTURES, ROUNDS = 12, 96, 50
EMOTIONS = ("happy", "sad", "excited", "sarcastic", "angry", "confused", "surprised", "neutral")
ONE_LINE = (
    "SELECT * FROM image_library WHERE character = ? AND emotion = ?"
    " ORDER BY usage_count, last_used_at, id LIMIT 1"
)


async def measure() -> dict[str, float]:
    """`per_line_over_batch`: time of a query per line over the time of the one query."""
    with tempfile.TemporaryDirectory() as folder:
        async with await Database.open(Path(folder) / "studio.db") as database:
            library = Images(database)
            await library.add(_pictures(), now=datetime.now(UTC))
            batch = per_line = 0.0
            for _ in range(ROUNDS):
                start = time.perf_counter()
                await library.for_characters(["A", "B"])
                middle = time.perf_counter()
                for line in range(LINES):
                    who, emotion = "AB"[line % 2], EMOTIONS[line % 8]
                    await database.fetch_one(ONE_LINE, (who, emotion))
                batch += middle - start
                per_line += time.perf_counter() - middle
    return {"per_line_over_batch": per_line / batch, "batch_ms": 1000 * batch / ROUNDS}


def _pictures() -> list[NewImage]:
    return [
        NewImage("AB"[n % 2], EMOTIONS[n % 8], f"library/{n}.png", "0" * 64, 1000, 1200, "rig")
        for n in range(PICTURES)
    ]
