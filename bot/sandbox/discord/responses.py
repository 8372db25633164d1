"""HTTP answers in the form that Discord gives them."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

VIA = {"Via": "1.1 sandbox"}  # without it discord.py takes a 429 for a ban and does not retry
_NO_HEADERS: Mapping[str, str] = {}


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
) -> web.Response:
    # No charset: discord.py parses a body only when the type is exactly this.
    kind = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(body), status=status, headers={**headers, **VIA, **kind})
