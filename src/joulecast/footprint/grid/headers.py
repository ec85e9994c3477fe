"""What the names of columns say: which holds times, which intensities, in which unit, and what they count.

Grid operators, Electricity Maps, WattTime, EIA and others each name their columns in their own way; what
a name does not say is taken from the publisher's documentation where the publisher is known (PUBLISHERS), and
is "as given" otherwise. A unit that is not understood is asked for, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from joulecast.errors import InputError, fold, near_matches, shown
from joulecast.footprint.grid.kinds import AS_GIVEN, COMBUSTION, LIFE_CYCLE, MARGINAL
from joulecast.units import GRAMS_PER_KILOGRAM, JOULES_IN

_GRAMS_PER_POUND = 453.59237  # exact, by definition of the pound
_MASSES = {  # [g]
    "g": 1.0, "gr": 1.0, "gram": 1.0, "grams": 1.0,
    "kg": GRAMS_PER_KILOGRAM, "kgs": GRAMS_PER_KILOGRAM,
    "kilogram": GRAMS_PER_KILOGRAM, "kilograms": GRAMS_PER_KILOGRAM,
    "t": 1e6, "tonne": 1e6, "tonnes": 1e6, "metric ton": 1e6, "metric tons": 1e6,
    "short ton": 2000 * _GRAMS_PER_POUND, "short tons": 2000 * _GRAMS_PER_POUND,
    "lb": _GRAMS_PER_POUND, "lbs": _GRAMS_PER_POUND, "pound": _GRAMS_PER_POUND, "pounds": _GRAMS_PER_POUND,
    "oz": _GRAMS_PER_POUND / 16, "ounce": _GRAMS_PER_POUND / 16, "ounces": _GRAMS_PER_POUND / 16,
}  # fmt: skip
_POWERS = {  # [kW]
    "w": 1e-3, "kw": 1.0, "mw": 1e3, "gw": 1e6, "tw": 1e9,
    "watt": 1e-3, "kilowatt": 1.0, "megawatt": 1e3, "gigawatt": 1e6, "terawatt": 1e9,
}  # fmt: skip
_HOURS = ("h", "hr", "hrs", "hour", "hours")
_HEATS = {unit.casefold(): JOULES_IN[unit] / JOULES_IN["kWh"] for unit in ("kJ", "MJ", "GJ", "TJ")}  # [kWh]


def _any_of(words: Sequence[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_GAS = r"(of\s*)?((co2|carbon)\s*(e|eq|equivalents?)?)?"
_ENERGY = (
    rf"((?P<power>{_any_of(list(_POWERS))})\s?({_any_of(_HOURS)})|(?P<heat>{_any_of(list(_HEATS))}))(?![a-z])"
)
_UNIT = re.compile(  # GWh and TWh are no grams or tonnes over Wh
    rf"(?<![a-z])(?![gt]w\s?h)(?P<mass>{_any_of(list(_MASSES))})\s*{_GAS}\s*(/|per)?\s*{_ENERGY}"
)
# words of a unit that is there, but not one that is understood
_GRAMS = ("g", "gr", "gram", "grams")
_PARTS = frozenset(_MASSES) - frozenset(_GRAMS) | frozenset(_POWERS) | frozenset(_HEATS)
_PARTS -= frozenset(("w", "watt", "tw"))  # west, WattTime, Taiwan: see _POWER
_PARTS |= {power + hour for power in _POWERS for hour in _HOURS} - {"kwh"}
_PARTS |= {
    "kilo",
    "kilos",
    "ton",
    "tons",
    "mt",
    "mmt",
    "mg",
    "ug",
    "stone",
    "mmbtu",
    "btu",
    "therm",
    "mwhs",
    "gallon",
}
# a power that also stands for other things, where an hour or what comes before shows that it is one
_POWER = re.compile(rf"\b(w|watt|tw)\s({_any_of(_HOURS)})\b|(/|\bper)\s*(w|watt|tw)\b")
# what tells of such a unit within a word, too
_WITHIN = re.compile(r"kg(co2|per)|\blbs|lbs\b|kilogram|tonne|(?<!k)[mgt]wh|(kilo|mega|giga|tera)watt")
# grams, or an hour's energy, of or over something that is not understood
_OVER = re.compile(rf"(?<![a-z])({_any_of(_GRAMS)})\s*{_GAS}\s*(/|per\b)|/\s*{_ENERGY}")
_OTHER_GASES = frozenset(("nox", "so2", "ch4", "n2o", "sox", "pm2", "pm25", "pm10", "nh3", "hg"))
_FORECAST = frozenset(("forecast", "forecasted", "predicted", "prediction", "projected", "prognosis"))
_INTENSITY = frozenset(("intensity", "ci", "moer", "aoer", "rating", "taux", "carbonintensity"))
# parts of the names of columns that say something of a row beside its intensity
_ASIDE = ("updated", "created", "estimat", "granularity", "source", "factortype", "duration", "flowtraced")
_NEVER = frozenset(("index", "percent", "percentage", "share", "fossil", "rank", "level", "description"))


@dataclass(frozen=True)
class Publisher:
    """A publisher whose files do not say everything in their columns' names, and what it documents.

    Attributes
    ----------
    knows : whether these names of columns are this publisher's.
    boundary, accounting : of its intensities.
    unit_g_per_kwh : its unit [g/kWh], where a name states none.
    ends : whether a time is the end of its hour.
    instead : why its files hold no intensity, and what to take from them.
    """

    name: str
    knows: Callable[[set[str]], bool]
    boundary: str = AS_GIVEN
    unit_g_per_kwh: float = 1.0
    accounting: str = ""
    ends: bool = False
    instead: str = ""


def _has(*parts: str) -> Callable[[set[str]], bool]:
    """Whether each of these is a part of some name, folded."""
    return lambda names: all(any(part in fold(_plain(name)) for name in names) for part in parts)


_CODECARBON = (
    "it is a log of computing, not of a grid: the intensity of a run is its emissions [kg] over its "
    "energy_consumed [kWh]"
)
PUBLISHERS = (
    Publisher("Electricity Maps", lambda names: {"carbonIntensity", "datetime"} <= names, LIFE_CYCLE),
    Publisher("Electricity Maps", _has("carbonintensitygco2eqkwh", "zone")),
    Publisher("UK Carbon Intensity", _has("intensityactual"), COMBUSTION),
    Publisher("UK Carbon Intensity", _has("intensityforecast", "from"), COMBUSTION),
    Publisher("UK Carbon Intensity", _has("actualcarbonintensity", "forecastcarbonintensity"), COMBUSTION),
    Publisher("RTE eCO2mix", _has("tauxco2"), COMBUSTION),
    Publisher("WattTime", _has("moer"), COMBUSTION, _GRAMS_PER_POUND / 1e3, MARGINAL),
    Publisher("WattTime", lambda names: {"point_time", "value"} <= names, COMBUSTION, _GRAMS_PER_POUND / 1e3),
    Publisher("US EIA", _has("co2emissionsintensityfor", "utctime"), COMBUSTION, _GRAMS_PER_POUND, ends=True),
    Publisher("Energinet", _has("co2emission", "pricearea")),
    Publisher("CodeCarbon", _has("emissionsrate", "energyconsumed"), instead=_CODECARBON),
    Publisher("ENTSO-E", _has("actualaggregated"), instead="it holds generation by source, not an intensity"),
    Publisher("US EIA", _has("netgenerationmw"), instead="it holds generation, not an intensity"),
)  # fmt: skip
UNKNOWN = Publisher("file", lambda names: True)


def publisher_of(header: Sequence[str]) -> Publisher:
    """Whose columns these are, or UNKNOWN."""
    names = set(header)
    return next((one for one in PUBLISHERS if one.knows(names)), UNKNOWN)


# --- one name ------------------------------------------------------------------------------------


def boundary_of(name: str) -> str:
    """What a column's name says that its intensities count; "as given" where it does not say."""
    words = _words(name)
    if words & {"lca", "lifecycle", "lcia"} or {"life", "cycle"} <= words:
        return LIFE_CYCLE
    return COMBUSTION if words & {"direct", "combustion", "stack", "smokestack"} else AS_GIVEN


