"""What services charge: one dated table, prices.yaml beside this file.

DATA_DIR/prices.yaml, in the same form, adds to it and wins: prices change more often than we
release. Sums are what the services list, without discounts, so an estimate is never too low.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from pipeline.errors import UserError
from pipeline.ledger import Cost
from pipeline.sections import Section

BUNDLED = Path(__file__).parent / "prices.yaml"
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)$")
"""How services name a version of a model."""
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TokenPrice(Section):
    """US dollars per million tokens."""

    tokens_in: Usd
    tokens_out: Usd


class Prices(Section):
    """`voices` are US dollars per 1,000 characters, by model; the others by provider and model."""

    dated: date
    openai: dict[str, TokenPrice] = Field(default_factory=dict)
    anthropic: dict[str, TokenPrice] = Field(default_factory=dict)
    voices: dict[str, Usd] = Field(default_factory=dict)

    def knows(self, provider: str, model: str) -> bool:
        return _listed(self._of(provider), model) is not None

    def knows_voice(self, model: str) -> bool:
        return _listed(self.voices, model) is not None

    def tokens(
        self, provider: str, model: str, *, tokens_in: int, tokens_out: int, own_server: bool
    ) -> Cost:
        """Of one answer. A model that is not listed costs nothing on a server of one's own, and
        as much as the dearest one listed otherwise."""
        table = self._of(provider)
        name = _listed(table, model)
        if name is not None:
            price = table[name]
        elif own_server or not table:
            price = TokenPrice(tokens_in=0, tokens_out=0)
        else:
            price = TokenPrice(
                tokens_in=max(price.tokens_in for price in table.values()),
                tokens_out=max(price.tokens_out for price in table.values()),
            )
        usd = (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1e6
        return Cost(usd=usd, tokens_in=tokens_in, tokens_out=tokens_out)

    def chars(self, model: str, chars: int) -> Cost:
        """Of one spoken line; a model that is not listed costs as much as the dearest."""
        name = _listed(self.voices, model)
        price = self.voices[name] if name else max(self.voices.values(), default=0.0)
        return Cost(usd=chars * price / 1000, chars=chars)

    def _of(self, provider: str) -> dict[str, TokenPrice]:
        return {"openai": self.openai, "anthropic": self.anthropic}[provider]


def load_prices(data_dir: Path | None = None) -> Prices:
    """The bundled table with the user's own on top; UserError names what is wrong in that."""
    prices = Prices.model_validate(_read(BUNDLED))
    own = data_dir / "prices.yaml" if data_dir else None
    if own is None or not (own.exists() or own.is_symlink()):
        return prices
    try:
        added = Prices.model_validate({"dated": prices.dated, **_read(own)})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{own}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}; write it as in "
            "pipeline/prices.yaml, or remove it."
        ) from error
    except (OSError, yaml.YAMLError, ValueError, TypeError) as error:
        # PyYAML raises ValueError for a day that no month has.
        raise UserError(f"{own} is not a YAML mapping; correct it and try again.") from error
    return Prices(
        dated=added.dated,
        openai={**prices.openai, **added.openai},
        anthropic={**prices.anthropic, **added.anthropic},
        voices={**prices.voices, **added.voices},
    )


def _read(path: Path) -> dict[str, object]:
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict | None):
        raise TypeError("not a mapping")
    return table or {}


def _listed(table: Mapping[str, object], model: str) -> str | None:
    """`gpt-5-mini-2025-08-07` is priced as `gpt-5-mini`; `gpt-5-pro` is not priced as `gpt-5`."""
    if model in table:
        return model
    name = _SNAPSHOT.sub("", model)
    return name if name in table else None
