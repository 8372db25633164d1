"""`./run bench [NAME]`: print a table, write bench/results.json."""

import asyncio
import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results.json"
NAMES = ("render", "images", "bot", "voices", "train")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.stderr.write(f"There is no benchmark {unknown[0]}; choose {', '.join(NAMES)}.\n")
        return 2
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    table = Table("benchmark", "figure", "value")
    for name in names or NAMES:
        # One at a time: where there is a GPU the packages of the other ones may be missing.
        benchmark = importlib.import_module(f"bench.{name}")
        found = asyncio.run(benchmark.measure())
        for figure, value in found.items():
            table.add_row(name, figure, f"{value:.3g}")
        if name == "train":
            found = benchmark.with_earlier(results.get(name, {}), found)
        results[name] = found
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
