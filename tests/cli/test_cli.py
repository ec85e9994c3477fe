"""The command line: what it prints, its exit status, and one line for every error."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command import Command, refused
from joulecast import data, gpu, gpus, models
from joulecast.cli import parser as cli
from joulecast.forecast.predictor import OUTPUTS
from joulecast.hardware import load_gpu
from joulecast.law.load import law_names
from pipeline_folder import edit, write_folder

HEADER = "model,gpu,width,height,steps"
FLUX = ["estimate", "flux.1-dev", "--gpu", "H100-SXM5-80GB", "--size", "1024x1024", "--steps", "50"]
FIGURES = (
    "tdp_w", "idle_power_w", "memory_bytes", "bandwidth_byte_per_s", "fp32_flop_per_s", "tf32_flop_per_s",
    "fp16_flop_per_s", "bf16_flop_per_s", "fp8_flop_per_s", "fp16_accumulate_flop_per_s", "sm_count",
    "boost_clock_hz", "l2_cache_bytes",
)  # fmt: skip
LARGE = {"torch", "diffusers", "scipy", "pandas", "matplotlib", "typer", "pydantic", "rich"}


def process(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "joulecast", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **settings,
    )


# --- estimate ------------------------------------------------------------------------------------


def test_an_estimate_as_text(run: Command) -> None:
    done = run(*FLUX, "--precision", "bf16")
    assert done.status == 0
    assert done.err == ""
    for words in (
        "energy per image",
        " J ",
        " Wh ",
        "90 %",
        "average power",
        "transformer",
        "gross",
        "9 in",
    ):
        assert words in done.out
    assert "Law: " not in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_an_estimate_as_json(run: Command) -> None:
    asked = "estimate sd3.5-large --gpu a100 --size 768x1024 --steps 28 --guidance 4.5 --batch 4 --json"
    done = run(*asked.split())
    answer = json.loads(done.out)
    documented = {
        "energy_j", "energy_low_j", "energy_high_j", "duration_s", "power_w", "flop", "boundary", "law",
        "warnings", "workload", "gpu", "components",
    }  # fmt: skip
    assert documented <= answer.keys()
    assert answer["energy_low_j"] < answer["energy_j"] < answer["energy_high_j"]
    assert {part["role"] for part in answer["components"]} == {"text_encoder", "denoiser", "decoder"}
    keys = {"name", "role", "calls", "flop", "energy_j", "peak_memory_bytes"}
    assert all(part.keys() == keys for part in answer["components"])
    assert sum(part["energy_j"] for part in answer["components"]) == pytest.approx(answer["energy_j"])
    assert sum(part["flop"] for part in answer["components"]) == pytest.approx(answer["flop"])
    assert answer["gpu"]["name"] == "A100-SXM4-80GB"
    workload = answer["workload"]
    assert (workload["width"], workload["height"], workload["steps"]) == (768, 1024, 28)
    assert (workload["passes"], workload["batch_size"], workload["precision"]) == (2, 4, "bf16")


def test_options_reach_the_estimate(run: Command) -> None:
    plain = json.loads(run(*FLUX, "--json").out)
    options = [
        "--negative-prompt",
        "--true-cfg-scale",
        "3.5",
        "--text-tokens",
        "256",
        "--boundary",
        "dynamic",
    ]
    given = json.loads(run(*FLUX, *options, "--law", "paper", "--json").out)
    assert given["workload"]["passes"] == 2
    assert given["workload"]["text_tokens"] == 256
    assert (given["boundary"], given["law"]["name"]) == ("dynamic", "paper")
    assert plain["workload"]["passes"] == 1
    assert json.loads(run(*FLUX, "--passes", "2", "--json").out)["flop"] > 1.9 * plain["flop"]
    assert not json.loads(run(*FLUX, "--no-negative-prompt", "--json").out)["workload"]["negative_prompt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["estimate"], "MODEL, --gpu"),
        (["estimate", "flux"], "--gpu"),
        (["estimate", "fluxx", "--gpu", "a100"], "or flux.1-dev?"),
        (["estimate", "flux", "--gpu", "a100-sxm9"], "did you mean"),
        ([*FLUX, "--precision", "fp8"], "fp16, bf16, fp32"),
        ([*FLUX, "--steps", "abc"], "whole number"),
        ([*FLUX, "--steps", "0"], "between 1 and"),
        ([*FLUX, "--steps", "-5"], "between 1 and"),
        ([*FLUX, "--steps", "1e400"], "whole number"),
        ([*FLUX, "--size", "1024"], "WIDTHxHEIGHT"),
        ([*FLUX, "--size"], "expected one argument"),
        ([*FLUX, "--passes", "3"], "between 1 and 2"),
        ([*FLUX, "--guidance", "nan"], "guidance"),
        ([*FLUX, "--boundary", "net"], "gross, dynamic"),
        ([*FLUX, "--law", "nope"], "unknown law"),
        ([*FLUX, "--law", "nope.json"], "nope.json"),
        ([*FLUX, "--stepz", "4"], "did you mean --steps"),
        ([*FLUX, "--num-inference-steps", "4"], "did you mean --steps"),
        ([*FLUX, "--torch_dtype=float16"], "did you mean --precision"),
        ([*FLUX, "--guidance_scale", "4"], "did you mean --guidance"),
        ([*FLUX, "--frames", "16"], "flux.1-dev makes images; frames must be 1, not 16"),
        ([*FLUX, "--denoise=0.5"], "image-to-image"),
        ([*FLUX, "--strength=1.5"], "strength must be a positive number of at most 1"),
        (["estimate", "sd3", "--gpu", "L4", "--size", "1000x1000"], "e.g. 992x992 or 1008x1008"),
        ([*FLUX, "more"], "unknown argument 'more'"),
        (["estimat", "flux"], "did you mean estimate"),
        (["nonsense"], "commands: estimate, predict, profile, models, gpus"),
        (["--versio"], "did you mean --version"),
        (["estimate", "nope.json", "--gpu", "a100"], "does not exist"),
        (["estimate", "flux", "--gpu", "nope.toml"], "nope.toml"),
        (["estimate", ".", "--gpu", "a100"], "unknown model"),
        (["estimate", "sd1.5", "--gpu", "a100", "--size", "500x500"], "multiples of 8"),
    ],
)
def test_a_bad_estimate_is_one_line(run: Command, arguments: list[str], words: str) -> None:
    refused(run(*arguments), words)


WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


ARGUMENTS = st.lists(
    WORDS | st.sampled_from([*FLUX, "--json", "--batch", "-1", "predict", "models"]), max_size=6
)


@given(arguments=ARGUMENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_arguments_end_without_a_traceback(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert end.value.code in (0, 2)
    assert error.count("\n") == (end.value.code == 2)


def test_a_damaged_profile_file(run: Command, tmp_path: Path) -> None:
    whole = data.read_bytes("profiles/sd1.5.json")
    path = tmp_path / "my-model.json"
    for content, words in (
        (whole[: len(whole) // 2], "not valid JSON"),
        (whole.replace(b'"steps":50', b'"steps":60', 1), "changed"),
        (whole.replace(b'"version":3', b'"version":7', 1), "version 7"),
        (os.urandom(500), "JSON"),
    ):
        path.write_bytes(content)
        refused(run("estimate", str(path), "--gpu", "a100"), "my-model.json", words)


# --- lists, help, version ------------------------------------------------------------------------


def test_models_and_gpus(run: Command) -> None:
    assert [model["name"] for model in json.loads(run("models", "--json").out)] == [m.name for m in models()]
    assert {gpu["name"] for gpu in json.loads(run("gpus", "--json").out)} >= {
        "H100-SXM5-80GB",
        "RTX 4090",
        "T4",
    }
    for command in ("models", "gpus"):
        text = run(command).out
        assert max(map(len, text.splitlines())) <= 100
        assert "H100-SXM5-80GB" in text or "flux.1-dev" in text


def test_help_and_version(run: Command) -> None:
    assert run("--version").out.startswith("joulecast ")
    assert run().out == run("--help").out
    for command in cli.commands():
        assert command in run("--help").out
        assert run(command, "--help").out.startswith(f"usage: joulecast {command}")


def test_help_and_version_as_people_type_them(run: Command) -> None:
    assert run("version") == run("-V") == run("--version")
    assert run("help") == run("--help")
    assert run("help", "plan") == run("plan", "--help")
    refused(run("help", "plann"), "did you mean plan")
    refused(run("track", "script.py"), "tracked from Python", "joulecast.track(pipe)")


NEEDED_WITH = {"boamps": ("--infrastructure", "other")}


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("estimate sd2 --gpu H100", "--boundary", "gross,dynamic"),
        ("estimate sd2 --gpu H100", "--precision", "fp16,bf16,fp32"),
        ("footprint p.csv --intensity 100", "--accounting", "location-based,market-based,marginal"),
        ("card p.csv --region FR", "--format", "markdown,json,huggingface,eu-form,spdx,cyclonedx,boamps"),
        ("budget check p.csv --max-wh-per-image 9", "--bound", "value,high"),
        ("measure sd2 --dry-run", "--runtime", "eager,compiled"),
    ],
)
def test_choices_are_shown_and_are_those_taken(run: Command, command: str, option: str, choices: str) -> None:
    words = command.split()
    assert f"{option} {{{choices}}}" in run(words[0], "--help").out
    Path("w.csv").write_text(f"{HEADER}\nsd2,H100,512,512,20\n")
    run("predict", "w.csv", "--out", "p.csv")
    for choice in choices.split(","):
        done = run(*words, option, choice, *NEEDED_WITH.get(choice, ()))
        assert done.status == 0, done.err
    refused(run(*words, option, "nothing"), "nothing", *choices.split(","))


def test_every_law_is_named_in_the_help(run: Command) -> None:
    told = run("estimate", "--help").out
    for name in law_names():
        assert name in told
        assert json.loads(run(*FLUX, "--law", name, "--json").out)["law"]["name"] == name
    refused(run(*FLUX, "--law", "nothing"), "unknown law", *law_names())


# --- GPUs as files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [known.name for known in gpus()])
def test_a_gpu_as_a_file_is_read_back(run: Command, name: str) -> None:
    done = run("gpus", name, "--toml")
    Path("mine.toml").write_text(done.out)
    again, known = load_gpu("mine.toml"), gpu(name)
    assert again.name == f"my {known.name}"
    same = ("vendor", "architecture", "generation", "process", "year", *FIGURES)
    for attribute in same:
        value = getattr(known, attribute)
        assert getattr(again, attribute) == (pytest.approx(value) if isinstance(value, float) else value)
    assert again.sources.keys() == known.sources.keys()


def test_a_gpu_file_is_changed_and_asked_about(run: Command) -> None:
    whole = run("gpus", "H100", "--toml").out
    Path("mine.toml").write_text(whole.replace("tdp_w = 700", "tdp_w = 500"))
    answer = json.loads(run(*FLUX[:2], "--gpu", "mine.toml", "--json").out)
    assert answer["gpu"]["tdp_w"] == 500
    assert run("gpus", "mine.toml", "--toml").out.startswith('name = "my my H100')


def test_some_gpus(run: Command) -> None:
    assert [one["name"] for one in json.loads(run("gpus", "h100", "L4", "--json").out)] == [
        "H100-SXM5-80GB", "L4"
    ]  # fmt: skip
    assert "T4" not in run("gpus", "L4").out
    refused(run("gpus", "A100-SXM4-80"), "did you mean A100-SXM4-80GB")
    for arguments in (("--toml",), ("H100", "L4", "--toml"), ("H100", "--toml", "--json")):
        refused(run("gpus", *arguments), "--toml prints one GPU")


def test_gpus_of_a_vendor(run: Command) -> None:
    listed = run("gpus", "--vendor", "amd").out
    assert "MI300X" in listed
    assert "RX 7900 XTX" in listed
    assert "A100" not in listed
    assert {one["vendor"] for one in json.loads(run("gpus", "--vendor", "Intel", "--json").out)} == {"Intel"}
    refused(run("gpus", "--vendor", "nvdia"), "did you mean NVIDIA? there are NVIDIA, AMD and Intel")
    refused(run("gpus", "--vendor", ""), "unknown vendor ''; there are NVIDIA, AMD and Intel")
    refused(run("gpus", "L4", "--vendor", "amd"), "give names or --vendor, not both")
    refused(run("gpus", "--vendor", "amd", "--toml"), "--toml prints one GPU")


def test_the_same_by_module() -> None:
    assert process("--version").stdout.startswith("joulecast ")


# --- predict -------------------------------------------------------------------------------------


def test_a_file_of_good_rows(run: Command, tmp_path: Path) -> None:
    source, target = tmp_path / "w.csv", tmp_path / "out.csv"
    source.write_text(f"{HEADER},id\nsd1.5,a100,512,512,20,7\nflux,h100,1024,1024,4,8\n")
    done = run("predict", str(source), "--out", str(target))
    assert done == (0, "", "predicted 2 of 2 rows, 2 with a doubt: see the column `warning`\n")
    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert [row["id"] for row in rows] == ["7", "8"]
    flux = ["estimate", "flux", "--gpu", "h100", "--size", "1024x1024", "--steps", "4"]
    assert float(rows[1]["energy_j"]) == pytest.approx(json.loads(run(*flux, "--json").out)["energy_j"])


def test_rows_that_fail_set_the_status(run: Command, tmp_path: Path) -> None:
    source = tmp_path / "w.csv"
    source.write_text(f"{HEADER}\nsd1.5,a100,512,512,20\nsd1.5,a100,512,512,zero\n")
    done = run("predict", str(source))
    assert done.status == 1
    assert done.err.splitlines()[0] == "predicted 1 of 2 rows, 1 with a doubt: see the column `warning`"
    assert "data row 2: steps must be a whole number" in done.err
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [bool(row["error"]) for row in rows] == [False, True]
    assert list(rows[0])[-len(OUTPUTS) :] == list(OUTPUTS)


FILES = st.binary(max_size=200) | WORDS.map(lambda text: f"{HEADER}\nsd1.5,a100,512,512,{text}\n".encode())


@given(content=FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_ends_with_0_1_or_2(content: bytes, tmp_path_factory: Any, capsys: Any) -> None:
    source = tmp_path_factory.getbasetemp() / "any.csv"
    source.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        cli.main(["predict", str(source), "--out", str(source.with_name("out.csv"))])
    assert end.value.code in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["nope.csv"], "does not exist"),
        (["."], "is a folder"),
        (["w.csv", "--out", "nowhere/out.csv"], "no folder"),
        (["w.csv", "--out", "."], "is a folder"),
        (["w.csv", "--out", "w.csv"], "is the input itself"),
        (["w.csv", "--out", "/dev/full"], "No space left"),
        (["w.csv", "--law", "nope"], "unknown law"),
    ],
)
def test_a_bad_predict_is_one_line(
    run: Command, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.csv").write_text(f"{HEADER}\nsd1.5,a100,512,512,20\n")
    refused(run("predict", *arguments), words)
    assert [path.name for path in tmp_path.iterdir()] == ["w.csv"]


def test_a_device_is_written_to_not_replaced(run: Command, tmp_path: Path) -> None:
    source = tmp_path / "w.csv"
    source.write_text(f"{HEADER}\nsd1.5,a100,512,512,20\n")
    assert run("predict", str(source), "--out", os.devnull).status == 0
    assert not Path(os.devnull).is_file()


# --- as a process --------------------------------------------------------------------------------


def test_an_estimate_loads_nothing_large() -> None:
    code = f"import sys, runpy; sys.argv = ['joulecast', *{FLUX[0:]!r}]\n"
    code += "try: runpy.run_module('joulecast', run_name='__main__')\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "numpy" in loaded
    assert loaded & LARGE == set()


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m joulecast gpus --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)  # 0: all was written before it left


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "joulecast", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_locale_without_unicode_reads_it_all_the_same() -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = process(*FLUX[:4], "--size", "1024×1024", env=environment)
    assert done.returncode == 0, done.stderr
    assert "1024x1024" in done.stdout


def test_a_terminal_without_unicode_is_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = process("estimate", "flüx" * 40, "--gpu", "a100", env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown model")


# --- profile -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A text-to-image pipeline of one layer of each kind."""
    path = write_folder("pixart-sigma", tmp_path / "tiny-pixart")
    edit(path / "transformer" / "config.json", num_layers=1)
    edit(path / "text_encoder" / "config.json", num_layers=1)
    edit(path / "vae" / "config.json", layers_per_block=1)
    return path