def factor_type_boundary(given: object) -> str:
    """What Electricity Maps' emissionFactorType says; without one its intensities are life-cycle."""
    return LIFE_CYCLE if given is None or given == "" else boundary_of(str(given))


def unit_of(name: str, default: float | None = 1.0) -> float:
    """The unit that a name states [g/kWh], `default` where it states none.

    Raises InputError where it states one that is not understood, or none and there is no default.
    """
    found = _UNIT.search(_plain(name))
    if found is not None:
        return _in_g_per_kwh(found)
    if default is None or _is_in_a_unit(name):
        raise _unknown_unit(name)
    return default


def unit_of_text(text: str) -> float:
    """The unit [g/kWh] that a text is, and nothing else. Raises InputError where it is not."""
    found = _UNIT.fullmatch(_plain(text))
    if found is None:
        raise _unknown_unit(text)
    return _in_g_per_kwh(found)


def _in_g_per_kwh(found: re.Match[str]) -> float:
    energy = _POWERS[found["power"]] if found["heat"] is None else _HEATS[found["heat"]]
    return _MASSES[found["mass"]] / energy


def _is_in_a_unit(name: str) -> bool:
    """Whether a name in which no unit is understood has words of one all the same."""
    words = {part for word in _words(name) for part in re.split("co2(?:eq|e)?", word)}
    plain = _plain(name)
    return bool(words & _PARTS) or any(found.search(plain) for found in (_WITHIN, _POWER, _OVER))


def _unknown_unit(name: str) -> InputError:
    return InputError(
        f"the unit of {shown(name)} is not known; name it with one of g, kg, t, lb or oz "
        "per kWh, MWh, MJ or GJ, e.g. carbon_intensity_kg_per_mwh"
    )


def is_intensity(name: str) -> bool:
    """Whether a column's name is that of an intensity of carbon."""
    words = _words(name)
    if words & (_NEVER | _OTHER_GASES):
        return False
    return bool(words & _INTENSITY) or _UNIT.search(_plain(name)) is not None


