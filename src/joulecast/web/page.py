"""What the page shows of one setting: its estimate, where its joules go, how they follow steps, size, batch.

Everything comes from the functions that the command line asks; the page adds no formula of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypedDict

from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import checked_profile
from joulecast.errors import InputError, JoulecastError
from joulecast.files.plain import plain
from joulecast.footprint.account import footprint_where
from joulecast.forecast.estimate import Estimate, LawChoice, estimate_of
from joulecast.forecast.memory import ABOUT_MEMORY, UNKNOWN, fits_of
from joulecast.forecast.predictor import NUMBERS, predict_questions
from joulecast.hardware import gpus
from joulecast.plan.case import Case
from joulecast.question.question import Question, ask
from joulecast.question.questions import SEPARATOR
from joulecast.report.decisions.rows import estimate_steps
from joulecast.runtime import CACHE, DIFFUSERS, ENGINE, NONE, OFFLOAD, QUANTIZATION, parts
from joulecast.web import page_words

GPU_COUNTS: Final = (1, 2, 4, 8)
BATCHES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
FRAMES: Final = tuple(range(17, 258, 16))
MOST_PROFILE: Final = 2_000_000  # characters of a profile; the largest that ships has 300,000
DRAWN_STEPS: Final = 60  # of the curve; further where more are asked for
LEAST_SIDE, MOST_SIDE, SIDE = 256, 2048, 64  # of the longer side of the sizes of the curve [pixels]


@lru_cache(maxsize=8)
def dropped(text: str) -> ComputeProfile:
    """The profile that a person dropped in, of a file's text. Raises InputError and FileFormatError."""
    if len(text) > MOST_PROFILE:
        raise InputError(f"the profile has {len(text):,} characters; at most {MOST_PROFILE:,} are read here")
    return checked_profile(text.encode(), "the profile", origin="a profile that was dropped in")


class Row(TypedDict):
    """One setting of many: energy of one output [J] and time of a batch [s] with their ranges, None where
    there is none, whether it fits the memory, what to doubt, and why it cannot be predicted."""

    energy_j: float | None
    energy_low_j: float | None
    energy_high_j: float | None
    duration_s: float | None
    fits: str
    warnings: list[str]
    error: str


def explored(given: Mapping[str, object]) -> dict[str, object]:
    """All that the page's first view shows of a case.

    Raises what `joulecast.plan.case.Case.of`, `ask` and `footprint_of` raise.
    """
    case = Case.of(given)
    guess = estimate_of(ask(case.asked), case.law)
    found = footprint_where(guess, case.place.site())
    return {
        "estimate": slim(guess),
        "footprint": None if found is None else found.to_dict(),
        "parts": estimate_steps(guess),
        "curves": curves(case, guess),
        "words": page_words.words(guess, found),
        "copies": page_words.copies(case, guess, found),
    }


def slim(guess: Estimate) -> dict[str, object]:
    """An estimate as JSON has it, without the list of all runs that the law was fitted on."""
    whole = guess.to_dict()
    law = {key: value for key, value in whole["law"].items() if key != "fitted_on"}
    return {**whole, "law": law, "gpu_seconds": plain(guess.gpu_seconds.ends())}


def rows(questions: Sequence[Question | JoulecastError], law: LawChoice = None) -> list[Row]:
    """Questions as rows, in order; of an error its words."""
    asked = [question for question in questions if isinstance(question, Question)]
    found = predict_questions(asked, law)
    answered = iter(zip(found.table.tolist(), fits_of(asked), found.warning, found.error, strict=True))
    return [
        _row(*next(answered)) if isinstance(question, Question) else _refused(str(question))
        for question in questions
    ]


def _row(numbers: Sequence[float], fits: str, warning: str, error: str) -> Row:
    if error:
        return _refused(error)
    told = dict(zip(NUMBERS, numbers, strict=True))
    return {
        "energy_j": told["energy_j"],
        "energy_low_j": told["energy_low_j"],
        "energy_high_j": told["energy_high_j"],
        "duration_s": told["duration_s"],
        "fits": fits,
        "warnings": [words for words in warning.split(SEPARATOR) if words and words not in ABOUT_MEMORY],
        "error": "",
    }


def _refused(error: str) -> Row:
    nothing = {"energy_j": None, "energy_low_j": None, "energy_high_j": None, "duration_s": None}
    return {**nothing, "fits": UNKNOWN, "warnings": [], "error": error}  # type: ignore[typeddict-item]


def _asked(case: Case, change: Mapping[str, object]) -> Question | JoulecastError:
    """The question of a case after a change, which may be none; the error where it cannot be asked."""
    try:
        return ask(changed(case, change).asked)
    except JoulecastError as error:
        return error


