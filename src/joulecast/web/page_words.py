"""What the page says of an estimate: how sure it is; the same as a command, as Python, as a sentence."""

from __future__ import annotations

import shlex
from typing import Final

from joulecast import __version__
from joulecast.compute.profile import ComputeProfile
from joulecast.footprint.account import Footprint
from joulecast.footprint.place import PLACE_KEYS
from joulecast.forecast.estimate import Estimate
from joulecast.forecast.memory import fitting_words
from joulecast.plan.case import Case
from joulecast.report import amounts
from joulecast.report.estimate_text import (
    counts_words,
    error_words,
    limit_words,
    runtime_words,
    title,
    workload_words,
)
from joulecast.uncertainty import Interval
from joulecast.units import counted

# What no number of the page holds, said of every one.
NOT_COUNTED: Final = (
    "training the model, and making other pictures until one is good",
    "moving prompts and pictures over networks, storing them, and the screens they are seen on",
)
_OPTIONS: Final = {"batch_size": "batch", "power_limit_w": "power-limit"}


def words(guess: Estimate, found: Footprint | None) -> dict[str, object]:
    """What is said beside the numbers."""
    memory = guess.memory
    return {
        "title": title(guess.question),
        "counts": counts_words(guess),
        "runtime": runtime_words(guess.runtime),
        "sure": error_words(guess),
        "limit": limit_words(guess),
        "fitting": ""
        if memory.peak_bytes is None
        else fitting_words(memory.largest_batch or 0, memory.largest_batch_perhaps, guess.output),
        "grid": "" if found is None else _grid(found),
        "warnings": [] if found is None else list(found.warnings),
        "not_counted": list(NOT_COUNTED),
    }


def copies(case: Case, guess: Estimate, found: Footprint | None) -> dict[str, str]:
    """The estimate to take away."""
    return {
        "command": command(case),
        "python": python(case),
        "sentence": sentence(guess, found),
    }


def command(case: Case) -> str:
    """The command that prints the same."""
    given = _named(case)
    told = ["joulecast", "estimate", str(given.pop("model"))]
    for key, value in given.items():
        option = _OPTIONS.get(key, key.replace("_", "-"))
        if isinstance(value, bool):
            told.append(f"--{option}" if value else f"--no-{option}")
        else:
            told += [f"--{option}", _plainly(value)]
    return shlex.join(told)


def python(case: Case) -> str:
    """The same in Python."""
    given = _named(case)
    place = {key: given.pop(key) for key in PLACE_KEYS if key in given}
    asked = [repr(given.pop("model")), *(f"{key}={value!r}" for key, value in given.items())]
    lines = ["import joulecast", "", f"guess = joulecast.estimate({', '.join(asked)})", "print(guess)"]
    if place:
        at = ", ".join(f"{key}={value!r}" for key, value in place.items())
        lines.append(f"print(joulecast.footprint_of(guess, joulecast.Place({at}).site()))")
    return "\n".join(lines) + "\n"


def _named(case: Case) -> dict[str, object]:
    """What was given; a profile that was dropped in by the name of its file."""
    model = case.named["model"]
    return {**case.named, "model": f"{model.name}.json" if isinstance(model, ComputeProfile) else model}


def sentence(guess: Estimate, found: Footprint | None) -> str:
    """A sentence for a report, with its boundary, range and source."""
    of, law, asked = guess.output, guess.law.describe(), guess.question
    gpus = f"{guess.runtime.gpus} x " if guess.runtime.gpus > 1 else ""
    at_once = f", made {guess.workload.batch_size} at once" if guess.workload.batch_size > 1 else ""
    carbon = "" if found is None else _carbon(found)
    return (
        f"One {of} by {asked.profile.name} ({workload_words(asked)}) on {gpus}{guess.gpu.name}, run by "
        f"{runtime_words(guess.runtime)}{at_once}: {_amount(guess.energy, 'J')} of {guess.boundary} GPU "
        f"energy{carbon}. Predicted, not measured, by joulecast {__version__} (law {law.name}, fitted on "
        f"{counted(law.fitted_on.runs, 'run')}): {error_words(guess)}."
    )


def _carbon(found: Footprint) -> str:
    carbon = amounts.ranged(found.carbon.amount, "g CO2e")
    return f"; with the rest of the computer, cooling and the hardware's making, {carbon} at {_grid(found)}"


def _grid(found: Footprint) -> str:
    grid = found.grid
    intensity = amounts.number(grid.intensity.amount.value)
    return f"{intensity} g CO2e/kWh ({grid.source}, {found.accounting}, {grid.boundary})"


def _amount(amount: Interval, unit: str) -> str:
    """An amount with its range: ``8,100 J (90 % range 6,880 to 9,550)``."""
    told = f"{amounts.number(amount.value)} {unit}"
    return told if amount.is_exact else f"{told} (90 % range {amounts.spread(amount)})"


def _plainly(value: object) -> str:
    """A value as an option takes it, a number with all its digits."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
