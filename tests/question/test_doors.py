"""One request, one question: every door resolves a request as `ask` does, and fills no default of its own."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import joulecast
from clip_model import list_clip_model, write_clip_model
from command import exit_status
from joulecast.architecture.workload import PRECISIONS, Workload
from joulecast.boundary import BOUNDARIES
from joulecast.cli.parser import main
from joulecast.errors import JoulecastError
from joulecast.forecast.predictor import Predicted, Predictor
from joulecast.law.load import load_law
from joulecast.measure.campaign_plan import make_spec, parse_plan
from joulecast.measure.once import check_task
from joulecast.plan.case import Case, changed_keys
from joulecast.plan.demand import demand_of
from joulecast.question import question as rooms
from joulecast.question.question import Question, ask
from joulecast.question.questions import NOT_GIVEN, Questions
from joulecast.question.setting import Setting, key_of
from joulecast.question.table import TableReader
from joulecast.web import asking
from joulecast.web.app import create_app

Given = Mapping[str, object]

MODELS = ["sd1.5", "sdxl", "flux.1-dev", "flux.1-schnell", "qwen-image", "pixart-sigma", "sana1.5-1.6b"]
GPUS = ["H100-SXM5-80GB", "A100", "T4", "RTX 4090"]
_FOLDER = tempfile.TemporaryDirectory()
CLIPS = write_clip_model(Path(_FOLDER.name))
GIVEN = {
    "size": st.sampled_from(["512x512", "1024x1024", "768x1024"]),
    "steps": st.integers(1, 60),
    "passes": st.integers(1, 2),
    "guidance": st.sampled_from([0.0, 1.0, 3.5, 7.0]),
    "true_cfg_scale": st.sampled_from([0.0, 1.0, 4.0]),
    "negative_prompt": st.booleans(),
    "batch_size": st.sampled_from([1, 4]),
    "precision": st.sampled_from(["fp16", "bf16", "fp32"]),
    "boundary": st.sampled_from(BOUNDARIES),
}
HOW = {
    "engine": st.sampled_from(["diffusers", "sglang", "diffusers-compiled", "xdit"]),
    "compile": st.booleans(),
    "quantization": st.sampled_from(["none", "fp8", "int8-weights"]),
    "cache": st.sampled_from(["none", "teacache"]),
    "offload": st.sampled_from(["none", "model", "modle", "sequential"]),
    "gpus": st.sampled_from([1, 2, 4]),
    "parallel": st.sampled_from(["cfg=2", "ulysses=2,ring=2", "none"]),
    "power_limit_w": st.sampled_from([60, 250, 500]),
}
OF_CLIPS = {
    "frames": st.sampled_from([1, 16, 49, 81, 500]),
    "fps": st.sampled_from([8.0, 23.976, 24]),
    "seconds": st.sampled_from([0.01, 0.5, 2, 5.0, 60]),
}


def requests(models: list[str], **more: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Requests of models, with other keys that may be given."""
    needed = {"model": st.sampled_from(models), "gpu": st.sampled_from(GPUS)}
    return st.fixed_dictionaries(needed, optional={**GIVEN, **more})


REQUESTS = st.one_of(
    requests(MODELS),
    requests([CLIPS], **OF_CLIPS),
    requests([*MODELS, CLIPS], **OF_CLIPS),
    requests([*MODELS, CLIPS], **HOW),
)
IN_PLAN = (
    "size", "steps", "passes", "guidance", "true_cfg_scale", "negative_prompt", "precision", "frames", "fps",
    "seconds", *HOW,
)  # fmt: skip


