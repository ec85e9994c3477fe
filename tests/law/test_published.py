"""Published ratios of two GPUs' energies: what they are, when a fit may see them, and what they change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.law import fit_roofline as module
from joulecast.law.dataset import Dataset
from joulecast.law.fit_roofline import fit_roofline
from joulecast.law.published import GpuRatio, published_ratios
from joulecast.law.reproduction import predicted_beta
from joulecast.runs import MeasuredRun, RunTable


def ratio_of(model: str) -> GpuRatio:
    (found,) = [ratio for ratio in published_ratios() if ratio.model == model]
    return found


def keep(eager: RunTable, condition: Callable[[MeasuredRun], bool]) -> Dataset:
    return Dataset.build(eager.filter(condition), packaged_profile)


def test_what_is_published() -> None:
    found = {ratio.model: (ratio.gpu.name, ratio.reference.name) for ratio in published_ratios()}
    assert found == dict.fromkeys(("flux.1-dev", "sd3.5-large"), ("RTX A6000", "A100-SXM4-80GB"))


def test_cells_are_the_models_dynamic_energies_in_16_bits(dataset: Dataset) -> None:
    ratio = ratio_of("flux.1-dev")
    cells = [dataset.runs[row] for row in ratio.cells(dataset)]
    assert len(cells) >= 3
    assert {(run.model, run.gpu, run.boundary) for run in cells} == {
        ("flux.1-dev", ratio.reference.name, "dynamic")
    }
    assert "fp32" not in {run.precision for run in cells}


@pytest.mark.parametrize(
    ("field", "out"), [("gpu", "RTX 3090"), ("gpu", "A100-SXM4-80GB"), ("model", "flux.1-dev")]
)
def test_what_is_held_out_takes_its_ratio_along(field: str, out: str, eager: RunTable) -> None:
    """The A6000 has the RTX 3090's chip."""
    kept = keep(eager, lambda run: getattr(run, field) != out)
    assert not len(ratio_of("flux.1-dev").cells(kept))


@pytest.mark.slow
def test_a_fit_comes_nearer_to_the_ratios_it_sees(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = fit_roofline(dataset)
    monkeypatch.setattr(module, "published_ratios", tuple)
    blind = fit_roofline(dataset)
    for ratio in published_ratios():
        here = {dataset.runs[row].run_id for row in ratio.cells(dataset)}
        cells = keep(dataset.runs, lambda run, here=here: run.run_id in here)  # type: ignore[misc]
        off = [
            abs(predicted_beta(law, cells, ratio.gpu.name, ratio.reference.name) - ratio.log_ratio)
            for law in (seen, blind)
        ]
        assert off[0] < off[1]
    moved = seen.parameters.chip_effects["Ampere GA102"] - blind.parameters.chip_effects["Ampere GA102"]
    assert 0 < moved < 0.15
