"""Forms are what their publishers' own schemas take, and never call a prediction a measurement."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_python_model import v3_0_1 as spdx_model

import joulecast
from command import Command, refused
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import Site, site
from joulecast.report.forms.cyclonedx import cyclonedx_bom
from joulecast.report.forms.documentation import COMPUTATION, as_power, documentation_form, flop_of
from joulecast.report.forms.filling import FORMS
from joulecast.report.forms.impact import SCI_BOUNDARY
from joulecast.report.forms.spdx import decimal, spdx_document
from joulecast.report.forms.subject import Subject, subject_of
from joulecast.runs import packaged_runs

TOOL = ("joulecast", "1.2.3")
CYCLONEDX = JsonStrictValidator(SchemaVersion.V1_6)
MEASURED = {
    "run_id": "r1", "model": "sd1.5", "checkpoint": "org/weights", "gpu": "A100-SXM4-40GB", "gpu_count": "1",
    "batch_size": "4", "width": "512", "height": "768", "steps": "25", "passes": "2", "precision": "fp16",
    "energy_j": "900", "boundary": "gross", "duration_s": "8", "engine": "diffusers", "compile": "no",
    "software": "torch 2.8.0, diffusers 0.36.0", "source": "joulecast campaign nightly",
}  # fmt: skip
PREDICTED = {
    "model": "flux.1-dev", "gpu": "H100-SXM5-80GB", "width": 1024, "height": 1024, "steps": 50,
    "precision": "bf16", "energy_j": 7200.0, "energy_low_j": 6480.0, "energy_high_j": 9000.0,
    "duration_s": 12.0, "duration_low_s": 11.0, "duration_high_s": 13.0, "flop": 3.7e15, "law": "roofline",
    "warning": "a doubt", "error": "",
}  # fmt: skip
CLIP = {
    **PREDICTED, "model": "wan2.1-t2v-1.3b", "width": 832, "height": 480, "frames": 81,
    "rendered_frames": 81, "clip_s": 5.0,
}  # fmt: skip
# Factors without a range, so that every figure can be had by hand.
EXACT = {
    "intensity": 100, "host_overhead": 0.5, "pue": 1.2, "wue": 0, "life_years": 5, "utilisation": 0.5,
}  # fmt: skip


def of(row: dict[str, Any]) -> Subject:
    return subject_of(row, "a form")


def bom_of(row: dict[str, Any], at: Site | None = None) -> dict[str, Any]:
    return cyclonedx_bom(of(row), at, TOOL)


def energy_of(bom: dict[str, Any]) -> dict[str, Any]:
    (component,) = bom["components"]
    environment = component["modelCard"]["considerations"]["environmentalConsiderations"]
    (found,) = environment["energyConsumptions"]
    assert found["activity"] == "inference"
    return dict(found)


def properties_of(bom: dict[str, Any]) -> dict[str, str]:
    return {one["name"].removeprefix("joulecast:"): one["value"] for one in energy_of(bom)["properties"]}


def cyclonedx_problem(bom: object) -> str:
    """What the published schema, which cyclonedx-python-lib ships, finds wrong."""
    found = CYCLONEDX.validate_str(json.dumps(bom))
    return "" if found is None else str(found)


def spdx_problem(document: object) -> str:
    """What the project's own classes, made of the published model, find wrong on reading and on writing."""
    read = spdx_model.SHACLObjectSet()
    try:
        spdx_model.JSONLDDeserializer().read(io.BytesIO(json.dumps(document).encode()), read)
        spdx_model.JSONLDSerializer().write(read, io.BytesIO())
    except (KeyError, ValueError, TypeError) as error:
        return str(error)
    return "\n".join(map(str, read.missing_ids))