def is_forecast(name: str) -> bool:
    """Whether a column holds forecasts."""
    return bool(_words(name) & _FORECAST)


def is_estimate_flag(name: str) -> bool:
    """Whether a column says which values their publisher estimated."""
    return fold(name) in ("dataestimated", "isestimated", "estimated")


# --- all names of a table ------------------------------------------------------------------------


def time_column(header: Sequence[str], where: str) -> int:
    """The place of the column of times: one in UTC, else the first that names a date and an hour."""
    scores = [_time_score(name) for name in header]
    best = max(scores, default=0)
    if not best:
        raise InputError(f"{where} has no column of times, e.g. datetime_utc; found: {_listed(header)}")
    return scores.index(best)


def ends_hour(name: str) -> bool:
    """Whether a column of times says that they are the ends of hours."""
    folded = fold(name)
    return any(words in folded for words in ("endofhour", "hourending", "hourend", "intervalend"))


def zone_columns(header: Sequence[str]) -> list[int]:
    """The columns that name the grid, the best first; several name it in several ways."""
    order = ("zonename", "zone", "zoneid", "region", "location", "pricearea", "balancingauthority", "ba",
             "area", "biddingzone", "country")  # fmt: skip
    folded = [fold(name) for name in header]
    found = [folded.index(name) for name in order if name in folded]
    return found if len(found) < 2 else [i for i in found if folded[i] != "country"]


def value_column(header: Sequence[str], asked: str | None, where: str) -> int:
    """The place of the column of intensities. Raises InputError where that is not certain."""
    if asked is not None:
        return _named_column(header, asked, where)
    skipped = {*zone_columns(header), unit_column(header)}
    others = [i for i, name in enumerate(header) if i not in skipped and not _is_aside(name)]
    if not others:
        raise InputError(
            f"{where} has no column of intensities beside {_listed(header)}; are its columns "
            "separated by commas?"
        )
    named = [i for i in others if is_intensity(header[i])]
    measured = [i for i in named or others if not is_forecast(header[i])]
    whole = [i for i in measured if boundary_of(header[i]) == LIFE_CYCLE]
    for found in (whole, measured, named, others):
        if len(found) == 1:
            return found[0]
    if not named:
        raise InputError(
            f"{where} has no column that is known to be the intensity; name one of: "
            f"{_listed([header[i] for i in others])}"
        )
    raise InputError(
        f"{where} has several columns that may be the intensity; name one of: "
        f"{_listed([header[i] for i in measured or named])}"
    )


def unit_column(header: Sequence[str]) -> int | None:
    """The column that states the unit of each row, if there is one."""
    return next((i for i, name in enumerate(header) if fold(name) in ("unit", "units")), None)


def forecast_column(header: Sequence[str], value_at: int) -> int | None:
    """The column that forecasts what another measures, for hours that are not measured yet."""
    wanted = _words(header[value_at]) - {"actual"}
    for i, name in enumerate(header):
        if i != value_at and is_forecast(name) and _words(name) - _FORECAST == wanted:
            return i
    return None


def _named_column(header: Sequence[str], asked: str, where: str) -> int:
    if asked in header:
        return list(header).index(asked)
    near = near_matches(asked, header, most=1)
    better = f"did you mean {shown(near[0], 80)}?" if near else f"found: {_listed(header)}"
    raise InputError(f"{where} has no column {shown(asked)}; {better}")


def _is_aside(name: str) -> bool:
    """Whether a column holds a time, or something of a row that is no intensity whatever it is."""
    return _time_score(name) > 0 or any(part in fold(name) for part in _ASIDE)


def _time_score(name: str) -> int:
    """How surely a column holds the times of its rows; 0 for none."""
    folded = fold(name)
    if any(words in folded for words in ("zone", "updated", "created", "timeout", "country")):
        return 0
    if folded in ("to", "end") or (folded.endswith(("end", "to")) and not ends_hour(name)):
        return 0
    is_time = folded.startswith(
        ("datetime", "timestamp", "time", "date", "hour", "from", "start", "minutes", "utc")
    )
    if not (
        is_time or folded.endswith(("time", "utc", "timestamp")) or folded in ("unixseconds", "intervalstart")
    ):
        return 0
    if "local" in folded or folded in ("hour", "hournumber", "hours", "minutes"):
        return 1
    if "utc" in folded or "unix" in folded:
        return 4
    return 2 if folded in ("date", "datadate", "day") else 3


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name, 80) for name in names[:8])


@lru_cache(maxsize=1024)
def _words(name: str) -> frozenset[str]:
    """The words of a name: parted by anything but letters and digits, and where a capital begins one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFKD", name))
    return frozenset(re.findall(r"[a-z0-9]+", apart.casefold()))


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """A name in small letters, digits and slashes; ``gCO₂-eq/kWh`` is ``gco2 eq/kwh``."""
    return re.sub(r"[^a-z0-9/]+", " ", unicodedata.normalize("NFKD", name).casefold()).strip()