def changed(case: Case, change: Mapping[str, object]) -> Case:
    """A case after a change; the case as it is where the change is none."""
    try:
        return case.changed(change)
    except InputError:
        return Case.of({**case.given, **change})


# --- curves --------------------------------------------------------------------------------------


def curves(case: Case, guess: Estimate) -> dict[str, list[dict[str, object]]]:
    """How energy and time follow each of steps, size, batch and frames, all else as it is: rows by key.

    `x` is what is drawn along the axis: steps, megapixels, outputs at once, frames.
    """
    points = {key: _points(key, guess) for key in ("steps", "size", "batch_size", "frames")}
    flat = [(key, x, change) for key, some in points.items() for x, change in some]
    found = rows([_asked(case, change) for *_, change in flat], case.law)
    by_key: dict[str, list[dict[str, object]]] = {key: [] for key, some in points.items() if some}
    for (key, x, change), row in zip(flat, found, strict=True):
        if not row["error"]:
            by_key[key].append({"x": x, "change": change, **row})
    return by_key


def _points(key: str, guess: Estimate) -> list[tuple[float, dict[str, object]]]:
    """Places along a curve, today's among them, and the change that goes there."""
    w = guess.workload
    if key == "steps":
        today = guess.question.work.steps_asked or w.steps
        most = max(DRAWN_STEPS, today + today // 2)
        values = sorted({*range(1, most + 1, max(1, most // 60)), today})
        return [(float(n), {"steps": n}) for n in values]
    if key == "batch_size":
        return [(float(n), {"batch_size": n}) for n in sorted({*BATCHES, w.batch_size})]
    if key == "frames":
        return [(float(n), {"frames": n}) for n in sorted({*FRAMES, w.frames})] if w.frames > 1 else []
    return [
        (width * height / 1e6, {"size": f"{width}x{height}"}) for width, height in _sizes(w.width, w.height)
    ]


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes of about the same shape, by area; the one that is asked for among them."""
    longer = max(width, height)
    found = {(width, height)}
    for side in range(LEAST_SIDE, MOST_SIDE + 1, SIDE):
        if width == height:
            found.add((side, side))
        else:
            sides = [max(SIDE, round(side * one / longer / SIDE) * SIDE) for one in (width, height)]
            found.add((sides[0], sides[1]))
    return sorted(found, key=lambda size: (size[0] * size[1], size))


# --- elsewhere -----------------------------------------------------------------------------------


def elsewhere(given: Mapping[str, object]) -> dict[str, object]:
    """The same on every GPU of the catalogue, and by every runtime, one thing changed at a time."""
    case = Case.of(given)
    asked = ask(case.asked)
    changes = [*_gpus(case, asked), *_runtimes(asked)]
    found = rows([_asked(case, change) for *_, change in changes], case.law)
    lists: dict[str, list[dict[str, object]]] = {"gpus": [], "runtimes": []}
    for (kind, name, title, change), row in zip(changes, found, strict=True):
        what = "gpus" if kind == "gpu" else "runtimes"
        lists[what].append({"kind": kind, "name": name, "title": title, "change": change, **row})
    return {**lists, "own": {**asked.runtime.to_dict(), "gpu": asked.gpu.name}}


Change = tuple[str, str, str, dict[str, object]]
_PLAINLY: Final = (
    (QUANTIZATION, "not quantised"),
    (CACHE, "no step is left out"),
    (OFFLOAD, "all weights stay on the GPU"),
)


def _gpus(case: Case, asked: Question) -> Iterator[Change]:
    """Every GPU of the catalogue, and the one that is asked for."""
    for one in gpus():
        yield "gpu", one.name, one.name, {"gpu": one.name}
    if all(one.name != asked.gpu.name for one in gpus()):
        yield "gpu", asked.gpu.name, asked.gpu.name, {"gpu": case.given["gpu"]}


def _runtimes(asked: Question) -> Iterator[Change]:
    """What may be changed about how it runs, one thing at a time."""
    own = asked.runtime
    for part in parts(ENGINE).values():
        eager: dict[str, object] = {"compile": False} if own.compile else {}
        yield ENGINE, part.name, part.title, {"engine": part.name, **eager}
    yield (
        ENGINE,
        f"{DIFFUSERS}-compiled",
        "diffusers with torch.compile",
        {"engine": DIFFUSERS, "compile": True},
    )
    for kind, plainly in _PLAINLY:
        yield kind, NONE, plainly, {kind: NONE}
        for part in parts(kind).values():
            yield kind, part.name, part.title, {kind: part.name}
    for count in sorted({*GPU_COUNTS, own.gpus}):
        yield "gpus", str(count), f"{count} GPU{'s' if count > 1 else ''}", {"gpus": count}
