"""Meters: what reads the energy of a GPU, and a replayed recording in its place.

`NvmlMeter` asks NVIDIA's management library itself (extra `measure`): the energy counter of the
board, or sampled power where a GPU has no counter. Zeus reads the same counter through the same
library; a second way to it would add a dependency and a wall clock, and no figure.

`ReplayMeter` plays a recorded trace against a clock: tests, documentation and dry runs need no GPU.
"""

from __future__ import annotations

import bisect
import contextlib
import csv
import io
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from joulecast import data
from joulecast.errors import FileFormatError, InputError, MeasureError, MissingExtraError, shown

MOST_TRACE_BYTES: Final = 20_000_000
SAMPLE_S: Final = 0.1  # between telemetry samples
POWER_SAMPLE_S: Final = 0.02  # between power samples where a GPU has no energy counter


@dataclass(frozen=True)
class Telemetry:
    """The state of a GPU at one instant. None is unknown.

    Attributes
    ----------
    power_w : power of the board [W].
    temperature_c : of the chip [degrees Celsius].
    sm_clock_mhz, memory_clock_mhz : clocks [MHz].
    power_limit_w : the power limit that is enforced [W].
    utilisation : share of the last interval in which a kernel ran, 0 to 1.
    other_processes : processes that compute on the card, this one not counted.
    throttle_reasons : NVML's bits of why the clocks are not higher.
    """

    power_w: float | None = None
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_limit_w: float | None = None
    utilisation: float | None = None
    other_processes: int | None = None
    throttle_reasons: int | None = None


@dataclass(frozen=True)
class Device:
    """What a meter measures: GPU name as the driver states it, and how its energy is read.

    `tick_s` [s] is how long the energy reading may stay unchanged while energy is drawn.
    """

    gpu: str
    uuid: str
    driver: str
    reading: str
    tick_s: float


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed instant."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class Meter(Protocol):
    """Reads the energy of one GPU.

    `name` says which kind it is; `is_real` whether what it reads was drawn while it was read.
    """

    name: str
    is_real: bool
    clock: Clock

    @property
    def device(self) -> Device:
        """What is measured."""
        ...

    def energy_j(self) -> float:
        """Energy [J] drawn since some fixed instant; it never falls."""
        ...

    def power_w(self) -> float:
        """Power of the board [W] now."""
        ...

    def sample(self) -> Telemetry:
        """The state of the GPU now."""
        ...

    def close(self) -> None:
        """Release what the meter holds."""
        ...


