"""What the API answers: the same numbers as the library and the command line, in the shapes it describes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import joulecast
from command import Command
from joulecast.law.load import law_names
from joulecast.runs import packaged_runs
from joulecast.web.metrics import MOST_SERIES, Metrics, Work

ROOT = Path(__file__).parents[2]

H100 = "H100-SXM5-80GB"


def posted(client: TestClient, path: str, body: object, status: int = 200) -> Any:
    """The answer to a body."""
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    return found.json()


def got(client: TestClient, path: str, status: int = 200) -> Any:
    """What is found at a path."""
    found = client.get(path)
    assert found.status_code == status, found.text
    return found.json()


# --- one estimate ---------------------------------------------------------------------------------


def test_one_estimate_is_that_of_the_library(client: TestClient) -> None:
    answer = posted(
        client, "/v1/estimate", {"model": "sdxl", "steps": 20, "batch_size": 4, "engine": "sglang"}
    )
    guess = joulecast.estimate("sdxl", H100, steps=20, batch_size=4, engine="sglang")
    for name in ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "flop", "power_w", "boundary"):
        assert answer[name] == getattr(guess, name)
    assert answer["memory"] == guess.memory._asdict()
    assert answer["memory_bytes"] == guess.memory.peak_bytes
    assert answer["outputs"] == 4
    assert answer["batch_energy_j"] == 4 * guess.energy_j
    assert answer["footprint"] is None
    assert answer["video"] is None
    as_json = guess.to_dict()
    assert answer["components"] == as_json["components"]
    assert answer["runtime"] == as_json["runtime"]
    assert answer["warnings"] == as_json["warnings"]
    assert answer["law"] == {k: v for k, v in as_json["law"].items() if k != "fitted_on"}
    assert answer["workload"] == as_json["workload"]


def test_a_place_brings_a_footprint(client: TestClient) -> None:
    body = {"model": "sdxl", "region": "FR", "price_per_kwh": 0.2, "images": 1000, "pue": "1.1:1.3"}
    answer = posted(client, "/v1/estimate", body)
    guess = joulecast.estimate("sdxl", H100)
    at = joulecast.site("FR", pue="1.1:1.3", price_per_kwh=0.2)
    assert answer["footprint"] == joulecast.footprint_of(guess, at, 1000).to_dict()
    assert answer["footprint"]["money"]["currency"] == "USD"


@pytest.mark.parametrize(
    "body",
    [
        {"model": "sdxl", "lora": 2, "control": "canny"},
        {"model": "flux.1-dev", "strength": 0.6, "input_image": "1024x1024"},
        {"model": "wan2.1-t2v-1.3b", "frames": 33},
    ],
)
def test_a_workload_says_all_that_the_command_lines_does(client: TestClient, body: dict[str, Any]) -> None:
    """What was added to a model, and of how many steps are made, too."""
    answer = posted(client, "/v1/estimate", body)
    expected = joulecast.estimate(gpu=H100, **body).to_dict()
    assert answer["workload"] == expected["workload"]
    assert answer["components"] == expected["components"]
    assert answer["gpu"].items() <= expected["gpu"].items()


def test_a_clip_has_its_second(client: TestClient) -> None:
    answer = posted(client, "/v1/estimate", {"model": "wan2.1-t2v-1.3b", "seconds": 2})
    guess = joulecast.estimate("wan2.1-t2v-1.3b", H100, seconds=2)
    per_s = guess.energy_per_second_of_video
    assert per_s is not None
    assert answer["output"] == "clip"
    assert answer["video"] == {
        "rendered_frames": guess.rendered_frames,
        "clip_s": guess.clip_s,
        "frame_rate": 16.0,
        "frame_rate_source": "the model's authors",
        "energy_per_second_of_video_j": per_s.value,
        "energy_per_second_of_video_low_j": per_s.low,
        "energy_per_second_of_video_high_j": per_s.high,
    }


def test_headers_repeat_the_main_numbers(client: TestClient) -> None:
    found = client.post("/v1/estimate", json={"model": "sdxl", "batch_size": 2})
    answer = found.json()
    for name in ("energy_j", "energy_low_j", "energy_high_j", "flop", "duration_s", "outputs"):
        assert float(found.headers[f"x-joulecast-{name.replace('_', '-')}"]) == answer[name]


def test_what_is_not_known_is_null_and_in_no_header(client: TestClient) -> None:
    """A law whose error on such a model and GPU nobody has measured gives no end of the range."""
    found = client.post("/v1/estimate", json={"model": "wan2.1-t2v-1.3b", "gpu": "L4"})
    assert found.json()["memory_bytes"] is None
    assert "null" not in found.headers.values()


def test_an_answer_is_remembered_for_its_setting_alone(client: TestClient) -> None:
    one = posted(client, "/v1/estimate", {"model": "sdxl", "steps": 21})
    assert posted(client, "/v1/estimate", {"steps": "21", "model": "sdxl", "gpu": H100}) == one
    assert posted(client, "/v1/estimate", {"steps": 22, "model": "sdxl"}) != one
    assert posted(client, "/v1/estimate", {"model": "SDXL", "steps": 21})["notes"] == one["notes"]
    by_hub = posted(
        client, "/v1/estimate", {"model": "stabilityai/stable-diffusion-xl-base-1.0", "steps": 21}
    )
    assert by_hub["energy_j"] == one["energy_j"]
    assert by_hub["notes"][0].startswith("model 'stabilityai")


def test_no_name_of_a_measurement_is_given_to_a_prediction(client: TestClient) -> None:
    text = json.dumps(posted(client, "/v1/estimate", {"model": "sdxl", "region": "FR"}))
    assert "measured_" not in text
    for run in got(client, "/v1/runs")["runs"]:
        for part in (run["predicted"] or {}, *run["held_out"]):
            assert not [
                key for key in part if key.endswith(("_j", "_s")) and not key.startswith("predicted_")
            ]


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_is_the_table_of_the_library(client: TestClient) -> None:
    rng = np.random.default_rng(3)
    models = ["sdxl", "flux.1-dev", "wan2.1-t2v-1.3b"]
    rows = [
        {"model": str(rng.choice(models)), "gpu": "L4", "steps": int(rng.integers(1, 60)), "batch_size": 2}
        for _ in range(200)
    ]
    answer = posted(client, "/v1/estimate", rows)
    table = joulecast.predict({key: [row[key] for row in rows] for key in rows[0]})
    assert answer["law"] == "roofline"
    assert answer["failed"] == 0
    for name in ("energy_j", "energy_high_j", "duration_s", "flop", "clip_s"):
        found = [row.get(name) for row in answer["estimates"]]
        expected = [None if np.isnan(cell) else cell for cell in table[name].tolist()]
        assert found == expected
    assert [row["assumed"] for row in answer["estimates"]] == table["assumed"].tolist()
    (image,) = posted(client, "/v1/estimate", [{"model": "sdxl"}])["estimates"]
    assert "clip_s" not in image


def test_a_row_of_a_batch_is_one_estimate(client: TestClient) -> None:
    """Whatever keys the rows have, in whatever order, and where the server's GPU is taken."""
    rows: list[dict[str, Any]] = [
        {"model": "sdxl", "size": [768, 1024]},
        {
            "num_inference_steps": 9,
            "model": "flux.1-dev",
            "gpu": "2xH100-SXM5-80GB",
            "parallel": {"ulysses": 2},
        },
        {"model": "qwen-image", "engine": "sglang", "guidance_scale": 3},
        {"model": "sd1.5", "gpu": None, "steps": None},
    ]
    answer = posted(client, "/v1/estimate", {"requests": rows})
    for row, body in zip(answer["estimates"], rows, strict=True):
        one = posted(client, "/v1/estimate", body)
        for name in ("energy_j", "energy_low_j", "duration_high_s", "flop"):
            assert row[name] == pytest.approx(one[name], rel=1e-12)


