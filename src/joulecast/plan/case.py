"""A case: what is asked, where it is made, and which law answers, as one set of keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from joulecast.errors import InputError, shown
from joulecast.files.streams import as_given
from joulecast.footprint.grid.yearly import GridIntensity
from joulecast.footprint.place import PLACE_KEYS, Place
from joulecast.forecast.estimate import LawChoice
from joulecast.question.setting import KEYS, SIDES, Setting, key_of, refuse_work

CASE_KEYS: Final = (*KEYS, *PLACE_KEYS, "law")
TEXT_KEYS: Final = (
    "model", "gpu", "law", "region", "accounting", "currency", "hourly", "hourly_column", "at", "timezone",
)  # fmt: skip
# Keys that a change puts out of use, by key: of guidance the passes, of a region the intensity.
_DISPLACED: Final[Mapping[str, tuple[str, ...]]] = {
    "guidance": ("passes",),
    "true_cfg_scale": ("passes",),
    "negative_prompt": ("passes",),
    "region": ("intensity", "year", "hourly", "hourly_column", "allow_gaps", "at", "timezone"),
    "hourly": ("region", "intensity", "year", "hourly_column", "allow_gaps"),
    "intensity": ("hourly", "hourly_column", "allow_gaps", "at", "timezone", "year"),
    "frames": ("seconds",),
    "seconds": ("frames",),
    "gpus": ("parallel",),
    "parallel": ("gpus",),
    "price_per_kwh": ("price_per_gpu_hour",),
    "price_per_gpu_hour": ("price_per_kwh",),
}


@dataclass(frozen=True)
class Case:
    """A setting, the place where it is made (which may be empty), and the law that answers."""

    asked: Setting
    place: Place = field(default_factory=Place)
    law: LawChoice = None

    @classmethod
    def of(cls, given: Mapping[str, object] | Case) -> Case:
        """A case of keys and values; a case as it is.

        Raises UnknownNameError for a key that no case has, and what `Setting.of` and `Place.of` raise.
        """
        if isinstance(given, Case):
            return given
        asked: dict[str, object] = {}
        place: dict[str, object] = {}
        for name, value in given.items():
            if name in PLACE_KEYS:
                place[name] = value
            elif name != "law":
                asked[name] = value
        for name, value in asked.items():
            if key_of(name) is None:
                refuse_work(name, value, choices=CASE_KEYS)
        return cls(Setting.of(asked), Place.of(place), given.get("law"))  # type: ignore[arg-type]

    @cached_property
    def given(self) -> Mapping[str, object]:
        """What was given, by key; a size is one key."""
        law = {} if self.law is None else {"law": self.law}
        return {**self.asked.given(), **self.place.given(), **law}

    @cached_property
    def named(self) -> Mapping[str, object]:
        """The same as it is shown: streams by their names."""
        return {
            key: as_given(value) if isinstance(value, str) else value for key, value in self.given.items()
        }

    def to_dict(self) -> dict[str, object]:
        """What was given, for JSON; a grid that was given whole is the intensity that it has."""
        intensity = self.place.intensity
        number = (
            {"intensity": intensity.intensity.amount.value} if isinstance(intensity, GridIntensity) else {}
        )
        return {**self.named, **number}

    def changed(self, change: Mapping[str, object]) -> Case:
        """The case after a change; a new place takes the old one's.

        Raises InputError where `change` changes nothing, and what `of` raises.
        """
        if not change:
            raise InputError("nothing changes: give at least one change, e.g. steps=28")
        new = changed_keys(change)
        displaced = {key for name in new for key in _DISPLACED.get(name, ())} - set(new)
        after = Case.of({**{k: v for k, v in self.given.items() if k not in {*displaced, *new}}, **change})
        if all(self.given.get(key) == after.given.get(key) for key in new):
            told = ", ".join(f"{key}={value}" for key, value in change.items())
            raise InputError(f"{told} is what the setting has already: nothing changes")
        return after


def check_values(given: Mapping[str, object]) -> Mapping[str, object]:
    """What programs ask for, in which names are text, and what is said of a place text or a number.

    Raises InputError.
    """
    for name, value in given.items():
        if name in TEXT_KEYS and not isinstance(value, str | None):
            raise InputError(f"{name} is text, not {shown(value)}")
        if name in PLACE_KEYS and not isinstance(value, str | int | float | None):
            raise InputError(f"{name} is text or a number, not {shown(value)}")
        if name in PLACE_KEYS and isinstance(value, bool) and name != "allow_gaps":
            raise InputError(f"{name} is text or a number, not {shown(value)}")
    return given


def changed_keys(change: Mapping[str, object]) -> tuple[str, ...]:
    """The keys of a change by their own names, a side being of the size. UnknownNameError for others."""
    keys = []
    for name, value in change.items():
        key = name if name in (*PLACE_KEYS, "law") else key_of(name)
        if key is None:
            refuse_work(name, value, choices=CASE_KEYS)
        else:
            keys.append(next((size for size, sides in SIDES.items() if key in sides), key))
    return tuple(dict.fromkeys(keys))
