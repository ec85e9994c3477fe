"""The lease of a task that is worked on, renewed meanwhile."""

from __future__ import annotations

import contextlib
import threading

from joulecast.measure import store as stores
from joulecast.measure.database import StoreError
from joulecast.measure.store import Claim, Store


class Heartbeat:
    """Renews a claim's lease while work goes on, from a thread with a connection of its own."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._path, self._worker, self._claim = store.path, store.worker, claim
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="joulecast-lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(stores.LEASE_S / 4):
            with (
                contextlib.suppress(StoreError),
                Store(self._path, worker=self._worker) as store,
            ):
                store.renew(self._claim)
