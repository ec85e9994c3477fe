"""What people call places: countries, parts of them, grids, regions of clouds.

Each takes the yearly figure of its country. Three packaged tables: the yearly intensities (a row a country,
ISO 3166 names and codes as aliases), parts of countries (states, provinces, balancing authorities, bidding
zones), and regions of clouds. Case, accents, punctuation, the order of words and forms of state ("Moldova,
Republic of") do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from joulecast import data
from joulecast.errors import UnknownNameError

# words that say what form a state has, not which it is
_FORM = frozenset(
    ("the", "of", "and", "republic", "kingdom", "state", "commonwealth", "principality", "federal")
)
_SPELT = {"st": "saint", "&": "and"}
_ZONE = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,4}){1,2}")  # ISO 3166-2 and Electricity Maps: IT-NO, US-NW-PACW
_AVAILABILITY_ZONE = re.compile(r"(?<=\d)-?[a-f]$")  # us-east-1a, europe-west4-b
_NEAR = 0.82  # of letters in common: nearer names may be meant, others only look alike
_CODE = 3  # letters, at most
_LONGEST = 100  # characters of a name that are looked at
_PROVIDERS = {
    "aws": "AWS", "amazon": "AWS", "azure": "Azure", "microsoft": "Azure", "gcp": "Google",
    "google": "Google", "scaleway": "Scaleway", "ovh": "OVHcloud", "ovhcloud": "OVHcloud",
}  # fmt: skip


@dataclass(frozen=True)
class Region:
    """A row of the yearly table."""

    name: str
    alpha2: str
    alpha3: str
    aliases: tuple[str, ...]
    kind: str
    year: int
    intensity_g_per_kwh: float
    source: str
    note: str


@dataclass(frozen=True)
class Located:
    """A place, and the region of the yearly table that stands for it.

    Attributes
    ----------
    region : the country, or itself.
    name : of the place where it is only a part of the region, e.g. ``"California"``; else ``""``.
    series : the packaged hourly series of its grid, or ``""``.
    note : what else must be said of it.
    pue, pue_year : as the cloud states it for this region, or None.
    """

    region: Region
    name: str = ""
    series: str = ""
    note: str = ""
    pue: float | None = None
    pue_year: int | None = None

    def caveats(self) -> tuple[str, ...]:
        """What must be said where the region's yearly figure stands for the place."""
        if not self.name:
            return (self.note,) if self.note else ()
        whose = f"{self.region.name}, {self.region.year}"
        told = f"{self.name} has no yearly figure of its own: that of its country was taken ({whose})"
        if self.note:
            told += f" ({self.note})"
        if self.series:
            told += f"; hourly figures of its main grid are packaged: --hourly {self.series}"
        return (told,)

    def advice(self) -> tuple[str, ...]:
        """The facility's own efficiency, where its operator states it: told, not applied."""
        if self.pue is None:
            return ()
        return (
            f"the PUE of {self.name} was {self.pue:g} in {self.pue_year}, by its operator: "
            f"--pue {self.pue:g} takes it",
        )


def located(name: str) -> Located:
    """The place of a name: a region, a part of one, or a region of a cloud. Raises UnknownNameError."""
    text = str(name).strip()
    found = _cloud(text) or _looked_up(text, _regions_by_name(), _areas_by_name())
    if found is not None:
        other = _areas_by_name().get(_folded(text))
        if other is None or found.name:
            return found
        return replace(found, note=f"{text} is read as the country {found.region.name}, not as {other.name}")
    zone = _ZONE.fullmatch(text)
    if zone is not None and zone[1] in _countries():
        return Located(_countries()[zone[1]], name=text)
    raise UnknownNameError(
        "region",
        name,
        _meant(text),
        "regions are countries by name or ISO code, their states and provinces, regions of clouds "
        "(us-east-1), or World",
    )


def find_region(name: str) -> Region:
    """A region of the yearly table by code, name or alias. Raises UnknownNameError."""
    found = _looked_up(str(name).strip(), _regions_by_name())
    if found is None:
        raise UnknownNameError("region", name, _meant(str(name)), "regions are countries, or World")
    return found.region


def series_of(name: str) -> str:
    """The packaged hourly series of a place's grid, or ``""``: US-CAL-CISO of California and of us-west-1."""
    try:
        return located(name).series
    except UnknownNameError:
        return ""


@cache
def regions() -> tuple[Region, ...]:
    """Every region of the yearly table."""
    return tuple(
        Region(
            name=row["region"],
            alpha2=row["alpha2"],
            alpha3=row["alpha3"],
            aliases=_split(row["aliases"]),
            kind=row["kind"],
            year=int(row["year"]),
            intensity_g_per_kwh=float(row["intensity_g_per_kwh"]),
            source=row["source"],
            note=row["note"],
        )
        for row in data.read_table("grid_intensity_yearly.csv")
    )


