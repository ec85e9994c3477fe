"""Options that several commands take, and how answers are printed, written and drawn."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from joulecast.errors import InputError, check_extras, shown

if TYPE_CHECKING:
    import altair as alt

    from joulecast.files.columns import Columns
    from joulecast.question.setting import Setting

# The groups of options in a command's help.
ASKED: Final = "what is asked"
WHERE: Final = "where it runs"
HOW: Final = "how it runs"
CARBON: Final = "carbon"
OUTPUT: Final = "output"

FAILED_ROWS: Final = 1  # exit status of a table some of whose rows have no answer

TABLE_SUFFIXES: Final = ("", ".csv", ".txt", ".parquet", ".pq")
OR_STDIN: Final = "; - is standard input"
PRECISIONS: Final = "{fp16,bf16,fp32}"
LAW_HELP: Final = (
    "a law file (.json), or roofline (the default), paper, parameters_steps, joules_per_flop or tdp_time"
)
WORKLOAD: Final = (
    "gpu", "size", "steps", "precision", "guidance", "true_cfg_scale", "negative_prompt", "passes",
    "batch_size", "text_tokens", "frames", "fps", "seconds", "strength", "input_image", "control",
    "lora", "lora_rank", "lora_fused", "engine", "compile", "quantization", "cache", "offload", "gpus",
    "parallel", "power_limit_w", "boundary",
)  # fmt: skip

Group = argparse._ArgumentGroup
HOST = "127.0.0.1"
PORT = 8000


# --- options --------------------------------------------------------------------------------------


def estimate_options(command: argparse.ArgumentParser, traces: bool) -> None:
    """The options of one workload on one GPU, and of the law that predicts it; `traces` tells whether the
    command traces a hub id that is not listed."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "model",
        metavar="MODEL",
        help="name, alias or hub id (see `joulecast models`), or a profile file; any other hub id "
        + ("is traced" if traces else "needs one: `joulecast profile ID`"),
    )
    workload_options(add)
    prediction_options(command, add)


def workload_options(add: Callable[..., object], several: bool = False) -> None:
    """The options of what a model is asked for; of `several` values each where they are compared."""
    more, whose = (",...", "each model's") if several else ("", "the model's")
    counts = ", e.g. 20,28 or 20-50:10" if several else ""
    add("--size", metavar=f"WIDTHxHEIGHT{more}", help=f"pixels; by default {whose}")
    add("--steps", metavar=f"STEPS{more}", help=f"denoising steps{counts}; by default {whose}")
    add(
        "--precision",
        metavar=f"{PRECISIONS}{more}",
        help=f"of weights and arithmetic; by default {whose}",
    )
    add(
        "--guidance",
        "--guidance-scale",
        metavar=f"SCALE{more}",
        help=f"the pipeline's guidance scale; by default {whose}",
    )
    add(
        "--true-cfg-scale",
        metavar=f"SCALE{more}",
        help="its other scale, where only that makes a second pass (FLUX, Qwen-Image)",
    )
    add(
        "--negative-prompt",
        action=argparse.BooleanOptionalAction,
        help="there is a negative prompt; some pipelines guide only then",
    )
    add("--passes", metavar="{1,2}", help="denoiser passes a step, whatever the guidance")
    add("--batch", "--batch-size", dest="batch_size", metavar=f"COUNT{more}", help=BATCH_HELP)
    add(
        "--text-tokens",
        metavar=f"TOKENS{more}",
        help=f"text tokens the denoiser attends to; by default {whose}",
    )
    clip_options(add, several)
    image_options(add, several)
    addition_options(add, several)


def prediction_options(command: argparse.ArgumentParser, add: Callable[..., object]) -> None:
    """The boundary and the law, added by `add`, and where and how it runs."""
    add(
        "--boundary",
        metavar="{gross,dynamic}",
        help="gross (default): all the GPU board draws; dynamic: without idle",
    )
    add("--law", help=LAW_HELP)
    command.add_argument_group(WHERE).add_argument(
        "--gpu",
        required=True,
        help="name or alias (see `joulecast gpus`), or a GPU file (.toml); 8xH100 is 8 GPUs",
    )
    runtime_options(command)


