"""Gather what calls take at the points that a pipeline is traced at, and solve their peaks.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.operator_runs import spans_when_merged
from joulecast.compute.operators import OperatorTable, module_of
from joulecast.compute.peak_solving import SpansAt, solve_peaks
from joulecast.compute.peaks import Memory, Peak, peak_at, peak_of
from joulecast.errors import TraceError

Found = dict[tuple[str, str], Memory]  # by component and precision


class PeakTraces:
    """The memory of a pipeline's components in each precision, as far as it is found."""

    def __init__(self) -> None:
        self.found: Found = {}
        self.refuted: set[str] = set()  # components of which a peak was found to be too low
        self._known: dict[int, tuple[Sequence[OperatorTable], tuple[Peak, ...]]] = {}

    def start(self, capture: PipelineCapture) -> None:
        """The pipeline is traced anew, in the precision of `capture`."""
        self._capture = capture
        self._spans: dict[str, dict[tuple[int, ...], SpansAt]] = defaultdict(dict)
        self._called: dict[str, int] = {}

    def result(self) -> PeakTraces:
        """What was found alone, which a process can hand to another."""
        found = PeakTraces()
        found.found, found.refuted = self.found, self.refuted
        return found

    def join(self, other: PeakTraces, precisions: Sequence[str]) -> None:
        """Take over what a copy of these found in some precisions."""
        self.found |= {key: memory for key, memory in other.found.items() if key[1] in precisions}
        self.refuted |= other.refuted

    def add(self, call: Call, symbols: Mapping[str, int], with_runs: bool = False) -> None:
        """A call was traced where its component's symbols have these values; `with_runs` says whether runs of
        one operator count as one."""
        spans = spans_when_merged(call.spans, call.operators) if with_runs else call.spans
        self._spans[call.component].setdefault(tuple(symbols.values()), (symbols, spans))
        self._called[call.component] = max(call.weights, self._called.get(call.component, 0))

    def solve(self, tables: Mapping[str, Sequence[OperatorTable]]) -> None:
        """Find the peaks of all components, whose operators are `tables`."""
        for name, solved in tables.items():
            resting = self._capture.weights[module_of(name)]
            memory = Memory(resting, max(resting, self._called[name]), self._peaks(name, solved))
            self.found[name, self._capture.precision] = memory

    def _peaks(self, name: str, tables: Sequence[OperatorTable]) -> tuple[Peak, ...]:
        """None where they cannot be found."""
        if id(tables) not in self._known:  # else solved in another precision
            try:
                peaks = solve_peaks(list(self._spans[name].values()), tables)
            except TraceError:
                peaks = ()
            self._known[id(tables)] = tables, peaks
        return self._known[id(tables)][1]

    def verify(self, name: str, symbols: Mapping[str, int]) -> None:
        """Compare with what was traced at a point that the peaks were not solved from.

        Peaks of a component are taken back in all precisions where one is too low, or none is of the point.
        """
        memory = self.found.get((name, self._capture.precision))
        if memory is None or not memory.peaks:
            return
        fresh = peak_of(self._spans[name][tuple(symbols.values())][1])
        if not peak_at(memory.peaks, symbols) >= fresh:
            self.refuted.add(name)

    def notes(self) -> list[str]:
        """Whose memory is not known, and in which precisions where it is in others."""
        out = []
        for name in dict.fromkeys(name for name, _ in self.found):
            by_precision = self.memory(name)
            unknown = [precision for precision, memory in by_precision.items() if not memory.peaks]
            where = f" in {' and '.join(sorted(unknown))}" if len(unknown) < len(by_precision) else ""
            if unknown:
                out.append(f"how much memory {name} needs beside its weights{where} is not known")
        return out

    def memory(self, name: str) -> dict[str, Memory]:
        """The memory of a component by precision."""
        found = {precision: memory for (one, precision), memory in self.found.items() if one == name}
        if name not in self.refuted:
            return found
        return {precision: Memory(memory.weights, memory.called) for precision, memory in found.items()}
