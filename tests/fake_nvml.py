# ruff: noqa: N802 - NVML's own names
"""A stand-in for pynvml: one GPU that draws a constant power, and what may be wrong with it."""

from __future__ import annotations

import os
import time
from types import ModuleType, SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class FakeNvml(ModuleType):
    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2

    def __init__(
        self,
        *,
        gpus: int = 1,
        counter: bool = True,
        power: bool = True,
        mig: bool | None = None,
        init: str = "",
        pids: tuple[int, ...] = (),
        names: tuple[str, ...] = ("NVIDIA H200",),
    ) -> None:
        super().__init__("pynvml")
        self.gpus, self.counter, self.power, self.mig, self.init = gpus, counter, power, mig, init
        self.pids, self.names = pids, names
        self.shut = 0

    def nvmlInit(self) -> None:
        if self.init:
            raise NVMLError(self.init)

    def nvmlShutdown(self) -> None:
        self.shut += 1

    def nvmlDeviceGetCount(self) -> int:
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        if uuid != "GPU-fake":
            raise NVMLError("Not Found")
        return 0

    def nvmlDeviceGetName(self, handle: int) -> str:
        return self.names[handle % len(self.names)]

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:
        return b"GPU-fake"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def nvmlDeviceGetMigMode(self, handle: int) -> tuple[int, int]:
        if self.mig is None:
            raise NVMLError("Not Supported")
        return int(self.mig), int(self.mig)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.counter:
            raise NVMLError("Not Supported")
        return int(1000 * 500 * time.monotonic())

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if not self.power:
            raise NVMLError("Insufficient Permissions")
        return 500_000

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 55

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return 700_000

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=90, memory=20)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return 4

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.pids]


OWN = os.getpid()