BATCH_HELP: Final = "images or clips generated together; 1 by default"


def clip_options(add: Callable[..., object], several: bool = False) -> None:
    """The options of how long a clip of video is; of `several` values each where they are compared."""
    more, whose = (",...", "each model's") if several else ("", "the model's")
    add(
        "--frames",
        metavar=f"FRAMES{more}",
        help=f"frames of a clip, of a model that makes videos; by default {whose}",
    )
    add(
        "--seconds",
        metavar=f"LENGTH{more}",
        help=f"length of the clip instead, at --fps or {whose} own rate",
    )
    add(
        "--fps",
        "--frame-rate",
        metavar=f"RATE{more}",
        help=f"frames a second of the clip; by default {whose}",
    )


def image_options(add: Callable[..., object], several: bool = False) -> None:
    """The options of an image that a pipeline is given; of `several` values each where they are compared."""
    more = ",..." if several else ""
    add(
        "--strength",
        metavar=f"SHARE{more}",
        help="image to image: the share of the steps that is made, up to 1",
    )
    add(
        "--input-image",
        metavar=f"WIDTHxHEIGHT{more}",
        help="image to image: size of the input, that of the output",
    )


def control_option(add: Callable[..., object], more: str = "") -> None:
    """The option of a ControlNet."""
    add(
        "--control",
        metavar=f"KIND{more}",
        help="a ControlNet beside the denoiser, e.g. canny; none by default",
    )


def addition_options(add: Callable[..., object], several: bool = False) -> None:
    """The options of what is added to a model; of `several` values each where they are compared."""
    more = ",..." if several else ""
    control_option(add, more)
    add("--lora", metavar=f"COUNT{more}", help="LoRA adapters that are loaded, not fused; none by default")
    add("--lora-rank", metavar=f"RANK{more}", help="their rank; 16 by default")
    add(
        "--lora-fused",
        action=argparse.BooleanOptionalAction,
        help="they were fused into the weights, which costs nothing",
    )


def runtime_options(command: argparse.ArgumentParser, several: bool = False) -> None:
    """The options of how the model is executed; of `several` values each where they are compared."""
    add, more = command.add_argument_group(HOW).add_argument, ",..." if several else ""
    add(
        "--engine",
        metavar=f"NAME{more}",
        help="what runs it (see `joulecast runtimes`), or a runtime file (.toml); diffusers by default",
    )
    add(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="torch.compile makes the kernels; eager by default",
    )
    add("--quantization", metavar=f"NAME{more}", help="of the denoiser, e.g. fp8; none by default")
    add("--cache", metavar=f"NAME{more}", help="of denoising steps, e.g. cache-dit; none by default")
    add(
        "--offload",
        metavar=f"{{none,model}}{more}",
        help="model: weights wait in the host's memory (enable_model_cpu_offload); none by default",
    )
    add("--gpus", metavar=f"COUNT{more}", help="GPUs that share the work; 1 by default")
    again = "; again for each that is compared, each for its number of GPUs" if several else ""
    add(
        "--parallel",
        metavar="WAY=DEGREE,...",
        action="append" if several else "store",
        help=f"how they share it, e.g. ulysses=4,cfg=2{again}",
    )
    add(
        "--power-limit",
        dest="power_limit_w",
        metavar=f"WATTS{more}",
        help="what each board may draw; its own limit by default",
    )


