"""The architecture catalogue: every file has the schema, builds, and has the published size.

The build tests need the extra `trace`; nothing is downloaded and no weight is allocated.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
import warnings
from functools import cache
from typing import Any

import pytest

from joulecast.data import names, read_json
from joulecast.errors import fold

PRECISIONS = {"fp16", "bf16", "fp32"}
PIPELINE_MODULES = {"kolors", "ltx2"}  # of diffusers.pipelines, with classes of their own
LIBRARIES = {"diffusers", "transformers", *PIPELINE_MODULES}
NO_MODULES = (
    "feature_extractor",
    "guider",
    "image_processor",
    "processor",
    "text_processor",
    "tokenizer",
)  # components that turn inputs into tensors on the processor, or tell what is called
CATALOGUE = {
    "animatediff-v1-5-3", "auraflow-v0.3", "bria-3.2", "chroma1-hd", "cogvideox-2b", "cogvideox-5b",
    "cogvideox1.5-5b",
    "cogview3-plus-3b", "cogview4-6b", "flux.1-canny-dev", "flux.1-dev", "flux.1-fill-dev",
    "flux.1-kontext-dev", "flux.1-krea-dev", "flux.1-schnell", "flux.2-dev",
    "flux.2-klein-4b", "flux.2-klein-9b", "flux.2-klein-base-4b", "flux.2-klein-base-9b",
    "hunyuandit-v1.2", "kolors",
    "hunyuanvideo", "hunyuanvideo-1.5-480p-t2v", "hunyuanvideo-1.5-720p-t2v",
    "krea-2-raw", "krea-2-turbo", "lcm-dreamshaper-v7", "lcm-sdxl",
    "ltx-video-13b", "ltx-video-13b-distilled", "ltx-video-2b", "ltx-video-2b-0.9.5",
    "lumina-image-2.0", "mochi-1-preview", "modelscope-t2v-1.7b", "ovis-image-7b", "pixart-alpha",
    "pixart-sigma",
    "playground-v2.5", "qwen-image", "qwen-image-2512", "qwen-image-edit", "qwen-image-edit-2509",
    "qwen-image-edit-2511", "sana-0.6b", "sana-0.6b-512", "sana-1.6b",
    "sana-sprint-0.6b", "sana-sprint-1.6b", "sana-video-2b-480p", "sana1.5-1.6b", "sana1.5-4.8b",
    "sd-turbo", "sd1.4", "sd1.5", "sd2", "sd2.1", "sd3-medium", "sd3.5-large", "sd3.5-large-turbo",
    "sd3.5-medium", "sdxl", "sdxl-lightning", "sdxl-turbo", "skyreels-v2-i2v-14b-540p",
    "skyreels-v2-t2v-14b-540p", "skyreels-v2-t2v-14b-720p", "ssd-1b", "wan2.1-i2v-14b-480p",
    "wan2.1-i2v-14b-720p", "wan2.1-t2v-1.3b",
    "wan2.1-t2v-14b", "wan2.2-i2v-a14b", "wan2.2-t2v-a14b", "wan2.2-ti2v-5b", "z-image", "z-image-turbo",
    "flux.1-dev-controlnet", "sd1.5-controlnet", "sd3.5-large-controlnet", "sdxl-controlnet",
    "ernie-image", "ernie-image-turbo", "sdxl-refiner", "svd-xt",
    "flux.1-dev-img2img", "qwen-image-img2img", "sd1.5-img2img", "sd3.5-large-img2img", "sdxl-img2img",
}  # fmt: skip
TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str, "hub_id": str, "aliases": list, "family": str, "pipeline": str,
    "default_width": int, "default_height": int, "default_steps": int, "default_guidance_scale": float,
    "default_precision": str, "min_size": int, "max_size": int, "hard_max_size": (int, type(None)),
    "components": dict, "pipeline_config": dict, "published_parameters": dict,
    "sources": dict, "inferred": list, "notes": list,
}  # fmt: skip
OF_A_VIDEO: dict[str, type] = {"default_frames": int, "default_frame_rate": float}
COUNT_KEYS = {"value", "digits", "source", "includes_position_table", "counted", "differs"}
# Keys of a transformers config that its class takes without naming them: the base class's, and the
# rotary ones, which transformers 5 folds into `rope_parameters`.
INHERITED_KEYS = {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"}
KEPT_KEYS = {"original_rope"}  # which ChatGLMModel reads from a config that does not name it
ROTARY_KEYS = {"rope_theta", "rope_scaling", "rope_parameters"}


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    return {
        name.rsplit("/", 1)[1][: -len(".json")]: read_json(name) for name in names("architectures", ".json")
    }


def test_the_catalogue_holds_these_models() -> None:
    assert set(catalogue()) == CATALOGUE


def types_of(model: dict[str, Any]) -> dict[str, Any]:
    """The keys of a model in their order, with their types: one that makes videos has two more."""
    if "default_frames" not in model:
        return TYPES
    keys = list(TYPES)
    place = keys.index("default_steps")
    return {key: (TYPES | OF_A_VIDEO)[key] for key in [*keys[:place], *OF_A_VIDEO, *keys[place:]]}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_schema(name: str) -> None:
    model = catalogue()[name]
    further = ("default_negative_prompt", "input_images", "image_to_image_of", "control_of", "controls")
    scale = "default_true_cfg_scale" if "default_true_cfg_scale" in model else "default_guidance_scale"
    named = {scale if key == "default_guidance_scale" else key: kind for key, kind in types_of(model).items()}
    assert [key for key in model if key not in further] == list(named)
    assert model.get("input_images", ["image"]) == ["image"]
    assert model.get("image_to_image_of", name.removesuffix("-img2img")) == name.removesuffix("-img2img")
    assert model.get("control_of", name.removesuffix("-controlnet")) == name.removesuffix("-controlnet")
    assert ("controls" in model) == ("control_of" in model) == ("controlnet" in model["components"])
    for kind, hub_id in model.get("controls", {}).items():
        assert kind == kind.casefold() != "none"
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id)
    assert model.get("default_negative_prompt", False) in (False, True)
    for key, kind in named.items():
        assert isinstance(model[key], kind), key
        assert not isinstance(model[key], bool), key
    assert model["name"] == name
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model["hub_id"])
    assert model["pipeline"].endswith("Pipeline")
    assert model["default_precision"] in PRECISIONS
    assert model["default_steps"] >= 1
    assert model.get("default_frames", 1) >= 1
    assert model.get("default_frame_rate", 1.0) > 0
    assert model[scale] >= 0
    assert model["min_size"] <= model["default_width"] <= model["max_size"]
    assert model["min_size"] <= model["default_height"] <= model["max_size"]
    assert model["hard_max_size"] is None or model["max_size"] <= model["hard_max_size"]
    assert set(model["sources"]) == {"configs", "defaults", "sizes"}
    assert all(source.startswith("https://") for source in model["sources"].values())
    for text in [*model["aliases"], *model["inferred"], *model["notes"]]:
        assert text.strip() == text != ""


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_components_are_a_class_and_its_config(name: str) -> None:
    components = catalogue()[name]["components"]
    assert "scheduler" in components
    assert "vae" in components
    assert len({"unet", "transformer"} & set(components)) == 1
    assert [
        key.replace("tokenizer", "text_encoder") for key in components if key.startswith("tokenizer")
    ] == [key for key in components if key.startswith("text_encoder")]
    for key, part in components.items():
        assert list(part) == ["library", "class", "config"], key
        assert part["library"] in LIBRARIES
        assert part["class"].isidentifier()
        assert isinstance(part["config"], dict)
        assert not any(option.startswith("_") for option in part["config"]), key
    scalars = (str, int, float, bool)
    assert all(isinstance(value, scalars) for value in catalogue()[name]["pipeline_config"].values())


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_published_counts_say_their_source_and_precision(name: str) -> None:
    model = catalogue()[name]
    modules = {key for key in model["components"] if not key.startswith(("scheduler", *NO_MODULES))}
    assert set(model["published_parameters"]) == modules
    for key, count in model["published_parameters"].items():
        assert set(count) <= COUNT_KEYS, key
        assert {"value", "digits", "source"} <= set(count), key
        assert count["source"].startswith("https://"), key
        written = str(count["value"])
        assert 1 <= count["digits"] <= len(written)
        assert set(written[count["digits"] :]) <= {"0"}, (
            f"{key}: {written} has more than {count['digits']} digits"
        )
        assert ("differs" in count) == ("counted" in count), key


def test_no_two_models_share_a_name_once_folded() -> None:
    owner: dict[str, str] = {}
    for name, model in catalogue().items():
        for spelling in [model["name"], model["hub_id"], *model["aliases"]]:
            assert owner.setdefault(fold(spelling), spelling) == spelling, (
                f"{name}: {spelling} is taken or repeated"
            )


def half_unit_in_last_digit(value: int, digits: int) -> float:
    """The most a count may differ from a published `value` that was rounded to `digits` digits."""
    return 0.5 * 10.0 ** (len(str(value)) - digits)


@pytest.mark.parametrize(
    ("value", "digits", "most"), [(859_520_964, 9, 0.5), (1_300_000_000, 2, 5e7), (812, 1, 50.0)]
)
def test_half_unit_in_last_digit(value: int, digits: int, most: float) -> None:
    assert half_unit_in_last_digit(value, digits) == most


# ---------------------------------------------------------------- the real classes


def parts(*, modules: bool) -> list[Any]:
    """(model, component) of every module of the catalogue, or of every scheduler."""
    prefixes = ("scheduler", *NO_MODULES) if modules else NO_MODULES
    return [
        pytest.param(name, key, id=f"{name}-{key}")
        for name, model in sorted(catalogue().items())
        for key in model["components"]
        if not key.startswith(prefixes) and (modules or key == "scheduler")
    ]


def distinct_modules() -> list[Any]:
    """Every module that there is, once, and the (model, component) that are of it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, component in (one.values for one in parts(modules=True)):
        content = json.dumps(catalogue()[str(name)]["components"][str(component)], sort_keys=True)
        found.setdefault(content, []).append((str(name), str(component)))
    return [pytest.param(json.loads(part), of, id="-".join(of[0])) for part, of in found.items()]


