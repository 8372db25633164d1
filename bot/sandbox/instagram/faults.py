"""What can go wrong with a call to the loopback Instagram."""

from dataclasses import dataclass

from bot.sandbox.instagram.rules import error_body


@dataclass(frozen=True)
class Drop:
    """The connection ends without an answer; `after` the call has taken effect, or before."""

    after: bool = False


@dataclass(frozen=True)
class Reply:
    """Another answer than the real one; `after` the call has taken effect, or instead of it."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False


@dataclass(frozen=True)
class Late:
    """The call takes effect; its answer comes after `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Truncated:
    """An upload breaks off once `keep_bytes` more have arrived."""

    keep_bytes: int


@dataclass(frozen=True)
class ForeignUpload:
    """The answer to `create` names an upload address somewhere else."""

    uri: str


@dataclass(frozen=True)
class Lost:
    """The container can no longer be found (100 / 33), from before this call on."""


@dataclass(frozen=True)
class Expired:
    """The container is a day old, from before this call on."""


Fault = Drop | Reply | Late | Truncated | ForeignUpload | Lost | Expired


def refusal(code: int, subcode: int = 0, *, status: int = 400, after: bool = False) -> Reply:
    """The fault that answers with this error code."""
    return Reply(status, error_body(f"error {code} of the sandbox", code, subcode), after=after)


HTML = Reply(200, "<!DOCTYPE html><html><title>Sorry</title></html>", "text/html")
FAILED_AFTER = Reply(500, error_body("An unknown error occurred", 1), after=True)
