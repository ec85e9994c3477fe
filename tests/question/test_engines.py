"""Runtime files: an engine of one's own is read, refused where it cannot be, and predicted from its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

import joulecast
from command import Command, refused
from joulecast.errors import JoulecastError
from joulecast.question.engines import KEYS, LEAST_LEFT, engine_toml, load_engine
from joulecast.runtime import ENGINE, LEFT, parts

GPU = "H100-SXM5-80GB"


def written(folder: Path, *lines: str) -> str:
    path = folder / "mine.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_every_key_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'name = "keyed"',
        'title = "our server"',
        "fused = true",
        'attention = "flash_attention_3"',
        'vendor = "NVIDIA"',
        'denoiser = "transformer"',
        'models = ["FLUX.1-dev"]',
        'source = "a test"',
        *(f"{key} = 0.5" for key in LEFT),
    )
    found = load_engine(path)
    stated = ("name", "title", "fused", "attention", "vendor", "denoiser", "models", "source")
    assert set(KEYS) == {*stated, *LEFT}
    assert (found.name, found.title, found.fused, found.attention) == (
        "keyed", "our server", True, "flash_attention_3",
    )  # fmt: skip
    assert (found.vendor, found.denoiser, found.models) == ("NVIDIA", "transformer", ("flux.1-dev",))
    assert (found.source, dict(found.left)) == ("a test", dict.fromkeys(LEFT, 0.5))
    assert parts(ENGINE)["keyed"] == found == load_engine(path)  # again, it changes nothing


def test_a_printed_engine_is_predicted_as_the_one_that_it_is_of(run: Command) -> None:
    """Its parts are those of SGLang; its range is that of runtimes nobody measured."""
    Path("mine.toml").write_text(run("runtimes", "sglang", "--toml").out, encoding="utf-8")
    mine, theirs = (joulecast.estimate("flux.1-dev", GPU, engine=name) for name in ("mine.toml", "sglang"))
    assert mine.energy_j == pytest.approx(theirs.energy_j, rel=1e-3)  # four digits are printed
    assert mine.duration_s == pytest.approx(theirs.duration_s, rel=1e-3)
    assert (mine.familiarity, mine.timed_familiarity) == ("unseen_runtime", "unseen_runtime")
    assert mine.duration_high_s / mine.duration_s > theirs.duration_high_s / theirs.duration_s
    said = run("estimate", "flux.1-dev", "--gpu", GPU, "--engine", "mine.toml").out
    assert "Runtime: SGLang diffusion (my-sglang)." in said


@pytest.mark.parametrize("key", LEFT)
def test_what_an_engine_leaves_costs_less(key: str, tmp_path: Path) -> None:
    """Each share by itself: of an image that waits for its host, and of a batch that does not."""
    whole = joulecast.estimate("sd1.5", GPU, batch_size=1 if key == "host_left" else 16).duration_s
    path = written(tmp_path, f'name = "half-{key}"'.replace("_", "-"), f"{key} = 0.5")
    half = joulecast.estimate("sd1.5", GPU, batch_size=1 if key == "host_left" else 16, engine=path)
    assert 0.45 * whole < half.duration_s < 0.995 * whole


def test_doors_read_the_same_file(run: Command) -> None:
    Path("mine.toml").write_text('name = "of-all-doors"\nfused = true\n')
    Path("w.csv").write_text(f"model,gpu,engine\nflux.1-dev,{GPU},mine.toml\n")
    one = joulecast.estimate("flux.1-dev", GPU, engine="mine.toml")
    row = joulecast.predict({"model": ["flux.1-dev"], "gpu": [GPU], "engine": ["mine.toml"]})
    assert row["energy_j"][0] == one.energy_j
    assert run("predict", "w.csv").status == 0
    change = run("what-if", "flux.1-dev", "--gpu", GPU, "--to", "engine=mine.toml")
    assert "engine diffusers to of-all-doors" in change.out


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["fused = true"], "lacks a name"),
        (['name = "x"', "fuse = true"], "unknown key 'fuse'; did you mean fused"),
        (['name = "My Engine"'], "no word of small letters"),
        (['name = "sglang"', "fused = false"], "an engine sglang is known by name"),
        (['name = "y"', 'fused = "yes"'], "fused is 'yes'; expected true or false"),
        (['name = "tensor-rt"'], "an engine tensor-rt is known by name"),
        (['name = "x-compiled"'], "a name ending in -compiled"),
        (['name = "y"', 'vendor = "Foo"'], "runtime file 'bad.toml': vendor: unknown vendor 'Foo'"),
        (['name = "y"', 'attention = "flash_attention_4"'], "runtime file 'bad.toml': attention: unknown"),
        (['name = "y"', 'attention = "flash_attention_4"'], "did you mean flash_attention_3"),
        (['name = "y"', 'denoiser = "unet"'], "expected U-Net or transformer"),
        (['name = "y"', 'models = "flux.1-dev"'], "expected a list"),
        (['name = "y"', 'models = ["flux.1-def"]'], "did you mean flux.1-dev"),
        (['name = "y"', "bytes_left = 0"], f"bytes_left is 0; expected a number from {LEAST_LEFT:g}"),
        (['name = "y"', "host_left = 1e9"], "host_left is 1000000000"),
        (["name ="], "is not TOML"),
    ],
)
def test_what_no_engine_is(lines: list[str], words: str, run: Command) -> None:
    Path("bad.toml").write_text("\n".join(lines))
    refused(run("estimate", "flux.1-dev", "--gpu", GPU, "--engine", "bad.toml"), words)


def test_two_engines_of_one_name_are_told(tmp_path: Path) -> None:
    load_engine(written(tmp_path, 'name = "twice"', "fused = true"))
    with pytest.raises(JoulecastError, match="twice was read before, with other values"):
        load_engine(written(tmp_path, 'name = "twice"', "fused = false"))


def test_an_engine_of_some_models_or_denoisers_refuses_others(tmp_path: Path) -> None:
    path = written(tmp_path, 'name = "for-u-nets"', 'denoiser = "U-Net"')
    with pytest.raises(JoulecastError, match="engine for-u-nets is made for a U-Net"):
        joulecast.estimate("flux.1-dev", GPU, engine=path)
    assert joulecast.estimate("sdxl", GPU, engine=path).question.runtime.engine == "for-u-nets"


@pytest.mark.parametrize(
    "arguments", [("sglang",), ("--toml",), ("sglang", "--toml", "--json"), ("sglan", "--toml")]
)
def test_what_runtimes_does_not_print(arguments: tuple[str, ...], run: Command) -> None:
    refused(run("runtimes", *arguments), "did you mean sglang" if "sglan" in arguments else "go together")


@pytest.mark.parametrize("name", parts(ENGINE))
def test_every_engine_may_be_printed_and_read(name: str, tmp_path: Path) -> None:
    engine = parts(ENGINE)[name]
    text = engine_toml(engine, dict.fromkeys(LEFT, 0.25)).replace(f"my-{name}", f"read-{name}")
    found = load_engine(written(tmp_path, text))
    assert (found.fused, found.attention, found.models) == (engine.fused, engine.attention, engine.models)