class SystemClock:
    """The computer's monotonic clock."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(max(0.0, seconds))


# --- NVIDIA ---------------------------------------------------------------------------------------


class NvmlMeter:
    """An NVIDIA GPU, read through nvidia-ml-py.

    Parameters
    ----------
    index : the GPU's place in NVML's own order (that of the PCI bus).
    uuid : the GPU by its UUID (``"GPU-..."``) instead; torch and NVML agree on it.

    Raises
    ------
    MissingExtraError
        nvidia-ml-py is not installed.
    MeasureError
        There is no NVIDIA driver or no such GPU, no permission, the GPU is split by MIG, or it
        tells neither energy nor power.
    """

    name = "nvml"
    is_real = True

    def __init__(self, index: int | None = None, uuid: str | None = None) -> None:
        self._nvml = _load_nvml()
        self.clock: Clock = SystemClock()
        self._integrator: PowerIntegrator | None = None
        with self._told("NVML cannot start: an NVIDIA GPU and its driver are needed"):
            self._nvml.nvmlInit()
        try:
            self._handle = self._find(index, uuid)
            self._refuse_mig()
            self._device = self._describe()
            self._earlier = self._processes() or frozenset()
        except BaseException:
            self.close()
            raise

    @property
    def device(self) -> Device:
        """What is measured."""
        return self._device

    def energy_j(self) -> float:
        """Energy [J] of the board since the driver was loaded, or since sampling began."""
        if self._integrator is not None:
            return self._integrator.energy_j()
        with self._told("the energy counter cannot be read"):
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3

    def power_w(self) -> float:
        """Power of the board [W] now; recent drivers average it over the last second."""
        with self._told("the power cannot be read"):
            return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1e3

    def sample(self) -> Telemetry:
        """The state of the GPU now; what it does not tell is None."""
        nvml, handle = self._nvml, self._handle
        utilisation = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        reasons = getattr(
            nvml, "nvmlDeviceGetCurrentClocksEventReasons", nvml.nvmlDeviceGetCurrentClocksThrottleReasons
        )
        throttle = self._try(reasons, handle)
        return Telemetry(
            power_w=_scaled(self._try(nvml.nvmlDeviceGetPowerUsage, handle), 1e-3),
            temperature_c=_scaled(self._try(nvml.nvmlDeviceGetTemperature, handle, 0)),
            sm_clock_mhz=_scaled(self._try(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=_scaled(self._try(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM)),
            power_limit_w=_scaled(self._try(nvml.nvmlDeviceGetEnforcedPowerLimit, handle), 1e-3),
            utilisation=None if utilisation is None else float(utilisation.gpu) / 100,
            other_processes=self._others(),
            throttle_reasons=None if throttle is None else int(throttle),
        )

    def close(self) -> None:
        """Stop sampling and release NVML."""
        if self._integrator is not None:
            self._integrator.stop()
            self._integrator = None
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _find(self, index: int | None, uuid: str | None) -> Any:
        nvml = self._nvml
        with self._told("GPUs cannot be counted"):
            count = int(nvml.nvmlDeviceGetCount())
        if not count:
            raise MeasureError("NVML finds no GPU; measuring needs one, or try --dry-run")
        if uuid is not None:
            with self._told(f"there is no GPU {shown(uuid)}"):
                return nvml.nvmlDeviceGetHandleByUUID(uuid)
        place = visible_index() if index is None else index
        if isinstance(place, str):
            with self._told(f"there is no GPU {shown(place)}, which CUDA_VISIBLE_DEVICES names"):
                return nvml.nvmlDeviceGetHandleByUUID(place)
        if not 0 <= place < count:
            raise MeasureError(f"there is no GPU {place}; NVML finds {count}, numbered from 0")
        with self._told(f"GPU {place} cannot be opened"):
            return nvml.nvmlDeviceGetHandleByIndex(place)

    def _refuse_mig(self) -> None:
        mode = self._try(self._nvml.nvmlDeviceGetMigMode, self._handle)
        if mode is not None and mode[0]:
            raise MeasureError(
                "the GPU is split by MIG: its energy is that of the whole board and cannot be "
                "attributed to a slice; measure on a GPU without MIG"
            )

    def _describe(self) -> Device:
        nvml, handle = self._nvml, self._handle
        with self._told("the GPU does not tell its name"):
            name, uuid = _text(nvml.nvmlDeviceGetName(handle)), _text(nvml.nvmlDeviceGetUUID(handle))
            driver = _text(nvml.nvmlSystemGetDriverVersion())
        if self._try(nvml.nvmlDeviceGetTotalEnergyConsumption, handle):
            return Device(name, uuid, driver, "energy counter", tick_s=0.1)
        with self._told("the GPU has no energy counter, and its power cannot be read"):
            nvml.nvmlDeviceGetPowerUsage(handle)
        self._integrator = PowerIntegrator(self.power_w, POWER_SAMPLE_S)
        return Device(name, uuid, driver, "sampled power", tick_s=POWER_SAMPLE_S)

    def _processes(self) -> frozenset[int] | None:
        found = self._try(self._nvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
        return None if found is None else frozenset(int(process.pid) for process in found)

    def _others(self) -> int | None:
        """Other processes; inside a container NVML may know this one by another number."""
        found = self._processes()
        if found is None:
            return None
        others = found - {os.getpid()}
        newcomers = others - self._earlier
        unseen = os.getpid() not in found and len(newcomers) > 0
        return len(others) - unseen

    def _try(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None where this GPU or driver has none."""
        try:
            return ask(*arguments)
        except self._nvml.NVMLError:
            return None

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._nvml.NVMLError as error:
            hint = "; ask for access to the device" if "Permission" in str(error) else ""
            raise MeasureError(f"{what} ({error}){hint}") from error


