"""Stand-ins for what needs files that are no configs: tokenizers, image processors, safety checkers.

A tokenizer returns token ids of a chosen length, an image processor blank pixels: what a pipeline computes
depends on how many there are, not on which. Needs the extra `trace`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from joulecast.errors import MissingExtraError, TraceError, shown

try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None

PROMPT = "an image of a red fox in the snow"
CLIP_PIXELS = 224
MOST_PIXELS = 4096  # of a side that an image is brought to
CHARACTERS_PER_TOKEN = 5.1  # of instructions in English, in the vocabularies of current text encoders
UNBOUNDED_TOKENS = 1_000_000  # tokenizers without a limit carry 10^30 as model_max_length


def encoding(content: Mapping[str, Any]) -> Any:
    """What a tokenizer returns: `content`, with the places of its tokens for whoever asks for them."""
    from transformers import BatchEncoding

    class Encoding(BatchEncoding):  # type: ignore[misc]
        def __getitem__(self, key: Any) -> Any:
            if key == "position_ids" and key not in self.data:
                ids = self.data["input_ids"]
                return torch.arange(ids.shape[-1]).expand(ids.shape).clone()
            return super().__getitem__(key)

    return Encoding(content)


class StandInTokenizer:
    """Returns token ids of the length a pipeline asks for, or of the prompt's length where it asks for none.

    Texts that hold one of `prompts` have `length` tokens, with any template around them, or beside it where
    `counts_templates`; other texts have as many as their characters suggest. Padded ids come with a mask:
    it ends the prompt after `fills` tokens, and leaves at least one of padding, because modules treat a
    padded prompt in another way than a full one and drop its padding where they can.
    """

    pad_token_id = 0
    eos_token_id = 2
    bos_token_id = 1
    pad_token = "<pad>"
    eos_token = "</s>"
    bos_token = "<s>"
    unk_token = "<unk>"
    padding_side = "right"
    image_token = "<image>"
    chat_template = ""
    added_tokens_encoder: Mapping[str, int] = {}

    def __init__(self, model_max_length: int, length: int) -> None:
        self.model_max_length = model_max_length
        self.length = length
        self.prompts: tuple[str, ...] = (PROMPT,)
        self.fills: int | None = None  # tokens of a padded prompt; None for all but one
        self.counts_templates = False
        self.longest_template = 0  # of those that were met [tokens]

    def __call__(
        self,
        text: Any = None,
        *args: Any,
        padding: Any = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Token ids of shape (prompts, tokens), int64, and their mask; lists if no tensors are asked for.

        Their places are told when they are asked for by name.
        """
        several = isinstance(text, (list, tuple))
        texts = list(text) if several else [text]
        tokens = max((self._tokens(one) for one in texts), default=1)
        if padding == "max_length":
            tokens = max_length or self.model_max_length
        ids = torch.ones(len(texts), min(tokens, UNBOUNDED_TOKENS), dtype=torch.int64)
        ids[:, -1] = self.eos_token_id
        mask = torch.ones_like(ids)
        if padding == "max_length":
            longest = max(1, ids.shape[1] - 1)
            mask[:, min(longest, self.fills or longest) :] = 0
        content = {"input_ids": ids, "attention_mask": mask}
        if return_tensors is None:
            content = {key: x.tolist() if several else x[0].tolist() for key, x in content.items()}
        return encoding(content)

    def _tokens(self, text: Any) -> int:
        if not isinstance(text, str) or not text:
            return self.length
        prompt = next((prompt for prompt in self.prompts if prompt in text), None)
        if prompt is None:
            return len(self.encode(text))
        around = len(self.encode(text.replace(prompt, "", 1))) if text != prompt else 0
        self.longest_template = max(self.longest_template, around)
        return self.length + (around if self.counts_templates else 0)

    def pad(
        self, encoded: Any, *args: Any, padding: Any = True, max_length: int | None = None, **kwargs: Any
    ) -> Any:
        """Lists of ids as tensors with their mask, padded to the longest or to `max_length`."""
        from transformers import BatchEncoding

        rows = [list(row) for row in encoded["input_ids"]]
        longest = max(map(len, rows))
        tokens = max_length if padding == "max_length" and max_length else longest
        ids = torch.tensor([row + [self.pad_token_id] * (tokens - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (tokens - len(row)) for row in rows])
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

    @property
    def tokenizer(self) -> StandInTokenizer:
        """Itself: a processor holds a tokenizer."""
        return self

    def encode(self, text: str, **kwargs: Any) -> list[int]:
        """As many ids as English text of this length has tokens, about."""
        return [1] * max(1, round(len(text) / CHARACTERS_PER_TOKEN))

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """The words of the text."""
        return text.split()

    def apply_chat_template(self, messages: Any, *args: Any, tokenize: bool = True, **kwargs: Any) -> Any:
        """The messages as text, or as the ids this stand-in gives any text."""
        conversations = messages if messages and isinstance(messages[0], list) else [messages]
        texts = [str(conversation) for conversation in conversations]
        if not tokenize:
            return texts if conversations is messages else texts[0]
        as_dict = kwargs.pop("return_dict", True)
        encoded = self(texts, **kwargs)
        return encoded if as_dict else encoded["input_ids"]

    def batch_decode(self, ids: Any, **kwargs: Any) -> list[str]:
        """Some text for each sequence."""
        return ["text" for _ in ids]

    def decode(self, ids: Any, **kwargs: Any) -> str:
        """Some text."""
        return "text"


class StandInVisionProcessor(StandInTokenizer):
    """A tokenizer that takes images beside texts, as those of Qwen's vision-language models do.

    An image is brought to sides that are multiples of a merged patch, and cut into patches; a text has a
    token for each merged patch of its images, before its own.
    """

    def __init__(self, model_max_length: int, length: int, config: Mapping[str, Any]) -> None:
        super().__init__(model_max_length, length)
        keys = {"patch": "patch_size", "merged": "merge_size", "frames": "temporal_patch_size"}
        self._named = {name for name, key in keys.items() if key in config}
        self.patch = int(config.get("patch_size", 14))
        self.merged = int(config.get("merge_size", 2))
        self.frames = int(config.get("temporal_patch_size", 2))
        self.pixels = int(config.get("min_pixels", 56 * 56)), int(config.get("max_pixels", 16384 * 28 * 28))
        self.image_token_id = 0  # of the text encoder's config

    def __call__(self, text: Any = None, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Token ids and their mask, and of images their patches, (patches, numbers), and how many each has,
        (images, 3)."""
        if images is None:
            return super().__call__(text, *args, **kwargs)
        encoded = super().__call__(text, *args, **{**kwargs, "return_tensors": "pt"})
        patches = self.patches(images)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        of_images = len(patches["pixel_values"]) // self.merged**2 // len(ids)
        placed = torch.full((len(ids), of_images), self.image_token_id, dtype=ids.dtype)
        encoded["input_ids"] = torch.cat([ids[:, :1], placed, ids[:, 1:]], dim=1)
        encoded["attention_mask"] = torch.cat([torch.ones_like(placed), mask], dim=1)
        encoded.update(patches)
        return encoded

    @property
    def image_processor(self) -> StandInPatches:
        """What takes images without texts."""
        return StandInPatches(self)

    def patches(self, images: Any) -> dict[str, Any]:
        """Patches of images, (patches, numbers), and how many each has, (images, 3)."""
        several = list(images) if isinstance(images, (list, tuple)) else [images]
        grids = torch.tensor([self._grid(*image.size) for image in several])
        pixels = torch.zeros(int(grids.prod(dim=1).sum()), 3 * self.frames * self.patch**2)
        return {"pixel_values": pixels, "image_grid_thw": grids}

    def take_sizes(self, vision: Any) -> None:
        """Cut patches as the encoder's own config has them, where the processor's names none."""
        for name, key in (
            ("patch", "patch_size"),
            ("merged", "spatial_merge_size"),
            ("frames", "temporal_patch_size"),
        ):
            size = getattr(vision, key, None)
            if isinstance(size, int) and name not in self._named:
                setattr(self, name, size)

    def _grid(self, width: int, height: int) -> tuple[int, int, int]:
        """Frames, rows and columns of an image's patches."""
        step = self.patch * self.merged
        least, most = self.pixels
        high, wide = (round(side / step) * step for side in (height, width))
        if high * wide > most:
            scale = math.sqrt(height * width / most)
            high, wide = (max(step, math.floor(side / scale / step) * step) for side in (height, width))
        elif high * wide < least:
            scale = math.sqrt(least / (height * width))
            high, wide = (math.ceil(side * scale / step) * step for side in (height, width))
        return 1, high // self.patch, wide // self.patch


class StandInPatches:
    """The part of a processor of texts and images that takes images alone."""

    def __init__(self, processor: StandInVisionProcessor) -> None:
        self.processor, self.merge_size = processor, processor.merged

    def __call__(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Their patches."""
        from transformers import BatchFeature

        return BatchFeature(self.processor.patches(images))


class StandInImageProcessor:
    """Returns blank pixels of the size that its config brings images to; 224 by 224 where it names none."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        size = config.get("crop_size") or config.get("size") or CLIP_PIXELS
        sides = size if isinstance(size, Mapping) else {"height": size, "width": size}
        edge = sides.get("shortest_edge", CLIP_PIXELS)
        self.config = dict(config)
        self.sides = tuple(_whole_side(sides.get(name, edge)) for name in ("height", "width"))
        self.crop_size = self.size = dict(zip(("height", "width"), self.sides, strict=True))
        self.image_mean = config.get("image_mean", [0.5] * 3)
        self.image_std = config.get("image_std", [0.5] * 3)

    def __call__(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Pixels of shape (images, 3, height, width)."""
        from transformers import BatchFeature

        several = len(images) if isinstance(images, (list, tuple)) or hasattr(images, "shape") else 1
        return BatchFeature({"pixel_values": torch.zeros(several, 3, *self.sides)})

    preprocess = __call__


def _whole_side(side: object) -> int:
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MOST_PIXELS:
        raise TraceError(f"an image processor's size is {shown(side)}; expected pixels, e.g. {CLIP_PIXELS}")
    return side


class StandInSafetyChecker:
    """Lets everything pass: checking what is asked for and made is no part of making it."""

    def to(self, *_: Any) -> StandInSafetyChecker:
        """Itself."""
        return self

    def check_text_safety(self, *_: Any) -> bool:
        """Yes."""
        return True

    def check_video_safety(self, video: Any) -> Any:
        """The video."""
        return video
