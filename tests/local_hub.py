"""A Hub on this machine: answers over HTTP what huggingface_hub asks for, so tests fetch and push as users do.

with LocalHub() as hub:
    commit = hub.commit("user/name", {"config.json": b"{}"})
    hub.point_client_at(monkeypatch, cache)
"""

from __future__ import annotations

import base64
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
    """A model repository, or, under the name `datasets/user/name`, one of data.

    Commits by their id, and what branches and tags point to. summaries: of commits that came over HTTP.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    private: bool = False
    summaries: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> str | None:
        commit = self.references.get(revision, revision)
        return commit if commit in self.commits else None


class LocalHub:
    """The server. cut: names of files whose transfer breaks off after the first half. broken: parts of paths; a request
    whose path has one of them breaks off half-way, and with `"answer:..."` after it was carried out. requests:
    (method, path), all. stored: large files by their SHA-256, as uploads left them.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.cut: set[str] = set()
        self.broken: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.stored: dict[str, bytes] = {}
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
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

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

        def do_POST(self) -> None:
            self._take()

        def do_PUT(self) -> None:
            self._take()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

        def _answer(self) -> None:
            hub.requests.append((self.command, self.path))
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts == ["api", "whoami-v2"]:
                self._answer_who()
            elif parts[0] == "api" and parts[1] in ("models", "datasets") and len(parts) >= 4:
                self._answer_api(_named(parts[1], parts[2:4]), parts[4:])
            elif len(parts) >= 6 and parts[0] == "datasets" and parts[3] == "resolve":
                self._answer_file("/".join(parts[:3]), parts[4], "/".join(parts[5:]))
            elif len(parts) >= 5 and parts[2] == "resolve":
                self._answer_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self._refuse(404, "EntryNotFound")

        def _answer_who(self) -> None:
            """A token `hf_someone` is someone's."""
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if not token:
                return self._refuse(401, "")
            return self._send_json({"name": token.removeprefix("hf_"), "type": "user"})

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
            return self._send_json(
                {"id": name, "modelId": name, "sha": commit, "private": repository.private, "siblings": siblings}
            )

        def _take(self) -> None:
            """A request with a body: what a push sends."""
            hub.requests.append((self.command, self.path))
            size = int(self.headers.get("Content-Length") or 0)
            broken = next((part for part in hub.broken if part.removeprefix("answer:") in self.path), None)
            if broken is not None and not broken.startswith("answer:"):
                self.rfile.read(size // 2)
                self.close_connection = True
                return
            body = self.rfile.read(size)
            if broken is not None:
                self._silent = True
            self._carry_out(unquote(urlsplit(self.path).path).strip("/").split("/"), body)

        _silent = False

        def _carry_out(self, parts: list[str], body: bytes) -> None:
            if parts[0] == "stored":
                if _sha256(body) != parts[1]:
                    return self._refuse(400, "BadRequest")
                hub.stored[parts[1]] = body
                return self._send_json({})
            if parts == ["api", "validate-yaml"]:
                return self._send_json({"errors": [], "warnings": []})
            if parts == ["api", "repos", "create"]:
                return self._create(json.loads(body))
            git = "/".join(parts[: 3 if parts[0] == "datasets" else 2]).removesuffix(".git")
            name = _named(parts[1], parts[2:4]) if parts[0] == "api" else git
            repository = hub.repositories.get(name)
            if repository is None:
                return self._refuse(404, "RepoNotFound")
            if parts[0] != "api":
                return self._send_json(self._lfs_batch(json.loads(body)))
            if parts[4] == "preupload":
                modes = [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                    }
                    for one in json.loads(body)["files"]
                ]
                return self._send_json({"files": modes})
            if parts[4] == "branch":
                if parts[5] in repository.references:
                    return self._refuse(409, "Conflict")
                repository.references[parts[5]] = repository.references["main"]
                return self._send_json({})
            return self._commit(name, repository, parts[5], body)

        def _create(self, wanted: dict[str, object]) -> None:
            name = _named(f"{wanted.get('type', 'model')}s", [f"{wanted['organization']}/{wanted['name']}"])
            url = {"url": f"{hub.endpoint}/{name}", "name": name, "id": name}
            if name in hub.repositories:
                return self._send_json({**url, "error": "You already created this model repo"}, 409)
            hub.commit(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
            hub.repositories[name].private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            return self._send_json(url)

        def _lfs_batch(self, wanted: dict[str, list[dict[str, object]]]) -> dict[str, object]:
            objects = []
            for one in wanted["objects"]:
                upload = {"upload": {"href": f"{hub.endpoint}/stored/{one['oid']}"}}
                objects.append({**one, **({} if one["oid"] in hub.stored else {"actions": upload})})
            return {"transfer": "basic", "objects": objects}

        def _commit(self, name: str, repository: Repository, branch: str, body: bytes) -> None:
            head = repository.references[branch]
            files = dict(repository.commits[head])
            for line in body.splitlines():
                item = json.loads(line)
                key, value = item["key"], item["value"]
                if key == "header":
                    if value.get("parentCommit") not in (None, head):
                        return self._refuse(412, "PreconditionFailed")
                    repository.summaries.append(value["summary"])
                elif key == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif key == "lfsFile":
                    if value["oid"] not in hub.stored:
                        return self._refuse(400, "BadRequest")
                    files[value["path"]] = hub.stored[value["oid"]]
                elif key == "deletedFile":
                    del files[value["path"]]
            commit = hub.commit(name, files, branch=branch)
            return self._send_json({"commitUrl": f"{hub.endpoint}/{name}/commit/{commit}", "commitOid": commit})

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

        def _send_json(self, value: object, status: int = 200) -> None:
            if self._silent:
                self.close_connection = True
                return
            content = json.dumps(value).encode()
            self.send_response(status)
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


def _named(kind: str, parts: list[str]) -> str:
    return "/".join([*(["datasets"] if kind == "datasets" else []), *parts])


def _tree_entry(path: str, content: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": 130}
    return entry


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