def test_a_bad_row_harms_no_other(client: TestClient) -> None:
    rows: list[dict[str, Any]] = [
        {"model": "sdxl"},
        {"model": "sdx"},
        {"model": "sdxl", "stps": 4},
        {"model": "sdxl", "steps": 4, "num_inference_steps": 5},
        {"model": "sdxl", "region": "FR"},
        {"model": "sdxl", "steps": -4},
        {"model": "sdxl", "size": [1, 2, 3]},
        {"gpu": "L4"},
    ]
    answer = posted(client, "/v1/estimate", rows)
    errors = [row.get("error", "") for row in answer["estimates"]]
    assert errors[0] == ""
    assert errors[1].startswith("unknown model 'sdx'; did you mean sdxl")
    assert errors[2] == "unknown setting 'stps'; did you mean steps?"
    assert errors[3] == "steps is given twice, as num_inference_steps too"
    assert errors[4].startswith("region is of one request")
    assert "-4" in errors[5]
    assert "[1, 2, 3]" in errors[6]
    assert errors[7] == "model is missing"
    assert answer["failed"] == 7
    assert all(row["energy_j"] is None for row in answer["estimates"][1:])


def test_a_batch_may_name_its_law(client: TestClient) -> None:
    body = {"requests": [{"model": "sdxl"}], "law": "tdp_time"}
    assert posted(client, "/v1/estimate", body)["law"] == "tdp_time"


