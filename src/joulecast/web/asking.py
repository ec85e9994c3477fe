"""What a request asks: its body as a case, with the server's GPU and engine where it names none."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from joulecast.errors import InputError
from joulecast.footprint.account import Footprint, check_images, footprint_where
from joulecast.forecast.estimate import Estimate, estimate_of
from joulecast.plan.case import Case, check_values
from joulecast.question.question import ask
from joulecast.question.setting import key_of
from joulecast.records import Record
from joulecast.web.metrics import Work
from joulecast.web.records import EstimateAnswer, estimate_answer

MOST_ANSWERS: Final = 4096  # kept, at a few kilobytes each
MOST_KEYS: Final = 100
IMAGES: Final = "images"
# An answer's main numbers, for gateways that read no bodies.
HEADERS: Final = {
    "x-joulecast-energy-j": "energy_j",
    "x-joulecast-energy-low-j": "energy_low_j",
    "x-joulecast-energy-high-j": "energy_high_j",
    "x-joulecast-flop": "flop",
    "x-joulecast-duration-s": "duration_s",
    "x-joulecast-outputs": "outputs",
}

# What a body may hold: nothing nested deeper than a pair of sides, or the degrees of sharing GPUs.
Scalar = str | int | float | bool | None
Value = str | int | float | bool | None | list[int] | dict[str, int]
Body = dict[str, Value]


class Defaults(Record):
    """What a server takes where a request names none: a GPU, and an engine."""

    gpu: str | None = None
    engine: str | None = None

    def fill(self, given: Mapping[str, object]) -> dict[str, object]:
        """What was asked, with these where nothing else was given."""
        said = {key_of(name) for name, value in given.items() if value is not None}
        own = {name: value for name, value in vars(self).items() if value is not None and name not in said}
        return {**given, **own}


class Asked(NamedTuple):
    """What is asked, of how many images its footprint is, and what must be said of how it was understood."""

    case: Case
    images: int | None = None
    notes: tuple[str, ...] = ()


class Answered(NamedTuple):
    """An answer, encoded, its headers, which repeat what is most of it, and what counters add up of it."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    work: Work | None


def asked_of(body: Mapping[str, object], defaults: Defaults, notes: tuple[str, ...] = ()) -> Asked:
    """What a body asks. Raises what `case_of` raises, and InputError for a number of images."""
    images = body.get(IMAGES)
    given = {name: value for name, value in body.items() if name != IMAGES} if IMAGES in body else body
    return Asked(case_of(given, defaults), None if images is None else check_images(images), notes)


def case_of(body: Mapping[str, object], defaults: Defaults) -> Case:
    """The case of a body. Raises what `Case.of` raises, and InputError for a value of another kind."""
    return Case.of(defaults.fill(checked(body)))


def check_keys(body: Collection[str]) -> None:
    """InputError for more keys than any request has: each would be looked up."""
    if len(body) > MOST_KEYS:
        raise InputError(f"a request has at most {MOST_KEYS} keys, not {len(body):,}")


def checked(body: Mapping[str, object]) -> Mapping[str, object]:
    """A body of not too many keys, whose values are as `check_values` has them. Raises InputError."""
    check_keys(body)
    return check_values(body)


@lru_cache(maxsize=MOST_ANSWERS)
def answered(asked: Asked) -> Answered:
    """The answer of one request. Raises what `predicted` raises."""
    guess, footprint = predicted(asked)
    answer = estimate_answer(guess, footprint)
    if footprint is not None:
        answer.warnings += [words for words in footprint.warnings if words not in answer.warnings]
    answer.notes += asked.notes
    body = msgspec.json.encode(answer)
    of_body = (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())
    return Answered(body, (*of_body, *headers_of(answer)), _work_of(guess, answer))


def predicted(asked: Asked) -> tuple[Estimate, Footprint | None]:
    """The estimate of what was asked, and its footprint where a place was given.

    Raises what `ask`, `estimate_of`, `Place.site` and `footprint_where` raise.
    """
    guess = estimate_of(ask(asked.case.asked), asked.case.law)
    return guess, footprint_where(guess, asked.case.place.site(), asked.images)


def _work_of(guess: Estimate, answer: EstimateAnswer) -> Work | None:
    """What counters add up; none where the law knows no upper end, which no sum could hold."""
    if answer.batch_energy_high_j is None or math.isinf(answer.batch_energy_high_j):
        return None
    return Work(
        labels=(
            guess.question.profile.name,
            guess.gpu.name,
            guess.runtime.label,
            answer.boundary,
            answer.output,
        ),
        outputs=answer.outputs,
        energy_j=answer.batch_energy_j,
        energy_low_j=answer.batch_energy_low_j,
        energy_high_j=answer.batch_energy_high_j,
    )


def headers_of(answer: EstimateAnswer) -> tuple[tuple[bytes, bytes], ...]:
    """An answer's main numbers; those that are not known are left out."""
    numbers = ((name, getattr(answer, key)) for name, key in HEADERS.items())
    return tuple((name.encode(), repr(number).encode()) for name, number in numbers if number < float("inf"))