# --- looking up ----------------------------------------------------------------------------------


Names = dict[str, Located]


def _looked_up(text: str, *tables: Names) -> Located | None:
    """By the name as it is written in any table, else by its words without the form of state."""
    keys = (key for key in (_folded(text), _key(text)) if key)
    return next((table[key] for key in keys for table in tables if key in table), None)


def _named(pairs: Iterable[tuple[str, Located]]) -> Names:
    """A table by both forms of each name; a second form that two places share is neither's."""
    exact: Names = {}
    loose: dict[str, Located | None] = {}
    for name, place in pairs:
        exact[_folded(name)] = place
        key = _key(name)
        loose[key] = place if loose.get(key, place) is place else None
    return {**{key: place for key, place in loose.items() if place is not None}, **exact}


@cache
def _regions_by_name() -> Names:
    places = [(row, Located(row)) for row in regions()]
    return _named(
        (name, place)
        for row, place in places
        for name in (row.name, row.alpha2, row.alpha3, *row.aliases)
        if name
    )


@cache
def _areas_by_name() -> Names:
    places = [
        (row, Located(_countries()[row["country"]], row["area"], row["series"], row["note"]))
        for row in data.read_table("grid_areas.csv")
    ]
    return _named((name, place) for row, place in places for name in (row["area"], *_split(row["aliases"])))


@cache
def _countries() -> dict[str, Region]:
    return {row.alpha2: row for row in regions() if row.alpha2}


def _cloud(text: str) -> Located | None:
    """A region of a cloud or one of its availability zones; also ``aws us-east-1`` and ``East US 2``.

    AWS's us-east-1 and Google's us-east1 are different places: hyphens count.
    """
    words = re.split(r"[\s:/]+", text.casefold().replace("_", "-"))
    provider = _PROVIDERS.get(words[0]) if len(words) > 1 else None
    if provider:
        words = words[2:] if words[:2] == ["google", "cloud"] else words[1:]
    for spelt in ("-".join(words), "".join(words)):
        for name in (spelt, _AVAILABILITY_ZONE.sub("", spelt)):
            found = _clouds().get(name)
            if found is not None and provider in (None, found.name.partition(" ")[0]):
                return found
    return None


@cache
def _clouds() -> Names:
    return {
        row["region"]: Located(
            region=_countries()[row["country"]],
            name=f"{row['provider']} {row['region']}" + (f" ({row['place']})" if row["place"] else ""),
            series=row["series"],
            note=row["note"],
            pue=float(row["pue"]) if row["pue"] else None,
            pue_year=int(row["pue_year"]) if row["pue_year"] else None,
        )
        for row in data.read_table("cloud_regions.csv")
    }


# --- spelling ------------------------------------------------------------------------------------


def _folded(name: str) -> str:
    """Letters and digits alone, lower case, without accents: ``Côte d'Ivoire`` is ``cotedivoire``."""
    return "".join(character for character in _plain(name) if character.isalnum())


def _key(name: str) -> str:
    """The words of a name in one order, without those that say what form a state has; a blank before them."""
    words = re.findall(r"[^\W_]+|&", _plain(name).replace("'", "").replace(".", ""))
    return "".join(f" {word}" for word in sorted({_SPELT.get(word, word) for word in words} - _FORM))


def _plain(name: str) -> str:
    """Lower case, without accents."""
    apart = unicodedata.normalize("NFKD", name[:_LONGEST].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return "".join(c for c in apart.casefold() if not unicodedata.combining(c))


def _split(cell: str) -> tuple[str, ...]:
    return tuple(name for name in cell.split(";") if name)


def _meant(text: str) -> list[str]:
    """Names that may be meant: nearly the same letters, not merely some of them."""
    wanted = _folded(text)
    if len(wanted) < _CODE:
        return [name for name in ("US-" + wanted.upper(),) if _folded(name) in _areas_by_name()]
    names = [name for row in regions() for name in (row.name, *row.aliases)]
    areas = [
        name for row in data.read_table("grid_areas.csv") for name in (row["area"], *_split(row["aliases"]))
    ]
    codes = [row.alpha3 for row in regions() if row.alpha3] if len(wanted) == _CODE else []
    clouds = [name for name in _clouds() if name.count("-") == text.count("-")]
    near = [name for name in (*names, *areas, *codes, *clouds) if _is_near(wanted, _folded(name))]
    return list(dict.fromkeys(near))


def _is_near(wanted: str, known: str) -> bool:
    """Whether most letters agree in their order, or the one begins with the other."""
    if len(wanted) > _CODE and known.startswith(wanted):
        return True
    import difflib  # where a name was wrong, not before

    matcher = difflib.SequenceMatcher(None, wanted, known, autojunk=False)
    return matcher.real_quick_ratio() >= _NEAR and matcher.quick_ratio() >= _NEAR and matcher.ratio() >= _NEAR