def package_of(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = (one for one in document["@graph"] if one["type"] == "ai_AIPackage")
    return dict(found)


def kilowatt_hours(document: dict[str, Any]) -> float:
    consumption = package_of(document)["ai_energyConsumption"]
    (found,) = consumption["ai_inferenceEnergyConsumption"]
    assert found["ai_energyUnit"] == "kilowattHour"
    return float(found["ai_energyQuantity"])


def sampled_rows() -> Iterator[dict[str, Any]]:
    yield from (MEASURED, PREDICTED, CLIP)
    runs = [run for run in packaged_runs() if run.energy_j is not None and run.scope == "pipeline"]
    assert len(runs) > 50
    for run in runs[::30]:
        yield {key: value for key, value in dataclasses.asdict(run).items() if value is not None}


@pytest.mark.slow
def test_every_row_makes_valid_documents() -> None:
    for row in sampled_rows():
        for at in (None, site("FR")):
            if at is not None and (row.get("boundary", "gross") != "gross" or "duration_s" not in row):
                continue
            assert cyclonedx_problem(bom_of(row, at)) == ""
            assert spdx_problem(spdx_document(of(row), at, TOOL)) == ""
            assert "floating point operations" in documentation_form(of(row), at, TOOL)


def test_the_checks_find_what_is_wrong() -> None:
    bom = bom_of(PREDICTED)
    energy_of(bom)["activityEnergyCost"]["unit"] = "J"
    assert "'J' is not one of ['kWh']" in cyclonedx_problem(bom)
    assert cyclonedx_problem({**bom_of(PREDICTED), "more": 1})
    for change in ({"ai_energy": 1}, {"creationInfo": None}, {"software_primaryPurpose": "art"}):
        document: Any = spdx_document(of(PREDICTED), None, TOOL)
        package = next(one for one in document["@graph"] if one["type"] == "ai_AIPackage")
        package.update(change)
        if None in change.values():
            del package["creationInfo"]
        assert spdx_problem(document), change
    document = spdx_document(of(PREDICTED), None, TOOL)
    document["@graph"] = [one for one in document["@graph"] if one["type"] != "SoftwareAgent"]
    assert "#tool" in spdx_problem(document)


def test_without_a_place_the_energy_is_that_of_the_boards() -> None:
    bom, document = bom_of(PREDICTED), spdx_document(of(PREDICTED), None, TOOL)
    found = energy_of(bom)
    assert found["activityEnergyCost"] == {"value": 0.002, "unit": "kWh"}  # 7200 / 3.6e6
    assert kilowatt_hours(document) == 0.002
    assert found["energyProviders"] == []
    assert "co2CostEquivalent" not in found
    told = properties_of(bom)
    assert (told["activityEnergyCost:low"], told["activityEnergyCost:high"]) == ("0.0018 kWh", "0.0025 kWh")
    assert told["activityEnergyCost:range"] == "90 % interval"
    assert "not the rest of the computer" in told["activityEnergyCost:counts"]
    assert told["beware"].endswith("a doubt")
    comment = package_of(document)["comment"]
    assert "2.00 Wh (1.80 to 2.50 Wh, 90 % interval)" in comment
    assert "all that the GPU boards drew, idle power included (gross)" in comment


def test_at_a_place_energy_and_carbon_are_those_of_the_whole_facility() -> None:
    at = site(**EXACT)  # type: ignore[arg-type]
    bom, document = bom_of(CLIP, at), spdx_document(of(CLIP), at, TOOL)
    found = energy_of(bom)
    facility = 0.002 * 1.5 * 1.2
    assert found["activityEnergyCost"]["value"] == pytest.approx(facility)
    assert kilowatt_hours(document) == pytest.approx(facility)
    (provider,) = found["energyProviders"]
    assert provider["energyProvided"]["value"] == pytest.approx(facility)
    assert found["co2CostEquivalent"] == {"value": pytest.approx(facility * 100 / 1e6), "unit": "tCO2eq"}
    told = properties_of(bom)
    assert told["gpuEnergy:value"] == "0.002 kWh"
    clip, second = (float(told[f"sci:{unit}:value"].split()[0]) for unit in ("clip", "second of video"))
    embodied = float(told["embodiedCarbon:value"].split()[0])
    assert clip == pytest.approx(facility * 100 + embodied, rel=1e-5)
    assert second == pytest.approx(clip / 5.0, rel=1e-5)
    assert "the carbon of making the hardware; not training" in " ".join(told["sci:counts"].split())
    assert "g CO2e per second of video" in package_of(document)["comment"]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "boamps"])
def test_a_prediction_is_never_called_measured(name: str, run: Command) -> None:
    joined = ",".join(map(str, PREDICTED.values()))
    write("p.csv", f"{','.join(PREDICTED)}\n{joined}\n")
    text = run("card", "p.csv", "--format", name).out
    assert "predicted, law roofline, by joulecast" in text
    assert "an estimate, not a measurement" in text
    assert "measured," not in text
    write("m.csv", f"{','.join(MEASURED)}\n" + ",".join(f'"{cell}"' for cell in MEASURED.values()) + "\n")
    text = run("card", "m.csv", "--format", name).out
    assert "measured, joulecast campaign nightly" in text
    assert "predicted" not in text


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def test_where_the_weights_are() -> None:
    assert of(MEASURED).weights == "https://huggingface.co/org/weights"
    assert of({**MEASURED, "checkpoint": ""}).weights is None
    assert of(PREDICTED).weights == "https://huggingface.co/black-forest-labs/FLUX.1-dev"
    package = package_of(spdx_document(of({**PREDICTED, "model": "mine.json", "frames": 1}), None, TOOL))
    assert "software_downloadLocation" not in package


