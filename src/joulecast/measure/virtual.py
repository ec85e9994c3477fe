"""Work that only lets a virtual clock run: dry runs."""

from __future__ import annotations

from joulecast.measure import expected_time
from joulecast.measure.records import Software, TaskSpec
from joulecast.measure.replay import VirtualClock
from joulecast.measure.task import ComponentWork, DenoisingStep, Dissection, role_of


class VirtualSubject:
    """Lets a virtual clock run for about as long as the work might take: dry runs."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def load(self, spec: TaskSpec) -> None:
        """Building a pipeline takes a while, the GPU idle."""
        self._spec = spec
        self._call_s = expected_time.call_s(spec)
        self._clock.sleep(2.0)

    def call(self) -> None:
        """One batch."""
        self._clock.work(self._call_s)

    def synchronize(self) -> None:
        """Nothing runs behind a virtual clock."""

    def dissect(self) -> Dissection:
        """The calls of the model's profile."""
        parts = {name: work for name, work in expected_time.component_s(self._spec).items() if work[0]}
        works = tuple(
            ComponentWork(name, 0, calls, "", lambda seconds=seconds / calls: self._clock.work(seconds))  # type: ignore[misc]
            for name, (calls, seconds) in parts.items()
        )
        denoisers = [name for name in parts if role_of(self._spec.model, name) == "denoiser"]
        steps = tuple(step for name in denoisers for step in self._steps(name, *parts[name]))
        self.call()
        return Dissection(works, steps)

    def _steps(self, name: str, calls: int, seconds: float) -> tuple[DenoisingStep, ...]:
        """As many as asked for, or one for each call where they do not share the calls evenly."""
        count = self._spec.steps if calls % self._spec.steps == 0 else calls
        one = DenoisingStep((name,) * (calls // count), seconds / count, seconds / count)
        return (one,) * count

    def facts(self) -> Software:
        """That it is a dry run."""
        return Software(f"{self._spec.weights} (dry run: none)")

    def output(self) -> None:
        """Nothing is made."""
