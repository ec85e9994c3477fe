"""The GPU record, its lookup and GPU files."""

from __future__ import annotations

import dataclasses
import pickle
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast import hardware
from joulecast.errors import FileFormatError, InputError, JoulecastError, UnknownNameError
from joulecast.hardware import PRECISIONS, UNKNOWN_IDLE_SHARE, Gpu, gpus, idle_power_w, load_gpu
from joulecast.question.gpus import gpu

TEMPLATE = """\
name = "My GPU"
tdp_w = 350
fp16_tflops = 362
memory_gb = 48
bandwidth_gb_per_s = 864
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_figures_are_in_si() -> None:
    # NVIDIA's A100 80GB datasheet: 400 W, 312 TFLOP/s, 2039 GB/s.
    a100 = gpu("A100-SXM4-80GB")
    assert (a100.tdp_w, a100.idle_power_w) == (400.0, 62.0)
    assert a100.peak_flop_per_s("fp16") == 312e12
    assert (a100.memory_bytes, a100.bandwidth_byte_per_s) == (80e9, 2.039e12)
    assert (a100.sm_count, a100.boost_clock_hz, a100.l2_cache_bytes) == (108, 1.41e9, 40 * 2**20)
    assert a100.sources["idle_power"].startswith("CodeCarbon")
    assert "fp16" not in a100.unverified
    assert "fp16" in gpu("H100 NVL").unverified


@pytest.mark.parametrize("name", ["T4", "V100-SXM2", "V100-PCIe"])
def test_missing_mode_says_what_would_work(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} has no bf16 mode; fp16 or fp32 would work"):
        gpu(name).peak_flop_per_s("bf16")
    assert gpu(name).precisions == ("fp16", "fp32")


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="fp16"):
        gpu("T4").peak_flop_per_s("int8")


@pytest.mark.parametrize(("name", "idle_w"), [("A100-SXM4-80GB", 62.0), ("L40S", 45.5), ("B200", 130.0)])
def test_idle_power_is_measured_or_a_usual_share(name: str, idle_w: float) -> None:
    """Of the A100 it is in the catalogue; of the others nobody measured it."""
    assert idle_power_w(gpu(name)) == pytest.approx(idle_w)


def test_the_usual_share_is_the_catalogue_s_median() -> None:
    """To a hundredth: 13 of 21 GPUs have no measured idle power, and the others lie around it."""
    shares = [known.idle_power_w / known.tdp_w for known in gpus() if known.idle_power_w is not None]
    assert abs(UNKNOWN_IDLE_SHARE - statistics.median(shares)) < 0.01


def test_a_gpu_is_a_value() -> None:
    assert pickle.loads(pickle.dumps(gpu("L4"))) == gpu("L4")
    assert len({*gpus(), *gpus()}) == len(gpus())
    with pytest.raises(dataclasses.FrozenInstanceError):
        gpu("L4").tdp_w = 1.0  # type: ignore[misc]


def test_gpu_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, TEMPLATE + "sm_count = 142\nidle_power_w = 35.5\nyear = 2024\n")
    mine = gpu(str(path))
    assert mine == load_gpu(path) == gpu(path)
    assert (mine.name, mine.tdp_w, mine.idle_power_w, mine.year) == ("My GPU", 350.0, 35.5, 2024)
    assert mine.fp16_flop_per_s == 362e12
    assert (mine.fp32_flop_per_s, mine.l2_cache_bytes, mine.aliases) == (None, None, ())
    assert (mine.sm_count, mine.origin, mine.sources["tdp"]) == (142, str(path), str(path))
    with pytest.raises(InputError, match=r"states no fp32 mode; fp16 would work"):
        mine.peak_flop_per_s("fp32")


def test_a_file_with_a_catalogues_name_is_told_apart(tmp_path: Path) -> None:
    """Unless it says what the catalogue says, in full: then it is that GPU."""
    path = write(tmp_path, TEMPLATE.replace("My GPU", "H100-sxm5-80gb"))
    assert load_gpu(path).name == "H100-sxm5-80gb (mine.toml)"
    assert gpu(load_gpu(path)).name == "H100-sxm5-80gb (mine.toml)"
    assert gpu(dataclasses.replace(gpu("H100"), tdp_w=350.0)).name == "H100-SXM5-80GB (changed)"
    same = dataclasses.replace(gpu("H100"), origin="copy.toml")
    assert gpu(same).name == "H100-SXM5-80GB"
    odd = write(tmp_path, TEMPLATE.replace("My GPU", "A100"))
    odd = odd.rename(tmp_path / "a\x1b[31m.toml")
    assert load_gpu(odd).name == "A100 ('a\\x1b[31m.toml')"


def test_gpu_file_with_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEMPLATE.replace("\n", "\r\n").encode())
    assert load_gpu(path).tdp_w == 350.0


def test_docstring_template_is_a_gpu_file(tmp_path: Path) -> None:
    import joulecast.hardware as module

    text = str(module.__doc__).split("::\n", 1)[1].split("\n\nSources", 1)[0]
    mine = load_gpu(write(tmp_path, "\n".join(line.strip() for line in text.splitlines())))
    assert mine.sources.keys() >= {"tdp", "idle_power", *PRECISIONS, "sm_count", "boost_clock", "l2_cache"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tdp = 350", "unknown key 'tdp'; did you mean tdp_w"),
        ("zzz = 350", "known keys: name"),
        ("idle_power_w = 350", "idle_power_w is 350; expected less than tdp_w, 350"),
        ("idle_power_w = 0", "idle_power_w is 0; expected a number"),
        ("idle_power_w = nan", "idle_power_w is nan"),
        ("bf16_tflops = inf", "bf16_tflops is inf"),
        ("bf16_tflops = 362e12", r"expected a number from 0\.01 to 100000"),
        ("bf16_tflops = -1", "bf16_tflops is -1"),
        ("bf16_tflops = true", "bf16_tflops is True"),
        ("bf16_tflops = '362'", "bf16_tflops is '362'"),
        ("fp32_tflops = 3630", "fp16_tflops is 362, below a tenth of fp32_tflops, 3630"),
        ("sm_count = 1.5", r"sm_count is 1\.5; expected a whole number"),
        ("year = 24", "year is 24"),
        ("source = ''", "source is ''"),
        ("source = 'a\\nb'", None),
        ('source = "a\\nb"', "expected one line"),
        ("bf16_tflops = 0x" + "f" * 5000, "more than 300 digits"),
        ("bf16_tflops = " + "9" * 5000, "more than 300 digits"),
        ("name = 'again'", "not TOML"),
        ("[[", "not TOML"),
        ("a = " + "[" * 5000, "nested deeper than 64"),
    ],
)
def test_bad_gpu_file_is_explained(tmp_path: Path, line: str, message: str | None) -> None:
    path = write(tmp_path, TEMPLATE + line + "\n")
    if message is None:
        assert load_gpu(path)
        return
    with pytest.raises(JoulecastError, match=message) as caught:
        load_gpu(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["name", "tdp_w", "fp16_tflops", "memory_gb", "bandwidth_gb_per_s"])
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in TEMPLATE.splitlines(keepends=True) if not line.startswith(key))
    with pytest.raises(FileFormatError, match=key):
        load_gpu(write(tmp_path, text))


@pytest.mark.parametrize(
    "line", ["tdp_w = 20001", "memory_gb = 0", "bandwidth_gb_per_s = 3.35", "fp16_tflops = 0"]
)
def test_absurd_required_figure_is_refused(tmp_path: Path, line: str) -> None:
    key = line.split(" ")[0]
    kept = [kept for kept in TEMPLATE.splitlines() if not kept.startswith(key)]
    with pytest.raises(InputError, match=key):
        load_gpu(write(tmp_path, "\n".join([*kept, line])))


def test_what_is_no_gpu_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        gpu("missing.toml")
    with pytest.raises(InputError, match="is a folder"):
        gpu(str(tmp_path) + "/")
    large = write(tmp_path, TEMPLATE + "#" * 1_000_001)
    with pytest.raises(FileFormatError, match="larger than"):
        gpu(str(large))
    large.write_bytes(b"name = '\xff'")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        gpu(str(large))


def message_of(make: Callable[[], Gpu]) -> str | None:
    """What the JoulecastError says that making a GPU raises: None without one, "" when not one line."""
    try:
        make()
    except JoulecastError as error:
        return "" if "\n" in str(error) else str(error)
    return None


LINES = st.sampled_from(
    [*TEMPLATE.splitlines(), "idle_power_w = 1", "sm_count = 0", "name = 1", "[x]", "tdp_w = 1"]
)


@given(st.one_of(st.binary(max_size=200), st.lists(LINES).map(lambda lines: "\n".join(lines).encode())))
def test_no_file_raises_anything_but_a_joulecast_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.toml"
        path.write_bytes(content)
        assert message_of(lambda: load_gpu(path)) != ""


def test_the_documentation_names_every_key_of_a_gpu_file() -> None:
    page = (Path(__file__).parents[1] / "docs/quickstart.md").read_text(encoding="utf-8")
    for key in hardware._FILE_KEYS:
        assert f"`{key}`" in page, key


@pytest.mark.parametrize(("stated", "name"), [("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"), ("t4", "T4")])
def test_what_a_driver_states_is_found_in_the_catalogue(stated: str, name: str) -> None:
    found = hardware.catalogued(stated)
    assert found is not None
    assert found.name == name


def test_what_a_driver_states_is_never_a_file(tmp_path: Path) -> None:
    """A store's names are of others: none makes a file be read."""
    file = tmp_path / "card.toml"
    file.write_text(hardware.gpu_toml(gpu("T4")))
    assert gpu(str(file)).name == "my T4"
    assert hardware.catalogued(str(file)) is None
    assert hardware.catalogued("") is None


def test_a_gpu_file_whose_path_has_a_line_end_is_a_file_again(tmp_path: Path) -> None:
    """The path is the source of its figures, and a comment in the file that is made of it."""
    file = tmp_path / "a\nbandwidth_gb_per_s = 1\x1b.toml"
    file.write_text(hardware.gpu_toml(gpu("T4")))
    again = tmp_path / "again.toml"
    again.write_text(hardware.gpu_toml(gpu(str(file))))
    found = gpu(str(again))
    assert (found.name, found.bandwidth_byte_per_s) == ("my my T4", gpu("T4").bandwidth_byte_per_s)


@given(st.text(max_size=60).filter(lambda text: "/" not in text and "\\" not in text))
def test_no_name_raises_anything_but_a_joulecast_error(text: str) -> None:
    assert message_of(lambda: gpu(text)) != ""