# numpy 2 deprecates how diffusers' schedulers turn tensors into arrays: not ours to fix.
their_warnings = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def find_class(library: str, name: str) -> Any:
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = f"diffusers.pipelines.{library}" if library in PIPELINE_MODULES else library
        found = getattr(pytest.importorskip(module), name)
        if not hasattr(found, "_backends"):
            return found
        # A dummy, as the tokenizer needs a package that is not installed: the class itself does not.
        others = [pytest.importorskip(f"diffusers.pipelines.{other}") for other in sorted(PIPELINE_MODULES)]
        return next(getattr(other, name) for other in others if hasattr(other, name))


def build(part: dict[str, Any]) -> Any:
    """The module of a component on the meta device, or the scheduler."""
    torch = pytest.importorskip("torch")
    found, part = find_class(part["library"], part["class"]), copy.deepcopy(part)  # some write into configs
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(found, "config_class"):
            return found.from_config(dict(part["config"]))
        place = {"device": torch.device("meta")} if "device" in parameters_of(found.__init__) else {}
        return found(found.config_class(**part["config"]), **place)


def build_scheduler(part: dict[str, Any]) -> Any:
    return find_class(part["library"], part["class"]).from_config(dict(part["config"]))


def parameters_of(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "kwargs"}


def plain(value: Any) -> Any:
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def assert_config_reached(config_class: Any, config: Any, given: dict[str, Any]) -> None:
    """Every key of a transformers config is one its class knows, and holds what was given."""
    for key, value in given.items():
        held = getattr(config, key, None)
        if key == "model_type":  # which class of config a part has
            assert config_class.model_type == value
        elif isinstance(value, dict) and key.endswith("_config"):
            assert_config_reached(type(held), held, value)
        elif key in ROTARY_KEYS:
            rotary = {**(getattr(config, "rope_parameters", None) or {}), **config.to_dict()}
            rotary.update(rotary.get("rope_scaling") or {})
            wanted = dict(value) if isinstance(value, dict) else {key: value}
            if wanted.get("rope_type") == "default":  # the class's own, which may have another name
                del wanted["rope_type"]
            assert {name: rotary.get(name) for name in wanted} == wanted, key
        else:
            assert key in parameters_of(config_class.__init__) | INHERITED_KEYS | KEPT_KEYS, (
                f"{config_class.__name__} ignores {key}"
            )
            assert plain(held) == plain(value), key


