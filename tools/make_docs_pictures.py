"""Regenerate the pictures of the documentation, and the tables of the pages on laws, from what is packaged.

    python tools/make_docs_pictures.py

Writes ``docs/pictures/*.svg``, and between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` the
tables in PAGES. Needs the extras `fit` and `plot`, with the
versions in `constraints.txt`; a test holds that the tables have not drifted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from joulecast import data
from joulecast.compute.profile_file import packaged_profile
from joulecast.footprint.grid.reading import hourly_series
from joulecast.law.forms import find_form, known_forms
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.paper_gpus import on_three_gpus, what_sets_the_time
from joulecast.law.priors import PRIORS
from joulecast.law.reproduction import reproduction
from joulecast.law.roofline import RooflineLaw
from joulecast.law.score_runs import within_groups
from joulecast.plan.demand import demand_of
from joulecast.plan.ratio import held, ratio_error
from joulecast.plan.solve import solve
from joulecast.plan.tradeoff import Outcome, fronts, possible_outcomes
from joulecast.report import charts
from joulecast.report.decisions.front_picture import pareto_chart
from joulecast.report.decisions.pictures import fleet_chart, intensity_chart, plan_chart
from joulecast.report.validation.page import pictures
from joulecast.report.validation.paper_text import bound_cells, bound_header, three_cells, three_header
from joulecast.report.validation.rows import HOLDOUT_TITLES, HeldOutPoint, held_out_points
from joulecast.report.validation.text import HOLDOUTS
from joulecast.runtime import REFERENCE_STRATUM

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("methodology.md", "validation.md")
BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
WORST = 10
FRONT_BY = ("energy_j", "latency_s")

KINDS = {
    "reference": "eager diffusers, one GPU",
    "one_gpu": "another runtime, one GPU",
    "several_gpus": "several GPUs",
}

# Unit and meaning of the roofline law's shared parameters.
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "energy_per_flop_j": ("J", "tensor-core FLOP on the reference chip"),
    "energy_per_score_j": ("J", "attention score (a query-key pair of a head)"),
    "energy_per_byte_j": ("J", "byte moved"),
    "energy_per_fp32_flop_j": ("J", "fp32 FLOP on the CUDA cores"),
    "convolution_energy": ("1", "energy of a convolution's FLOP over a matrix product's"),
    "convolution_traffic": ("1", "bytes a convolution moves over those of its tensors"),
    "gemm_efficiency": ("1", "share of the reference chip's 16-bit peak, matrix products"),
    "convolution_efficiency": ("1", "the same, convolutions"),
    "attention_efficiency": ("1", "the same, attention"),
    "exponential_efficiency": ("1", "share of the rate of special function units, a score each"),
    "fp32_efficiency": ("1", "share of the fp32 peak"),
    "bandwidth_efficiency": ("1", "share of the memory bandwidth"),
    "kernel_time_s": ("s", "GPU time of a launch, whatever its work"),
    "launch_time_s": ("s", "host time of an operator"),
    "module_time_s": ("s", "further host time of an operator with FLOP"),
    "static_power_share": ("1", "static power over the power limit"),
    "power_limit_share": ("1", "power at which the limit binds, over the limit"),
    "lowest_clock": ("1", "clock below which the voltage falls no further, over the boost clock"),
    "node_exponent": ("1", "of the process's switching energy"),
    "clock_exponent": ("1", "of the clock, in the energy of an operation"),
    "attention_3_time": ("1", "FlashAttention 3: time of attention left, on Hopper"),
    "fused_time": ("1", "fused kernels: time of arithmetic left"),
    "fused_bytes": ("1", "memory-bound traffic left"),
    "fused_kernels": ("1", "GPU time of launches left"),
    "fused_host": ("1", "host time left"),
    "eight_bit_efficiency": ("1", "8-bit arithmetic: share of the gain of its peak"),
    "quantising_traffic": ("1", "bytes to scale what it multiplies, over the products' own"),
    "dequantising_traffic": (
        "1",
        "quantised weights alone: bytes to expand them, over the weights' in 16 bits",
    ),
    "unsplit_share": ("1", "several GPUs: share of the denoiser's work that each does again"),
    "repeated_share": ("1", "share of the other components' work that each does again"),
    "link_efficiency": ("1", "share of the link's bandwidth"),
    "exchange_traffic": ("1", "bytes copied for an exchange, over attention's"),
    "exchange_time_s": ("s", "GPU time of an exchange, whatever its size"),
    "exchange_host_s": ("s", "host time of an exchange"),
    "waiting_power_share": ("1", "power of a board that waits, beside the static, over the power limit"),
}
FIGURES: Mapping[str, Callable[[float], str]] = {
    "r2": "{:.3f}".format,
    "median": "{:.1f}".format,
    "p90": "{:.1f}".format,
    "worst": "{:.0f}".format,
    "bias": "{:+.1f}".format,
    "spearman": "{:.3f}".format,
    "kendall": "{:.3f}".format,
    "coverage": "{:.0f}".format,
    "width": "{:.2f}".format,
}


def main() -> None:
    """Write the pictures and the tables."""
    (DOCS / "pictures").mkdir(exist_ok=True)
    runs = fitted_runs()[0]
    for picture in pictures(data.read_table("held_out.csv"), runs, load_law(), set(known_forms())):
        charts.save(picture.chart, DOCS / "pictures" / f"{picture.name}.svg")
    for name, chart in decisions().items():
        charts.save(chart, DOCS / "pictures" / f"{name}.svg")
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def decisions() -> dict[str, Any]:
    """The pictures of the page on planning, by name: of the commands and the demand file that it shows."""
    page = (DOCS / "planning.md").read_text(encoding="utf-8")
    file = re.search(r"<!-- file: demand.toml -->\n```toml\n(.*?)```", page, re.DOTALL)
    if file is None:
        raise LookupError("docs/planning.md shows no demand.toml")
    demand = demand_of(tomllib.loads(file[1]))
    plan = solve(demand.problem)
    found, front = compared()
    grids = {name: hourly_series(name) for name in ("US-CAL-CISO", "US-NW-BPAT", "US-NY-NYIS")}
    return {
        "front": pareto_chart(found, front, FRONT_BY),
        "plan-hours": plan_chart(plan, demand.problem, demand.start),
        "plan-fleet": fleet_chart(plan, demand.problem),
        "grids": intensity_chart(grids, "America/Los_Angeles"),
    }


def compared() -> tuple[Sequence[Outcome], Sequence[Outcome]]:
    """The settings that the page on planning compares, as far as they can run, and their front."""
    found, _left_out = possible_outcomes([
        {"model": "sdxl", "gpu": gpu, "steps": steps, "precision": "fp16", "batch_size": batch}
        for gpu in ("H100-SXM5-80GB", "A100-SXM4-80GB", "L4")
        for steps in (20, 30)
        for batch in (1, 4, 8, 16)
    ])  # fmt: skip
    return found, fronts(found, FRONT_BY)


def pages() -> dict[str, str]:
    """The pages by file name, their tables made anew."""
    made = {name: "\n".join([*make(), ""]) for name, make in TABLES.items()}
    out = {}
    for name in PAGES:
        text = (DOCS / name).read_text(encoding="utf-8")
        out[name] = BLOCK.sub(lambda match: match[1] + made[match["name"]] + match[3], text)
    return out


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int) -> Iterator[str]:
    """A Markdown table; columns from `numbers_from` on are flush right."""
    yield "| " + " | ".join(header) + " |"
    yield "|" + "|".join("---" if i < numbers_from else "---:" for i in range(len(header))) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def roofline() -> RooflineLaw:
    """The packaged roofline law."""
    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    return law


def parameters() -> Iterator[str]:
    """The roofline law's shared parameters: what they mean, their priors, their fitted values."""
    law = roofline()
    assert law.covariance is not None
    errors = np.sqrt(np.diag(law.covariance.matrix))
    rows = []
    for (name, prior), error in zip(PRIORS.items(), errors, strict=True):
        unit, meaning = PARAMETERS[name]
        value = law.parameters.shared[name]
        relative = error * (1 - value) if prior.is_share else error
        rows.append(
            [f"`{name}`", unit, meaning, f"{prior.median:.3g}", f"{value:.3g}", f"{100 * relative:.0f} %"]
        )
    yield from table(["parameter", "unit", "meaning", "prior median", "fitted", "+-"], rows, 3)