class PowerIntegrator:
    """Energy from power sampled by a thread: the trapezoids between samples."""

    def __init__(self, power_w: Callable[[], float], interval_s: float) -> None:
        self._power_w, self._interval_s = power_w, interval_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._problem: BaseException | None = None
        self._energy_j, self._last = 0.0, (time.monotonic(), power_w())
        self._thread = threading.Thread(target=self._run, name="joulecast-power", daemon=True)
        self._thread.start()

    def energy_j(self) -> float:
        """Energy [J] since the start, up to this instant."""
        if self._problem is not None:
            raise MeasureError(f"power sampling stopped: {self._problem}")
        self._add()
        with self._lock:
            return self._energy_j

    def stop(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join(timeout=2)

    def _add(self) -> None:
        power = self._power_w()
        with self._lock:
            now = time.monotonic()
            self._energy_j += (now - self._last[0]) * (power + self._last[1]) / 2
            self._last = now, power

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._add()
            except BaseException as error:
                self._problem = error
                return


def visible_index() -> int | str:
    """The first GPU that CUDA may use: its index, or its UUID where the variable names it so."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return first
    return int(first) if first.isdigit() else 0


def _load_nvml() -> Any:
    try:
        import pynvml
    except ImportError:
        raise MissingExtraError("measure", "measuring a GPU") from None
    return pynvml


def _scaled(value: Any, factor: float = 1.0) -> float | None:
    return None if value is None else float(value) * factor


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


# --- replay ---------------------------------------------------------------------------------------

PHASES: Final = ("idle", "work")
_FIELDS: Final = ("power_w", "temperature_c", "sm_clock_mhz", "memory_clock_mhz", "power_limit_w")


@dataclass(frozen=True)
class Trace:
    """A recording of a GPU: rows in time order, at which the state was read.

    `phase` is ``"idle"`` or ``"work"``: what the GPU did from a row to the next. A row's power
    [W] holds until the next row; the last row only ends the recording.
    """

    time_s: tuple[float, ...]
    phase: tuple[str, ...]
    states: tuple[Telemetry, ...]
    gpu: str = "replayed GPU"

    def of(self, phase: str) -> Trace:
        """The stretches of one phase joined together; the whole recording when it has none."""
        steps = [
            (end - start, state)
            for start, end, name, state in zip(
                self.time_s, self.time_s[1:], self.phase, self.states, strict=False
            )
            if name == phase
        ]
        if not steps:
            return self
        times = [0.0]
        for length, _ in steps:
            times.append(times[-1] + length)
        states = (*(state for _, state in steps), steps[-1][1])
        return Trace(tuple(times), (phase,) * len(times), states, self.gpu)

    def cumulative_j(self) -> list[float]:
        """Energy [J] up to each row."""
        total = [0.0]
        for start, end, state in zip(self.time_s, self.time_s[1:], self.states, strict=False):
            total.append(total[-1] + (end - start) * float(state.power_w or 0.0))
        return total


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """A recorded trace from a CSV file: ``time_s``, ``power_w`` or ``energy_j``, and optionally
    ``phase``, ``temperature_c``, ``sm_clock_mhz``, ``memory_clock_mhz``, ``power_limit_w``.

    Raises InputError when there is no such file, FileFormatError when it is no trace.
    """
    return parse_trace(data.user_text(path, "trace", MOST_TRACE_BYTES), f"trace {data.shown_path(path)}")


def packaged_trace() -> Trace:
    """The trace of dry runs: an invented GPU, 75 W idle and about 400 W at work."""
    return parse_trace(data.read_text("plans/dry-run-trace.csv"), "the packaged trace")


def parse_trace(text: str, where: str) -> Trace:
    """A trace from the text of its CSV file; errors as of `read_trace`."""
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) < 2 or "time_s" not in rows[0] or not {"power_w", "energy_j"} & set(rows[0]):
        raise FileFormatError(
            f"{where} is no trace; expected columns time_s and power_w or energy_j, 2 rows at least"
        )
    numbers = [_numbers(row, f"{where}, row {place}") for place, row in enumerate(rows, 2)]
    times = [row["time_s"] for row in numbers]
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise FileFormatError(f"{where}: time_s must rise from row to row")
    if "power_w" not in numbers[0]:
        _add_power(numbers, where)
    phases = [row.get("phase") or "work" for row in rows]
    if unknown := set(phases) - set(PHASES):
        raise FileFormatError(f"{where}: phase {shown(sorted(unknown)[0])}; expected idle or work")
    states = tuple(
        Telemetry(
            row.get("power_w"),
            row.get("temperature_c"),
            row.get("sm_clock_mhz"),
            row.get("memory_clock_mhz"),
            row.get("power_limit_w"),
        )
        for row in numbers
    )
    gpu = rows[0].get("gpu") or "replayed GPU"
    return Trace(tuple(times), tuple(phases), states, gpu)


def _numbers(row: dict[str, str], where: str) -> dict[str, float]:
    found = {}
    for name in ("time_s", "energy_j", *_FIELDS):
        if row.get(name):
            try:
                found[name] = float(row[name])
            except ValueError:
                raise FileFormatError(f"{where}: {name} is {shown(row[name])}, not a number") from None
            if not math.isfinite(found[name]) or (name != "time_s" and found[name] < 0):
                raise FileFormatError(f"{where}: {name} is {shown(row[name])}; expected 0 or more")
    if "time_s" not in found or not {"power_w", "energy_j"} & set(found):
        raise FileFormatError(f"{where} lacks time_s, or both power_w and energy_j")
    return found


def _add_power(rows: list[dict[str, float]], where: str) -> None:
    """Power from the energy between rows."""
    for row, following in itertools.pairwise(rows):
        power = (following["energy_j"] - row["energy_j"]) / (following["time_s"] - row["time_s"])
        if power < 0:
            raise FileFormatError(f"{where}: energy_j falls")
        row["power_w"] = power
    rows[-1]["power_w"] = rows[-2]["power_w"]


class VirtualClock:
    """A clock that moves only when told, and tells its listeners which phase passed."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._listeners: list[Callable[[float, str], None]] = []

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, the GPU idle."""
        self.pass_time(seconds, "idle")

    def work(self, seconds: float) -> None:
        """Let `seconds` pass, the GPU at work."""
        self.pass_time(seconds, "work")

    def pass_time(self, seconds: float, phase: str) -> None:
        """Let `seconds` pass in a phase, ``"idle"`` or ``"work"``."""
        if seconds > 0:
            self._now_s += seconds
            for listener in self._listeners:
                listener(seconds, phase)

    def listen(self, listener: Callable[[float, str], None]) -> None:
        """Call `listener(seconds, phase)` whenever time passes."""
        self._listeners.append(listener)


@dataclass
class _Player:
    """Plays one recording over and over."""

    trace: Trace
    cumulative_j: list[float] = field(init=False)
    position_s: float = 0.0

    def __post_init__(self) -> None:
        self.cumulative_j = self.trace.cumulative_j()
        if not self.cumulative_j[-1] > 0:
            raise InputError("a trace whose energy is 0 J cannot be replayed")

    def energy_at(self, position_s: float) -> float:
        """Energy [J] from the beginning to a position that may lie many rounds later."""
        times = self.trace.time_s
        rounds, rest = divmod(position_s, times[-1] - times[0])
        place = self.place(rest)
        within = (times[0] + rest - times[place]) * float(self.trace.states[place].power_w or 0.0)
        return rounds * self.cumulative_j[-1] + self.cumulative_j[place] + within

    def place(self, rest_s: float) -> int:
        """The row that holds at a position within one round."""
        times = self.trace.time_s
        return min(max(bisect.bisect_right(times, times[0] + rest_s) - 1, 0), len(times) - 2)

    def state(self) -> Telemetry:
        times = self.trace.time_s
        return self.trace.states[self.place(self.position_s % (times[-1] - times[0]))]

    def play(self, seconds: float) -> float:
        """Energy [J] of the next `seconds`."""
        start = self.energy_at(self.position_s)
        self.position_s += seconds
        return self.energy_at(self.position_s) - start


class ReplayMeter:
    """Plays a recorded trace, over and over, against a clock.

    With a `VirtualClock` the recording's stretches of the phase that passes are played: idle while
    the clock sleeps, work while it works. With any other clock the recording runs on by itself.
    `tick_s` [s] lets the energy reading move in steps, as a GPU's counter does.
    """

    name = "replay"
    is_real = False

    def __init__(self, trace: Trace, clock: Clock | None = None, tick_s: float = 0.0) -> None:
        self.clock: Clock = VirtualClock() if clock is None else clock
        self._device = Device(trace.gpu, "replayed", "", "recorded trace", tick_s)
        self._drawn_j = self._shown_j = 0.0
        self._next_tick_s = -math.inf
        self._phase = "idle"
        if isinstance(self.clock, VirtualClock):
            self._players = {phase: _Player(trace.of(phase)) for phase in PHASES}
            self.clock.listen(self._passed)
        else:
            self._players = {phase: _Player(trace) for phase in PHASES[:1]}
        self._last_s = self.clock.now()

    @property
    def device(self) -> Device:
        """The GPU of the recording."""
        return self._device

    def energy_j(self) -> float:
        """Energy [J] played so far."""
        self._run_on()
        now = self.clock.now()
        if now >= self._next_tick_s:
            self._shown_j, self._next_tick_s = self._drawn_j, now + self._device.tick_s
        return self._shown_j

    def power_w(self) -> float:
        """Power [W] of the recording where it is being played."""
        return float(self.sample().power_w or 0.0)

    def sample(self) -> Telemetry:
        """The recording's state where it is being played."""
        self._run_on()
        return self._players[self._phase].state()

    def close(self) -> None:
        """Nothing is held."""

    def _passed(self, seconds: float, phase: str) -> None:
        self._phase = phase
        self._drawn_j += self._players[phase].play(seconds)

    def _run_on(self) -> None:
        if not isinstance(self.clock, VirtualClock):
            now = self.clock.now()
            self._drawn_j += self._players["idle"].play(now - self._last_s)
            self._last_s = now


# --- telemetry over a stretch of time -------------------------------------------------------------


class TelemetryRecorder:
    """Samples a meter's telemetry beside the work: by a thread, or, on a virtual clock, at both ends."""

    def __init__(self, meter: Meter, interval_s: float = SAMPLE_S) -> None:
        self._meter, self._interval_s = meter, interval_s
        self._samples: list[tuple[float, Telemetry]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> TelemetryRecorder:
        self.take()
        if self._meter.is_real:
            self._thread = threading.Thread(target=self._run, name="joulecast-telemetry", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def take(self) -> None:
        """One sample now."""
        self._samples.append((self._meter.clock.now(), self._meter.sample()))

    def between(self, start_s: float, end_s: float) -> list[tuple[float, Telemetry]]:
        """The samples of a stretch of time."""
        return [item for item in list(self._samples) if start_s <= item[0] <= end_s]

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.take()
            except Exception:  # a sample that fails is a gap in the telemetry, not in the energy
                continue


def summary(samples: Sequence[tuple[float, Telemetry]]) -> dict[str, float]:
    """Samples in a few numbers; what was never read is left out.

    Mean and largest power, temperature at both ends, mean and smallest SM clock, the power limit,
    other processes at most, and ``power_integral_j``: energy [J] by trapezoids, between the samples.
    """
    found: dict[str, float] = {"samples": float(len(samples))}

    def column(name: str) -> list[float]:
        values = [getattr(state, name) for _, state in samples]
        return [float(value) for value in values if value is not None]

    def put(name: str, values: list[float], how: Callable[[list[float]], float]) -> None:
        if values:
            found[name] = how(values)

    power, clock, temperature = column("power_w"), column("sm_clock_mhz"), column("temperature_c")
    put("power_mean_w", power, _mean)
    put("power_max_w", power, max)
    put("temperature_start_c", temperature, lambda values: values[0])
    put("temperature_end_c", temperature, lambda values: values[-1])
    put("sm_clock_mean_mhz", clock, _mean)
    put("sm_clock_min_mhz", clock, min)
    put("memory_clock_mean_mhz", column("memory_clock_mhz"), _mean)
    put("power_limit_w", column("power_limit_w"), min)
    put("utilisation_mean", column("utilisation"), _mean)
    put("other_processes", column("other_processes"), max)
    reasons = [state.throttle_reasons for _, state in samples if state.throttle_reasons is not None]
    if reasons:
        found["throttle_reasons"] = float(_union(reasons))
    timed = [(at, state.power_w) for at, state in samples if state.power_w is not None]
    if len(timed) > 1:
        found["power_integral_j"] = sum(
            (b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(timed)
        )
        found["power_integral_s"] = timed[-1][0] - timed[0][0]
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _union(bits: Sequence[int]) -> int:
    joined = 0
    for value in bits:
        joined |= value
    return joined
