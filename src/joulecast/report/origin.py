"""How a row's energy was obtained, as the row itself says: predicted, measured, or not stated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from joulecast.files.columns import is_missing, text_of
from joulecast.footprint.tables.row import GPU_COUNT, WHOLE, Row, words
from joulecast.question.questions import SEPARATOR
from joulecast.question.vocabulary import NOTHING, yes_or_no
from joulecast.runs import is_invented
from joulecast.runtime import MODEL_OFFLOAD, OFFLOAD

OWN = "joulecast "  # how the source of a run that joulecast measured begins
NOT_STATED = "not stated"
INVENTED = "invented: not a measurement"


@dataclass(frozen=True)
class Origin:
    """`words` for a reader; `is_predicted`, or `is_measured`, by joulecast itself where `is_own`."""

    words: str
    is_predicted: bool = False
    is_measured: bool = False
    is_own: bool = False


def origin_of(row: Row) -> Origin:
    """Where a row's energy comes from. A row that names neither law nor source states nothing."""
    law, source = words(row, "law"), words(row, "source")
    if law is not None:
        return Origin(f"predicted, law {law}", is_predicted=True)
    if is_invented(row):
        return Origin(source or INVENTED)
    if source is None:
        return Origin(NOT_STATED)
    scope = words(row, "scope") or WHOLE
    part = "" if scope == WHOLE else f", {scope.replace('_', ' ')} alone"
    return Origin(f"measured, {source}{part}", is_measured=True, is_own=source.startswith(OWN))


def additions_of_row(row: Row) -> list[str]:
    """The control and the adapters beside a row's model, as it states them: ``control canny``, ``LoRA 2``."""
    control, lora, fused = (_said(row, name) for name in ("control", "lora", "lora_fused"))
    told = f"LoRA {lora}" + (", fused" if yes_or_no(fused) else "") if lora else ""
    return [words for words in (f"control {control}" if control else "", told) if words]


def _said(row: Row, name: str) -> str:
    """A cell as text, empty where it asks for nothing."""
    cell = text_of(row.get(name))
    return "" if is_missing(cell) or yes_or_no(cell) is False else str(cell)


def runtime_of_row(row: Row) -> str:
    """How the model was executed, as far as a row states it, in words: ``sglang, fp8, 2 GPUs``."""
    told = [words(row, "engine") or "", "compiled" if is_compiled(row) else ""]
    told += [words(row, name) or "" for name in ("quantization", "cache")]
    told += [f"{MODEL_OFFLOAD} offloading"] if _said(row, OFFLOAD) else []
    gpus, limit = row.get(GPU_COUNT, row.get("gpus")), row.get("power_limit_w")
    shared = words(row, "parallel")
    if not is_missing(gpus) and str(gpus) != "1":
        told.append(f"{gpus} GPUs" + (f" ({shared})" if shared else ""))
    elif shared:
        told.append(shared)
    told += [] if is_missing(limit) else [f"at {limit} W"]
    return ", ".join(name for name in told if name and name.casefold() not in NOTHING)


def is_compiled(row: Row) -> bool:
    """Whether a row says that torch.compile made its kernels, in its words or by what that was given."""
    cell = text_of(row.get("compile"))
    return not is_missing(cell) and yes_or_no(cell) is not False


def row_warnings(rows: Iterable[Row]) -> list[str]:
    """What the rows of a table say of their own doubts (column ``warning``), each once.

    Each has the rows it is of before it, but where it names their GPU itself.
    """
    told: dict[str, list[str]] = {}
    for row in rows:
        gpu = words(row, "gpu")
        name = " on ".join(word for word in (words(row, "model"), gpu) if word) or "a row"
        for warning in (words(row, "warning") or "").split(SEPARATOR):
            names = told.setdefault(warning, [])
            if warning and not (gpu and gpu in warning) and name not in names:
                names.append(name)
    return [f"{', '.join(names)}: {one}" if names else one for one, names in told.items() if one]