def chips() -> Iterator[str]:
    """The effects of chips."""
    q = roofline().parameters
    rows = [
        [chip, f"{np.exp(effect):.3f}", f"{np.exp(q.chip_slowness[chip]):.3f}"]
        for chip, effect in q.chip_effects.items()
    ]
    header = [
        "chip",
        "energy of an operation over the law's without the effect",
        "time of arithmetic, the same",
    ]
    yield from table(header, rows, 2)


def engines() -> Iterator[str]:
    """The effects of engines, quantised kernels and caches."""
    q = roofline().parameters
    rows = [
        ["engine", name, "time of arithmetic", f"{np.exp(x):.3f}"] for name, x in q.engine_slowness.items()
    ]
    rows += [
        ["quantization", name, "time of its products", f"{np.exp(x):.3f}"]
        for name, x in q.quantised_slowness.items()
    ]
    rows += [["cache", name, "denoiser calls left", f"{x:.3f}"] for name, x in q.cache_shares.items()]
    yield from table(["kind", "name", "what", "over the law's without the effect"], rows, 1)


def laws_on(quantity: str) -> Iterator[str]:
    """Errors of every law under every hold-out."""
    rows = []
    for form in known_forms():
        for holdout in FAMILIARITY[:-1]:  # the reference runtime is never held out
            scores = load_law(form).errors[holdout].to_dict()[quantity] or {}
            figures = [
                "-" if (value := scores[name]) is None else show(value) for name, show in FIGURES.items()
            ]
            rows.append([f"`{form}`", HOLDOUTS[holdout], str(scores["runs"]), *figures])
    header = [
        "law", "held out", "runs", "R2 of log", "median %", "9 in 10 %", "worst %", "bias %", "Spearman",
        "Kendall", "covered %", "interval x/",
    ]  # fmt: skip
    yield from table(header, rows, 2)


