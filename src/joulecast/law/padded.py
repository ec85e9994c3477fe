"""The work of many runs, of different models, side by side in arrays: what a fit evaluates at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from joulecast.law.conduct import DENOISER, OTHER
from joulecast.law.dataset import Dataset
from joulecast.law.law import Array
from joulecast.law.work import CLASSES, ROLES, Work, kinds_of_groups

Rows = NDArray[np.int64]
_SUMS = (
    "memory_bytes",
    "launches",
    "modules",
    "attentions",
    "weight_bytes",
    "text_flop",
    "text_fp32_flop",
    "text_bytes",
)


def padded_work(dataset: Dataset) -> Work:
    """The work of every run as two calls, the denoiser's and the others', zeros where a run has fewer groups.

    Of runs of the denoising loop alone the second is nothing.
    """
    runs = len(dataset.runs)
    groups: dict[int, list[tuple[Rows, Array]]] = {}
    sums = {name: np.zeros((ROLES, runs)) for name in _SUMS}
    for group in dataset.groups:
        for part in group.profile.evaluation(group.workloads, group.precision).parts:
            rows, work = group.rows[part.rows], Work.of(part.case, group.precision)
            is_denoiser = (work.roles == DENOISER)[:, None]
            calls = part.weights * (is_denoiser | ~dataset.loop_only[rows])
            for kind, costs in kinds_of_groups(work, part.monomials, calls):
                groups.setdefault(kind, []).append((rows, costs))
            for name, total in sums.items():
                cost = getattr(work, name)
                value = cost if name == "weight_bytes" else cost @ part.monomials
                for role in range(ROLES):
                    total[role, rows] = (value * calls)[work.roles == role].sum(axis=0)
    padded = {kind: _padded(runs, groups[kind]) for kind in sorted(groups)}
    sizes = [found.shape[1] for found in padded.values()]
    kinds = np.repeat(np.array(list(padded), dtype=np.int64), sizes)
    flop, moved, scores = np.concatenate(list(padded.values()), axis=1)
    work = Work(
        kinds=kinds,
        roles=np.array([DENOISER, OTHER], dtype=np.int64),
        of_call=_of_call(kinds),
        flop=flop,
        bytes=moved,
        scores=scores,
        **sums,
    )
    return work._replace(scores=scores[work.attention])


def _of_call(kinds: Rows) -> Array:
    return np.array([kinds // len(CLASSES) == role for role in range(ROLES)], dtype=np.float64)


def _padded(runs: int, parts: list[tuple[Rows, Array]]) -> Array:
    """FLOP, bytes and scores of the groups of one kind, shape (3, groups, runs)."""
    out = np.zeros((3, max(costs.shape[1] for _, costs in parts), runs))
    for rows, costs in parts:
        out[:, : costs.shape[1], rows] = costs
    return out
