"""What a change does to an image: energy, time, carbon and cost before and after, and how surely."""

from __future__ import annotations

import argparse
from typing import Any

from joulecast.cli.options import OUTPUT, WORKLOAD, estimate_options, json_option, print_json
from joulecast.cli.settings import ALIASES, plain_setting, setting_of, typed
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

    if not options.to:
        raise InputError("say what changes: --to KEY=VALUE, e.g. --to steps=28 or --to gpu=h200")
    setting, changes = setting_of(options), [_change(text) for text in options.to]
    found = [what_if(setting, change) for change in _with_all_together(changes)]
    if options.json:
        return print_json({"setting": plain_setting(setting), "changes": [one.to_dict() for one in found]})
    from joulecast.footprint.site import CURRENCY
    from joulecast.forecast.estimate import estimate
    from joulecast.plan.tradeoff import ESTIMATE_KEYS
    from joulecast.report.decisions.tradeoff_text import what_if_text
    from joulecast.report.estimate_text import title

    guess = estimate(**{key: value for key, value in setting.items() if key in ESTIMATE_KEYS})
    place = setting.get("region") or setting.get("hourly")
    head = title(guess.workload, guess.gpu) + (f", in {place}" if place else "")
    print(what_if_text(found, head, options.currency or CURRENCY))
    return 0


def _with_all_together(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each change, then all of them, where there are several and none speaks of what another does."""
    keys = [key for change in changes for key in change]
    if len(changes) == 1 or len(set(keys)) < len(keys):
        return changes
    return [*changes, {key: value for change in changes for key, value in change.items()}]


def _change(text: str) -> dict[str, Any]:
    """``KEY=VALUE`` as a change of a setting; keys are the options' names."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"--to {shown(text)} is not KEY=VALUE, e.g. --to steps=28")
    name = key.strip().lstrip("-").replace("-", "_")
    name = ALIASES.get(name, name)
    known = [n for n in ("model", "gpu", *WORKLOAD, *SITE, *HOURS) if n not in FIXED]
    if name not in known:
        raise UnknownNameError("change", key.strip(), [k.replace("_", "-") for k in known])
    return {name: typed(name, value.strip())}