@pytest.mark.parametrize(("value", "told"), [(0.002, "0.002"), (1.5e-7, "0.00000015"), (12.0, "12.0")])
def test_decimals_have_no_exponent(value: float, told: str) -> None:
    assert decimal(value) == told


def test_a_card_of_clips_states_the_carbon_of_a_second_of_video_and_what_it_counts(run: Command) -> None:
    write("p.csv", "\n".join(",".join(map(str, line)) for line in (CLIP, CLIP.values())))
    entry = json.loads(run("card", "p.csv", "--region", "FR", "--format", "json").out)["entries"][0]
    clip, second = entry["footprint"]["sci_g_per_image"], entry["sci_g_per_second_of_video"]
    assert {end: second[end] for end in second} == pytest.approx({end: clip[end] / 5 for end in clip})
    assert entry["sci_boundary"] == SCI_BOUNDARY
    lines = run("card", "p.csv", "--region", "FR").out.splitlines()
    head, _, cells = (line.split(" | ") for line in lines[2:5])
    assert float(cells[head.index("g CO2e per second of video")]) == pytest.approx(second["value"], rel=5e-3)
    assert f"- That carbon is the Software Carbon Intensity (SCI); it counts {SCI_BOUNDARY}." in lines
    without = json.loads(run("card", "p.csv", "--format", "json").out)["entries"][0]
    assert not {"sci_g_per_second_of_video", "sci_boundary"} & set(without)


# --- the Model Documentation Form ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "told"), [(5.1e17, "5.10×10^17"), (3.7345e15, "3.73×10^15"), (9.999e14, "1.00×10^15")]
)
def test_operations_have_at_least_two_significant_figures(value: float, told: str) -> None:
    assert as_power(value) == told


def test_the_form_states_operations_and_how_they_were_had() -> None:
    text = documentation_form(of(CLIP), site("FR"), TOOL)
    entries = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", text, re.MULTILINE))
    assert entries[COMPUTATION] == "3.70×10^15 floating point operations"
    method = entries["Measurement methodology"]
    for sentence in (
        "Task: generating one clip of 832x480 pixels and 81 frames, played for 5.00 s",
        "Hardware: 1 x NVIDIA H100-SXM5-80GB; the count of operations does not depend on it",
        "Method: counted by tracing every operator",
        "not measured by counters of the hardware",
        "Energy of the same task, which the form has no entry for:",
        "SCI counts GPUs, the rest of their servers",
    ):
        assert sentence in method
    assert len(text.splitlines()) == 6


def test_operations_of_a_measured_run_are_counted_from_its_settings() -> None:
    own = joulecast.estimate(
        "sd1.5", "A100-SXM4-40GB", width=512, height=768, steps=25, passes=2, batch_size=4, precision="fp16"
    )
    assert flop_of(of(MEASURED)) == pytest.approx(own.flop)
    assert flop_of(of({**MEASURED, "flop": "5"})) == pytest.approx(own.flop)  # of others: not what it counts
    assert flop_of(of(PREDICTED)) == 3.7e15
    without = {name: cell for name, cell in PREDICTED.items() if name != "flop"} | {"passes": 1}
    profile = packaged_profile("flux.1-dev")
    whole = joulecast.estimate(profile, "H100-SXM5-80GB", width=1024, height=1024, steps=50, passes=1)
    assert flop_of(of(without)) == pytest.approx(whole.flop)


@pytest.mark.parametrize(
    ("model", "added", "told"),
    [
        ("sd1.5", {"control": "canny"}, ", control canny, "),
        ("sd1.5", {"lora": "2", "lora_rank": "64"}, ", LoRA 2, "),
        ("sd1.5", {"lora": "1", "lora_fused": "yes", "control": "none"}, ", LoRA 1, fused, "),
        ("sdxl", {"negative_prompt": "yes"}, ""),
    ],
)
def test_what_is_added_or_given_is_counted_and_told(model: str, added: dict[str, str], told: str) -> None:
    row = {**MEASURED, "model": model, "batch_size": "1", **added}
    asked: dict[str, Any] = {"size": "512x768", "steps": 25, "passes": 2, "precision": "fp16", **added}
    own = joulecast.estimate(model, "A100-SXM4-40GB", **asked)
    assert flop_of(of(row)) == pytest.approx(own.flop)
    task = of(row).task()
    assert task.startswith(f"generating one image of 512x768 pixels with {model}{told or ', '}25 denoising")