@cache
def points() -> list[HeldOutPoint]:
    """The default law's held-out predictions."""
    runs = fitted_runs()[0]
    law = load_law()
    rows = held_out_points(data.read_table("held_out.csv"), runs, law, packaged_profile)
    return [row for row in rows if row["law"] == law.form]


def strata() -> Iterator[str]:
    """The default law's errors by kind of run, under every hold-out."""
    rows = []
    known: dict[tuple[str, ...], list[HeldOutPoint]] = {}
    for p in points():
        known.setdefault((p["quantity"], p["stratum"], p["holdout"], p["task"]), []).append(p)
    for quantity, word in (("energy", "energy"), ("duration", "time")):
        for stratum, kind in KINDS.items():
            for holdout in FAMILIARITY:
                for task in ("image", "video"):
                    if here := known.get((quantity, stratum, HOLDOUT_TITLES[holdout], task)):
                        rows.append([word, kind, f"{task}s", HOLDOUTS[holdout], *_errors_of(here)])
    header = ["of", "kind of run", "of", "held out", "runs", "median %", "9 in 10 %", "worst %", "covered %"]
    yield from table(header, rows, 4)


def runtimes_held_out() -> Iterator[str]:
    """The default law's errors on each runtime that was held out."""
    rows = []
    for quantity, word in (("energy", "energy"), ("duration", "time")):
        here = [p for p in points() if (p["quantity"], p["holdout"]) == (quantity, "each runtime in turn")]
        for runtime in dict.fromkeys(p["runtime"] for p in here):
            rows.append([word, runtime, *_errors_of([p for p in here if p["runtime"] == runtime])])
    yield from table(
        ["of", "runtime held out", "runs", "median %", "9 in 10 %", "worst %", "covered %"], rows, 2
    )


def _errors_of(some: list[HeldOutPoint]) -> list[str]:
    """Runs, median, 90th percentile and largest error, and share covered, in per cent."""
    size = np.array([abs(p["error"]) for p in some])
    covered = [p["covered"] for p in some if p["covered"] is not None]
    share = f"{100 * np.mean(covered):.0f}" if covered else "-"
    return [
        str(len(size)), f"{np.median(size):.1f}", f"{np.quantile(size, 0.9):.1f}", f"{size.max():.0f}", share,
    ]  # fmt: skip


def chips_held_out() -> Iterator[str]:
    """The default law's errors on each chip that was held out, of the reference runtime."""
    rows = []
    for quantity, word in (("energy", "energy"), ("duration", "time")):
        here = [p for p in points() if p["quantity"] == quantity and p["holdout"] == "each chip in turn"]
        here = [p for p in here if p["stratum"] == REFERENCE_STRATUM]
        for chip in dict.fromkeys(p["chip"] for p in here):
            errors = np.array([p["error"] for p in here if p["chip"] == chip])
            size = np.abs(errors)
            rows.append(
                [word, chip, str(len(errors)), f"{np.median(size):.1f}", f"{np.quantile(size, 0.9):.1f}",
                 f"{size.max():.0f}", f"{np.median(errors):+.1f}"]
            )  # fmt: skip
    header = ["of", "chip held out", "runs", "median %", "9 in 10 %", "worst %", "median, signed %"]
    yield from table(header, rows, 2)