# --- decisions ------------------------------------------------------------------------------------


def test_a_footprint_of_a_known_energy(client: TestClient) -> None:
    body = {"energy_j": 1500, "duration_s": 3.5, "gpu": H100, "images": 20, "place": {"region": "PL"}}
    expected = joulecast.footprint_of_energy(1500, 3.5, joulecast.site("PL"), gpu=H100, images=20)
    assert posted(client, "/v1/footprint", body) == expected.to_dict()


def test_changes_are_those_of_the_command_line(client: TestClient, run: Command) -> None:
    body = {"setting": {"model": "sdxl", "region": "PL"}, "changes": [{"steps": 20}, {"region": "FR"}]}
    answer = posted(client, "/v1/what-if", body)
    words = ["what-if", "sdxl", "--gpu", H100, "--region", "PL", "--to", "steps=20", "--to", "region=FR"]
    expected = json.loads(run(*words, "--json")[1])
    for found, told in zip(answer["changes"], expected["changes"], strict=False):
        assert found["measures"] == told["measures"]
        assert found["described"] == told["described"]


def test_a_trade_off_is_that_of_the_command_line(client: TestClient, run: Command) -> None:
    body = {"setting": {"model": "sdxl", "gpu": [H100, "L4"], "steps": [20, 30]}, "by": ["energy", "latency"]}
    answer = posted(client, "/v1/pareto", body)
    told = json.loads(run("pareto", "sdxl", "--gpu", f"{H100},L4", "--steps", "20,30", "--json")[1])
    for found, expected in zip(answer["settings"], told["settings"], strict=True):
        for name in ("gpu", "on_front", "energy_j", "latency_s", "ranges"):
            assert found[name] == expected[name]


def test_a_plan_is_that_of_the_library(client: TestClient) -> None:
    demand = {
        "services": [{"images_per_day": 10_000, "configurations": [{"model": "sdxl", "steps": 20}]}],
        "gpus": [{"name": H100}],
        "regions": [{"name": "FR"}, {"name": "PL"}],
    }
    answer = posted(client, "/v1/plan", {**demand, "time_limit_s": 5})
    expected = joulecast.make_plan(demand).to_dict()
    assert answer["totals"] == expected["totals"]
    assert answer["fleet"] == expected["fleet"]


# --- what there is --------------------------------------------------------------------------------


def test_what_there_is(client: TestClient) -> None:
    assert got(client, "/v1/health") == {
        "status": "ok", "version": joulecast.__version__, "law": "roofline", "gpu": H100, "engine": None,
    }  # fmt: skip
    assert [one["name"] for one in got(client, "/v1/models")["models"]] == [
        m.name for m in joulecast.models()
    ]
    videos = got(client, "/v1/models?task=video")["models"]
    assert [one["name"] for one in videos] == [m.name for m in joulecast.models("video")]
    assert [one["name"] for one in got(client, "/v1/gpus")["gpus"]] == [gpu.name for gpu in joulecast.gpus()]
    assert {one["vendor"] for one in got(client, "/v1/gpus?vendor=amd")["gpus"]} == {"AMD"}
    regions = got(client, "/v1/regions")
    france = next(one for one in regions["regions"] if one["name"] == "France")
    assert france["intensity_g_per_kwh"] == joulecast.grid_intensity("FR").intensity.amount.value
    assert "US-CAL-CISO" in regions["series"]
    assert {"sglang", "fp8", "teacache"} <= {one["name"] for one in got(client, "/v1/runtimes")["parts"]}


