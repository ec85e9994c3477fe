"""BoAmps reports hold what the published schemas require, nothing they do not know, nothing invented."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from joulecast import data
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import site
from joulecast.measure.export import DRY
from joulecast.report.forms.boamps import INFRASTRUCTURES, boamps_report
from joulecast.report.origin import runtime_of_row
from joulecast.runs import RunTable, packaged_runs

# Fields of BoAmps 1.1.0, a section at a time: the required ones, and the type of each.
TEXT, NUMBER, WHOLE = str, (int, float), int
DATASET = ({"dataUsage", "dataType"}, {
    "dataUsage": TEXT, "dataType": TEXT, "dataFormat": TEXT, "dataSize": NUMBER, "dataQuantity": NUMBER,
    "shape": TEXT, "source": TEXT, "sourceUri": TEXT, "owner": TEXT,
})  # fmt: skip
ALGORITHM: tuple[set[str], dict[str, Any]] = (set(), {
    "trainingType": TEXT, "algorithmType": TEXT, "algorithmName": TEXT, "algorithmUri": TEXT,
    "foundationModelName": TEXT, "foundationModelUri": TEXT, "parametersNumber": NUMBER, "framework": TEXT,
    "frameworkVersion": TEXT, "classPath": TEXT, "layersNumber": NUMBER, "epochsNumber": NUMBER,
    "optimizer": TEXT, "quantization": TEXT,
})  # fmt: skip
MEASURE = ({"measurementMethod", "powerConsumption"}, {
    "measurementMethod": TEXT, "manufacturer": TEXT, "version": TEXT, "cpuTrackingMode": TEXT,
    "gpuTrackingMode": TEXT, "averageUtilizationCpu": NUMBER, "averageUtilizationGpu": NUMBER,
    "powerCalibrationMeasurement": NUMBER, "durationCalibrationMeasurement": NUMBER,
    "powerConsumption": NUMBER, "measurementDuration": NUMBER, "measurementDateTime": TEXT,
})  # fmt: skip
HARDWARE = ({"componentType", "nbComponent"}, {
    "componentName": TEXT, "componentType": TEXT, "nbComponent": WHOLE, "memorySize": WHOLE,
    "manufacturer": TEXT, "family": TEXT, "series": TEXT, "share": NUMBER,
})  # fmt: skip
REPORT: tuple[set[str], dict[str, Any]] = ({"task", "measures", "infrastructure"}, {
    "header": ({"reportDatetime"}, {
        "licensing": TEXT, "formatVersion": TEXT, "formatVersionSpecificationUri": TEXT, "reportId": TEXT,
        "reportDatetime": TEXT, "reportStatus": TEXT, "publisher": dict,
    }),
    "task": ({"taskStage", "taskFamily", "algorithms", "dataset"}, {
        "taskStage": TEXT, "taskFamily": TEXT, "nbRequest": NUMBER, "algorithms": [ALGORITHM],
        "dataset": [DATASET], "measuredAccuracy": NUMBER, "estimatedAccuracy": TEXT, "taskDescription": TEXT,
    }),
    "measures": [MEASURE],
    "system": ({"os"}, {"os": TEXT, "distribution": TEXT, "distributionVersion": TEXT}),
    "software": ({"language"}, {"language": TEXT, "version": TEXT}),
    "infrastructure": ({"infraType", "components"}, {
        "infraType": TEXT, "cloudProvider": TEXT, "cloudInstance": TEXT, "cloudService": TEXT,
        "components": [HARDWARE],
    }),
    "environment": ({"country"}, {
        "country": TEXT, "latitude": NUMBER, "longitude": NUMBER, "location": TEXT, "powerSupplierType": TEXT,
        "powerSource": TEXT, "powerSourceCarbonIntensity": NUMBER,
    }),
    "quality": TEXT,
    "$hash": dict,
})  # fmt: skip
ONE_OF = {
    "reportStatus": {"draft", "final", "corrective", "other"},
    "dataUsage": {"input", "output"},
    "dataType": {"tabular", "audio", "boolean", "image", "video", "object", "text", "token", "word", "other"},
    "infraType": {"publicCloud", "privateCloud", "onPremise", "other"},
    "quality": {"high", "medium", "low"},
}


def problems(value: Any, schema: Any, name: str = "report") -> list[str]:
    """What the published schemas would refuse, and fields that they do not know."""
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{name} must be a list of at least one"]
        return [found for item in value for found in problems(item, schema[0], name)]
    if isinstance(schema, tuple) and isinstance(schema[0], set):
        required, fields = schema
        if not isinstance(value, dict):
            return [f"{name} must be an object"]
        found = [f"{name} lacks {key}" for key in required - set(value)]
        found += [f"{name} has the unknown {key}" for key in set(value) - set(fields)]
        return found + [p for key in value if key in fields for p in problems(value[key], fields[key], key)]
    if isinstance(value, bool) or not isinstance(value, schema):
        return [f"{name} is {value!r}"]
    return [f"{name} is {value!r}"] if name in ONE_OF and value not in ONE_OF[name] else []


MEASURED = {
    "run_id": "r1", "model": "sd1.5", "checkpoint": "org/weights", "gpu": "A100-SXM4-40GB", "gpu_count": "1",
    "batch_size": "4", "width": "512", "height": "768", "steps": "25", "passes": "2", "precision": "fp16",
    "energy_j": "900", "boundary": "gross", "duration_s": "2", "engine": "diffusers", "compile": "no",
    "software": "torch 2.8.0, diffusers 0.36.0", "source": "joulecast campaign nightly",
}  # fmt: skip
PREDICTED = {
    "model": "flux.1-dev", "gpu": "H100", "width": 1024, "height": 1024, "steps": 50, "precision": "bf16",
    "batch_size": None, "energy_j": 8000.0, "energy_low_j": 7500.0, "energy_high_j": 9500.0,
    "duration_s": 12.0, "law": "roofline", "warning": "", "error": "",
}  # fmt: skip


def test_a_measured_run() -> None:
    now = datetime(2026, 5, 1, 12, 0, 5, tzinfo=UTC)
    report: Any = boamps_report(MEASURED, "onPremise", site("FR"), now=now, report_id="x")
    assert problems(report, REPORT) == []
    assert report["header"]["reportDatetime"] == "2026-05-01 12:00:05"
    assert report["task"]["nbRequest"] == 4
    assert report["measures"] == [
        {
            "measurementMethod": "measured, joulecast campaign nightly",
            "gpuTrackingMode": "nvml",
            "powerConsumption": 4 * 900 / 3.6e6,
            "measurementDuration": 2.0,
        }
    ]
    algorithm = report["task"]["algorithms"][0]
    assert algorithm["foundationModelUri"] == "https://huggingface.co/org/weights"
    assert (algorithm["framework"], algorithm["frameworkVersion"]) == ("diffusers", "0.36.0")
    assert report["infrastructure"]["components"][0]["memorySize"] == 40
    assert report["environment"] == {"country": "France", "powerSourceCarbonIntensity": 44.18}
    assert "quality" not in report
    assert report["task"]["dataset"][1]["shape"] == "(512, 768)"


@pytest.mark.parametrize(
    ("cell", "is_compiled"),
    [("yes", True), ("True", True), (True, True), ("1", True), ("no", False), ("off", False), (None, False)],
)
def test_reports_agree_on_what_was_compiled(cell: object, is_compiled: bool) -> None:
    row = {**MEASURED, "compile": cell}
    report: Any = boamps_report(row, "onPremise")
    assert ("torch.compile" in report["task"]["taskDescription"]) is is_compiled
    assert ("compiled" in runtime_of_row(row)) is is_compiled


def test_a_prediction_is_never_called_measured() -> None:
    report: Any = boamps_report(PREDICTED, "other")
    assert problems(report, REPORT) == []
    assert report["measures"][0]["measurementMethod"] == "joulecast estimate: predicted, law roofline"
    assert "gpuTrackingMode" not in report["measures"][0]
    assert "software" not in report
    assert "environment" not in report
    assert report["quality"] == "medium"
    uri = report["task"]["algorithms"][0]["foundationModelUri"]
    assert uri == "https://huggingface.co/black-forest-labs/FLUX.1-dev"


@pytest.mark.parametrize(
    ("high", "quality"), [(8800, "high"), (8801, "medium"), (12000, "low"), (12001, None), (None, None)]
)
def test_quality_is_the_stated_error(high: float | None, quality: str | None) -> None:
    assert boamps_report({**PREDICTED, "energy_high_j": high}, "other").get("quality") == quality


def test_packaged_runs_make_reports() -> None:
    runs = [run for run in packaged_runs() if run.energy_j is not None and run.scope == "pipeline"]
    assert len(runs) > 50
    for run in RunTable(runs[::7]):
        report: Any = boamps_report(
            {k: v for k, v in dataclasses.asdict(run).items() if v is not None}, "other", site("US")
        )
        assert problems(report, REPORT) == [], run.run_id
        assert json.loads(json.dumps(report, allow_nan=False)) == report
        assert "gpuTrackingMode" not in report["measures"][0]


def test_an_average_over_grids_is_no_country() -> None:
    assert "environment" not in boamps_report(PREDICTED, "other", site("World"))
    assert "environment" not in boamps_report(PREDICTED, "other", site(intensity=3))


@pytest.mark.parametrize(
    ("row", "infrastructure", "error", "words"),
    [
        (PREDICTED, None, InputError, "publicCloud, privateCloud, onPremise, other"),
        (PREDICTED, "cloud", UnknownNameError, "unknown infrastructure 'cloud'"),
        ({**PREDICTED, "law": ""}, "other", InputError, "obtained: not stated"),
        ({**MEASURED, "source": DRY}, "other", InputError, "not a measurement"),
        ({**MEASURED, "scope": "denoising_loop"}, "other", InputError, "denoising_loop"),
        ({**MEASURED, "energy_j": ""}, "other", InputError, "energy_j is missing"),
        ({**MEASURED, "batch_size": "1.5"}, "other", InputError, "batch_size must be a whole number"),
        ({**MEASURED, "gpu": "H1000"}, "other", UnknownNameError, "H1000"),
        ({**MEASURED, "gpu": ""}, "other", InputError, "names the GPU"),
        ({**MEASURED, "model": ""}, "other", InputError, "names the model"),
    ],
)
def test_what_cannot_be_reported(row: dict[str, Any], infrastructure: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        boamps_report(row, infrastructure)


def test_the_check_itself_finds_what_is_wrong() -> None:
    good = boamps_report(PREDICTED, INFRASTRUCTURES[0])
    assert problems({**good, "extra": 1}, REPORT) == ["report has the unknown extra"]
    assert problems({k: v for k, v in good.items() if k != "task"}, REPORT) == ["report lacks task"]
    assert problems({**good, "quality": "fine"}, REPORT) == ["quality is 'fine'"]
    assert problems({**good, "measures": []}, REPORT) == ["measures must be a list of at least one"]
    assert problems({**good, "measures": [{"measurementMethod": 3}]}, REPORT)


def test_hub_ids_come_from_the_catalogue() -> None:
    entry = data.read_json("architectures/sd1.5.json")
    report: Any = boamps_report({**PREDICTED, "model": "sd1.5"}, "other")
    assert report["task"]["algorithms"][0]["foundationModelUri"].endswith(entry["hub_id"])
    own: Any = boamps_report({**PREDICTED, "model": "my-model.json"}, "other")
    assert set(own["task"]["algorithms"][0]) == {"algorithmType", "foundationModelName", "quantization"}


def test_a_name_may_say_how_many_gpus_there_are() -> None:
    for row, count in (
        (PREDICTED | {"gpu": "2 x H100"}, 2),
        (PREDICTED | {"gpu": "2 x H100", "gpu_count": 4}, 4),
    ):
        report: Any = boamps_report(row, "onPremise")
        (card,) = report["infrastructure"]["components"]
        assert (card["componentName"], card["nbComponent"]) == ("H100-SXM5-80GB", count)


def test_a_quantisation_and_a_split_are_reported() -> None:
    row = {**PREDICTED, "quantization": "fp8", "parallel": "ulysses=2,ring=2", "engine": "sglang"}
    report: Any = boamps_report(row, "other")
    assert report["task"]["algorithms"][0]["quantization"] == "fp8"
    assert report["infrastructure"]["components"][0]["nbComponent"] == 4
    assert "engine sglang; quantization fp8" in report["task"]["taskDescription"]
    plain: Any = boamps_report({**row, "quantization": "none"}, "other")
    assert plain["task"]["algorithms"][0]["quantization"] == PREDICTED["precision"]
