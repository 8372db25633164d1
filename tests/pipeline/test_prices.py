from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.prices import Prices, TokenPrice, load_prices


@pytest.fixture
def own(tmp_path):
    def own(text):
        (tmp_path / "prices.yaml").write_text(text)
        return tmp_path

    return own


def tokens(prices, model, *, own_server=False):
    return prices.tokens(
        "openai", model, tokens_in=1_000_000, tokens_out=1_000_000, own_server=own_server
    )


PRICES = Prices(
    dated=date(2026, 11, 22),
    openai={
        "gpt-5": TokenPrice(tokens_in=1, tokens_out=10),
        "gpt-5-mini": TokenPrice(tokens_in=0.25, tokens_out=2),
        "gpt-9": TokenPrice(tokens_in=30, tokens_out=5),
    },
    voices={"eleven_v3": 0.30, "eleven_flash_v2_5": 0.15},
)


def test_the_bundled_table_is_dated_and_prices_every_default_model():
    prices = load_prices()
    assert prices.dated >= date(2026, 11, 22)
    for provider, model in [("openai", "gpt-6-luna"), ("anthropic", "claude-haiku-5-5")]:
        assert prices.knows(provider, model)
    assert prices.chars("eleven_multilingual_v2", 1000).usd > 0


def test_every_bundled_model_costs_something():
    prices = load_prices()
    listed = [*prices.openai.values(), *prices.anthropic.values()]
    assert all(price.tokens_in > 0 and price.tokens_out > price.tokens_in for price in listed)
    assert all(usd > 0 for usd in prices.voices.values())


def test_tokens_are_priced_by_the_million_and_counted():
    cost = PRICES.tokens("openai", "gpt-5-mini", tokens_in=2000, tokens_out=500, own_server=False)
    assert cost.usd == pytest.approx(0.0005 + 0.001)
    assert (cost.tokens_in, cost.tokens_out, cost.chars) == (2000, 500, 0)


def test_characters_are_priced_by_the_thousand_and_counted():
    cost = PRICES.chars("eleven_v3", 250)
    assert (cost.usd, cost.chars) == (pytest.approx(0.075), 250)


@pytest.mark.parametrize(
    "snapshot",
    ["gpt-5-mini-2025-08-07", "gpt-5-mini-20250807", "gpt-5-mini-0807", "gpt-5-mini-latest"],
)
def test_a_snapshot_has_the_price_of_its_model(snapshot):
    assert tokens(PRICES, snapshot).usd == tokens(PRICES, "gpt-5-mini").usd


@pytest.mark.parametrize("model", ["gpt-5-pro", "gpt-5-mini-pro", "gpt-5.9", "gpt-5-9", "o7"])
def test_a_relative_of_a_listed_model_is_another_model_and_counts_as_the_dearest(model):
    assert not PRICES.knows("openai", model)
    assert tokens(PRICES, model).usd == 30 + 10


def test_an_unknown_voice_counts_as_the_dearest():
    assert PRICES.chars("eleven_v9", 1000).usd == 0.30


def test_an_unknown_model_on_a_server_of_ones_own_is_free_and_counted():
    cost = tokens(PRICES, "llama3.3", own_server=True)
    assert (cost.usd, cost.tokens_in) == (0, 1_000_000)


def test_a_listed_model_on_a_server_of_ones_own_is_not_free():
    assert tokens(PRICES, "gpt-5-mini", own_server=True).usd == 2.25


def test_the_own_file_adds_and_wins(own):
    folder = own(
        "dated: 2027-01-01\n"
        "openai: {gpt-9: {tokens_in: 1, tokens_out: 2}, gpt-5: {tokens_in: 7, tokens_out: 8}}\n"
        "voices: {eleven_v9: 0.5}\n"
    )
    prices = load_prices(folder)
    assert prices.dated == date(2027, 1, 1)
    assert (tokens(prices, "gpt-9").usd, tokens(prices, "gpt-5").usd) == (3, 15)
    assert prices.chars("eleven_v9", 1000).usd == 0.5
    assert prices.knows("openai", "gpt-5-mini")  # the rest of the bundled table is still there


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_of_ones_own_changes_nothing(own, text):
    assert load_prices(own(text)) == load_prices()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openai: {gpt-9: {tokens_in: -1, tokens_out: 2}}", "openai.gpt-9.tokens_in: "),
        ("openai: {gpt-9: {tokens_in: .inf, tokens_out: 2}}", "openai.gpt-9.tokens_in: "),
        ("openai: {gpt-9: 3}", "openai.gpt-9: "),
        ("voices: {eleven_v9: cheap}", "voices.eleven_v9: "),
        ("openia: {}", "openia: "),
        ("dated: soon", "dated: "),
        ("dated: 2026-13-45", "is not a YAML mapping"),
        ("- a list", "is not a YAML mapping"),
        ("just words", "is not a YAML mapping"),
        ("{", "is not a YAML mapping"),
    ],
)
def test_a_wrong_file_of_ones_own_is_named_with_the_place(own, text, said):
    folder = own(text)
    with pytest.raises(UserError, match=r"prices\.yaml") as error:
        load_prices(folder)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone")])
def test_what_is_no_file_is_not_passed_over(tmp_path, make):
    make(tmp_path / "prices.yaml")
    with pytest.raises(UserError, match="is not a YAML mapping"):
        load_prices(tmp_path)


def test_a_file_that_is_not_text_is_a_sentence(tmp_path):
    (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not a YAML mapping"):
        load_prices(tmp_path)