@pytest.mark.trace
@pytest.mark.slow
def test_a_folder_becomes_a_model(run: Command, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    target = tmp_path / "my-model.json"
    done = run("profile", str(folder), "--out", str(target))
    assert done.status == 0, done.err
    for words in ("tiny-pixart (PixArtSigmaPipeline)", "denoiser", "TFLOP", f"wrote {target}"):
        assert words in done.out
    answer = json.loads(run("estimate", str(target), "--gpu", "L40S", "--steps", "20", "--json").out)
    assert answer["workload"]["origin"] == str(target)
    whole = json.loads(run("estimate", "pixart-sigma", "--gpu", "L40S", "--steps", "20", "--json").out)
    assert 0 < answer["flop"] < whole["flop"] / 5
    assert any("tiny-pixart" in warning for warning in answer["warnings"])
    assert {path.name for path in tmp_path.iterdir()} == {"my-model.json", "tiny-pixart"}


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("transformer", {"num_layers": 10**9}, "layers"),
        ("transformer", {"num_attention_heads": -1}, "transformer"),
        ("transformer", {"num_attention_heads": 10**12}, "no architecture has"),
        ("transformer", {"num_attention_heads": "many"}, "transformer"),
        ("transformer", {"cross_attention_dim": 7}, ""),
        ("text_encoder", {"d_model": -4096}, "text_encoder"),
        ("vae", {"block_out_channels": []}, "vae"),
        ("vae", {"down_block_types": ["EvilBlock"]}, "vae"),
    ],
)
@pytest.mark.trace
def test_an_absurd_config_is_one_line(
    run: Command, folder: Path, tmp_path: Path, part: str, changes: dict[str, Any], words: str
) -> None:
    pytest.importorskip("diffusers")
    edit(folder / part / "config.json", **changes)
    refused(run("profile", str(folder), "--out", str(tmp_path / "out.json")), words)
    assert not (tmp_path / "out.json").exists()