def row(questions: Questions, i: int = 0) -> Question | str:
    """A row of a table's questions as `ask` gives it, or its error."""
    if questions.error[i]:
        return str(questions.error[i])
    tokens = int(questions.text_tokens[i])
    workload = Workload(
        **{
            name: int(getattr(questions, name)[i])
            for name in ("width", "height", "steps", "passes", "batch_size", "frames")
        },
        negative_prompt=bool(questions.negative_prompt[i]),
        precision=PRECISIONS[questions.precision[i]],
        text_tokens=None if tokens == NOT_GIVEN else tokens,
    )
    device = questions.devices[questions.gpu[i]]
    profile = questions.profiles[questions.model[i]]
    rate = float(questions.frame_rate[i])
    work = rooms.Work(profile, workload, None, None, False, (), None if math.isnan(rate) else rate)
    runtime = questions.runtimes[questions.runtime[i]]
    return Question(work, device.gpu, BOUNDARIES[questions.boundary[i]], runtime=runtime)


def core(question: Question) -> tuple[object, ...]:
    """What is asked, whatever was said of how it was understood."""
    asked_for = question.workload, question.boundary, question.work.frame_rate, question.runtime
    return question.profile, question.gpu, *asked_for


def asked(request: Given) -> Question | str:
    """The question of a request, or why it is none."""
    try:
        return ask(Setting.of(request))
    except JoulecastError as error:
        return str(error)


def test_what_a_gpu_lacks_is_told_before_how_it_is_run() -> None:
    request: Given = {"model": "sdxl", "gpu": "T4", "precision": "bf16", "gpus": 1, "parallel": "cfg=2"}
    told = asked(request)
    assert told == "T4 has no bf16 mode; fp16 or fp32 would work"
    assert TableReader().read({name: [value] for name, value in request.items()}).error[0] == told


def test_what_the_pipeline_refuses_is_told_before_how_it_is_run() -> None:
    request: Given = {"model": "sdxl", "gpu": "T4", "size": "1001x1000", "gpus": 1, "parallel": "cfg=2"}
    told = asked(request)
    assert isinstance(told, str)
    assert "1001" in told
    assert TableReader().read({name: [value] for name, value in request.items()}).error[0] == told


@given(REQUESTS)
@settings(max_examples=150, deadline=None)
def test_a_table_asks_what_a_setting_asks(request: dict[str, object]) -> None:
    """As numbers, as the text of a CSV file, under other names of the columns."""
    expected = asked(request)
    other = {"steps": "num_inference_steps", "guidance": "guidance_scale", "batch_size": "batch"}
    other |= {"frames": "num_frames", "fps": "frame_rate", "seconds": "video_duration"}
    other |= {"compile": "torch_compile", "gpus": "num_gpus", "power_limit_w": "power_limit"}
    other |= {"offload": "enable_model_cpu_offload"}
    as_text = {name: str(value) for name, value in request.items()}
    for columns in (request, as_text, {other.get(name, name): value for name, value in request.items()}):
        questions = TableReader().read({name: [value] for name, value in columns.items()})
        found = row(questions)
        if isinstance(expected, Question):
            assert isinstance(found, Question)
            assert core(found) == core(expected)
        else:  # what the pipeline or the GPU refuses is said with the answer
            answer = Predictor(load_law("tdp_time")).predict({n: [v] for n, v in columns.items()})
            assert expected in (answer["error"][0], found)


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_a_missing_cell_is_a_missing_column(request: dict[str, object]) -> None:
    names = ["model", "gpu", "size", "steps", "passes", "guidance", "negative_prompt", "batch_size"]
    names += ["true_cfg_scale", "precision", "text_tokens", "boundary", *OF_CLIPS, *HOW]
    cells = {name: [str(request.get(name, ""))] for name in names}
    sparse = TableReader().read({name: [value] for name, value in request.items()})
    full = TableReader().read(cells)
    a, b = row(sparse), row(full)
    assert (a if isinstance(a, str) else core(a)) == (b if isinstance(b, str) else core(b))
    assert sparse.assumed[0] == full.assumed[0]


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_an_option_of_a_plan_asks_what_a_setting_asks(request: dict[str, object]) -> None:
    seen: list[Question] = []
    kept = {name: value for name, value in request.items() if name in ("model", *IN_PLAN)}
    batch = request.get("batch_size", 1)
    content = {
        "services": [
            {"images_per_day": 10, "configurations": [{**kept, "batch_sizes": [batch]}]},
        ],
        "gpus": [{"name": request["gpu"]}],
        "regions": [{"name": "FR"}],
    }

    def listening(setting: Setting) -> Question:
        seen.append(ask(setting))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joulecast.plan.demand.ask", listening)
        try:
            demand_of(content)
        except JoulecastError:
            if not seen:  # the GPU lacks the precision or the memory, or the pipeline refuses it
                return
    expected = asked({**kept, "gpu": request["gpu"], "batch_size": batch})
    assert isinstance(expected, Question)
    assert [core(question) for question in seen] == [core(expected)]


