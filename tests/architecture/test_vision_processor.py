"""The stand-in for a processor of texts and images: as many patches and tokens as the real one makes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from PIL import Image

from joulecast.architecture.stand_ins import PROMPT, StandInVisionProcessor

pytestmark = pytest.mark.trace

QWEN = {
    "patch_size": 14,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12845056,
}


# By hand, as Qwen's `smart_resize` does it: sides to the nearest 28 pixels, larger or smaller where there are
# few or too many in all.
GRIDS = {(1024, 1024): (74, 74), (384, 384): (28, 28), (20, 30): (6, 4), (8000, 4000): (180, 362)}


@pytest.mark.parametrize("size", GRIDS)
def test_an_image_has_the_patches_that_qwen_gives_it(size: tuple[int, int]) -> None:
    made = StandInVisionProcessor(1024, 50, QWEN)(text=[PROMPT], images=Image.new("RGB", size))
    rows, columns = GRIDS[size]
    assert made["image_grid_thw"].tolist() == [[1, rows, columns]]
    assert made["pixel_values"].shape == (rows * columns, 3 * 2 * 14 * 14)


def test_a_merged_patch_is_a_token_of_the_text() -> None:
    processor = StandInVisionProcessor(1024, 50, QWEN)
    processor.image_token_id = 7
    made = processor(
        text=[PROMPT] * 2, images=[Image.new("RGB", (384, 384))] * 2, padding=True, return_tensors="pt"
    )
    assert made["input_ids"].shape == made["attention_mask"].shape == (2, 50 + 196)
    assert (made["input_ids"] == 7).sum(dim=1).tolist() == [196, 196]
    assert processor(text=[PROMPT], return_tensors="pt")["input_ids"].shape == (1, 50)
