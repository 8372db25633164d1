"""Drafts in the approval channel: posted once per revision, repaired when something is missing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import discord

from cogs._costs import cost_text
from cogs._embeds import LEGEND, draft_embeds, draft_mark, moment, state_words
from cogs._history import sent_before
from cogs._votes import UNREACHABLE, Sign, sign_of
from pipeline.errors import ProviderError, UserError
from storage.states import EpisodeState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.episodes import EpisodeView
    from pipeline.services.reviews import Standing
    from storage.records import Message

log = logging.getLogger(__name__)

TOO_LARGE = 40005
"""Discord's code for a file over the server's limit; it comes with HTTP 413."""


class DraftDesk:
    """Keeps the channel in step with the database; one thing at a time."""

    def __init__(self, bot: StudioBot) -> None:
        self._bot = bot
        self._lock = asyncio.Lock()

    async def repair(self) -> None:
        """After an absence: reactions read back, gone drafts replaced, missing ones posted."""
        studio = self._bot.studio
        async with self._lock:
            for draft in await studio.drafts.watched():
                try:
                    await self._bring_up_to_date(draft)
                except (ProviderError, *UNREACHABLE) as error:
                    log.warning("episode=%d draft: %s", draft.episode_id, error)
        await self.post_missing()

    async def read_back(self, draft: Message) -> Standing:
        """What the reactions on a draft say now becomes what stands."""
        reviews = self._bot.studio.reviews
        marker = await reviews.marker(draft.episode_id)
        votes = await self._bot.votes.votes(draft)
        return await reviews.sync(draft, votes, marker=marker)

    async def post_missing(self) -> None:
        """Post the draft of every finished reel that has none."""
        async with self._lock:
            for episode in await self._bot.studio.drafts.missing():
                view = await self._bot.studio.episodes.view(episode.id)
                if view.preview is None or view.video is None:
                    continue  # a smaller preview is being made
                try:
                    await self._post(view)
                except (UserError, *UNREACHABLE) as error:
                    log.warning("episode=%d draft not posted: %s", episode.id, error)

    async def show_standing(self, draft: Message, standing: Standing) -> None:
        """Tell in the draft how it stands, so that nobody needs to ask."""
        with suppress(*UNREACHABLE):
            message = (await self.channel()).get_partial_message(draft.message_id)
            await message.edit(content=self._headline(standing))

    async def _bring_up_to_date(self, draft: Message) -> None:
        standing = await self.read_back(draft)
        is_public = standing.episode.state is EpisodeState.PUBLISHED
        if is_public:
            await self.show_standing(draft, standing)
        if is_public or not standing.counted:
            await self._bot.studio.drafts.close(draft.message_id)
            return
        if standing.moved:
            await self.show_standing(draft, standing)
        if await self._bot.studio.drafts.find(draft.message_id) is not None:
            message = await (await self.channel()).fetch_message(draft.message_id)
            await self._seed(message)

    async def _post(self, view: EpisodeView) -> None:
        channel = await self.channel()
        message = await self._sent_before(channel, view) or await self._send(channel, view)
        if message is None:
            return
        draft = await self._bot.studio.drafts.posted(
            message.id,
            channel_id=channel.id,
            episode=view.episode,
            fingerprint=view.revision.fingerprint or "",
        )
        await self._seed(message)
        # Somebody may have been faster than the note above.
        with suppress(ProviderError):
            await self.read_back(draft)

    async def _seed(self, message: discord.Message) -> None:
        """One click is enough to vote: our own reactions are there first."""
        seeded = {sign_of(reaction.emoji) for reaction in message.reactions if reaction.me}
        for sign in Sign:
            if sign not in seeded:
                await message.add_reaction(sign.value)

    async def _send(
        self, channel: discord.TextChannel, view: EpisodeView
    ) -> discord.Message | None:
        studio = self._bot.studio
        assert view.preview is not None
        assert view.script is not None
        episode, folder = (
            view.episode,
            studio.folder.revision(view.episode.id, view.episode.revision),
        )
        text = studio.show.post_text(episode.id, view.script.caption, view.script.hashtags)
        headline = self._headline(await studio.reviews.standing(episode.id))
        cost = cost_text(await studio.spending.of_revision(episode.id, episode.revision))
        shown = await studio.drafts.shown(episode)  # read before the files are open
        try:
            return await channel.send(
                content=headline,
                embeds=draft_embeds(view, text, cost),
                files=[
                    discord.File(folder / view.preview.path, filename=f"episode-{episode.id}.mp4"),
                    discord.File(folder / "storyboard.png"),
                ],
                # A repeat within minutes returns the first message instead of a second one.
                nonce=f"{episode.id}/{episode.revision}/{shown}",
            )
        except discord.HTTPException as error:
            if error.status != 413 and error.code != TOO_LARGE:
                raise
            log.info("episode=%d preview refused as too large; making a smaller one", episode.id)
            await studio.drafts.make_smaller(episode.id)
            return None

    async def _sent_before(
        self, channel: discord.TextChannel, view: EpisodeView
    ) -> discord.Message | None:
        """Our message for this very draft, sent before the bot could note it."""
        message = await sent_before(channel, self._bot.user, draft_mark(view))
        if message is None or await self._bot.studio.drafts.is_known(message.id):
            return None
        return message

    def _headline(self, standing: Standing) -> str:
        episode = standing.episode
        if episode.state is EpisodeState.APPROVED:
            slots = self._bot.next_slots(1)
            when = f"; next slot {moment(slots[0].at)}" if slots else ""
            return f"**Episode {episode.id} is approved**{when}. {LEGEND}"
        if episode.state is EpisodeState.IN_REVIEW:
            said = f"{len(standing.approvers)} of {standing.needed} approvals"
            return f"**Episode {episode.id} wants your verdict** ({said}). {LEGEND}"
        legend = "" if episode.state is EpisodeState.PUBLISHED else LEGEND
        return f"**Episode {episode.id} is {state_words(episode.state)}.** {legend}".rstrip()

    async def tell(self, text: str) -> None:
        """Say something in the approval channel; what it is about is stored elsewhere."""
        try:
            await (await self.channel()).send(text)
        except (UserError, *UNREACHABLE):
            log.exception("nobody could be told: %s", text)

    async def channel(self) -> discord.TextChannel:
        """The approval channel; UserError when the setting names something else."""
        channel_id = self._bot.studio.approval_channel_id
        channel = self._bot.get_channel(channel_id) or await self._bot.fetch_channel(channel_id)
        if not isinstance(channel, discord.TextChannel):
            raise UserError("DISCORD_APPROVAL_CHANNEL_ID is not a text channel; name another one.")
        return channel
