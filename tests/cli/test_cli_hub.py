"""Hub ids: configs alone are taken, a fine-tune is its base model, and whatever is wrong is one line.

Commands run as processes of their own, for huggingface_hub reads its settings when it is first loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("diffusers")

from command import Done, refused
from hub_server import SHA, Hub, Repository, hub_of
from joulecast.architecture.hub import HubId, hub_id_of
from joulecast.compute.profile_file import packaged_profile, read_profile, write_profile
from joulecast.errors import FileFormatError
from pipeline_folder import edit, write_folder

pytestmark = [pytest.mark.trace, pytest.mark.slow]
NOWHERE = "http://127.0.0.1:9"  # where nothing listens

Ask = Callable[..., Done]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A fine-tune with weights, one with another scheduler, a new model, and what is no pipeline."""
    tuned = write_folder("sd1.5", tmp_path / "tuned")
    (tuned / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    (tuned / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    edit(tuned / "unet" / "config.json", _name_or_path="me", sample_size=96, dropout=0.0)
    other = write_folder("sd1.5", tmp_path / "other")
    edit(other / "model_index.json", scheduler=["diffusers", "HeunDiscreteScheduler"])
    new = write_folder("pixart-sigma", tmp_path / "new")
    edit(new / "transformer" / "config.json", num_layers=1)
    edit(new / "text_encoder" / "config.json", num_layers=1)
    edit(new / "vae" / "config.json", layers_per_block=1)
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "model.safetensors").write_bytes(b"weights")
    repositories = {
        "me/tuned": Repository(tuned),
        "me/other-scheduler": Repository(other),
        "me/new": Repository(new),
        "me/gated": Repository(tuned, gated=True),
        "me/single": Repository(tmp_path / "single"),
        "me/huge": Repository(tuned, sizes={"unet/config.json": 10**12}),
    }
    with hub_of(repositories) as found:
        yield found


@pytest.fixture
def ask(hub: Hub, tmp_path: Path) -> Ask:
    """Run a command beside the hub, or with other variables of the environment."""

    def command(*arguments: str, **variables: str) -> Done:
        own = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "cache")}
        found = subprocess.run(
            [sys.executable, "-m", "joulecast", *arguments],
            env={**os.environ, **own, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return Done(found.returncode, found.stdout, found.stderr)

    return command


def test_a_fine_tune_is_its_base_model(ask: Ask, hub: Hub) -> None:
    """From the network, then from the cache, without weights; the answer says whose layers they are."""
    options = ("me/tuned", "--gpu", "L4", "--steps", "20", "--json")
    answer = json.loads(ask("estimate", *options).out)
    fetched = [path.partition("resolve/")[2].partition("/")[2] for path in hub.asked if "/resolve/" in path]
    assert set(fetched) == {
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
        "tokenizer/tokenizer_config.json", "unet/config.json", "vae/config.json",
    }  # fmt: skip
    base = json.loads(ask("estimate", "sd1.5", *options[1:]).out)
    assert {**answer, "notes": 0} == {**base, "notes": 0}
    assert answer["notes"][0].startswith(f"me/tuned at revision {SHA[:12]} has the layers of sd1.5")
    asked = len(hub.asked)
    for variables in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NOWHERE}):
        assert json.loads(ask("estimate", *options, **variables).out) == answer
    assert len(hub.asked) == asked


def test_a_new_model_is_traced_and_its_profile_says_of_which_revision(ask: Ask, tmp_path: Path) -> None:
    done = ask("profile", "me/new@main", "--out", "new.json")
    assert f"configs: me/new at {SHA}" in done.out, done.err
    made = read_profile(tmp_path / "new.json")
    assert (made.name, made.hub_id, made.revision) == ("new", "me/new", SHA)
    answer = json.loads(ask("estimate", "me/new", "--gpu", "L4", "--json", HF_HUB_OFFLINE="1").out)
    assert answer["flop"] == json.loads(ask("estimate", "new.json", "--gpu", "L4", "--json").out)["flop"]
    assert answer["workload"]["origin"] == f"me/new@{SHA}"
    assert f"me/new was traced from its configs at revision {SHA[:12]}" in answer["notes"]


def test_another_scheduler_is_another_number_of_calls(ask: Ask) -> None:
    """Heun's calls the denoiser twice a step: the layers are those of sd1.5, the cost is not."""
    done = ask("profile", "me/other-scheduler", "--out", "heun.json", "--json")
    assert not any("has the layers of" in note for note in json.loads(done.out)["notes"])
    made = [json.loads(ask("estimate", one, "--gpu", "L4", "--json").out) for one in ("heun.json", "sd1.5")]
    calls = [next(c["calls"] for c in one["components"] if c["name"] == "unet") for one in made]
    assert calls == [99, 51]


def test_a_folder_of_a_fine_tune_says_whose_layers_it_has(ask: Ask) -> None:
    assert "tuned has the layers of sd1.5" in ask("profile", "tuned", "--out", "t.json").out.replace(
        "\n    ", " "
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("me/none", "the hub has no model me/none"),
        ("me/tuned@v9", "me/tuned has no revision 'v9'; see https://huggingface.co/me/tuned/tree/main"),
        ("me/gated", "accept its terms at https://huggingface.co/me/gated, then `hf auth login`"),
        ("me/single", "holds no model_index.json, so it is no folder of diffusers; it has single files of"),
        (
            "me/huge",
            "'unet/config.json' of me/huge is 1,000,000,000,000 bytes; a config has at most",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(ask: Ask, asked: str, words: str) -> None:
    refused(ask("profile", asked, "--out", "m.json"), words)
    refused(ask("estimate", asked, "--gpu", "L4"), f"unknown model '{asked}'", words)


def test_without_a_network_it_says_how_to_fetch(ask: Ask) -> None:
    command = 'hf download me/new --revision v1 --include model_index.json "*/*config.json" --local-dir model'
    for variables in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NOWHERE}):
        done = ask("profile", "me/new@v1", "--out", "m.json", **variables)
        refused(done, "is not in the cache of the hub, and there is no network", command)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Lightricks/LTX-Video", HubId("Lightricks/LTX-Video")),
        ("https://huggingface.co/a/b-1.0@refs/pr/4", HubId("a/b-1.0", "refs/pr/4")),
        ("a/b@", None),
        ("sdxl", None),
        ("a/b/c", None),
        ("../b", None),
        ("a/model.json", None),
        ("a/model.GGUF", None),
        ("a/b@\x1b[31m", None),
        ("a/" + "b" * 200, None),
    ],
)
def test_what_is_a_hub_id(text: str, found: HubId | None) -> None:
    assert hub_id_of(text) == found


def test_a_revision_is_one_line(tmp_path: Path) -> None:
    profile = replace(packaged_profile("sd1.5"), revision="main\nerror: all is lost")
    write_profile(profile, tmp_path / "p.json")
    with pytest.raises(FileFormatError, match="one line"):
        read_profile(tmp_path / "p.json")


def test_help_says_which_command_traces_a_hub_id(ask: Ask) -> None:
    refused(ask("what-if", "me/new", "--gpu", "L4", "--to", "steps=9"), "unknown model 'me/new'", "profile")
    told = {name: " ".join(ask(name, "--help").out.split()) for name in ("estimate", "what-if")}
    assert "any other hub id is traced" in told["estimate"]
    assert "is traced" not in told["what-if"]
    assert "`joulecast profile ID`" in told["what-if"]
