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
from joulecast.law.fitted import Calibration, Covariance, Decoded, FittedLaw
from joulecast.law.forms import law_classes
from joulecast.law.law import FAMILIARITY, FittedOn, Kind
from joulecast.law.scores import Scores

VERSION = 3


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
            "runtimes": {
                stratum: {
                    "half_widths": found.half_widths,
                    "duration_half_widths": found.duration_half_widths,
                    "errors": {known: scores.to_dict() for known, scores in found.errors.items()},
                }
                for stratum, found in law.runtimes.items()
            },
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
    return decode_law(signed_json.parse(content, where, "law", VERSION), where)


def decode_law(value: dict[str, Any], where: str) -> FittedLaw:
    """A law from the JSON content of its file; errors as of `parse_law`."""
    form, classes = value.pop("form", None), law_classes()
    if not isinstance(form, str) or form not in classes:
        known = ", ".join(sorted(classes))
        raise FileFormatError(f"{where} holds a law of the form {shown(form)}; known: {known}")
    with signed_json.understanding(where, "law"):
        law = _decode(classes[form], value)
        law.check()
    return law


def _decode(law: type[FittedLaw], value: Decoded) -> FittedLaw:
    fields = {k: v for k, v in value.items() if k not in ("format", "version", "sha256")}
    fields["parameters"] = law.parameters_of(value["parameters"])
    fields["fitted_on"] = _fitted_on(value["fitted_on"])
    fields |= _calibration(value)
    fields["runtimes"] = {
        stratum: Calibration(**_calibration(found)) for stratum, found in value["runtimes"].items()
    }
    fields["covariance"] = Covariance.of(value["covariance"]) if value["covariance"] else None
    return law(**fields)


def _calibration(value: Decoded) -> dict[str, Any]:
    found: dict[str, Any] = {
        widths: {known: _width(value[widths][known]) for known in FAMILIARITY}
        for widths in ("half_widths", "duration_half_widths")
    }
    return found | {"errors": {known: Scores.of_dict(scores) for known, scores in value["errors"].items()}}


def _fitted_on(value: Decoded) -> FittedOn:
    fitted = dict(value)
    for key in ("models", "gpus", "timed_models", "timed_gpus", "precisions", "sources", "ways"):
        fitted[key] = tuple(fitted.get(key, ()))
    for key in ("own", "own_timed"):
        fitted[key] = tuple((model, gpu, runtime, form) for model, gpu, runtime, form in fitted[key])
    fitted["kinds"] = tuple(map(_kind, fitted["kinds"]))
    for key in ("ranges", "timed_ranges"):
        fitted[key] = {name: (float(low), float(high)) for name, (low, high) in fitted[key].items()}
    return FittedOn(**fitted)


def _kind(value: Decoded) -> Kind:
    names = {key: tuple(value[key]) for key in ("models", "gpus", "timed_models", "timed_gpus")}
    return Kind(runtime=value["runtime"], format=value["format"], **names)


def _width(value: Any) -> float:
    return math.inf if value is None else float(value)
