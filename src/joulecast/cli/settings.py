"""What `what-if` and `pareto` ask: a workload and its site in one setting, values typed."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from joulecast.cli.options import given
from joulecast.cli.site_options import FACTORS, HOURS, SITE, check_currency, check_sources, live_source
from joulecast.errors import InputError, shown

if TYPE_CHECKING:
    from joulecast.plan.tradeoff import Setting

# Keys of what the user may write for a key.
ALIASES = {"batch": "batch_size", "guidance_scale": "guidance"}


def setting_of(options: argparse.Namespace) -> dict[str, Any]:
    """The setting of one workload and its site."""
    law = {} if options.law is None else {"law": options.law}
    asked = {key: typed(key, value) for key, value in given(options).items()}
    return {**asked, **law, **site_setting(options), **at_region(options, options.region)}


def site_setting(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of a site, without its region. Raises InputError for what does not go together."""
    from joulecast.footprint.site import CURRENCY

    check_sources(options)
    check_currency(options)
    found = {name: getattr(options, name) for name in (*SITE, *HOURS)}
    found |= {"hourly": options.hourly[0] if options.hourly else None, "region": None}
    if options.price_per_kwh is not None or options.price_per_gpu_hour is not None:
        found["currency"] = options.currency or CURRENCY  # a cost says its currency, in files too
    return {name: typed(name, value) for name, value in found.items() if value is not None}


def at_region(options: argparse.Namespace, region: str | None) -> dict[str, Any]:
    """What a region adds to a setting: itself, and its intensity of now where that is asked for."""
    if region is None:
        return {}
    live = {"intensity": live_source(options)(region, None)} if options.live else {}
    return {"region": region, **live}


def typed(key: str, value: object) -> Any:
    """The value of a setting's key as the type it has. Raises InputError."""
    from joulecast.architecture.workload import LIMITS, whole_number
    from joulecast.files.numbers import whole

    if key in LIMITS:
        return whole_number(key, value)
    if key == "year":
        return whole(value, "year")
    if key == "negative_prompt" and isinstance(value, str):
        return _yes_or_no(value)
    return _number(value) if key in ("guidance", "intensity", *FACTORS) else value


def plain_setting(setting: Setting) -> dict[str, Any]:
    """A setting for JSON; an intensity that was asked of an API is the number it was."""
    from joulecast.footprint.grid.yearly import GridIntensity

    intensity = setting.get("intensity")
    if not isinstance(intensity, GridIntensity):
        return dict(setting)
    return {**setting, "intensity": intensity.intensity.amount.value}


def _number(value: object) -> object:
    """A finite number where there is one; a range stays the text that says it."""
    try:
        number = float(str(value))
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    return int(number) if number.is_integer() else number


def _yes_or_no(text: str) -> bool:
    if text.casefold() not in ("yes", "no", "true", "false"):
        raise InputError(f"negative-prompt is yes or no, not {shown(text)}")
    return text.casefold() in ("yes", "true")
