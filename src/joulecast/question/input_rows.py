"""What the rows of a table give to pipelines or add to them: images, controls, adapters. Each kind of row is
asked for once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.files.columns import Words
from joulecast.question.additions import (
    Additions,
    read_control,
    read_lora,
    read_lora_fused,
    read_lora_rank,
)
from joulecast.question.cells import Cells, distinct, rows_of
from joulecast.question.inputs import Input, check_input, input_notes, pipeline_given, steps_made
from joulecast.question.questions import NOT_GIVEN, SEPARATOR, Questions, Rows
from joulecast.question.setting import read_input_images, read_strength

KEYS = (
    "strength", "input_image", "input_width", "input_height", "input_images", "control", "lora", "lora_rank",
    "lora_fused",
)  # fmt: skip

Refuse = Callable[[NDArray[np.bool_], Words], object]


class Given(NamedTuple):
    """What a row asks of a pipeline's input and of what is added to it."""

    input: Input = Input()
    added: Additions = Additions()


NOTHING = Given()


@dataclass
class InputRows:
    """What was asked of input images, controls and adapters: `kinds` of it, and the `index` of every row's.

    `own` are the places of the models themselves, where other pipelines of theirs were taken.
    """

    kinds: Sequence[Given]
    index: Rows
    own: Rows | None = None

    def models(self, model: Rows, profiles: list[ComputeProfile], refuse: Refuse) -> Rows:
        """Places in `profiles` of what each row runs; those of other pipelines are added, and rows refused of
        which there is none."""
        if not profiles or all(kind == NOTHING for kind in self.kinds):
            return model
        self.own = model
        kinds, index = distinct(model, self.index)
        places, problems = [], []
        for place, kind in kinds:
            problem = ""
            try:
                given = pipeline_given(profiles[place], *self.kinds[kind])
            except InputError as error:
                given, problem = profiles[place], str(error)
            if given is not profiles[place]:
                profiles.append(given)
                place = len(profiles) - 1
            places.append(place)
            problems.append(problem)
        words = np.array(problems, dtype=object)[index]
        refuse(words != "", words)
        return np.array(places, dtype=np.int64)[index]

    def made(self, filled: Questions, refuse: Refuse) -> tuple[Questions, Sequence[Words]]:
        """Questions with the steps that are made, and notes of rows; what no pipeline takes is refused."""
        if self.own is None:
            return filled, ()
        asks = np.array([kind != NOTHING for kind in self.kinds])[self.index]
        usable = np.flatnonzero(asks & (filled.error == ""))
        if not usable.size:
            return filled, ()
        columns = (filled.model, self.index, filled.width, filled.height, filled.steps)
        kinds, index = distinct(*(column[usable] for column in columns))
        steps, notes, problems = filled.steps.copy(), *(_no_words(len(filled)) for _ in range(2))
        for own_rows, (model, kind, width, height, asked) in zip(
            rows_of(index, len(kinds)), kinds, strict=True
        ):
            rows = usable[own_rows]
            profile, (given, added) = filled.profiles[model], self.kinds[kind]
            try:
                check_input(profile, given, width, height)
                steps[rows] = made = steps_made(profile, given, asked)
            except InputError as error:
                problems[rows] = str(error)
            else:
                own = filled.profiles[self.own[rows[0]]]
                notes[rows] = SEPARATOR.join(input_notes(own, given, added, asked, made))
        refuse(problems != "", problems)
        return replace(filled, steps=steps), (notes,)


def read_inputs(cells: Cells) -> InputRows:
    """The input images, strengths, controls and adapters of a table's rows."""
    if not any(key in cells.columns for key in KEYS):
        return InputRows([NOTHING], np.zeros(cells.rows, dtype=np.int64))
    met: dict[float, int] = {}
    of_controls: dict[str, int] = {}
    width, height = cells.input_sizes()
    images = cells.named("input_images", read_input_images)
    strength = cells.placed("strength", read_strength, met)
    control = cells.placed("control", read_control, of_controls)
    lora, rank = cells.named("lora", read_lora), cells.named("lora_rank", read_lora_rank)
    fused = cells.named("lora_fused", read_lora_fused)
    strengths, controls = [*met, None], [*of_controls, None]  # NOT_GIVEN is the last
    kinds, index = distinct(width, height, images, strength, control, lora, rank, fused)
    asked = [
        Given(
            Input(_given(wide), _given(high), _given(count), strengths[share]),
            Additions(controls[kind], _given(loras), _given(ranks), None if is_fused < 0 else bool(is_fused)),
        )
        for wide, high, count, share, kind, loras, ranks, is_fused in kinds
    ]
    return InputRows(asked, index)


def _given(value: int) -> int | None:
    return None if value == NOT_GIVEN else value


def _no_words(rows: int) -> Words:
    return np.full(rows, "", dtype=object)
