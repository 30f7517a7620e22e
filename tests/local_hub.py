"""A Hub on this machine: answers over HTTP what huggingface_hub asks for, so tests fetch as users do.

    with LocalHub() as hub:
        commit = hub.commit("user/name", {"config.json": b"{}"})
        hub.point_client_at(monkeypatch, cache)
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

import pytest

LARGE = (".safetensors",)  # what the Hub keeps in LFS, known by its SHA-256


@dataclass
class Repository:
    """Commits by their id, and what branches and tags point to."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        commit = self.references.get(revision, revision)
        return commit if commit in self.commits else None


class LocalHub:
    """The server. cut: names of files whose transfer breaks off after the first half. requests: (method, path), all."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.cut: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, repository: str, files: Mapping[str, bytes], *, branch: str = "main", tag: str = "") -> str:
        """Make a commit of these files the head of a branch; returns its id, 40 hex digits."""
        found = self.repositories.setdefault(repository, Repository())
        text = json.dumps([len(found.commits), {name: _sha256(content) for name, content in files.items()}])
        commit = hashlib.sha1(text.encode()).hexdigest()
        found.commits[commit] = dict(files)
        found.references[branch] = commit
        if tag:
            found.references[tag] = commit
        return commit

    def point_client_at(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Let this process' client use this Hub and an empty cache; its settings are read once, at its import."""
        import huggingface_hub.constants as constants

        monkeypatch.setenv("HF_ENDPOINT", self.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> LocalHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _handler_of(hub: LocalHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

        def _answer(self) -> None:
            hub.requests.append((self.command, self.path))
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[:2] == ["api", "models"] and len(parts) >= 4:
                self._answer_api("/".join(parts[2:4]), parts[4:])
            elif len(parts) >= 5 and parts[2] == "resolve":
                self._answer_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self._refuse(404, "EntryNotFound")

        def _answer_api(self, name: str, rest: list[str]) -> None:
            repository = hub.repositories.get(name)
            if repository is None:
                return self._refuse(401, "RepoNotFound")
            commit = repository.resolve(rest[1] if len(rest) > 1 else "main")
            if commit is None:
                return self._refuse(404, "RevisionNotFound")
            files = repository.commits[commit]
            if rest[:1] == ["tree"]:
                return self._send_json([_tree_entry(path, content) for path, content in files.items()])
            siblings = [{"rfilename": path} for path in files]
            return self._send_json({"id": name, "modelId": name, "sha": commit, "private": False, "siblings": siblings})

        def _answer_file(self, name: str, revision: str, path: str) -> None:
            repository = hub.repositories.get(name)
            commit = repository.resolve(revision) if repository else None
            if repository is None or commit is None:
                return self._refuse(404, "RevisionNotFound" if repository else "RepoNotFound")
            if path not in repository.commits[commit]:
                return self._refuse(404, "EntryNotFound")
            content = repository.commits[commit][path]
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{_tree_entry(path, content)["oid"]}"')
            if path.endswith(LARGE):
                self.send_header("X-Linked-Etag", f'"{_sha256(content)}"')
                self.send_header("X-Linked-Size", str(len(content)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command == "GET":
                half = len(content) // 2
                self.wfile.write(content[start : max(start, half)] if path in hub.cut else content[start:])
                self.close_connection = path in hub.cut
            return None

        def _send_json(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _tree_entry(path: str, content: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 130}
    return entry


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
