"""The refusals of Discord's API, with the codes and words of the real one."""

from typing import Any

Json = dict[str, Any]

_REFUSALS = {
    10002: (404, "Unknown Application"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    30010: (400, "Maximum number of reactions reached (20)"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50109: (400, "The request body contains invalid JSON."),
}


class ApiError(Exception):
    """An answer that is not 2xx; `extra` joins the body (errors, retry_after)."""

    def __init__(self, status: int, code: int, message: str, **extra: Any) -> None:
        super().__init__(f"{status} (error code: {code}): {message}")
        self.status = status
        self.code = code
        self.body: Json = {"message": message, "code": code, **extra}


def refusal(code: int) -> ApiError:
    status, message = _REFUSALS[code]
    return ApiError(status, code, message)


def malformed(path: str, message: str) -> ApiError:
    problem = {path: {"_errors": [{"code": "BASE_TYPE_BAD_VALUE", "message": message}]}}
    return ApiError(400, 50035, "Invalid Form Body", errors=problem)


class Form:
    """Collects what is wrong with a body, by path, and refuses it as 50035."""

    def __init__(self) -> None:
        self._errors: Json = {}

    def require(self, ok: bool, path: tuple[str | int, ...], message: str) -> None:
        if ok:
            return
        node = self._errors
        for key in path:
            node = node.setdefault(str(key), {})
        node.setdefault("_errors", []).append({"code": "BASE_TYPE_BAD_VALUE", "message": message})

    def length(self, text: Any, path: tuple[str | int, ...], most: int, least: int = 0) -> None:
        fits = isinstance(text, str) and least <= len(text) <= most
        self.require(fits, path, f"Must be between {least} and {most} in length.")

    def count(self, items: Any, path: tuple[str | int, ...], most: int, least: int = 0) -> None:
        fits = isinstance(items, list) and least <= len(items) <= most
        self.require(fits, path, f"Must have between {least} and {most} items.")

    def finish(self) -> None:
        if self._errors:
            raise ApiError(400, 50035, "Invalid Form Body", errors=self._errors)
