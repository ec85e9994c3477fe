"""What `what-if` and `pareto` ask: a case, of what was given of a workload, its site and the law."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from joulecast.cli.options import given
from joulecast.cli.site_options import HOURS, SITE, check_currency, check_sources, live_source

if TYPE_CHECKING:
    from joulecast.plan.case import Case


def case_of(options: argparse.Namespace) -> Case:
    """The case of one workload and its site."""
    from joulecast.plan.case import Case

    return Case.of(
        {
            **given(options),
            "law": options.law,
            **site_setting(options),
            **at_region(options, options.region),
        }
    )


def site_setting(options: argparse.Namespace) -> dict[str, object]:
    """What was given of a site, without its region. Raises InputError for what does not go together."""
    from joulecast.footprint.site import CURRENCY

    check_sources(options)
    check_currency(options)
    found = {name: getattr(options, name) for name in (*SITE, *HOURS, "hourly_column")}
    found |= {"hourly": options.hourly[0] if options.hourly else None, "region": None}
    found["allow_gaps"] = options.allow_gaps or None
    if options.price_per_kwh is not None or options.price_per_gpu_hour is not None:
        found["currency"] = options.currency or CURRENCY  # a cost says its currency, in files too
    return {name: value for name, value in found.items() if value is not None}


def at_region(options: argparse.Namespace, region: str | None) -> dict[str, object]:
    """What a region adds to a case: itself, and its intensity of now where that is asked for."""
    if region is None:
        return {}
    live = {"intensity": live_source(options)(region, None)} if options.live else {}
    return {"region": region, **live}


def plain_case(case: Case) -> dict[str, object]:
    """What was given of a case, for JSON; an intensity that was asked of an API is the number it was."""
    from joulecast.footprint.grid.yearly import GridIntensity

    intensity = case.place.intensity
    if not isinstance(intensity, GridIntensity):
        return dict(case.given)
    return {**case.given, "intensity": intensity.intensity.amount.value}
