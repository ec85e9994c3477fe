"""Energy of an image or clip, its 90 % interval, time, power, and each component's part."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from joulecast.cli.options import (
    OUTPUT,
    chart_option,
    draw,
    estimate_options,
    json_option,
    picture,
    progress,
    setting_of,
)
from joulecast.cli.site_options import asks_for_a_site, site_of, site_options
from joulecast.cli.with_footprint import print_answer

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.forecast.estimate import Estimate


def add_options(command: argparse.ArgumentParser) -> None:
    """What `estimate` takes."""
    estimate_options(command, traces=True)
    site_options(command, images=True)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument(
        "--sources", action="store_true", help="also print what was fitted on, and where the figures are from"
    )
    chart_option(output, "where the joules of the image or clip go")


def run(options: argparse.Namespace) -> int:
    """Print an estimate, with its footprint where a site is asked for, and draw it where a picture is."""
    from joulecast.forecast.estimate import estimate_of
    from joulecast.question.question import ask

    setting = setting_of(options)
    notes: tuple[str, ...] = ()
    if "/" in str(options.model):  # maybe a hub id, for which more is loaded
        from joulecast.question.unlisted import with_unlisted

        setting, notes = with_unlisted(setting, progress)
    guess = estimate_of(ask(setting, notes) if notes else ask(setting), options.law)
    target = picture(options.chart)
    answer = _footprint(guess, options) if asks_for_a_site(options) else None
    print_answer(guess, lambda: _text(guess, options.sources), answer, options, options.sources)
    if target is not None:
        from joulecast.report.decisions.pictures import estimate_chart

        draw(estimate_chart(guess), target)
    return 0


def _text(guess: Estimate, with_sources: bool) -> str:
    from joulecast.report.estimate_text import estimate_text

    return estimate_text(guess, with_sources)


def _footprint(guess: Estimate, options: argparse.Namespace) -> Footprint:
    from joulecast.files.numbers import whole
    from joulecast.footprint.account import footprint_of

    images = 1 if options.images is None else whole(options.images, "--images")
    return footprint_of(guess, site_of(options), images)
