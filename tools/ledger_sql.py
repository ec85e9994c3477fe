"""The sums of a ledger in SQL, by DuckDB: what tests hold against ours, and the bench's time beside ours.

Of logs as `joulecast.ledger.synthetic` invents them: latencies are logged, executions and energies are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import polars as pl

import joulecast

ASKED = ("model", "gpu", "size", "steps", "batch_size")
COLUMNS = ("outputs", "energy_j", "energy_low_j", "energy_high_j", "gpu_s", "gpu_s_low", "gpu_s_high")
_GOOD = "steps > 0 AND TRY_CAST(time AS TIMESTAMPTZ) IS NOT NULL"
_SUMS = """
    WITH request AS (
        SELECT strftime(CAST(time AS TIMESTAMPTZ) AT TIME ZONE 'UTC', '%Y-%m-%d') AS day, log.model,
            answer.* EXCLUDE (model), coalesce(latency_s, 'infinity'::DOUBLE) AS logged_s
        FROM log JOIN answer USING (model, gpu, size, steps, batch_size) WHERE {good}
    ), bounded AS (
        SELECT *, least(energy_j, limit_w * logged_s / batch_size) AS kept_j,
            least(time_s, logged_s) AS kept_s
        FROM request
    ), used AS (
        SELECT day, model, batch_size AS outputs,
            kept_j * batch_size AS energy_j,
            least(kept_j * low_j / energy_j, low_j * kept_s / time_s) * batch_size AS energy_low_j,
            least(high_j, limit_w * logged_s / batch_size) * batch_size AS energy_high_j,
            kept_s AS gpu_s, kept_s * low_s / time_s AS gpu_s_low, least(high_s, logged_s) AS gpu_s_high
        FROM bounded
    )
    SELECT day, model, count(*) AS requests, {sums} FROM used GROUP BY ALL ORDER BY ALL
"""


def answers(paths: Sequence[str]) -> pl.DataFrame:
    """What `joulecast.estimate` says of each distinct question of logs, but of those that cannot be asked."""
    asked = pl.scan_parquet(list(paths)).select(ASKED).unique().collect()
    rows = []
    for one in asked.filter((pl.col("model") != "nobody-knows") & (pl.col("steps") > 0)).iter_rows(
        named=True
    ):
        found = joulecast.estimate(**one)
        rows.append({
            **one, "energy_j": found.energy_j, "low_j": found.energy_low_j, "high_j": found.energy_high_j,
            "time_s": found.duration_s, "low_s": found.duration_low_s, "high_s": found.duration_high_s,
            "limit_w": found.gpu.tdp_w,
        })  # fmt: skip
    return pl.DataFrame(rows)


def summed(paths: Sequence[str], answer: pl.DataFrame) -> list[tuple[object, ...]]:
    """Day, model, requests and COLUMNS, in whole millionths as ours, in order of days and models."""
    micro = ", ".join(f"sum(CAST(round({name} * 1e6) AS HUGEINT)) / 1e6 AS {name}" for name in COLUMNS)
    sql = duckdb.connect()
    sql.register("answer", answer.to_arrow())
    sql.from_parquet(list(paths)).create_view("log")
    return sql.execute(_SUMS.format(good=_GOOD, sums=micro)).fetchall()
