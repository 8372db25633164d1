"""A sample of hostile words through a running bot: nobody is pinged, nothing is a link."""

from datetime import timedelta

import pytest
from hostile.texts import alive, hidden

from bot.app import utc_now
from storage.records import NewTrend
from storage.trends import Trends

SAMPLE = (
    "@everyone", "<@1>", "[x](https://evil.test)", "[a](b) [c](https://evil.test)", "||x||",
    "\u202eevil", "discord.gg/abcdef", "`x` **y**", "# Big", "x" * 100_000, "a\x00b",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _bot(bot):
    return bot


async def test_hostile_topics_are_listed_as_words(studio, margot, reply_to):
    now = utc_now()
    found = [
        NewTrend(name=f"Wordle {text}"[:120], score=n / 20, timestamp=now, source="google")
        for n, text in enumerate(SAMPLE)
    ]
    await Trends(studio.db).store(found, now=now - timedelta(minutes=1))
    reply = await reply_to(margot, "trends list", {"limit": 25})
    assert not reply.pings
    assert alive(reply.content) == ["`", "`"] * len(SAMPLE)
    assert hidden(reply.content) == []


@pytest.mark.parametrize(
    ("command", "option"),
    [("make", "topic"), ("script edit", "text"), ("publish reject", "words")],
)
async def test_hostile_words_get_an_answer_without_them(
    studio, world, margot, reply_to, make, draft_of, command, option
):
    view = await make("Chess")
    await draft_of(view.episode.id)
    about = {} if command == "make" else {"episode": view.episode.id}
    about |= {"line": 1} if command == "script edit" else {}
    for text in SAMPLE:
        reply = await reply_to(margot, command, {**about, option: f"Wordle murder {text}"[:5900]})
        assert not reply.pings
        assert alive(reply.content) == []
        assert hidden(reply.content) == []
        assert "went wrong" not in reply.content
    said = [*world.messages(world.general), *world.messages(world.approvals)]
    assert len(said) > len(SAMPLE)
    assert not [message for message in said if message.pings]
