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
from joulecast.law.baseline import BaselineLaw
from joulecast.law.fitted import FittedLaw, FittedOn
from joulecast.law.law import FAMILIARITY
from joulecast.law.paper import PaperLaw
from joulecast.law.roofline import RooflineLaw

VERSION = 2
FORMS: Mapping[str, type[FittedLaw]] = {law.form: law for law in (BaselineLaw, PaperLaw, RooflineLaw)}


def write_law(law: FittedLaw, path: Path) -> None:
    """Write a law file in one step."""
    content = {"form": law.form} | rounded(dataclasses.asdict(law))
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
        It is no law file, was edited or cut, or is of another version or form.
    """
    value = signed_json.parse(content, where, "law", VERSION)
    form = value.pop("form", None)
    if form not in FORMS:
        raise FileFormatError(f"{where} holds a law of the form {shown(form)}; known: {', '.join(FORMS)}")
    try:
        return _decode(FORMS[form], value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{where} is not a whole law ({type(error).__name__}: {error})") from None


def _decode(law: type[FittedLaw], value: Mapping[str, Any]) -> FittedLaw:
    fields = {k: v for k, v in value.items() if k not in ("format", "version", "fitted_on")}
    fitted = dict(value["fitted_on"])
    for key in ("models", "gpus", "timed_models", "timed_gpus", "precisions", "sources"):
        fitted[key] = tuple(fitted[key])
    for key in ("own", "own_timed"):
        fitted[key] = tuple((model, gpu) for model, gpu in fitted[key])
    fitted["ranges"] = {name: (float(low), float(high)) for name, (low, high) in fitted["ranges"].items()}
    for widths in ("half_widths", "duration_half_widths"):
        fields[widths] = {known: _width(fields[widths][known]) for known in FAMILIARITY}
    return law(fitted_on=FittedOn(**fitted), **fields)


def _width(value: Any) -> float:
    return math.inf if value is None else float(value)