def length_of_time(text: str) -> float:
    """Seconds [s] of an option such as ``90s`` or ``9m``."""
    from joulecast.measure.campaign_plan import parse_duration

    try:
        return parse_duration(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def json_option(output: Group) -> None:
    """Ask for JSON."""
    output.add_argument("--json", action="store_true", help="print JSON instead of text")


def toml_option(output: Group, what: str, to_give: str) -> None:
    """Ask for one entry of a list as a file of one's own: `what` as what, `to_give` as which option."""
    output.add_argument(
        "--toml", action="store_true", help=f"print {what} file, to change and give as {to_give} FILE"
    )


def chart_option(output: Group, what: str) -> None:
    """Ask for a picture of `what`."""
    output.add_argument(
        "--chart", metavar="FILE", help=f"picture to draw (.svg or .png; extra `plot`): {what}"
    )


def setting_of(options: argparse.Namespace) -> Setting:
    """What is asked of a workload and its GPU; what was not given is left to the question."""
    from joulecast.question.setting import Setting

    return Setting.of({name: getattr(options, name) for name in ("model", *WORKLOAD)})


# --- output ---------------------------------------------------------------------------------------


def print_json(value: object) -> int:
    """Print a value as JSON, null for a number that is not known; exit status 0."""
    from joulecast.files.plain import json_text, plain

    print(json_text(plain(value)))
    return 0


def table_writer(out: str | None, as_json: bool) -> Callable[[Iterator[Columns], Path | None], None]:
    """What writes a table to `out`, or to standard output: CSV or Parquet, or JSON where it is asked for.

    Raises InputError where both are asked for, or the name promises another kind of file.
    """
    from joulecast.files.json_rows import write_json
    from joulecast.files.tables import write_blocks

    if out is not None and as_json:
        raise InputError("--json prints to standard output: give it or --out, not both")
    if out is not None:
        check_table_name(out)
    return (lambda blocks, _: write_json(blocks, sys.stdout)) if as_json else write_blocks


def check_table_name(out: str) -> None:
    """Raise InputError for the name of a table that promises another kind of file, or a folder.

    MissingExtraError for one that cannot be written here.
    """
    from joulecast.files.tables import is_parquet

    suffix = Path(out).suffix.casefold()
    if out.endswith("/"):
        raise InputError(f"--out {shown(out)} is a folder; give a file, e.g. {shown(out + 'table.csv')}")
    if suffix not in TABLE_SUFFIXES:
        raise InputError(
            f"--out {shown(out)}: a table is written as CSV or Parquet; end it in .csv or .parquet"
        )
    if is_parquet(Path(out)):
        check_extras("writing Parquet", "parquet")


def say(words: str) -> None:
    """A line for whoever waits, on standard error."""
    print(words, file=sys.stderr, flush=True)


def progress(words: str) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty():
        say(words)


def write_text(text: str, target: str | Path | None) -> None:
    """Write a text to a file, whole or not at all; to standard output without one."""
    from joulecast.files.paths import replacing

    if target is None:
        print(text)
        return
    with replacing(Path(target)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def picture(path: str | None) -> Path | None:
    """A picture's path, if it can be drawn. Raises InputError or MissingExtraError before any work."""
    if path is None:
        return None
    from joulecast.files.paths import check_output
    from joulecast.report.charts import check_extra, check_picture

    check_picture(Path(path))
    check_output(Path(path))
    check_extra()
    return Path(path)


def draw(chart: alt.TopLevelMixin, target: Path) -> None:
    """Write a picture, and say so."""
    from joulecast.files.paths import replacing
    from joulecast.report.charts import save

    with replacing(target) as temporary:
        save(chart, temporary, target.suffix)
    say(f"wrote {target}")


def listen_options(where: Group) -> None:
    """Where a server listens."""
    where.add_argument(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help=f"address to listen on; {HOST} by default, which only this computer reaches",
    )
    where.add_argument("--port", default=str(PORT), help=f"port to listen on; {PORT} by default")


def port_of(options: argparse.Namespace) -> int:
    """The port that a server listens on. Raises InputError for none."""
    from joulecast.files.numbers import whole

    return whole(options.port, "--port", 0, 65_535)
