"""Measure how fast logs are added up; print, never fail.

    python tools/bench_ledger.py [ROWS]

Parquet files of 250,000 synthetic requests, a few and then four times as many, so that rows that cost more in
long logs would show; memory is the most of the process. Beside it, the same sums in SQL, of questions that
were answered before, and the requests one by one through `joulecast.estimate`, as a loop would ask for them.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import joulecast
from joulecast.ledger.make import make_ledger
from joulecast.ledger.synthetic import synthetic_log
from ledger_sql import answers, summed

PART = 250_000
ONE_BY_ONE = 2_000
LEAST_ROWS_PER_S = 3_000_000.0


def main() -> None:
    """Print rows a second of short and long logs, memory, and of a loop."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 8 * PART
    with tempfile.TemporaryDirectory() as folder:
        for count in (rows // 4, rows):
            parts = [_part(Path(folder), i) for i in range(max(count // PART, 1))]
            begin = time.perf_counter()
            done = make_ledger(parts, Path(folder) / f"of {count}", by=["day", "model"])
            rate = done.rows / (time.perf_counter() - begin)
            print(f"ledger: {done.rows:,} rows at {rate:,.0f} rows/s (aim {LEAST_ROWS_PER_S:,.0f})")
            if count == rows:
                told_before = answers(parts)
                begin = time.perf_counter()
                summed(parts, told_before)
                print(f"the same sums by DuckDB: {done.rows / (time.perf_counter() - begin):,.0f} rows/s")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    print(f"one by one: {_one_by_one():,.0f} requests/s")


def _part(folder: Path, number: int) -> str:
    path = folder / f"{number}.parquet"
    if not path.exists():
        synthetic_log(PART, seed=number).write_parquet(path)
    return str(path)


def _one_by_one() -> float:
    log = synthetic_log(ONE_BY_ONE, seed=0)
    asked = [row for row in log.iter_rows(named=True) if row["model"] != "nobody-knows" and row["steps"] > 0]
    begin = time.perf_counter()
    for row in asked:
        joulecast.estimate(
            row["model"], row["gpu"], size=row["size"], steps=row["steps"], batch_size=row["batch_size"]
        )
    return len(asked) / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