def allocated(module: Any) -> list[str]:
    """Parameters that take memory, but for the one number by which a block mixes space and time, which its
    class makes itself as torch.Tensor([...])."""
    return [
        name
        for name, parameter in module.named_parameters()
        if not (parameter.is_meta or (is_mix_factor(module, name) and parameter.numel() == 1))
    ]


def is_mix_factor(module: Any, name: str) -> bool:
    owner, _, own = name.rpartition(".")
    return own == "mix_factor" and type(module.get_submodule(owner)).__name__ == "AlphaBlender"


@pytest.mark.trace
def test_nothing_but_a_mix_factor_may_be_allocated() -> None:
    torch = pytest.importorskip("torch")
    blend = find_class("diffusers.models.resnet", "AlphaBlender")(alpha=0.5)
    assert allocated(torch.nn.Sequential(blend)) == []
    assert allocated(torch.nn.ParameterDict({"mix_factor": torch.nn.Parameter(torch.ones(1))})) == [
        "mix_factor"
    ]
    assert allocated(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False))) == ["0.weight"]


@pytest.mark.trace
def test_a_type_of_config_is_that_of_its_class() -> None:
    config_class = find_class("transformers", "CLIPTextConfig")
    for given in ({"model_type": "t5"}, {"model_type": "clip"}):
        with pytest.raises(AssertionError):
            assert_config_reached(config_class, config_class(**given), given)
    own = {"model_type": "clip_text_model"}
    assert_config_reached(config_class, config_class(**own), own)