@given(REQUESTS)
@settings(max_examples=40, deadline=None)
def test_the_command_line_asks_what_a_setting_asks(request: dict[str, object]) -> None:
    """`estimate`, in a process of its own elsewhere, here by its function: every option is text."""
    words = ["estimate", str(request["model"]), "--gpu", str(request["gpu"])]
    options = {"batch_size": "--batch", "true_cfg_scale": "--true-cfg-scale"}
    options["power_limit_w"] = "--power-limit"
    for name, value in request.items():
        if name in ("negative_prompt", "compile"):
            option = name.replace("_", "-")
            words += [f"--{option}" if value else f"--no-{option}"]
        elif name not in ("model", "gpu"):
            words += [options.get(name, f"--{name}"), str(value)]
    seen = list(questions_asked(words))
    expected = asked(request)
    if isinstance(expected, Question):
        assert seen == [expected]
    else:
        assert seen == []


def questions_asked(words: list[str]) -> Iterator[Question]:
    """The questions that a command asks."""
    seen: list[Question] = []

    def listening(setting: Setting, notes: tuple[str, ...] = ()) -> Question:
        seen.append(ask(setting, notes))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joulecast.question.question.ask", listening)
        with pytest.raises(SystemExit):
            main(words)
    yield from seen


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_a_measured_task_asks_what_a_setting_asks(request: dict[str, object]) -> None:
    """A task runs on whatever GPU there is, so on one that has every precision."""
    kept = {name: value for name, value in request.items() if name not in ("gpu", "boundary", *HOW)}
    expected = asked({**kept, "gpu": "H100-SXM5-80GB"})
    with pytest.MonkeyPatch.context() as patch:
        list_clip_model(patch, CLIPS)
        if isinstance(expected, Question):
            spec = make_spec(kept)
            assert (spec.model, spec.workload) == (expected.profile.name, expected.workload)
        else:
            with pytest.raises(JoulecastError) as error:
                check_task(kept, None)
            assert str(error.value) == expected


WEB = TestClient(create_app())


@given(requests(MODELS, **HOW) | requests(["wan2.1-t2v-1.3b"], **OF_CLIPS))
@settings(max_examples=60, deadline=None)
def test_the_web_asks_what_a_setting_asks(request: dict[str, object]) -> None:
    """One request, and a batch of it; files have no door here."""
    seen: list[Question] = []

    def listening(setting: Setting) -> Question:
        seen.append(ask(setting))
        return seen[-1]

    asking.answered.cache_clear()  # or a setting that was asked before is not asked again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joulecast.web.asking.ask", listening)
        one = WEB.post("/v1/estimate", json=request)
    expected = asked(request)
    if isinstance(expected, Question):
        assert [core(question) for question in seen] == [core(expected)]
    else:
        assert seen == []
        assert one.json()["detail"] == expected
    rows: list[Questions] = []

    def answering(predictor: Predictor, questions: Questions) -> Predicted:
        rows.append(questions)
        return answers(predictor, questions)

    answers = Predictor.answers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "answers", answering)
        many = WEB.post("/v1/estimate", json=[request]).json()["estimates"][0]
    (questions,) = rows
    found = row(questions)
    if isinstance(expected, Question):
        assert isinstance(found, Question)
        assert core(found) == core(expected)
    else:
        assert expected in (many["error"], found)