def test_settings_are_found_by_the_names_of_others() -> None:
    row = {name: cell for name, cell in MEASURED.items() if name not in ("steps", "width", "height")}
    assert flop_of(of({**row, "num_inference_steps": "25", "size": "512x768"})) == flop_of(of(MEASURED))


@pytest.mark.parametrize("missing", ["width", "height", "steps", "passes"])
def test_operations_are_never_those_of_a_default(missing: str) -> None:
    with pytest.raises(InputError, match=f"the row has no {missing}"):
        flop_of(of({**MEASURED, missing: ""}))


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"law": ""}, InputError, "a form is of a prediction"),
        ({"scope": "denoising_loop"}, InputError, "denoising_loop"),
        ({"model": ""}, InputError, "names the model"),
        ({"gpu": ""}, InputError, "names the GPU"),
        ({"gpu": "H1000"}, UnknownNameError, "H1000"),
        ({"energy_low_j": 8000}, InputError, "energy_j 7200 <= energy_high_j"),
        ({"boundary": "dynamic"}, InputError, "gross energy"),
        ({"boundary": "node"}, UnknownNameError, "node"),
        ({"duration_s": ""}, InputError, "duration_s is missing"),
    ],
)
def test_what_cannot_be_filled_in(change: dict[str, Any], error: type[Exception], words: str) -> None:
    fill: tuple[Callable[..., object], ...] = (cyclonedx_bom, spdx_document, documentation_form)
    for form in fill:
        with pytest.raises(error, match=words):
            form(of({**PREDICTED, **change}), site("FR"), TOOL)


@pytest.mark.parametrize("name", FORMS)
def test_one_form_is_printed_and_several_go_to_a_folder(name: str, run: Command) -> None:
    write("w.csv", "model,gpu,steps\nsdxl,L4,20\nsdxl,L4,30\n")
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    more = ("--infrastructure", "other") if name == "boamps" else ()
    told = refused(run("card", "p.csv", "--format", name, *more), FORMS[name].noun, "--row NUMBER")
    assert "the table has 2 rows" in told
    done = run("card", "p.csv", "--format", name, *more, "--out", "made", "--region", "FR")
    assert (done.status, done.out) == (0, "")
    ending = FORMS[name].ending
    assert sorted(path.name for path in Path("made").iterdir()) == [f"{name}-{n}{ending}" for n in (1, 2)]
    one = run("card", "p.csv", "--format", name, *more, "--row", "2", "--out", f"one{ending}")
    assert one.status == 0
    assert "30 denoising steps" in Path(f"one{ending}").read_text(encoding="utf-8")
    if name != "boamps":
        refused(run("card", "p.csv", "--format", name, "--infrastructure", "other"), "--format boamps")


@pytest.mark.parametrize(
    ("out", "made"),
    [
        ("f.txt", "f.txt"),
        ("f.md", "f.md"),
        ("all", "all/eu-form-1.md"),
        ("v1.2", "v1.2/eu-form-1.md"),
        ("f.txt/", "f.txt/eu-form-1.md"),
    ],
)
def test_a_name_with_an_ending_is_a_file(out: str, made: str, run: Command) -> None:
    write("p.csv", f"{','.join(PREDICTED)}\n{','.join(map(str, PREDICTED.values()))}\n")
    done = run("card", "p.csv", "--format", "eu-form", "--out", out)
    assert done.status == 0
    assert Path(made).is_file()
    write("two.csv", Path("p.csv").read_text() + Path("p.csv").read_text().splitlines()[1] + "\n")
    again = run("card", "two.csv", "--format", "eu-form", "--out", out)
    if made == out:
        told = refused(again, "--row NUMBER")
        assert f"{out!r} is the name of a file" in told
    else:
        assert Path(made.replace("1.md", "2.md")).is_file()


def test_words_of_a_file_are_no_markup(run: Command) -> None:
    write("p.csv", 'model,gpu,energy_j,law,flop,warning\nsdxl,L4,900,a|b,1e15,"<b>[x](//y)\u202e"\n')
    text = run("card", "p.csv", "--format", "eu-form").out
    assert "<b>" not in text
    assert "\u202e" not in text
    assert all(line.count("|") == 3 for line in text.splitlines() if line.startswith("|"))
