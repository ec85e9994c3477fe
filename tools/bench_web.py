"""Measure the HTTP API against its targets with a client on the same cores; print, never fail.

    scripts/bench

Beside it, under the same client, the smallest possible Starlette route: what is lost is joulecast's, what the
two share is the server's (uvicorn). Each is measured in turns, and the better of the turns is printed. The
processor time of the server for a request tells what a core of its own would answer.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SECONDS = 4.0
TURNS = 3
CONNECTIONS = 16
BATCHES = 12
BATCH_ROWS = 10_000
LEAST_PER_S = 3_000.0
MOST_P99_MS = 20.0
LEAST_ROWS_PER_S = 300_000.0
MOST_COLD_MS = 50.0
MOST_GROWTH_MB = 64.0  # the answers that are kept, and what profiles remember
GPU = "H100-SXM5-80GB"
ONE = {"model": "flux.1-dev", "size": "1024x1024", "steps": 28}

SMALLEST = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def answer(request):
    await request.body()
    return Response(b"{}", media_type="application/json")

app = Starlette(routes=[Route("/v1/estimate", answer, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


class Load(NamedTuple):
    """What a client saw: answers a second, the times of half and of 99 % of them [ms], and the server's
    processor time for each [s], nan where the system does not say."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s: float


class Server(NamedTuple):
    """A server's process and port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """Its processor time until now [s]."""
        try:
            fields = (
                Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            )
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Its resident memory [MB]."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return float("nan")
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure everything, one line each."""
    with (
        served("-c", SMALLEST) as smallest,
        served("-m", "joulecast", "serve", "--gpu", GPU, "--port") as api,
    ):
        cold(api)
        before = api.memory_mb()
        least, same, different = (
            best(server, bodies) for server, bodies in (
                (smallest, repeated()), (api, repeated()), (api, varied()),
            )
        )  # fmt: skip
        print(f"smallest Starlette route: {in_words(least)}")
        for words, found in (("one setting again and again", same), ("settings that all differ", different)):
            report(
                f"/v1/estimate, {words}: {in_words(found)}, {found.per_s / least.per_s:.0%} of the route's",
                f">= {LEAST_PER_S:,.0f}/s, p99 < {MOST_P99_MS:g} ms",
                found.per_s >= LEAST_PER_S and found.p99_ms < MOST_P99_MS,
            )
        batches(api)
        growth = api.memory_mb() - before
        report(
            f"memory: {before:.0f} MB, {growth:+.0f} MB since",
            f"< {MOST_GROWTH_MB:g} MB",
            growth < MOST_GROWTH_MB,
        )


def cold(api: Server) -> None:
    """The first answer of a process that is ready."""
    took = one_request(api.port, json.dumps(ONE).encode())
    report(f"first answer: {took * 1e3:.1f} ms", f"< {MOST_COLD_MS:g} ms", took * 1e3 < MOST_COLD_MS)


def batches(api: Server) -> None:
    """Rows a second of large batches, one after the other."""
    rows = [json.loads(body) for body in itertools.islice(varied(), BATCH_ROWS)]
    body = json.dumps(rows).encode()
    cpu = api.cpu_s()
    took = sorted(one_request(api.port, body) for _ in range(BATCHES))[0]
    cpu = (api.cpu_s() - cpu) / BATCHES
    rate = BATCH_ROWS / took
    report(
        f"/v1/estimate, {BATCH_ROWS:,} rows: {took * 1e3:.0f} ms at best, {rate:,.0f} rows/s, processor time "
        f"of the server {cpu * 1e3:.0f} ms",
        f">= {LEAST_ROWS_PER_S:,.0f} rows/s",
        rate >= LEAST_ROWS_PER_S,
    )


def best(server: Server, bodies: Iterator[bytes]) -> Load:
    """The best of several turns, on a machine that may be at work elsewhere."""
    return max((load(server, bodies) for _ in range(TURNS)), key=lambda found: found.per_s)


def repeated() -> Iterator[bytes]:
    """One request, without end."""
    return itertools.repeat(json.dumps(ONE).encode())


def varied() -> Iterator[bytes]:
    """Requests that all differ, as long as anybody asks: of four models, by size, steps and batch."""
    models = ("flux.1-dev", "sdxl", "sd3.5-large", "qwen-image")
    for batch, steps, side, model in itertools.product(range(1, 65), range(1, 100), range(8, 25), models):
        setting = {"model": model, "width": 64 * side, "height": 1024, "steps": steps, "batch_size": batch}
        yield json.dumps(setting).encode()


def load(server: Server, bodies: Iterator[bytes]) -> Load:
    """Ask from several connections, each as soon as it has its answer."""
    waiting = selectors.DefaultSelector()
    times: list[float] = []
    cpu, end = server.cpu_s(), time.perf_counter() + SECONDS
    begun: dict[socket.socket, float] = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(connection, selectors.EVENT_READ, bytearray())
        begun[connection] = time.perf_counter()
        connection.sendall(request(next(bodies)))
    while time.perf_counter() < end:
        for key, _ in waiting.select(1.0):
            assert isinstance(key.fileobj, socket.socket)
            connection = key.fileobj
            key.data.extend(connection.recv(1 << 18))
            if is_whole(key.data):
                now = time.perf_counter()
                times.append(now - begun[connection])
                key.data.clear()
                begun[connection] = now
                connection.sendall(request(next(bodies)))
    for connection in begun:
        connection.close()
    times.sort()
    return Load(
        len(times) / SECONDS,
        times[len(times) // 2] * 1e3,
        times[len(times) * 99 // 100] * 1e3,
        (server.cpu_s() - cpu) / len(times),
    )


def one_request(port: int, body: bytes) -> float:
    """The time of one answer [s]."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun, found = time.perf_counter(), bytearray()
        connection.sendall(request(body))
        while not is_whole(found):
            found += connection.recv(1 << 20)
        return time.perf_counter() - begun


def request(body: bytes) -> bytes:
    """A request of the API."""
    head = "POST /v1/estimate HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def is_whole(found: bytearray) -> bool:
    """Whether an answer is there to its end. Raises AssertionError where it is none that was hoped for."""
    end = found.find(b"\r\n\r\n")
    if end < 0:
        return False
    assert found.startswith(b"HTTP/1.1 200"), bytes(found[:500])
    head = bytes(found[:end]).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    return len(found) >= end + 4 + length


@contextmanager
def served(*command: str) -> Iterator[Server]:
    """A server on a port that is free, ready to answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, b"GET /v1/health HTTP/1.1\r\nhost: here\r\n\r\n")
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, asked: bytes) -> None:
    """Return when a server answers."""
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(asked)
                if connection.recv(16):
                    return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")


def in_words(found: Load) -> str:
    """A load in one line."""
    return (
        f"{found.per_s:,.0f}/s, half within {found.p50_ms:.1f} ms, 99 % within {found.p99_ms:.1f} ms, "
        f"processor time of the server {found.cpu_s * 1e6:.0f} us each"
    )


def report(figure: str, target: str, met: bool) -> None:
    """Print a figure, its target and whether it is met."""
    print(f"{figure}; target {target}: {'met' if met else 'NOT met'}", flush=True)


if __name__ == "__main__":
    main()