@pytest.mark.parametrize("command", [["predict"], ["budget", "check", "--max-wh-per-image", "1000"]])
@given(row_asked=REQUESTS)
@settings(max_examples=30, deadline=None)
def test_commands_of_tables_ask_what_a_setting_asks(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], row_asked: dict[str, object]
) -> None:
    """`predict` and `budget check` of a file with one row."""
    place = tmp_path_factory.mktemp("door") / "w.csv"
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([row_asked, map(str, row_asked.values())])
    seen: list[Questions] = []

    def listening(predictor: Predictor, questions: Questions) -> Predicted:
        seen.append(questions)
        return answers(predictor, questions)

    answers = Predictor.answers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "answers", listening)
        exit_status(*command[:2], str(place), *command[2:])
    (questions,) = seen
    expected = asked(row_asked)
    if isinstance(expected, Question):
        found = row(questions)
        assert isinstance(found, Question)
        assert core(found) == core(expected)


def test_python_takes_objects_wherever_names_are() -> None:
    by_name = joulecast.estimate("sdxl", "H100-SXM5-80GB", steps=20)
    by_object = joulecast.estimate(
        joulecast.load_profile("sdxl"), joulecast.gpu("H100-SXM5-80GB"), steps=20, law=load_law()
    )
    assert core(by_object.question) == core(by_name.question)
    assert by_object.to_dict() == by_name.to_dict()


def test_defaults_are_the_pipelines_own_at_every_door() -> None:
    """What doors once disagreed about."""
    names = ["qwen-image", "flux.1-dev"]
    qwen, flux = (ask(Setting.of({"model": m, "gpu": "H100-SXM5-80GB"})) for m in names)
    assert (qwen.workload.passes, qwen.workload.width) == (2, 1328)
    assert qwen.notes[-1].startswith("true_cfg_scale 4 with a negative prompt, as its authors give one")
    assert flux.workload.precision == "bf16"
    table = TableReader().read({"model": names, "gpu": ["H100-SXM5-80GB"] * 2})
    assert [core(one) for i in (0, 1) if isinstance(one := row(table, i), Question)] == [
        core(qwen),
        core(flux),
    ]
    assert table.assumed[1] == "1024x1024; 50 steps; 1 denoiser pass a step; bf16"


def test_a_table_says_where_a_precision_gave_way() -> None:
    table = TableReader().read({"model": ["flux.1-dev"], "gpu": ["T4"], "size": ["512x512"], "steps": [4]})
    note = "T4 has no bf16, the precision of flux.1-dev: fp16 was taken"
    assert table.assumed[0] == f"1 denoiser pass a step; {note}"
    assert note in ask(Setting.of({"model": "flux.1-dev", "gpu": "T4"})).notes


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["model", "gpu", "steps", "num_inference_steps"], "both say the steps"),
        (["model", "gpu", "size", "width"], "both say the size"),
        (["model", "gpu", "heigth"], "is the column 'heigth' the height"),
        (["model", "gpu", "size_mb"], "is the column 'size_mb' the size"),
        (["model", "gpu", "framez"], "is the column 'framez' the frames"),
        (["model", "gpu", "num_frames", "frames"], "both say the frames"),
        (["model", "gpu", "gpu_seconds"], None),
        (["model", "gpu", "width", "height", "size_mb"], None),
        (["model", "gpu", "size", "weight"], None),
        (["model", "gpu", "steps "], None),
        (["model", "gpu", "id", "prompt", "cost"], None),
    ],
)
def test_columns_that_mean_something_are_understood_or_refused(columns: list[str], words: str | None) -> None:
    sizes = {"width": ["512"], "height": ["512"], "size": ["512x512"]}
    table = {name: sizes.get(name, ["1"]) for name in columns} | {"model": ["sdxl"], "gpu": ["L4"]}
    if words is None:
        assert not TableReader().read(table).error[0]
        return
    with pytest.raises(JoulecastError, match=words):
        TableReader().read(table)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("batch", "batch_size"),
        ("Guidance-Scale", "guidance"),
        ("dtype", "precision"),
        ("num_frames", "frames"),
        ("frame rate", "fps"),
        ("duration", "seconds"),
        ("denoise", None),
    ],
)
def test_one_vocabulary(name: str, key: str | None) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize("name", ["float16", "torch.float16", "FP16 ", "half"])
def test_precisions_by_torchs_names(name: str) -> None:
    assert Setting("sdxl", precision=name).precision == "fp16"


