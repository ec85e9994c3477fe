"""What a change does to an image: energy, time, carbon and cost before and after, and how surely."""

from __future__ import annotations

import argparse

from joulecast.cli.options import OUTPUT, WORKLOAD, estimate_options, json_option, print_json
from joulecast.cli.settings import case_of, plain_case
from joulecast.cli.site_options import HOURS, SITE, site_options
from joulecast.errors import InputError, UnknownNameError, shown

FIXED = ("boundary", "currency")  # of the question, not of the image


def add_options(command: argparse.ArgumentParser) -> None:
    """What `what-if` takes."""
    estimate_options(command)
    command.add_argument_group("what changes").add_argument(
        "--to",
        metavar="KEY=VALUE",
        action="append",
        help="a change, e.g. steps=28, gpu=h200, region=FR or at=20:00; several: each alone, then together",
    )
    site_options(command)
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """Print what each change does, and all of them together."""
    from joulecast.plan.whatif import what_if
    from joulecast.report.decisions.what_if_text import what_if_data, what_if_text

    if not options.to:
        raise InputError("say what changes: --to KEY=VALUE, e.g. --to steps=28 or --to gpu=h200")
    case, changes = case_of(options), [_change(text) for text in options.to]
    found = [what_if(case, change) for change in _with_all_together(changes)]
    if options.json:
        return print_json({"setting": plain_case(case), "changes": [what_if_data(one) for one in found]})
    from joulecast.footprint.site import CURRENCY
    from joulecast.question.question import ask
    from joulecast.report.estimate_text import title

    place = case.place.region or case.place.hourly
    head = title(ask(case.asked)) + (f", in {place}" if place else "")
    print(what_if_text(found, head, options.currency or CURRENCY))
    return 0


def _with_all_together(changes: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each change, then all of them, where there are several and none speaks of what another does."""
    keys = [key for change in changes for key in change]
    if len(changes) == 1 or len(set(keys)) < len(keys):
        return changes
    return [*changes, {key: value for change in changes for key, value in change.items()}]


def _change(text: str) -> dict[str, str]:
    """``KEY=VALUE`` as a change of a setting; keys are the options' names."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"--to {shown(text)} is not KEY=VALUE, e.g. --to steps=28")
    from joulecast.question.setting import key_of

    written = key.strip().lstrip("-")
    name = key_of(written) or written.replace("-", "_")
    known = [n for n in ("model", "gpu", *WORKLOAD, *SITE, *HOURS) if n not in FIXED]
    if name not in known:
        raise UnknownNameError("change", key.strip(), [k.replace("_", "-") for k in known])
    return {name: value.strip()}