def regimes() -> Iterator[str]:
    """The default law's errors by how far the host's launches set the time."""
    rows = []
    for quantity, word in (("energy", "energy"), ("duration", "time")):
        for holdout in ("each model in turn", "each chip in turn"):
            here = [p for p in points() if (p["quantity"], p["holdout"]) == (quantity, holdout)]
            for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 1.01)):
                size = np.array([abs(p["error"]) for p in here if low <= p["launch_bound"] < high])
                rows.append(
                    [word, holdout, f"{low:.0%} to {min(high, 1):.0%}", str(len(size)),
                     f"{np.median(size):.1f}", f"{np.quantile(size, 0.9):.1f}"]
                )  # fmt: skip
    header = ["of", "held out", "host sets the time", "runs", "median %", "9 in 10 %"]
    yield from table(header, rows, 3)


def worst() -> Iterator[str]:
    """The default law's largest errors on energy, each model held out."""
    here = [p for p in points() if p["quantity"] == "energy" and p["holdout"] == "each model in turn"]
    here.sort(key=lambda p: -abs(np.log1p(p["error"] / 100)))
    rows = [
        [f"`{p['run']}`", f"{p['error']:+.0f} %", f"{100 * p['launch_bound']:.0f} %", str(p["batch_size"])]
        for p in here[:WORST]
    ]
    yield from table(["run", "error", "host sets the time", "batch"], rows, 1)


def within() -> Iterator[str]:
    """R2 within one model and chip."""
    found = within_groups(load_law(), fitted_runs()[0], packaged_profile)
    rows = [[group, f"{r2:.4f}"] for group, r2 in sorted(found.items(), key=lambda item: item[1])]
    yield from table(["group", "R2 of log E"], rows, 1)


def reproduced() -> Iterator[str]:
    """The paper's published figures beside ours."""
    rows = [
        [
            row.fit, row.count, f"`{row.quantity}`",
            "-" if row.published is None else f"{'> ' if row.relation == '>' else ''}{row.published:.3f}",
            "-" if row.ours is None else f"{row.ours:.3f}",
            "-" if row.standard_error is None else f"{row.standard_error:.3f}", row.verdict, row.why,
        ]
        for row in reproduction(fitted_runs(find_form("paper"))[0], packaged_profile, load_law())
        if row.published is not None or row.quantity in ("beta_gpu", "level", "beta_res")
    ]  # fmt: skip
    header = ["fit", "FLOP", "quantity", "published", "ours", "standard error", "verdict", "why"]
    yield from table(header, rows, 8)


def three_gpus() -> Iterator[str]:
    """The paper's experiment on its three GPUs, as our law has it."""
    found = on_three_gpus(fitted_runs(find_form("paper"))[0], packaged_profile, _roofline())
    yield from table(three_header(), three_cells(tuple(found)), 1)


def compute_bound() -> Iterator[str]:
    """What sets the time, by chip and runtime."""
    found = tuple(what_sets_the_time(_roofline()))
    yield from table(bound_header(found), bound_cells(found), 3)


def _roofline() -> RooflineLaw:
    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    return law


def ratios() -> Iterator[str]:
    """The default law's error on ratios: the factor, from how many pairs, how often it holds."""
    rows = []
    for kind in ("batch_size", "steps", "size", "precision", "gpu", "model"):
        for quantity, words in (("energy_j", "energy"), ("duration_s", "time")):
            cells, most = [], None
            for known in ("seen", "unseen_model", "unseen_gpu"):
                error = ratio_error(load_law().name, known, quantity, (kind,))
                share, models = held(load_law().name, known, quantity, (kind,))
                most = error if error and (most is None or error.pairs > most.pairs) else most
                cells.append(f"{error.factor:.2f}" if error else "-")
                cells.append(f"{100 * share:.0f}" if models else "-")
                counts = f"{most.pairs} of {most.models} models" if most else "too few"
            rows.append([kind.replace("_", " ").replace("gpu", "GPU"), words, counts, *cells])
    header = [
        "differ in",
        "of",
        "pairs, at most",
        "seen x/",
        "holds %",
        "model unseen x/",
        "holds %",
        "GPU unseen x/",
        "holds %",
    ]
    yield from table(header, rows, 3)


TABLES: Mapping[str, Callable[[], Iterator[str]]] = {
    "parameters": parameters,
    "engines": engines,
    "strata": strata,
    "runtimes-held-out": runtimes_held_out,
    "chips": chips,
    "laws-energy": lambda: laws_on("energy"),
    "laws-time": lambda: laws_on("duration"),
    "chips-held-out": chips_held_out,
    "regimes": regimes,
    "worst": worst,
    "within": within,
    "reproduction": reproduced,
    "three-gpus": three_gpus,
    "compute-bound": compute_bound,
    "ratios": ratios,
}


if __name__ == "__main__":
    main()
