"""The paper beside our laws as text: its fits redone, its three GPUs, and what binds its models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from joulecast.law.paper_gpus import GPUS, Bound, OnThreeGpus
from joulecast.law.reproduction import Row
from joulecast.report.lines import paragraph, table
from joulecast.report.validation.text import reproduction_table

THREE = (
    "in 16 bits, the public ones of the A100 as the law has them on each card, with the paper's form fitted "
    "to them. Published are the R2 of the A100 alone, and of A100 and A6000 together alpha and the A6000's "
    "beta. The law was fitted on these betas, so that they are no test; the A4000's is its own, from times. "
    "(*) the weights do not fit the card: a run there moves them to the host and back, which is not in it."
)
BOUND = (
    "of the predicted time, what follows each. Compute-bound is what arithmetic sets more than half of, "
    "beside what follows the power limit."
)


def paper_text(rows: Sequence[Row], three: Sequence[OnThreeGpus], bound: Sequence[Bound]) -> str:
    """All of it as plain text."""
    return "\n".join(
        [
            "The paper's fits (arXiv 2511.17031, quoted second-hand) and ours",
            "",
            *reproduction_table([row for row in rows if row.quantity != "log_a"]),
            "",
            "The paper's three GPUs, by the roofline law",
            "",
            *table(three_header(), three_cells(three), right=set(range(1, len(three_header())))),
            "",
            *paragraph("Cells", THREE),
            "",
            "What sets the time, by the roofline law, in %",
            "",
            *table(bound_header(bound), bound_cells(bound), right={3, *range(4, 10)}),
            "",
            *paragraph("Shares", BOUND),
        ]
    )


def three_header() -> list[str]:
    """Of the table of three GPUs."""
    betas = [cell for name in GPUS[1:] for cell in (f"published beta {name}", f"ours {name}")]
    return ["model", "cells", "published R2", "ours", "published alpha", "ours", *betas]


def three_cells(three: Sequence[OnThreeGpus]) -> list[list[str]]:
    """Its rows."""
    return [
        [
            one.model,
            str(one.cells),
            _figure(one.published, "r2"),
            f"{one.r2:.3f}",
            _figure(one.published, "alpha"),
            f"{one.alpha:.3f}",
            _figure(one.published, "beta_gpu"),
            _beta(one, GPUS[1]),
            "-",
            _beta(one, GPUS[2]),
        ]
        for one in three
    ]


def bound_header(bound: Sequence[Bound]) -> list[str]:
    """Of the table of what sets the time."""
    return ["model", "GPU", "runtime", "batch", *bound[0].shares, "compute-bound"]


def bound_cells(bound: Sequence[Bound]) -> list[list[str]]:
    """Its rows."""
    return [
        [
            f"{one.model}, {one.pixels:,} pixels",
            one.gpu,
            one.runtime,
            str(one.batch_size),
            *(f"{100 * share:.0f}" for share in one.shares.values()),
            one.compute_bound,
        ]
        for one in bound
    ]


def paper_data(
    rows: Sequence[Row], three: Sequence[OnThreeGpus], bound: Sequence[Bound]
) -> dict[str, list[dict[str, object]]]:
    """The same for JSON."""
    return {
        "reproduction": [dataclasses.asdict(row) for row in rows],
        "three_gpus": [dataclasses.asdict(one) for one in three],
        "what_sets_the_time": [
            {**dataclasses.asdict(one), "compute_bound": one.compute_bound} for one in bound
        ],
    }


def _figure(published: Mapping[str, float], name: str) -> str:
    return f"{published[name]:.3f}" if name in published else "-"


def _beta(one: OnThreeGpus, name: str) -> str:
    return f"{one.beta_gpu[name]:.3f}{'' if one.fits[name] else ' (*)'}"
