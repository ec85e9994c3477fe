"""When a grid is clean: carbon intensity by hour of the day, the mean and where nine days in ten lie."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, OUTPUT, chart_option, draw, json_option, picture, print_json
from joulecast.errors import InputError


def add_options(command: argparse.ArgumentParser) -> None:
    """What `grid` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("series", metavar="SERIES", nargs="+", help="hourly series: packaged ones (US-CAL-CISO) or files")
    add("--timezone", metavar="ZONE", help="of the hours of the day; UTC by default")
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    chart_option(output, "a panel a series")


def run(options: argparse.Namespace) -> int:
    """Print series by the hour of the day, and draw them."""
    from joulecast.footprint.grid.reading import find_series
    from joulecast.report.decisions.rows import intensity_hours

    found = [find_series(name, timezone=options.timezone) for name in options.series]
    target = picture(options.chart)
    known = {one.region: one for one in found}
    if len(known) < len(found):
        raise InputError(f"two of these series are of one region: {', '.join(one.region for one in found)}")
    rows = intensity_hours(known, options.timezone)
    caveats = list(dict.fromkeys(words for one in found for words in one.caveats()))
    if options.json:
        print_json({"timezone": options.timezone or "UTC", "hours": rows, "warnings": caveats})
    else:
        from joulecast.report.decisions.tradeoff_text import grid_text

        print(grid_text(rows, options.timezone or "UTC", caveats))
    if target is not None:
        from joulecast.report.decisions.pictures import intensity_chart

        draw(intensity_chart(known, options.timezone), target)
    return 0
