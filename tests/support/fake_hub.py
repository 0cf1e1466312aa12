"""A small Hugging Face hub on 127.0.0.1 for the real client, and a cache that is not the user's.

Files come from a second server, as from the hub's CDN: it must never see the user's token.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 34


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class FakeHub:
    """What the hub has, how it misbehaves, and what was asked of it."""

    cache: Path
    endpoint: str = ""
    cdn: str = ""
    repository: str = "facebook/VGGT-1B"
    files: dict[str, bytes] = field(default_factory=dict)
    commit: str = COMMIT
    gated: bool = False
    status: int | None = None
    """Answered to every question, with this code."""
    corrupt: bool = False
    """Send other bytes than were promised, as many."""
    ranges: bool = True
    """Honour the Range header."""
    cut_after: int | None = None
    """Bytes that a connection of the CDN lasts."""
    connections: int | None = None
    """How many connections the CDN still accepts; None for any number."""
    stall: threading.Event | None = None
    """If set, connections that would be cut wait for this instead."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def repository_cache(self) -> Path:
        return self.cache / f"models--{self.repository.replace('/', '--')}"

    def transfers(self) -> list[str]:
        """The Range header of each transfer so far."""
        return [
            h["range"] for method, url, h in self.requests if "/cdn/" in url and method == "GET"
        ]

    def asked(self) -> list[str]:
        """The paths that were asked for, without the client's own statistics."""
        return [f"{m} {url}" for m, url, _ in self.requests if "agent-harnesses" not in url]


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((self.command, self.path, headers))
        api = f"/api/models/{self.hub.repository}"
        if self.hub.status is not None:
            self._send(self.hub.status, {}, b"")
        elif path.startswith("/cdn/"):
            self._send_file(path.removeprefix("/cdn/"), headers.get("range"))
        elif path in (api, f"{api}/revision/main", f"{api}/revision/{self.hub.commit}"):
            self._send(200, {"Content-Type": "application/json"}, json.dumps(self._info()).encode())
        elif path.startswith(f"{api}/revision/"):
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"")
        elif path.startswith(f"/{self.hub.repository}/resolve/{self.hub.commit}/"):
            self._redirect(path.rsplit("/", 1)[1])
        else:
            self._send(404, {"X-Error-Code": "RepoNotFound"}, b"")

    def _info(self) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 135},
            }
            for name, content in self.hub.files.items()
        ]
        return {"id": self.hub.repository, "sha": self.hub.commit, "siblings": siblings}

    def _redirect(self, name: str) -> None:
        if self.hub.gated:
            self._send(403, {"X-Error-Code": "GatedRepo"}, b"")
            return
        content = self.hub.files[name]
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        where = {"Location": f"{self.hub.cdn}/cdn/{name}", "X-Repo-Commit": self.hub.commit}
        self._send(302, {**linked, **where}, b"")

    def _send_file(self, name: str, asked: str | None) -> None:
        hub = self.hub
        if hub.connections is not None:
            if hub.connections == 0:
                self.connection.close()
                return
            hub.connections -= 1
        content = hub.files[name]
        if hub.corrupt:
            content = content[::-1]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.ranges else 0
        body = content[start:]
        self.send_response(206 if asked and hub.ranges else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if hub.cut_after is None or len(body) <= hub.cut_after:
            self.wfile.write(body)
            return
        self.wfile.write(body[: hub.cut_after])
        self.wfile.flush()
        if hub.stall is not None:
            hub.stall.wait(60)
        self.close_connection = True

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Run a hub and turn the client in this process, and its children, to it."""
    hub = FakeHub(cache=folder / "hub")
    handler = type("Handler", (_Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    hub.endpoint, hub.cdn = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    isolate(folder, monkeypatch, hub.endpoint)
    try:
        yield hub
    finally:
        from huggingface_hub.utils import close_session

        close_session()
        if hub.stall is not None:
            hub.stall.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Give the client an endpoint and caches of its own, in this process and in children."""
    from huggingface_hub import constants

    values = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_TOKEN": TOKEN,
        "VGGT_SFM_CACHE": str(folder / "vggt-sfm"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VGGT_SFM_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
