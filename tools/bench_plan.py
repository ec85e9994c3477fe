"""Time a plan of 5 services x 20 configurations x 6 GPUs x 8 regions x 24 hours; print, never fail.

python tools/bench_plan.py
"""

from __future__ import annotations

import time
from typing import Any

from joulecast.footprint.grid.reading import packaged_regions
from joulecast.plan.demand import demand_of
from joulecast.plan.solve import solve

MOST_SECONDS, GAP = 30.0, 0.01
GPUS = ("H100-SXM5-80GB", "A100-SXM4-80GB", "H200-SXM", "L4", "L40S", "RTX A6000")
MODELS = ("sdxl", "sd2.1", "sd3.5-medium", "sd3.5-large", "pixart-sigma")
STEPS, SIZES = (20, 28, 35, 50), ("512x512", "640x640", "768x768", "896x896", "1024x1024")


def main() -> None:
    """Build the demand, solve it, print seconds and gap against their targets."""
    services = [
        {
            "name": model,
            "images_by_hour": [20_000 * (i + 1) * (1 + (h % 12) / 12) for h in range(24)],
            "deadline_hours": (0, 0, 4, 8, 12)[i],
            "min_quality": 0.6,
            "configurations": [
                {
                    "model": model,
                    "size": size,
                    "steps": steps,
                    "precision": "fp16",
                    "batch_sizes": [1, 4, 16],
                    "quality": (steps / 50 * int(size[: size.index("x")]) / 1024) ** 0.5,
                }
                for size in SIZES
                for steps in STEPS
            ],
        }
        for i, model in enumerate(MODELS)
    ]
    regions: list[dict[str, Any]] = [{"hourly": name, "pue": 1.15} for name in packaged_regions()]
    regions += [{"name": "France", "pue": 1.2, "max_power_kw": 30}]
    content = {
        "plan": {"start": "2022-06-01T00:00Z", "utilisation": 0.8},
        "limits": {"gpus": 2000, "energy_kwh": 100_000},
        "services": services,
        "gpus": [{"name": name, "max_count": 200} for name in GPUS],
        "regions": regions,
    }
    begun = time.perf_counter()
    problem = demand_of(content).problem
    read = time.perf_counter() - begun
    plan = solve(problem, gap=GAP)
    print(f"read and predicted {len(problem.options)} options: {read:.1f} s")
    print(f"solved: {plan.seconds:.1f} s (at most {MOST_SECONDS:g} s), gap {100 * plan.gap:.2f} %")
    print(f"with binding limits: {time.perf_counter() - begun - read:.1f} s")
    count = sum(fleet.count for fleet in plan.fleet)
    print(f"{plan.images:,.0f} images, {count} GPUs, {plan.carbon_g.value / 1e3:.1f} kg CO2e")


if __name__ == "__main__":
    main()
