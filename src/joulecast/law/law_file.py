"""Law files: a fitted law as JSON, with a checksum over its content."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joulecast.errors import FileFormatError, shown
from joulecast.files import signed_json
from joulecast.law.fitted import Covariance, Decoded, FittedLaw
from joulecast.law.forms import law_classes
from joulecast.law.law import FAMILIARITY, FittedOn
from joulecast.law.scores import Scores

VERSION = 2


def write_law(law: FittedLaw, path: Path) -> None:
    """Write a law file in one step. Raises InputError, and writes nothing, where the law cannot be true."""
    law.check()
    content = rounded(
        {
            "form": law.form,
            "name": law.name,
            "parameters": dataclasses.asdict(law.parameters),
            "fitted_on": dataclasses.asdict(law.fitted_on),
            "half_widths": law.half_widths,
            "duration_half_widths": law.duration_half_widths,
            "errors": {known: scores.to_dict() for known, scores in law.errors.items()},
            "covariance": {} if law.covariance is None else dataclasses.asdict(law.covariance),
        }
    )
    signed_json.write(content, "law", VERSION, path, lambda value: json.dumps(value, indent=1))


def rounded(value: Any) -> Any:
    """The same with floats to 6 significant digits: more than any fit on these runs can know.

    JSON has no infinity: a width of which nothing is known is written as null.
    """
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def parse_law(content: bytes, where: str) -> FittedLaw:
    """A law from the bytes of its file.

    Raises
    ------
    FileFormatError
        It is no law file, was edited or cut, is of another version or form, or says what cannot be.
    """
    value = signed_json.parse(content, where, "law", VERSION)
    form, classes = value.pop("form", None), law_classes()
    if not isinstance(form, str) or form not in classes:
        known = ", ".join(sorted(classes))
        raise FileFormatError(f"{where} holds a law of the form {shown(form)}; known: {known}")
    with signed_json.understanding(where, "law"):
        law = _decode(classes[form], value)
        law.check()
    return law


def _decode(law: type[FittedLaw], value: Decoded) -> FittedLaw:
    fields = {k: v for k, v in value.items() if k not in ("format", "version")}
    fields["parameters"] = law.parameters_of(value["parameters"])
    fields["fitted_on"] = _fitted_on(value["fitted_on"])
    for widths in ("half_widths", "duration_half_widths"):
        fields[widths] = {known: _width(value[widths][known]) for known in FAMILIARITY}
    fields["errors"] = {known: Scores.of_dict(scores) for known, scores in value["errors"].items()}
    fields["covariance"] = Covariance.of(value["covariance"]) if value["covariance"] else None
    return law(**fields)


def _fitted_on(value: Decoded) -> FittedOn:
    fitted = dict(value)
    for key in ("models", "gpus", "timed_models", "timed_gpus", "precisions", "sources"):
        fitted[key] = tuple(fitted[key])
    for key in ("own", "own_timed"):
        fitted[key] = tuple((model, gpu) for model, gpu in fitted[key])
    fitted["ranges"] = {name: (float(low), float(high)) for name, (low, high) in fitted["ranges"].items()}
    return FittedOn(**fitted)


def _width(value: Any) -> float:
    return math.inf if value is None else float(value)
