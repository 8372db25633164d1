"""What the services tell about an account without being paid: models, voices, the plan."""

from standins.elevenlabs import Elevenlabs
from standins.server import Refusal, Request, Server

OPENAI_KEY = "sk-canary0openai0key0that0nobody0may0see"
ANTHROPIC_KEY = "sk-ant-canary0anthropic0key0that0nobody0may0see"


class OpenaiModels(Server):
    """Without a key it is a server of one's own, which lists its models and nothing more."""

    def __init__(self, *, key: str = OPENAI_KEY, models: tuple[str, ...] = ("gpt-x",)) -> None:
        super().__init__()
        self.key, self.models = key, models

    def routes(self):
        return [
            ("GET", "/v1/models", "models", self._list),
            ("GET", "/v1/models/{model}", "model", self._one),
        ]

    def _list(self, request: Request):
        self._check_key(request)
        return {"object": "list", "data": [_openai_model(name) for name in self.models]}

    def _one(self, request: Request):
        self._check_key(request)
        name = request.path.rsplit("/", 1)[1]
        if name not in self.models or not self.key:
            raise _openai(404, "model_not_found", f"The model '{name}' does not exist")
        return _openai_model(name)

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if self.key and given != f"Bearer {self.key}":
            # The real one repeats a part of the key.
            shown = given.removeprefix("Bearer ")
            raise _openai(401, "invalid_api_key", f"Incorrect API key provided: {shown}.")


class AnthropicModels(Server):
    def __init__(self, *, models: tuple[str, ...] = ("claude-x",)) -> None:
        super().__init__()
        self.models = models

    def routes(self):
        return [
            ("GET", "/v1/models", "models", self._list),
            ("GET", "/v1/models/{model}", "model", self._one),
        ]

    def _list(self, request: Request):
        self._check(request)
        if not 1 <= int(request.query.get("limit", "20")) <= 1000:
            raise _anthropic(400, "invalid_request_error", "limit: must be 1 to 1000")
        return {"data": [{"type": "model", "id": name} for name in self.models], "has_more": False}

    def _one(self, request: Request):
        self._check(request)
        name = request.path.rsplit("/", 1)[1]
        if name not in self.models:
            raise _anthropic(404, "not_found_error", f"model: {name}")
        return {"type": "model", "id": name}

    def _check(self, request: Request) -> None:
        if request.headers.get("x-api-key") != ANTHROPIC_KEY:
            raise _anthropic(401, "authentication_error", "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            raise _anthropic(400, "invalid_request_error", "anthropic-version: header is required")


class ElevenlabsAccount(Elevenlabs):
    """`used` characters of the month's `limit` are gone."""

    def __init__(self, *, used: int = 1_000, limit: int = 100_000, **settings) -> None:
        super().__init__(quota=limit - used, **settings)
        self.used, self.limit = used, limit

    def routes(self):
        return [*super().routes(), ("GET", "/v1/voices/{voice}", "voice", self._voice)]

    def _voice(self, request: Request):
        voice = request.path.rsplit("/", 1)[1]
        for listed in self._voices(request)["voices"]:
            if listed["voice_id"] == voice:
                return listed
        message = f"A voice with the voice_id {voice} was not found."
        raise Refusal(404, {"detail": {"status": "voice_not_found", "message": message}})

    def _subscription(self, request: Request):
        counts = {"character_count": self.used, "character_limit": self.limit}
        return (
            super()._subscription(request)
            | counts
            | {"next_character_count_reset_unix": 1_800_000_000}
        )


def _openai_model(name: str) -> dict:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "openai"}


def _openai(status: int, code: str, message: str) -> Refusal:
    kind = "invalid_request_error"
    return Refusal(
        status, {"error": {"message": message, "type": kind, "param": None, "code": code}}
    )


def _anthropic(status: int, kind: str, message: str) -> Refusal:
    return Refusal(status, {"type": "error", "error": {"type": kind, "message": message}})
