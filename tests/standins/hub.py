"""Hugging Face on loopback: lists and serves a repository as the hub does, large files by redirect.

Those lie on another host (here: another port), which refuses requests that carry a token, as the
real storage does with a second authorization.
"""

import hashlib
from pathlib import Path

from aiohttp import web
from standins.server import Refusal, Server

TOKEN = "hf_StandInToken0123456789abcdefABCDEF"
LARGE = (".safetensors", ".ckpt", ".bin")


class Storage(Server):
    """Where large files lie."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.altered: dict[str, bytes] = {}
        """Files that are served with another content than is listed."""

    def routes(self):
        return [("GET", "/{path:.+}", "storage", self._file)]

    def _file(self, request):
        if "authorization" in request.headers:
            raise Refusal(400, {"error": "only one way to sign a request is allowed"})
        name = request.path.lstrip("/")
        content = self.altered.get(name, (self._folder / name).read_bytes())
        return _ranged(request, content)


class Hub(Server):
    """One repository: the files of a folder at one commit."""

    def __init__(self, folder: Path, hub_id: str, commit: str, *, gated: bool = False) -> None:
        super().__init__()
        self._folder, self._id, self._commit, self._gated = folder, hub_id, commit, gated
        self.storage = Storage(folder)
        self.hidden: set[str] = set()
        """Files that the repository does not have."""
        self.extra: dict[str, bytes] = {}

    def __enter__(self):
        self.storage.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.storage.__exit__(*error)

    def routes(self):
        name = "{owner}/{name}"
        return [
            ("GET", f"/api/models/{name}/tree/{{commit}}", "tree", self._tree),
            ("GET", f"/{name}/resolve/{{commit}}/{{path:.+}}", "resolve", self._resolve),
        ]

    def asked_for(self) -> set[str]:
        """Paths of all files somebody wanted."""
        paths = [r.path for r in self.requests if r.call == "resolve"]
        return {path.split("/", 5)[5] for path in paths}

    def _files(self) -> dict[str, bytes]:
        files = {
            path.relative_to(self._folder).as_posix(): path.read_bytes()
            for path in sorted(self._folder.rglob("*"))
            if path.is_file()
        }
        return {
            name: data for name, data in (files | self.extra).items() if name not in self.hidden
        }

    def _tree(self, request):
        _, _, _, owner, name, _, commit = request.path.split("/")
        self._admit(request, f"{owner}/{name}", commit)
        if request.query.get("recursive") != "true":
            raise Refusal(400, {"error": "only recursive listings are stood in for"})
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "unet"}] + [
            _entry(path, data) for path, data in self._files().items()
        ]

    def _resolve(self, request):
        _, owner, name, _, commit, path = request.path.split("/", 5)
        self._admit(request, f"{owner}/{name}", commit)
        files = self._files()
        if path not in files:
            raise Refusal(404, {"error": "Entry not found"}, **{"X-Error-Code": "EntryNotFound"})
        if path.endswith(LARGE):
            return web.Response(status=302, headers={"Location": f"{self.storage.url}/{path}"})
        return _ranged(request, files[path])

    def _admit(self, request, hub_id: str, commit: str) -> None:
        signed = request.headers.get("authorization")
        if signed not in (None, f"Bearer {TOKEN}"):
            raise Refusal(401, {"error": "Invalid credentials in Authorization header"})
        if hub_id != self._id:
            status = 404 if signed else 401  # so that nobody learns of private ones
            raise Refusal(status, {"error": "not found"}, **{"X-Error-Code": "RepoNotFound"})
        if self._gated and signed is None:
            raise Refusal(401, {"error": "gated"}, **{"X-Error-Code": "GatedRepo"})
        if commit != self._commit:
            raise Refusal(404, {"error": "rev"}, **{"X-Error-Code": "RevisionNotFound"})


def _entry(path: str, data: bytes) -> dict:
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry = {"type": "file", "oid": git, "size": len(data), "path": path}
    if path.endswith(LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        entry |= {"oid": "1" * 40, "lfs": {"oid": sha256, "size": len(data), "pointerSize": 134}}
    return entry


def _ranged(request, content: bytes) -> web.Response:
    if request.headers.get("accept-encoding") != "identity":
        raise Refusal(406, {"error": "ask for plain bytes"})
    wanted = request.headers.get("range")
    if wanted is None:
        return web.Response(body=content)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content):
        raise Refusal(416, {"error": "no such range"})
    return web.Response(status=206, body=content[start:])
