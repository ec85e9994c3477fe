"""GPUs by the names that people and drivers give them, with hints only where they are near in meaning."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from string import digits
from typing import Final

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, fold, shown
from joulecast.files.paths import advising_files, is_path
from joulecast.hardware import Gpu, catalogued, gpus, load_gpu, told_apart

CHANGED: Final = "changed"  # what tells a GPU of the catalogue from the same with other figures
HINT: Final = "see `joulecast gpus`"
OR_FILE: Final = ", or give the path of a GPU file (.toml)"
FILE_HINT: Final = "; describe it in a GPU file (.toml, see `joulecast gpus H100 --toml`)"
KINDS: Final = ("cpu", "mps", "cuda", "gpu", "tpu", "xpu", "npu", "hpu")
KIND_HINT: Final = "that is a kind of device: give the name of a GPU, as `nvidia-smi -L` prints it"
SURE_NUMBER: Final = 4  # characters of a model number from which a wrong last one is a slip
# XT and XTX, as in 7900 XTX, are no times.
_COUNT: Final = re.compile(r"\s*([1-9][0-9]{0,5})\s*[x×*](?!tx?\b)\s*(\S.*)", re.IGNORECASE)


def gpu(name: str | os.PathLike[str] | Gpu) -> Gpu:
    """A GPU by its name, an alias, or the path of a GPU file; a GPU is returned as it is.

    Case and punctuation do not matter, nor ``1 x`` before a name. Text that ends in ``.toml`` or holds a
    path separator is a path, see `load_gpu`. A GPU that has a name of the catalogue and other figures gets
    a name of its own: nobody measured it.

    Raises UnknownNameError, with near matches, for a name the catalogue does not list; InputError for
    several GPUs.
    """
    found, count = gpu_and_count(name)
    if count > 1:
        raise InputError(f"GPU {shown(name)} is {count} GPUs, and one is asked for: give {shown(found.name)}")
    return found


def gpu_and_count(name: str | os.PathLike[str] | Gpu) -> tuple[Gpu, int]:
    """A GPU as of `gpu`, and how many its name says: ``8xH100``. Errors as of `gpu`, of one alone."""
    if isinstance(name, Gpu):
        return told_apart(name, CHANGED), 1
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else name
    if not isinstance(text, str):
        raise InputError(f"a GPU is given by its name or file, not {shown(text)}; e.g. 'A100-SXM4-80GB'")
    if not isinstance(name, str) or is_path(text, ".toml"):
        return load_gpu(text), 1
    count, single = count_and_name(text)
    found = catalogued(single)
    if found is None:
        raise UnknownNameError("GPU", text, _alike(single), _hint(single))
    return found, count


def _hint(name: str) -> str:
    """What would work in place of a name that no GPU of the catalogue has."""
    words = _words(name)
    if fold(name.partition(":")[0]) in KINDS:
        return KIND_HINT
    for row in data.read_table("gpus_left_out.csv"):
        if any(words[: len(known)] == known for known in map(_words, row["names"].split(";"))):
            return row["why"] + advising_files(FILE_HINT)
    return HINT + advising_files(OR_FILE)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.casefold())


def count_and_name(text: str) -> tuple[int, str]:
    """How many GPUs a name says, as ``"2 x Tesla V100"`` or ``"8xH100"``, and the name of one."""
    found = _COUNT.fullmatch(text)
    return (int(found[1]), found[2]) if found else (1, text)


def _alike(name: str) -> list[str]:
    """Names of the catalogue that say the same model number as a name: A100 is not what A10G means.

    Where none does, those of the number that a slip would have made it of: an O for a 0, a 0 too many or
    too few, or, in a long one, another last digit: H200, for H201.
    """
    known = _by_number()
    return next((known[one] for one in _slips(model_number(name)) if one in known), [])


def _slips(number: str) -> Iterator[str]:
    """A model number, and those that it may have been meant for."""
    yield number
    yield re.sub(r"(?<=[\do])o|o(?=[\do]*\d)", "0", number)
    yield number.removesuffix("0")
    yield number + "0"
    if len(number) >= SURE_NUMBER and number[-1].isdigit():
        yield from (number[:-1] + digit for digit in digits)


@cache
def _by_number() -> Mapping[str, list[str]]:
    """The names of the catalogue that say a model number, by that number."""
    found: dict[str, list[str]] = {}
    for name in (choice for one in gpus() for choice in (one.name, *one.aliases)):
        if number := model_number(name):
            found.setdefault(number, []).append(name)
    return found


def model_number(name: str) -> str:
    """The first word of a name that holds a digit, e.g. ``a100`` or ``4090``; an empty string without one."""
    numbers = (word.removeprefix("rtx").removeprefix("gtx") for word in _words(name))
    return next((word for word in numbers if any(map(str.isdigit, word))), "")


def vendors() -> tuple[str, ...]:
    """The vendors of the catalogue's GPUs."""
    return tuple(dict.fromkeys(known.vendor for known in gpus()))


def gpus_of(vendor: str) -> tuple[Gpu, ...]:
    """The catalogue's GPUs of a vendor; case does not matter. Raises UnknownNameError for another."""
    found = tuple(known for known in gpus() if fold(known.vendor) == fold(vendor))
    if not found:
        *others, last = vendors()
        raise UnknownNameError("vendor", vendor, vendors(), f"there are {', '.join(others)} and {last}")
    return found