def test_what_was_given_makes_the_setting_again() -> None:
    setting = Setting.of({"model": "sdxl", "gpu": "L4", "size": "512x768", "batch": "4", "steps": 9.0})
    assert setting.given() == {"model": "sdxl", "gpu": "L4", "size": "512x768", "steps": 9, "batch_size": 4}
    assert Setting.of(setting.given()) == setting
    assert Setting("sdxl", steps="12").steps == 12  # type: ignore[arg-type]


def plan_of(**keys: object) -> dict[str, object]:
    return {
        "services": [{"images_per_day": 10, "configurations": [{"model": "sdxl", **keys}]}],
        "gpus": [{"name": "L4"}],
        "regions": [{"name": "FR"}],
    }


def grid_of_a_campaign(**keys: object) -> object:
    lines = [f"{name} = {value!r}".replace("True", "true") for name, value in keys.items()]
    tasks = parse_plan("\n".join(["[[grid]]", "model = 'sdxl'", *lines]), "p.toml").tasks
    return [task.spec.workload for task in tasks]


@pytest.mark.parametrize(
    "door",
    [
        lambda **keys: ask(Setting.of({"model": "sdxl", "gpu": "L4", **keys})).workload,
        lambda **keys: Case.of({"model": "sdxl", "gpu": "L4", **keys}).asked,
        lambda **keys: demand_of(plan_of(**keys)).problem.options[0].label,
        grid_of_a_campaign,
    ],
)
def test_every_door_knows_the_names_of_others(door: Callable[..., object]) -> None:
    ours = door(steps=20, guidance=1.0, precision="fp16")
    assert door(num_inference_steps=20, guidance_scale=1.0, torch_dtype="float16") == ours
    assert door(steps=20, guidance=1.0, precision="fp16", denoise=1.0) == ours
    for name, value, words in (
        ("denoise", 0.6, "image-to-image"),
        ("load_in_4bit", True, "quantised"),
    ):
        with pytest.raises(JoulecastError, match=words):
            door(**{name: value})


@pytest.mark.parametrize(
    "door",
    [
        lambda **keys: ask(Setting.of({"model": "sdxl", "gpu": "L4", **keys})),
        lambda **keys: demand_of(plan_of(**keys)),
        lambda **keys: check_task({"model": "sdxl", **keys}, None),
    ],
)
def test_a_length_of_an_image_is_refused(door: Callable[..., object]) -> None:
    door(frames=1)
    for name in ("frames", "num_frames", "fps", "frame_rate", "seconds", "video_duration"):
        with pytest.raises(JoulecastError, match="sdxl makes images") as told:
            door(**{name: 16})
        assert "\n" not in str(told.value)


def test_a_change_by_the_names_of_others() -> None:
    case = Case.of({"model": "sdxl", "gpu": "L4"})
    assert changed_keys({"num_inference_steps": 9, "Width": 512, "denoise": 1}) == ("steps", "size")
    assert case.changed({"num_images_per_prompt": 4}).asked.batch_size == 4
    assert case.changed({"num_frames": 16}).asked.frames == 16
    with pytest.raises(JoulecastError, match="image-to-image"):
        case.changed({"denoise": 0.5})
