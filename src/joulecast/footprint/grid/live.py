"""The carbon intensity of now, from an API: Electricity Maps with a key, UK Carbon Intensity without.

What an API says is checked before it is believed. When it cannot be had, the packaged yearly figure
is taken instead, and a warning says so and why: never silently. Answers are kept in a cache file.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from joulecast.errors import FileFormatError, InputError, JoulecastError, shown
from joulecast.files.documents import parse_json
from joulecast.files.numbers import within
from joulecast.files.paths import user_bytes
from joulecast.footprint.factors import PLAUSIBLE
from joulecast.footprint.grid.headers import factor_type_boundary
from joulecast.footprint.grid.kinds import COMBUSTION, LOCATION_BASED
from joulecast.footprint.grid.places import located
from joulecast.footprint.grid.times import MOST_SECONDS, stamp_of
from joulecast.footprint.grid.yearly import (
    GridIntensity,
    boundary_caveats,
    grid_intensity,
    value_caveats,
)
from joulecast.footprint.quantity import Quantity
from joulecast.uncertainty import Interval
from joulecast.units import SECONDS_PER_HOUR

ELECTRICITY_MAPS = "https://api.electricitymaps.com/v3"
UK_CARBON_INTENSITY = "https://api.carbonintensity.org.uk"
KEY_VARIABLE = "ELECTRICITYMAPS_API_KEY"
MOST_BYTES = 100_000
MOST_AGE_S = 6 * SECONDS_PER_HOUR  # of an answer's own time
CACHE_S = 900.0


# an answer's value [g/kWh], its time, and what it counts
Said = tuple[Any, Any, str]


class _UnusableError(Exception):
    """An answer that cannot be believed, or none."""


class _UnreachableError(_UnusableError):
    """No answer."""


def live_intensity(
    region: str,
    *,
    key: str | None = None,
    url: str | None = None,
    timeout_s: float = 5.0,
    cache: Path | None = None,
    now: Callable[[], float] = time.time,
    unreachable: dict[str, str] | None = None,
) -> GridIntensity:
    """The intensity of the grid now, or the packaged yearly figure with a warning that says why.

    Parameters
    ----------
    region : a country of the packaged table.
    key : of Electricity Maps; by default the environment's ELECTRICITYMAPS_API_KEY. Without one the
        United Kingdom is asked of UK Carbon Intensity, and no other region can be had.
    url : the API's address, without the path.
    timeout_s : seconds to wait for an answer.
    cache : a folder for answers, kept 15 minutes; None keeps none.
    unreachable : addresses that did not answer and why; they are not asked again.

    Raises UnknownNameError for another region, InputError for a time-out or a key that cannot be.
    """
    place = located(region)
    row, key = place.region, _key(key)
    if not math.isfinite(timeout_s) or timeout_s <= 0:
        raise InputError(f"the time-out must be a positive number of seconds, not {timeout_s}")
    down = {} if unreachable is None else unreachable
    try:
        if key:
            base, name = url or ELECTRICITY_MAPS, "Electricity Maps"
            address = f"{base}/carbon-intensity/latest?" + urllib.parse.urlencode({"zone": row.alpha2})
            read: Callable[[Any], Said] = _maps(row.alpha2)
        elif row.alpha2 == "GB":
            base, name, read = url or UK_CARBON_INTENSITY, "UK Carbon Intensity", _uk
            address = f"{base}/intensity"
        else:
            raise _UnusableError(f"no key of Electricity Maps was given (in {KEY_VARIABLE})")
        if not row.alpha2:
            raise _UnusableError(f"{row.name} is no single grid")
        if base in down:
            raise _UnusableError(down[base])
        try:
            answer = _cached(address, key, timeout_s, cache, now)
        except _UnreachableError as reason:
            down[base] = str(reason)
            raise
        value, moment, boundary = _checked(answer, read, now)
    except _UnusableError as reason:
        return _fallback(region, str(reason))
    intensity = Quantity(Interval.exact(value), "g/kWh")
    return GridIntensity(
        intensity=intensity,
        region=row.name,
        accounting=LOCATION_BASED,
        year=moment.year,
        boundary=boundary,
        source=f"{name}, live, {row.name}, {moment:%Y-%m-%dT%H:%MZ}",
        warnings=(
            *place.caveats(),
            *boundary_caveats(row.name, boundary),
            *value_caveats(row.name, intensity, boundary, LOCATION_BASED),
        ),
    )


@dataclass
class LiveSource:
    """Intensities of now; an address that cannot be reached is asked once and not again."""

    timeout_s: float = 5.0
    cache: Path | None = None
    unreachable: dict[str, str] = field(default_factory=dict)
    _known: dict[str, GridIntensity] = field(default_factory=dict)

    def __call__(self, region: str | None, time: str | None) -> GridIntensity:
        """Raises UnknownNameError for a region that the packaged table does not have either."""
        if region is None:
            raise InputError("a live intensity needs a region, e.g. FR")
        if region not in self._known:
            self._known[region] = live_intensity(
                region, timeout_s=self.timeout_s, cache=self.cache, unreachable=self.unreachable
            )
        return self._known[region]


def cache_folder() -> Path | None:
    """Where answers are kept: JOULECAST_CACHE, else the user's cache folder; None for nowhere."""
    given = os.environ.get("JOULECAST_CACHE")
    if given is not None:
        return Path(given) if given else None
    try:
        home = Path.home()
    except RuntimeError:  # no home
        return None
    places = {
        "win32": os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local",
        "darwin": home / "Library" / "Caches",
    }
    return Path(places.get(sys.platform) or os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "joulecast"


def _key(given: str | None) -> str | None:
    """The key of Electricity Maps, given or of the environment; InputError where no header can hold it."""
    key = (given or os.environ.get(KEY_VARIABLE) or "").strip() or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InputError(f"the key of Electricity Maps ({KEY_VARIABLE}) holds characters that no key has")
    return key


def _fallback(region: str, reason: str) -> GridIntensity:
    packaged = grid_intensity(region)
    warning = (
        f"no live intensity of {packaged.region}: {reason}; the packaged yearly, "
        f"{packaged.boundary} figure of {packaged.year} was taken"
    )
    return replace(packaged, warnings=(warning, *packaged.warnings))


def _cached(
    address: str, key: str | None, timeout_s: float, cache: Path | None, now: Callable[[], float]
) -> Any:
    place = None
    if cache is not None:
        safe = "".join(c if c.isalnum() else "_" for c in address.partition("://")[2])
        place = Path(cache) / f"intensity_{safe}.json"
        try:
            kept = parse_json(user_bytes(place, "the answer kept in", 2 * MOST_BYTES), "it")
            if 0 <= now() - within(kept["at"], "its time", 0, MOST_SECONDS) < CACHE_S:
                return kept["answer"]
        except (JoulecastError, KeyError, TypeError):
            pass  # no cache, or a damaged one: ask again
    answer = _ask(address, key, timeout_s)
    if place is not None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps({"at": now(), "answer": answer}), encoding="utf-8")
        except OSError:
            pass  # a cache that cannot be written costs another question, nothing more
    return answer


