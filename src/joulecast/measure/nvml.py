"""An NVIDIA GPU's energy, asked of NVIDIA's management library itself (extra `measure`).

The energy counter of the board, or sampled power where a GPU has no counter. Zeus reads the same
counter through the same library; a second way to it would add a dependency and a wall clock, and
no figure.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from joulecast.errors import MeasureError, MissingExtraError, shown
from joulecast.measure.meter import Clock, Device, SystemClock, Telemetry
from joulecast.measure.process import is_alive, is_own

POWER_SAMPLE_S: Final = 0.02  # between power samples where a GPU has no energy counter


_MIG: Final = (
    "the GPU is split by MIG: its energy is that of the whole board and cannot be attributed to a "
    "slice; measure on a GPU without MIG"
)


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

    @property
    def installed(self) -> tuple[str, ...]:
        """Names of the computer's GPUs, in NVML's own order."""
        nvml = self._nvml
        with self._told("GPUs cannot be counted"):
            handles = map(nvml.nvmlDeviceGetHandleByIndex, range(int(nvml.nvmlDeviceGetCount())))
            return tuple(_text(nvml.nvmlDeviceGetName(handle)) for handle in handles)

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
            raise MeasureError("NVML finds no GPU; measuring needs one of NVIDIA's")
        if uuid is not None:
            if uuid.startswith("MIG-"):
                raise MeasureError(_MIG)
            with self._told(f"there is no GPU {shown(uuid)}"):
                return nvml.nvmlDeviceGetHandleByUUID(uuid)
        place = visible_index() if index is None else index
        if isinstance(place, str):
            if place.startswith("MIG-"):
                raise MeasureError(_MIG)
            with self._told(f"there is no GPU {shown(place)}, which CUDA_VISIBLE_DEVICES names"):
                return nvml.nvmlDeviceGetHandleByUUID(place)
        if not 0 <= place < count:
            raise MeasureError(f"there is no GPU {place}; NVML finds {count}, numbered from 0")
        with self._told(f"GPU {place} cannot be opened"):
            return nvml.nvmlDeviceGetHandleByIndex(place)

    def _refuse_mig(self) -> None:
        mode = self._try(self._nvml.nvmlDeviceGetMigMode, self._handle)
        if mode is not None and mode[0]:
            raise MeasureError(_MIG)

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
        """Processes that are neither this one nor started by it; inside a container NVML may know these by
        other numbers, by which nobody is known there."""
        found = self._processes()
        if found is None:
            return None
        others = {pid for pid in found if not is_own(pid)}
        strangers = [pid for pid in others - self._earlier if not is_alive(pid)]
        unseen = others == found and len(strangers) > 0
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


def visible_meters() -> tuple[NvmlMeter, ...]:
    """Meters of all GPUs that CUDA may use. Raises what `NvmlMeter` does where one of them has none."""
    meters = [NvmlMeter()]
    try:
        for place in visible_places(len(meters[0].installed))[1:]:
            meters.append(NvmlMeter(uuid=place) if isinstance(place, str) else NvmlMeter(index=place))
    except BaseException:
        for meter in meters:
            meter.close()
        raise
    return tuple(meters)


def order_doubt(installed: Sequence[str]) -> Iterator[str]:
    """Whether CUDA, told GPUs by number, may number those of these names otherwise than NVML."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES", "GPU-")
    by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if len(set(installed)) > 1 and not by_bus and not told.strip().startswith("GPU-"):
        yield (
            "CUDA may number GPUs of several kinds in an order of its own: the command may have used others "
            "than were measured; set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )


def visible_index() -> int | str:
    """The first of `visible_places`."""
    return visible_places(1)[0]


def visible_places(installed: int) -> list[int | str]:
    """The GPUs that CUDA may use, of so many: indices, or UUIDs where the variable names them so.

    As with CUDA, the list ends at the first entry that names no GPU. Raises MeasureError where
    CUDA_VISIBLE_DEVICES shows it none: empty, -1, or nothing that names a GPU.
    """
    shown_gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown_gpus is None:
        return list(range(installed))
    found: list[int | str] = []
    for entry in map(str.strip, shown_gpus.split(",")):
        if entry.startswith(("GPU-", "MIG-")):
            found.append(entry)
        elif entry.isascii() and entry.isdigit():
            found.append(int(entry))
        else:
            break
    if found:
        return list(dict.fromkeys(found))
    raise MeasureError(
        f"CUDA_VISIBLE_DEVICES is {shown(shown_gpus)} and so hides every GPU; unset it, or let it begin with "
        "a GPU's number or UUID"
    )


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
