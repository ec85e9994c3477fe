"""What a change does to an image or clip: energy, time, carbon and cost, and how surely."""

from __future__ import annotations

import argparse

from joulecast.cli.options import OUTPUT, WORKLOAD, estimate_options, json_option, print_json, setting_of
from joulecast.cli.site_options import FACTORS, GRID, place_of, site_options
from joulecast.errors import InputError, shown

# What may change; the boundary, the law and the currency are of the question, not of the image.
CHANGES = (
    "model",
    *(name for name in WORKLOAD if name != "boundary"),
    *GRID,
    *FACTORS,
    "hourly",
    "at",
    "timezone",
)


def add_options(command: argparse.ArgumentParser) -> None:
    """What `what-if` takes."""
    estimate_options(command, traces=False)
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
    from joulecast.plan.case import Case
    from joulecast.plan.whatif import what_if
    from joulecast.report.decisions.what_if_text import what_if_data, what_if_text

    if not options.to:
        raise InputError("say what changes: --to KEY=VALUE, e.g. --to steps=28 or --to gpu=h200")
    changes = [_change(text) for text in options.to]
    case = Case(setting_of(options), place_of(options), options.law)
    found = [what_if(case, change) for change in _with_all_together(changes)]
    if options.json:
        return print_json({"setting": case.to_dict(), "changes": [what_if_data(one) for one in found]})
    from joulecast.footprint.site import CURRENCY
    from joulecast.question.question import ask
    from joulecast.report.estimate_text import title

    place = case.place.region or case.place.hourly
    head = title(ask(case.asked)) + (f", in {place}" if place else "")
    print(what_if_text(found, head, options.currency or CURRENCY))
    return 0


def _with_all_together(changes: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each change, then all of them, where there are several and none speaks of what another does."""
    same = {"seconds": "frames", "parallel": "gpus"}
    keys = [same.get(key, key) for change in changes for key in change]
    if len(changes) == 1 or len(set(keys)) < len(keys):
        return changes
    return [*changes, {key: value for change in changes for key, value in change.items()}]


def _change(text: str) -> dict[str, str]:
    """``KEY=VALUE`` as a change of a case; keys are the options' names."""
    from joulecast.question.setting import key_of, refuse_work

    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"--to {shown(text)} is not KEY=VALUE, e.g. --to steps=28")
    written = key.strip().lstrip("-").replace("-", "_")
    name = key_of(written) or written
    if name not in CHANGES:
        known = [change.replace("_", "-") for change in CHANGES]
        refuse_work(key.strip(), value.strip(), "change", known, f"known: {', '.join(known)}")
        raise InputError(f"{text.strip()} is what the setting has already: nothing changes")
    return {name: value.strip()}
