"""A small hub on this computer: the part of the Hugging Face hub that configs are taken from."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """A folder as a repository; `sizes` are those that it says of files, whatever they are."""

    folder: Path
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)

    def files(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())

    def size_of(self, file: str) -> int:
        return self.sizes.get(file, (self.folder / file).stat().st_size)


class Hub(ThreadingHTTPServer):
    """Repositories by name, with one revision, ``main`` or `SHA`; `asked` are the paths that were."""

    def __init__(self, repositories: dict[str, Repository]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub_of(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub(repositories)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0]).strip("/")
        self.server.asked.append(path)
        parts = path.split("/")
        is_info = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if is_info else parts
        repository = self.server.repositories.get(f"{owner}/{name}")
        if repository is None:
            return self._refuse(404, "RepoNotFound")
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in ("main", SHA):
            return self._refuse(404, "RevisionNotFound")
        if is_info:
            files = [
                {
                    "rfilename": one,
                    "size": repository.sizes.get(one, (repository.folder / one).stat().st_size),
                }
                for one in repository.files()
            ]
            return self._send(json.dumps({"id": f"{owner}/{name}", "sha": SHA, "siblings": files}).encode())
        if repository.gated:
            return self._refuse(403, "GatedRepo")
        file = repository.folder / "/".join(rest[2:])
        if not file.is_file():
            return self._refuse(404, "EntryNotFound")
        return self._send(file.read_bytes())

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", SHA)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