def _ask(address: str, key: str | None, timeout_s: float) -> Any:
    if not address.startswith(("https://", "http://")):
        raise InputError(f"the address of an API begins with https://, not {shown(address)}")
    request = urllib.request.Request(address, headers={"Accept": "application/json"})
    if key:
        request.add_unredirected_header("auth-token", key)  # never to a host the API sends us to
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            content = response.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise _UnusableError(f"the API answered {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise _UnreachableError(
            f"the API could not be reached ({str(reason) or type(error).__name__})"
        ) from error
    if len(content) > MOST_BYTES:
        raise _UnusableError(f"the API answered with more than {MOST_BYTES:,} bytes")
    try:
        return parse_json(content, "the API's answer")
    except FileFormatError as error:
        raise _UnusableError(str(error).partition(";")[0]) from None  # without what would mend a file


def _maps(zone: str) -> Callable[[Any], Said]:
    def read(answer: Any) -> Said:
        if answer.get("zone") != zone:
            raise _UnusableError(f"the API answered for {shown(answer.get('zone'))}, not for {zone}")
        counted = factor_type_boundary(answer.get("emissionFactorType"))
        return answer.get("carbonIntensity"), answer.get("datetime"), counted

    return read


def _uk(answer: Any) -> Said:
    """The actual intensity of the first item, or the forecast until there is one."""
    item = answer["data"][0]
    found = item.get("intensity")
    if isinstance(found, dict):
        found = found.get("forecast") if found.get("actual") is None else found["actual"]
    return found, item.get("from"), COMBUSTION


def _checked(
    answer: Any, read: Callable[[Any], Said], now: Callable[[], float]
) -> tuple[float, datetime, str]:
    """The value, its time and what it counts, if they can be believed."""
    try:
        value, text, boundary = read(answer)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise _UnusableError("the API's answer has another form than expected") from error
    least, most, _ = PLAUSIBLE["intensity"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _UnusableError(f"the API states {shown(value)} g/kWh, which cannot be")
    try:
        moment = stamp_of(text, UTC, None, "the API's answer", Counter())
    except JoulecastError as error:
        raise _UnusableError(str(error)) from None
    age = now() - moment.timestamp()
    if abs(age) > MOST_AGE_S:
        raise _UnusableError(f"the API's value is of {moment:%Y-%m-%dT%H:%MZ}, not of now")
    return float(value), moment, boundary