@pytest.mark.trace
@pytest.mark.parametrize(("part", "models"), distinct_modules())
def test_module_has_the_published_parameters_and_uses_its_config_whole(
    part: dict[str, Any], models: list[tuple[str, str]]
) -> None:
    module = build(part)
    if not hasattr(module, "config_class"):
        unknown = set(part["config"]) - parameters_of(type(module).__init__)
        assert not unknown, f"{part['class']} ignores {unknown}"
        assert {key: plain(module.config[key]) for key in part["config"]} == part["config"]
    else:
        assert_config_reached(type(module).config_class, module.config, part["config"])
    assert allocated(module) == []
    counted = sum(parameter.numel() for parameter in module.parameters())
    for name, component in models:
        published = catalogue()[name]["published_parameters"][component]
        table = module.get_buffer("pos_embed.pos_embed") if published.get("includes_position_table") else None
        assert_published(published, counted + (0 if table is None else table.numel()))


def assert_published(published: dict[str, Any], counted: int) -> None:
    most = half_unit_in_last_digit(published["value"], published["digits"])
    if "differs" in published:
        assert counted == published["counted"]
        assert abs(counted - published["value"]) > most, "the counts agree: the explanation is out of date"
    else:
        assert abs(counted - published["value"]) <= most


@pytest.mark.trace
@their_warnings
@pytest.mark.parametrize(("name", "component"), parts(modules=False))
def test_scheduler_config_is_used_whole(name: str, component: str) -> None:
    part = catalogue()[name]["components"][component]
    scheduler = build_scheduler(part)
    unknown = set(part["config"]) - parameters_of(type(scheduler).__init__)
    assert not unknown, f"{part['class']} ignores {unknown}"
    assert {key: scheduler.config[key] for key in part["config"]} == part["config"]


@pytest.mark.trace
@their_warnings
@pytest.mark.parametrize(("name", "component"), parts(modules=False))
def test_only_pndm_calls_the_denoiser_once_more_than_the_steps_asked_for(name: str, component: str) -> None:
    part = catalogue()[name]["components"][component]
    scheduler = build_scheduler(part)
    wanted: dict[str, float | None] = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    if "intermediate_timesteps" in parameters_of(scheduler.set_timesteps):
        wanted = {"intermediate_timesteps": None}  # their default is for two steps alone
    scheduler.set_timesteps(20, **wanted)
    not_called = int(part["class"] == "SCMScheduler")  # its last time is that of the finished image
    assert len(scheduler.timesteps) - not_called == 20 + (part["class"] == "PNDMScheduler")


class Words:
    """Stands in for a tokenizer: constructors ask for its length limit or its last token."""

    model_max_length = 77


@pytest.mark.trace
@their_warnings
@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_pipeline_takes_these_components(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalogue()[name]
    torch = pytest.importorskip("torch")  # on meta no module has weights that another could be given
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
    found = find_class("diffusers", model["pipeline"])
    accepted = inspect.signature(found.__init__).parameters
    left_out = {
        key: None
        for key, parameter in accepted.items()
        if key in found._optional_components and parameter.default is inspect.Parameter.empty
    }
    built = {
        key: Words()
        if key.startswith(NO_MODULES)
        else build_scheduler(part)
        if key == "scheduler"
        else build(part)
        for key, part in model["components"].items()
    }
    assert set(built) | set(model["pipeline_config"]) <= set(accepted)
    pipeline = found(**{**left_out, **built}, **model["pipeline_config"])
    for key, module in built.items():
        assert getattr(pipeline, key) is module
    assert {key: pipeline.config[key] for key in model["pipeline_config"]} == model["pipeline_config"]
