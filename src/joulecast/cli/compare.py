"""Did a change save joules? Runs that differ in nothing else, in pairs, with a 95 % interval."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json
from joulecast.units import counted


def add_options(command: argparse.ArgumentParser) -> None:
    """What `compare` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("store", metavar="FILE", help="a campaign's store (.db)")
    add("--a", required=True, metavar="SETTINGS", help='e.g. "runtime=eager"')
    add("--b", required=True, metavar="SETTINGS", help='e.g. "runtime=compiled"')
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """Print pairs of runs and what the change did to their energy."""
    from joulecast.measure.compare import compare
    from joulecast.measure.store import Store
    from joulecast.report import amounts as quantity
    from joulecast.report.lines import heading, sentence
    from joulecast.report.measured_text import INVENTED, describe, output_of

    with Store(options.store, create=False) as store:
        found, is_dry_run = compare(store, options.a, options.b), store.is_dry_run
    if options.json:
        answer = {**found.to_dict(), "is_dry_run": is_dry_run}
        return print_json(answer)
    for pair in found.pairs:
        energies = f"{quantity.energy(pair.energy_a_j)} -> {quantity.energy(pair.energy_b_j)}"
        energies += f" per {output_of(pair.spec)}"
        print("\n".join(sentence(f"{describe(pair.spec)}: {energies}")))
    change = 100 * (found.ratio - 1)
    low, high = 100 * (found.ratio_low - 1), 100 * (found.ratio_high - 1)
    verdict = "a clear change" if found.is_clear else "not told apart from no change"
    pairs = counted(len(found.pairs), "pair")
    told = f"energy of b over a: {change:+.1f} % (95 %: {low:+.1f} to {high:+.1f} %), {pairs}: {verdict}"
    print("\n".join(heading(told)))
    if is_dry_run:
        print(INVENTED)
    return 0
