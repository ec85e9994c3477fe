"""The memory of a component as JSON, as profile files hold it; see `joulecast.compute.profile_file`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.compute.peaks import Memory, Peak
from joulecast.compute.polynomial import Array, parse_condition, parse_monomial


def encode_memory(memory: Mapping[str, Memory]) -> dict[str, Any]:
    """Equal peaks of several precisions stand once."""
    peaks: list[tuple[Peak, ...]] = []
    by_precision = {}
    for precision, one in memory.items():
        if one.peaks not in peaks:
            peaks.append(one.peaks)
        place = peaks.index(one.peaks)
        by_precision[precision] = {"weights": one.weights, "called": one.called, "peaks": place}
    return {"by_precision": by_precision, "peaks": [[_encode(one) for one in some] for some in peaks]}


def decode_memory(content: Mapping[str, Any] | None) -> dict[str, Memory]:
    """The inverse; nothing where a file has none. Structural errors surface as built-in exceptions."""
    if content is None:
        return {}
    peaks = [tuple(_decode(one) for one in some) for some in content["peaks"]]
    out = {}
    for precision, one in content["by_precision"].items():
        if not 0 <= one["peaks"] < len(peaks):
            raise ValueError("peaks that are not there")
        out[str(precision)] = Memory(int(one["weights"]), int(one["called"]), peaks[one["peaks"]])
    return out


def _encode(peak: Peak) -> dict[str, Any]:
    return {
        "condition": dict(peak.condition),
        "monomials": list(peak.monomials),
        "alive": [_sparse(term) for term in peak.alive],
        "least": [_sparse(term) for term in peak.least],
        "held": _sparse(peak.held),
    }


def _decode(content: Mapping[str, Any]) -> Peak:
    monomials, condition = tuple(content["monomials"]), content["condition"]
    for monomial in monomials:
        parse_monomial(monomial)
    for text in condition:
        parse_condition(text)
    if not content["alive"] or not content["least"]:
        raise ValueError("a peak without a term")
    return Peak(
        condition={symbol: int(value) for symbol, value in condition.items()},
        monomials=monomials,
        alive=np.array([_dense(term, len(monomials)) for term in content["alive"]]),
        least=np.array([_dense(term, len(monomials)) for term in content["least"]]),
        held=_dense(content["held"], len(monomials)),
    )


def _sparse(term: Array) -> list[list[Any]]:
    return [
        [int(place), int(term[place]) if float(term[place]).is_integer() else float(term[place])]
        for place in np.flatnonzero(term)
    ]


def _dense(term: Sequence[Sequence[Any]], monomials: int) -> Array:
    out = np.zeros(monomials)
    for place, coefficient in term:
        if not 0 <= place < monomials or not math.isfinite(coefficient):
            raise ValueError("a coefficient without its monomial, or none")
        out[place] = coefficient
    return out
