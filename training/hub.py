"""Fetches a base from Hugging Face, once, at a commit that cannot change.

Only files that `training.bases` reads are asked for, each is compared with the hash the hub lists,
and the folder gets its name when it is whole. What has arrived before an interruption is kept. The
token goes to the hub and to no host that the hub sends us on to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from training.bases import (
    HUB_ID,
    SOURCE_FILE,
    Base,
    find_base,
    on_disk,
    open_base,
    source_of,
)
from training.config import COMMIT
from training.errors import TrainingError
from training.files import sync
from training.layout import CONFIGS, KNOWN_COPIES, WEIGHTS

ENDPOINT = "https://huggingface.co"
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json")
NEEDED = (
    "model_index.json",
    *(f"{part}/{name}" for files in (CONFIGS, WEIGHTS) for part, name in files.items()),
)
WANTED = frozenset(
    (
        *NEEDED,
        *(f"tokenizer/{name}" for name in (*TOKENIZER, "special_tokens_map.json")),
        "feature_extractor/preprocessor_config.json",
    )
)
LARGEST_LISTING = 8 * 1024 * 1024
TRIES = 3
"""Of one file whose connection breaks off; each goes on where the last one ended."""
Report = Callable[[int, int], None]
"""Bytes that are there, and bytes in all."""


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    sha256: str | None
    git: str
    """SHA-1 as git counts it, the only hash the hub has of small files."""


def fetch_base(
    hub_id: str,
    commit: str,
    folder: Path,
    *,
    token: str | None = None,
    endpoint: str = ENDPOINT,
    report: Report = lambda done, total: None,
) -> Base:
    """Put it into a folder of its own below `folder`; TrainingError says what to do."""
    check_wish(hub_id, commit)
    if any(on_disk(hub_id, commit, folder)):
        return find_base(hub_id, commit, folder=folder)
    hub = _Hub(hub_id, commit, endpoint, token)
    aside = folder / f".{hub_id.replace('/', '--')}-{commit[:12]}.part"
    try:
        with _alone(aside), httpx.Client(timeout=30, follow_redirects=True) as client:
            hub.fetch_into(aside, client, report)
            source = {"hub_id": hub_id, "commit": commit}
            (aside / SOURCE_FILE).write_text(json.dumps(source), encoding="utf-8")
            open_base(aside)
            return open_base(_named(aside, folder, hub_id, commit))
    except OSError as error:
        raise TrainingError(
            f"{folder} cannot be written ({error.strerror}); make room, then run this again."
        ) from error


def check_wish(hub_id: str, commit: str) -> None:
    """TrainingError when these cannot be a hub id and a commit; asks nobody."""
    if not HUB_ID.fullmatch(hub_id):
        raise TrainingError(f"{hub_id} is no hub id; write one like {KNOWN_COPIES[0]}.")
    if not COMMIT.fullmatch(commit):
        raise TrainingError(
            f"{commit} is no commit: write its 40 digits, which stand at the top of "
            f"{ENDPOINT}/{hub_id}/commits/main, so that the base cannot change."
        )


@contextmanager
def _alone(aside: Path) -> Iterator[None]:
    aside.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(aside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TrainingError("Another process is fetching this base; wait for it.") from error
    else:
        yield
    finally:
        os.close(descriptor)


def _named(aside: Path, folder: Path, hub_id: str, commit: str) -> Path:
    """The short name, or with the commit behind it where another base has that."""
    short = hub_id.partition("/")[2]
    target = folder / (f"{short}-{commit[:7]}" if (folder / short).exists() else short)
    if target.exists() and source_of(target) is None:
        raise TrainingError(f"{target} is in the way; move it, then run this again.")
    for path in [*aside.rglob("*"), aside]:
        sync(path)
    aside.rename(target)
    sync(folder)
    return target


class _Hub:
    """One repository at one commit."""

    def __init__(self, hub_id: str, commit: str, endpoint: str, token: str | None) -> None:
        self._id, self._commit, self._endpoint = hub_id, commit, endpoint
        self._host = httpx.URL(endpoint).host
        # httpx takes `authorization` off when a redirect leads to another host.
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        # Compressed answers have neither the size nor the ranges that were asked for.
        self._headers["accept-encoding"] = "identity"

    def fetch_into(self, aside: Path, client: httpx.Client, report: Report) -> None:
        files = self._wanted(client)
        total = sum(file.size for file in files)
        there = sum(_size(aside / file.path) or _size(_part(aside, file)) for file in files)
        self._refuse_without_room(aside, total - there)
        done = 0
        for file in files:

            def so_far(size: int, before: int = done) -> None:
                report(before + size, total)

            self._fetch(file, aside, client, so_far)
            done += file.size
        report(total, total)

    def _wanted(self, client: httpx.Client) -> list[_File]:
        url = f"{self._endpoint}/api/models/{self._id}/tree/{self._commit}?recursive=true"
        with self._get(client, url) as response:
            text = b"".join(_capped(response, LARGEST_LISTING))
        try:
            listed = [_file(entry) for entry in json.loads(text) if entry["type"] == "file"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange("its list of files cannot be read") from error
        files = [file for file in listed if file.path in WANTED]
        if missing := set(NEEDED) - {file.path for file in files}:
            raise TrainingError(
                f"{self._id} has no {min(missing)} at this commit; training needs a base in "
                f"diffusers' layout with safetensors, such as {KNOWN_COPIES[0]}."
            )
        return files

    def _refuse_without_room(self, aside: Path, needed: int) -> None:
        free = shutil.disk_usage(aside).free
        if needed > free:
            raise TrainingError(
                f"{self._id} takes {needed / 1e9:.1f} GB more and {free / 1e9:.1f} GB are free; "
                "make room, then run this again."
            )

    def _fetch(
        self, file: _File, aside: Path, client: httpx.Client, report: Callable[[int], None]
    ) -> None:
        target, part = aside / file.path, _part(aside, file)
        if target.is_file():  # it got this name when it had been compared
            return
        target.parent.mkdir(exist_ok=True)
        for attempt in range(TRIES):
            try:
                self._go_on(file, part, client, report)
                break
            except httpx.RequestError as error:
                if attempt == TRIES - 1:
                    raise self._broken_off(error) from error
        if not _is(part, file):
            part.unlink()
            raise self._strange(f"{file.path} arrived with another content than it lists")
        part.rename(target)

    def _go_on(
        self, file: _File, part: Path, client: httpx.Client, report: Callable[[int], None]
    ) -> None:
        there = _size(part)
        if there == file.size and part.exists():
            return
        url = f"{self._endpoint}/{self._id}/resolve/{self._commit}/{file.path}"
        headers = {"range": f"bytes={there}-"} if there else {}
        with self._get(client, url, headers) as response:
            whole = response.status_code != httpx.codes.PARTIAL_CONTENT
            with part.open("wb" if whole else "ab") as opened:
                for chunk in _capped(response, file.size - (0 if whole else there)):
                    opened.write(chunk)
                    report(opened.tell())
        if _size(part) < file.size:
            raise httpx.RemoteProtocolError("the answer was shorter than the file")

    @contextmanager
    def _get(
        self, client: httpx.Client, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        try:
            with client.stream("GET", url, headers=self._headers | (headers or {})) as response:
                if response.is_error:
                    raise self._refused(response)
                yield response
        except (httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise self._strange("it sends us in circles") from error
        except httpx.RequestError as error:
            if headers is None:
                raise self._broken_off(error) from error
            raise  # a file's is asked for again

    def _refused(self, response: httpx.Response) -> TrainingError:
        status, code = response.status_code, response.headers.get("x-error-code", "")
        page = f"{self._endpoint}/{self._id}"
        if code == "RevisionNotFound":
            return TrainingError(f"{self._id} has no commit {self._commit}; see {page}/commits.")
        if code == "GatedRepo" or status == httpx.codes.FORBIDDEN:
            return TrainingError(
                f"{self._id} asks people to agree to its terms: do so at {page}, and set HF_TOKEN "
                "to a token of that account."
            )
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND):
            return TrainingError(
                f"{self._host} shows no {self._id}: correct the name, or set HF_TOKEN if it is a "
                f"private one. Known copies: {', '.join(KNOWN_COPIES)}."
            )
        when = response.headers.get("retry-after", "")
        wait = f"in {when} s" if when.isdigit() else "later"
        busy = "has had too many requests" if status == 429 else f"answered {status}"
        return TrainingError(
            f"{self._host} {busy}; run this again {wait}, it goes on where it ended."
        )

    def _broken_off(self, error: Exception) -> TrainingError:
        return TrainingError(
            f"The connection to {self._host} failed ({error or type(error).__name__}); run this "
            "again, it goes on where it ended."
        )

    def _strange(self, what: str) -> TrainingError:
        return TrainingError(f"{self._host} is not as it should be: {what}; run this again later.")


def _file(entry: dict[str, Any]) -> _File:
    lfs = entry.get("lfs") or {}
    size = int(lfs.get("size", entry["size"]))
    return _File(str(entry["path"]), size, lfs.get("oid"), str(entry["oid"]))


def _capped(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """No more than was promised, so that no answer fills the disk."""
    for chunk in response.iter_bytes():  # as they come, so that a break loses none
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return


def _part(aside: Path, file: _File) -> Path:
    return aside / f"{file.path}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is(path: Path, file: _File) -> bool:
    with path.open("rb") as opened:
        if file.sha256 is not None:
            return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256
        digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        digest.update(opened.read())
    return digest.hexdigest() == file.git
