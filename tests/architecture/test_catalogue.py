"""Models by the names people have for them, and fine-tunes that stand for their base."""

from __future__ import annotations

import pytest

from joulecast.architecture.catalogue import find_model, fine_tune, listed_names, model_entry, model_names
from joulecast.data import read_table
from joulecast.errors import UnknownNameError, fold

FINE_TUNES = [row["hub_id"] for row in read_table("finetunes.csv")]


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("black-forest-labs/FLUX.2-klein-4B", "flux.2-klein-4b"),
        ("flux2-klein-9b", "flux.2-klein-9b"),
        ("FLUX.2", "flux.2-dev"),
        ("flux2_dev", "flux.2-dev"),
        ("https://huggingface.co/Tongyi-MAI/Z-Image-Turbo", "z-image-turbo"),
        ("z_image_turbo_bf16.safetensors", "z-image-turbo"),
        ("Z-Image", "z-image"),
        ("CompVis/stable-diffusion-v1-4", "sd1.4"),
        ("sd-v1-4.ckpt", "sd1.4"),
        ("SDXL-Lightning", "sdxl-lightning"),
        ("playground-v2.5-1024px-aesthetic", "playground-v2.5"),
        ("lodestones/Chroma1-HD", "chroma1-hd"),
        ("THUDM/CogView4-6B", "cogview4-6b"),
        ("Qwen/Qwen-Image-2512", "qwen-image-2512"),
    ],
)
def test_a_model_by_the_names_people_have_for_it(name: str, means: str) -> None:
    assert find_model(name) == means


@pytest.mark.parametrize("hub_id", FINE_TUNES)
def test_a_fine_tune_is_its_base(hub_id: str) -> None:
    found = fine_tune(hub_id)
    assert found is not None
    assert found.model in model_names()
    for name in (hub_id, hub_id.upper(), hub_id.rpartition("/")[2], f"https://huggingface.co/{hub_id}"):
        assert find_model(name) == found.model


def test_every_fine_tune_has_its_source() -> None:
    for row in read_table("finetunes.csv"):
        assert row["source"].startswith("https://"), row["hub_id"]


def test_no_fine_tune_takes_the_name_of_a_model() -> None:
    own = {fold(name) for model in model_names() for name in (model, *model_entry(model)["aliases"])}
    short = [fold(hub_id.rpartition("/")[2]) for hub_id in FINE_TUNES]
    assert not own & set(short)
    assert len(set(short)) == len(short)
    assert set(FINE_TUNES) <= set(listed_names())


@pytest.mark.parametrize("name", ["nobody/some-xl-mix", "juggernaut", "Lykon/dreamshaper-9"])
def test_a_fine_tune_in_no_row_is_unknown(name: str) -> None:
    assert fine_tune(name) is None
    with pytest.raises(UnknownNameError):
        find_model(name)
