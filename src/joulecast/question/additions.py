"""What is added to a model: LoRA adapters in its denoiser, or a ControlNet beside it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from joulecast.architecture.catalogue import CONTROL_OF, CONTROLS, control_of, model_entry, model_names
from joulecast.compute.adapters import adapted_layers, takes_lora, with_lora
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import has_profile, packaged_profile
from joulecast.errors import InputError, fold, shown
from joulecast.files.numbers import whole
from joulecast.question.vocabulary import CONTROL, NOTHING, meant, yes_or_no
from joulecast.records import Record
from joulecast.units import counted

MOST_ADAPTERS = 32
MOST_RANK = 4096
RANK = 16  # of most LoRAs that are published: what the tools that train them take unless they are told
NO_CONTROL = "none"
_UNKNOWN = frozenset({"null", "na", "unknown"})  # folded: as tables write what they do not know


class Additions(Record):
    """What was asked of adapters and controls; None is what was not.

    Attributes
    ----------
    control : the kind of control, `NO_CONTROL` of none.
    lora, rank : how many adapters are loaded, and their rank.
    fused : whether they were added to the weights.
    """

    control: str | None = None
    lora: int | None = None
    rank: int | None = None
    fused: bool | None = None

    @property
    def adapters(self) -> int:
        """How many LoRA adapters there are: who says their rank, or that they are fused, has one."""
        if self.lora is None:
            return 0 if self.rank is None and not self.fused else 1
        return self.lora

    @property
    def plain(self) -> Additions:
        """The same without what asks for nothing."""
        control = None if self.control == NO_CONTROL else self.control
        if not self.adapters:
            return Additions(control)
        return Additions(control, self.adapters, self.rank, True if self.fused else None)

    def to_dict(self) -> dict[str, object]:
        """What there is of them, by the keys of a setting; nothing where there is nothing."""
        found: dict[str, object] = {}
        if self.control not in (None, NO_CONTROL):
            found["control"] = self.control
        if self.adapters:
            found |= {"lora": self.adapters, "lora_fused": bool(self.fused)}
        if self.is_unfused:
            found["lora_rank"] = self.rank or RANK
        return found

    @property
    def is_unfused(self) -> bool:
        """Whether adapters run beside the layers that they adapt."""
        return self.adapters > 0 and not self.fused


NO_ADDITIONS = Additions()


def read_lora(value: object) -> int:
    """How many LoRAs are loaded: a number, yes or no, or the name of one. Raises InputError."""
    is_loaded = yes_or_no(value)
    if is_loaded is not None:
        return int(is_loaded)
    if isinstance(value, str) and not _is_number(value):
        if fold(value) in _UNKNOWN or not any(map(str.isalpha, value)):
            raise InputError(
                f"lora is how many adapters are loaded, yes or no, or a name, not {shown(value)}"
            )
        return 1  # the adapter itself, by its name or file
    return whole(value, "lora", 0, MOST_ADAPTERS)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_lora_rank(value: object) -> int:
    """The rank of LoRAs. Raises InputError."""
    return whole(value, "lora_rank", 1, MOST_RANK)


def read_lora_fused(value: object) -> bool:
    """Whether LoRAs were added to the weights. Raises InputError."""
    found = yes_or_no(value)
    if found is None:
        raise InputError(f"lora_fused is yes or no, not {shown(value)}")
    return found


def read_control(value: object) -> str:
    """The kind of control that a ControlNet, its preprocessor or its hub id is of. Raises InputError."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"control is the kind of a ControlNet, e.g. canny or depth, not {shown(value)}")
    text = value.strip()
    if text.casefold() in NOTHING:
        return NO_CONTROL
    known = meant(CONTROL, text)
    return known.means if known else text.casefold()


def adapted(profile: ComputeProfile, asked: Additions) -> ComputeProfile:
    """The profile with the adapters that run beside its layers.

    Raises InputError where it is not known which layers a LoRA adapts.
    """
    if not asked.is_unfused:
        return profile
    if not takes_lora(profile):
        raise InputError(
            f"which layers of {profile.name} a LoRA adapts is not known: its pipeline in diffusers loads "
            "none, or its profile does not tell them; lora_fused says that one was added to the weights"
        )
    return _with_lora(profile, asked.adapters, asked.rank or RANK)


@lru_cache(maxsize=64)
def _with_lora(profile: ComputeProfile, adapters: int, rank: int) -> ComputeProfile:
    return with_lora(profile, adapters, rank)


def controlled(profile: ComputeProfile, asked: Additions) -> ComputeProfile:
    """The profile of the pipeline with a control. Raises InputError where none of the kind is listed, and
    for no control of a pipeline that always has one."""
    kind = asked.control
    if kind is None:
        return profile
    own = profile.name if profile.origin == "catalogue" else ""
    has_control = bool(own) and CONTROLS in model_entry(own)
    if kind == NO_CONTROL and has_control:
        known = model_entry(own)
        raise InputError(
            f"{own} always has a control: control must be {_either(known[CONTROLS])}, not {NO_CONTROL}; "
            f"{known[CONTROL_OF]} is the model without"
        )
    if kind == NO_CONTROL:
        return profile
    entry = own if has_control else control_of(own)
    if entry is None or not has_profile(entry):
        raise InputError(
            f"no ControlNet of {profile.name} is listed; of the listed models {_controllable()} have one, "
            "and `joulecast profile FOLDER` traces the folder of any pipeline with one"
        )
    listed = model_entry(entry)[CONTROLS]
    if fold(str(kind)) not in {fold(one) for pair in listed.items() for one in pair}:
        raise InputError(
            f"control {shown(kind)} is not listed for {profile.name}; it has {', '.join(listed)}"
        )
    return packaged_profile(entry)


def _either(kinds: Iterable[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last


def _controllable() -> str:
    entries = (model_entry(name) for name in model_names() if has_profile(name))
    *others, last = sorted(entry["control_of"] for entry in entries if CONTROLS in entry)
    return f"{', '.join(others)} and {last}"


def addition_notes(own: ComputeProfile, asked: Additions) -> list[str]:
    """What was taken for a control and for adapters; `own` is the model's profile."""
    return [*_control_notes(own, asked), *_lora_notes(own, asked)]


def _control_notes(own: ComputeProfile, asked: Additions) -> list[str]:
    if asked.control in (None, NO_CONTROL):
        return []
    found = controlled(own, asked)
    listed = model_entry(found.name)[CONTROLS]
    hub_id = next((one for kind, one in listed.items() if asked.control in (kind, one.casefold())), "")
    return [
        f"control {asked.control}: {found.name} was taken, the pipeline {found.pipeline} with the layers of "
        f"{hub_id}; what makes the control image of a picture is not counted"
    ]


def _lora_notes(own: ComputeProfile, asked: Additions) -> list[str]:
    if not asked.adapters:
        return []
    if asked.fused:
        return ["a LoRA that is fused (fuse_lora) is part of the weights: it costs nothing"]
    layers = adapted_layers(controlled(own, asked))
    assumed = "" if asked.rank else " (assumed: no rank was given)"
    return [
        f"{counted(asked.adapters, 'LoRA')} of rank {asked.rank or RANK}{assumed}, not fused, as diffusers "
        f"has it after load_lora_weights: beside each of {counted(layers, 'linear layer')} of the denoiser's "
        "attention two thin products, a scaling and an addition; fused (fuse_lora) it costs nothing"
    ]
