"""How good pictures are, by figures of the user's own: of a model, or of settings of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from joulecast.errors import InputError
from joulecast.plan.measures import QUALITY
from joulecast.plan.tradeoff import Outcome
from joulecast.question.models import load_profile
from joulecast.question.question import ask
from joulecast.question.setting import Setting
from joulecast.units import counted


@dataclass(frozen=True)
class Figure:
    """The quality of every setting that asks for what `of` asks for, the higher the better."""

    of: Setting
    quality: float

    @property
    def keys(self) -> dict[str, object]:
        """What `of` asks for, by key, the model by its own name."""
        return {**self.of.given(), "model": load_profile(self.of.model).name}

    def __str__(self) -> str:
        return ", ".join(
            f"{value}" if key == "model" else f"{key}={value}" for key, value in self.keys.items()
        )


def with_quality(found: Sequence[Outcome], figures: Sequence[Figure]) -> tuple[Outcome, ...]:
    """Outcomes with their quality as a measure: the figure that names most of a setting.

    Raises InputError for an outcome without a figure, or with two that name as much of it, and for a
    figure of none of them.
    """
    keys = [figure.keys for figure in figures]
    used: set[int] = set()
    made = []
    for one in found:
        place = _place(_described(one), keys)
        used.add(place)
        made.append(replace(one, measures={**one.measures, QUALITY: figures[place].quality}))
    for place, figure in enumerate(figures):
        if found and place not in used:
            raise InputError(f"the quality of {figure} is of no setting that is compared")
    return tuple(made)


def _place(setting: Mapping[str, object], keys: Sequence[Mapping[str, object]]) -> int:
    """The place of the figure that names most of a setting."""
    fit = [
        i for i, given in enumerate(keys) if all(setting.get(key) == value for key, value in given.items())
    ]
    most = max((len(keys[i]) for i in fit), default=0)
    best = [i for i in fit if len(keys[i]) == most]
    if len(best) == 1:
        return best[0]
    steps = counted(str(setting["steps"]), "step")
    told = f"{setting['model']} at {setting['size']}, {steps}, {setting['precision']}"
    problem = "no quality" if not best else "two qualities that name as much of it"
    raise InputError(f"{told} has {problem}: give one figure for each model or setting that is compared")


def _described(one: Outcome) -> dict[str, object]:
    """All that a setting asks for, defaults filled in."""
    question = ask(one.case.asked)
    work = question.workload
    return {
        **question.runtime.to_dict(),
        **one.case.asked.given(),
        "model": question.profile.name,
        "size": f"{work.width}x{work.height}",
        **{key: getattr(work, key) for key in ("steps", "passes", "precision", "batch_size", "frames")},
    }