@pytest.mark.trace
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_class_name": "NoSuchPipeline"}, "NoSuchPipeline"),
        ({"_class_name": 7}, "names no pipeline"),
        ({"transformer": ["diffusers", "NoSuchTransformer"]}, "NoSuchTransformer"),
        ({"transformer": ["my_code", "Transformer"]}, "never run"),
        ({"transformer": ["os", "system"]}, "never run"),
        ({"text_encoder": ["transformers", "AutoModel.from_pretrained"]}, "AutoModel"),
    ],
)
def test_an_index_that_names_what_is_not_there(
    run: Command, folder: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    pytest.importorskip("diffusers")
    edit(folder / "model_index.json", **changes)
    refused(run("profile", str(folder), "--out", str(tmp_path / "out.json")), words)


def test_a_folder_that_is_no_model(run: Command, folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.json")
    refused(run("profile", str(tmp_path), "--out", out), "no model_index.json")
    refused(run("profile", str(tmp_path / "nope"), "--out", out), "not a folder")
    refused(run("profile", str(folder), "--out", str(tmp_path / "out.txt")), ".json")
    refused(run("estimate", str(folder), "--gpu", "a100"), "is a folder", "joulecast profile")
    whole = (folder / "vae" / "config.json").read_text()
    (folder / "vae" / "config.json").write_text(whole[: len(whole) // 2])
    refused(run("profile", str(folder), "--out", out), "vae", "not valid JSON")
    (folder / "vae" / "config.json").unlink()
    refused(run("profile", str(folder), "--out", out), "does not exist")
    (folder / "model_index.json").write_bytes(b"\xff\xfe\x00")
    refused(run("profile", str(folder), "--out", out), "not valid JSON")