def test_laws_state_their_published_errors(client: TestClient) -> None:
    found = got(client, "/v1/laws")
    assert {law["name"] for law in found["laws"]} == {*law_names()}
    law = next(law for law in found["laws"] if law["name"] == found["default"])
    errors = joulecast.load_law().describe().errors["unseen_model"].to_dict()
    of_reference = [e for e in law["errors"] if e["runtimes"] == "reference"]
    assert {"runtimes": "reference", "familiarity": "unseen_model", **errors} in of_reference


def test_every_packaged_run_is_there_with_its_source(client: TestClient) -> None:
    found = got(client, "/v1/runs")
    by_id = {run["run_id"]: run for run in found["runs"]}
    assert list(by_id) == [run.run_id for run in packaged_runs()]
    for run in packaged_runs():
        told = by_id[run.run_id]
        assert told["measured_energy_j"] == run.energy_j
        assert told["measured_duration_s"] == run.duration_s
        assert told["source"] == run.source
    predicted = [run for run in found["runs"] if run["predicted"]]
    assert len(predicted) > 800
    errors = [
        abs(run["predicted"]["predicted_energy_j"] / run["measured_energy_j"] - 1)
        for run in predicted
        if run["measured_energy_j"]
    ]
    assert float(np.median(errors)) < 0.2  # no table shifted against another
    assert {hold["holdout"] for run in found["runs"] for hold in run["held_out"]} >= {
        "unseen_model",
        "unseen_gpu",
    }


def test_metrics_count_what_was_asked(bare: TestClient) -> None:
    posted(bare, "/v1/estimate", [{"model": "sdxl", "gpu": "L4"}] * 3)
    posted(bare, "/v1/estimate", {"model": "sdxl"}, 422)
    bare.get("/v1/nothing/of/the/kind")
    bare.request("BREW", "/v1/estimate")
    found = bare.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = found.text
    assert 'joulecast_estimates_total{route="/v1/estimate"} 3.0' in text
    assert 'joulecast_http_requests_total{method="POST",route="/v1/estimate",status="422"} 1.0' in text
    assert 'joulecast_http_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'method="other",route="/v1/estimate",status="405"' in text
    assert 'joulecast_http_request_duration_seconds_bucket{le="0.005",route="/v1/estimate"}' in text
    assert "nothing" not in text


def sums(client: TestClient, **labels: str) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {s.name: s.value for family in families for s in family.samples if s.labels == labels}


def test_metrics_add_up_what_was_predicted_of_single_requests(bare: TestClient) -> None:
    labels = {"model": "sd2", "gpu": "T4", "runtime": "diffusers", "boundary": "gross", "output": "image"}
    asked = {"model": "sd2", "gpu": "T4", "batch_size": 4, "steps": 30, "size": "512x512"}
    of_engine = {
        "model": "sd2",
        "prompt": "a secret fox",
        "n": 4,
        "num_inference_steps": 30,
        "size": "512x512",
    }
    assert not sums(bare, **labels)
    answer, *_ = (posted(bare, "/v1/estimate", asked) for _ in range(2))
    posted(bare, "/v1/estimate/openai?gpu=T4", of_engine)
    posted(bare, "/v1/estimate", [asked] * 5)  # many at once are no requests that a gateway passes on
    found = sums(bare, **labels)
    assert found["joulecast_predicted_outputs_total"] == 12
    for end in ("", "_low", "_high"):
        joules = found[f"joulecast_predicted_energy{end}_joules_total"]
        assert joules == pytest.approx(3 * answer[f"batch_energy{end}_j"], rel=1e-9)
    assert "secret" not in bare.get("/metrics").text


def test_series_of_metrics_are_bounded() -> None:
    metrics = Metrics((), "roofline")
    for number in range(MOST_SERIES + 50):
        metrics.predicted(Work((f"m{number}", "L4", "diffusers", "gross", "image"), 1, 5.0, 4.0, 6.0))
    text = metrics.text().decode()
    assert text.count("joulecast_predicted_energy_joules_total{") == MOST_SERIES + 1
    assert 'gpu="other",model="other",output="image",runtime="other"} 250.0' in text


def test_rules_of_prometheus_name_metrics_that_there_are(bare: TestClient) -> None:
    posted(bare, "/v1/estimate", {"model": "sdxl", "gpu": "L4"})
    rules = (ROOT / "integrations/prometheus/joulecast.rules.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"joulecast_\w+", rules))
    assert len(named) >= 4
    text = bare.get("/metrics").text
    assert all(f"\n{name}{{" in text for name in named)
