"""`./run bench [NAME]`: print a table, write bench/results.json."""

import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import bot, images, render, train, voices

RESULTS = Path(__file__).parent / "results.json"
BENCHMARKS = {
    "render": render.measure,
    "images": images.measure,
    "bot": bot.measure,
    "voices": voices.measure,
    "train": train.measure,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"There is no benchmark {unknown[0]}; choose {', '.join(BENCHMARKS)}.\n")
        return 2
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    table = Table("benchmark", "figure", "value")
    for name in names or BENCHMARKS:
        results[name] = asyncio.run(BENCHMARKS[name]())
        for figure, value in results[name].items():
            table.add_row(name, figure, f"{value:.3g}")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
