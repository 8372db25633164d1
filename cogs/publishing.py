"""/publish and the verdict: reactions and commands in, what goes out when."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

import discord
from discord import app_commands
from discord.ext import commands, tasks

from cogs import _choices
from cogs._checks import anyone_here, approvers_only, has_role
from cogs._embeds import link, moment, plain, state_words, told
from cogs._votes import Sign, sign_of
from pipeline.errors import ProviderError, UserError
from storage.decisions import Choice, Door
from storage.errors import StorageError
from storage.states import PostState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.post_events import PostEvent
    from pipeline.services.reviews import Standing
    from storage.posts import Post
    from storage.records import Message

    Context = commands.Context[StudioBot]

log = logging.getLogger(__name__)

REPAIR_EVERY_MIN = 5
Reason = Literal["boring", "off-character", "risky", "repeat", "words"]
CHOICES = {Sign.APPROVE: Choice.APPROVE, Sign.REJECT: Choice.REJECT}


class Publishing(commands.Cog):
    def __init__(self, bot: StudioBot) -> None:
        self.bot = bot

    async def cog_load(self) -> None:
        self.keep_in_step.start()

    async def cog_unload(self) -> None:
        self.keep_in_step.cancel()

    # What people ask for

    @commands.hybrid_group(name="publish", description="What goes out, and when.")
    @anyone_here()
    async def publish(self, ctx: Context) -> None:
        await ctx.send(
            "Use `/publish queue`, `/publish approve` or `/publish now`.", ephemeral=True
        )

    @publish.command(name="queue", description="What goes out when.")
    @anyone_here()
    async def queue(self, ctx: Context) -> None:
        await ctx.defer(ephemeral=True)
        await ctx.send(await self._queue_text(), ephemeral=True)

    @publish.command(name="approve", description="Say yes to the current revision of an episode.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def approve(self, ctx: Context, episode: int) -> None:
        await ctx.defer()
        standing = await self.bot.studio.reviews.approve(episode, ctx.author.id)
        await ctx.send(_verdict(standing))
        await self._show(standing)

    @publish.command(name="reject", description="Say no; one no is enough.")
    @app_commands.describe(reason="a rule for the next scripts", words="what was wrong")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def reject(
        self, ctx: Context, episode: int, reason: Reason | None = None, *, words: str = ""
    ) -> None:
        await ctx.defer()
        standing = await self.bot.studio.reviews.reject(
            episode, ctx.author.id, reason=reason or "", words=words
        )
        await ctx.send(_verdict(standing))
        await self._show(standing)

    @publish.command(name="now", description="Post an approved episode without waiting for a slot.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def now(self, ctx: Context, episode: int) -> None:
        await ctx.defer()
        async with _announced(ctx, f"Posting episode {episode}…") as message:
            post = await self.bot.studio.publishing.post_now(episode, str(ctx.author))
            await message.edit(content=_post_text(post))

    @publish.command(name="dry-run", description="Check everything about a post, post nothing.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @anyone_here()
    async def dry_run(self, ctx: Context, episode: int) -> None:
        await ctx.defer(ephemeral=True)
        findings = await self.bot.studio.publishing.dry_run(episode)
        text = "\n".join(f"- {plain(finding, 300)}" for finding in findings)
        await ctx.send(text[:1900] or f"Episode {episode} could go out as it is.", ephemeral=True)

    @publish.command(name="pause", description="Stop all posting until somebody resumes it.")
    @approvers_only()
    async def pause(self, ctx: Context) -> None:
        await ctx.defer()
        await self.bot.studio.publishing.pause(str(ctx.author))
        await ctx.send("Posting is paused; `/publish resume` ends that.")

    @publish.command(name="resume", description="Go on with posting.")
    @approvers_only()
    async def resume(self, ctx: Context) -> None:
        await ctx.defer()
        await self.bot.studio.publishing.resume()
        await ctx.send("Posting goes on at the next slot.")

    @publish.command(name="confirm", description="Say that an uncertain post is public.")
    @app_commands.describe(link="its address, or the id of the media")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def confirm(self, ctx: Context, episode: int, link: str) -> None:
        await ctx.defer()
        post = await self.bot.studio.publishing.confirm(episode, link, str(ctx.author))
        await ctx.send(_post_text(post))

    @publish.command(name="retry", description="Say that a post is not public, and try again.")
    @app_commands.autocomplete(episode=_choices.episodes)
    @approvers_only()
    async def retry(self, ctx: Context, episode: int) -> None:
        await ctx.defer()
        async with _announced(ctx, f"Trying episode {episode} again…") as message:
            post = await self.bot.studio.publishing.retry(episode, str(ctx.author))
            await message.edit(content=_post_text(post))

    # Verdicts by reaction; the raw events, because older messages are not cached

    @commands.Cog.listener()
    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        self._heard(event.channel_id, event.message_id)
        sign, draft = await self._meant(event)
        if sign is None or draft is None:
            return
        if not has_role(event.member, self.bot.studio.approver_role_id):
            return
        if sign is Sign.AGAIN:
            await self._again(draft, event)
            return
        standing = await self.bot.studio.reviews.record(
            CHOICES[sign],
            event.user_id,
            door=Door.REACTION,
            episode_id=draft.episode_id,
            revision=draft.revision,
            fingerprint=draft.fingerprint,
        )
        await self.bot.drafts.show_standing(draft, standing)

    @commands.Cog.listener()
    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        self._heard(event.channel_id, event.message_id)
        # Read back: the same person may still have the other kind of the same reaction there.
        sign, draft = await self._meant(event)
        if sign in CHOICES and draft is not None:
            await self._read_back(draft)

    @commands.Cog.listener()
    async def on_raw_reaction_clear(self, event: discord.RawReactionClearEvent) -> None:
        await self._cleared(event.channel_id, event.message_id)

    @commands.Cog.listener()
    async def on_raw_reaction_clear_emoji(self, event: discord.RawReactionClearEmojiEvent) -> None:
        await self._cleared(event.channel_id, event.message_id)

    @commands.Cog.listener()
    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        drafts = self.bot.studio.drafts
        draft = await drafts.find(event.message_id)
        if draft is not None:
            await self.bot.studio.reviews.sync(draft, None)
        # Also when it was found gone, and closed, before this was heard.
        if await drafts.is_known(event.message_id):
            await self.bot.drafts.post_missing()

    # What was missed, and what happened

    @tasks.loop(minutes=REPAIR_EVERY_MIN)
    async def keep_in_step(self) -> None:
        if self.bot.is_ready():
            await self.bot.repair()

    @commands.Cog.listener()
    async def on_studio_post(self, event: PostEvent) -> None:
        """Tell the approval channel what became of a post, and its draft too."""
        await self.bot.drafts.tell(_event_text(event)[:1900])
        if event.episode_id is not None:
            await self._show(await self.bot.studio.reviews.standing(event.episode_id))

    # Inside

    def _heard(self, channel_id: int, message_id: int) -> None:
        """At once, before anything is awaited: votes being read just now are old."""
        if channel_id == self.bot.studio.approval_channel_id:
            self.bot.votes.heard(message_id)

    async def _meant(
        self, event: discord.RawReactionActionEvent
    ) -> tuple[Sign | None, Message | None]:
        """The sign and the open draft a reaction is about; nothing for all others."""
        studio = self.bot.studio
        sign = sign_of(event.emoji)
        me = self.bot.user
        ours = event.guild_id == studio.guild_id and (me is None or event.user_id != me.id)
        if sign is None or not ours or event.channel_id != studio.approval_channel_id:
            return None, None
        return sign, await studio.drafts.find(event.message_id)

    async def _again(self, draft: Message, event: discord.RawReactionActionEvent) -> None:
        channel = await self.bot.drafts.channel()
        try:
            episode = await self.bot.studio.episodes.again(
                draft.episode_id, str(event.member), revision=draft.revision
            )
        except (UserError, StorageError) as error:
            await channel.send(told(str(error)))
            return
        if episode.revision == draft.revision + 1:
            await self.bot.progress.begin(channel, episode)

    async def _cleared(self, channel_id: int, message_id: int) -> None:
        self._heard(channel_id, message_id)
        draft = await self.bot.studio.drafts.find(message_id)
        if draft is not None:
            await self._read_back(draft)

    async def _read_back(self, draft: Message) -> None:
        try:
            standing = await self.bot.drafts.read_back(draft)
        except ProviderError as error:
            log.warning("episode=%d %s; read again before any post", draft.episode_id, error)
            return
        await self.bot.drafts.show_standing(draft, standing)

    async def _show(self, standing: Standing) -> None:
        for draft in await self.bot.studio.drafts.open():
            if draft.episode_id == standing.episode.id:
                await self.bot.drafts.show_standing(draft, standing)

    async def _queue_text(self) -> str:
        queue = await self.bot.studio.publishing.queue()
        slots = self.bot.next_slots(max(len(queue), 1))
        lines = [
            f"{moment(slot.at)} · episode {episode.id} · {plain(episode.topic, 100)}"
            for slot, episode in zip(slots, queue, strict=False)
        ]
        if not queue:
            lines = [f"Nothing is approved; the next slot is {moment(slots[0].at)}."]
        for post in await self.bot.studio.publishing.needing_people():
            lines.append(f"⚠️ episode {post.episode_id}: {plain(post.error, 300)}")
        if await self.bot.studio.publishing.is_paused():
            lines.insert(0, "**Posting is paused**; `/publish resume` ends that.")
        return "\n".join(lines)[:1900]


@asynccontextmanager
async def _announced(ctx: Context, text: str) -> AsyncIterator[discord.Message]:
    """A message while something takes long; when it fails only the reason stays."""
    message = await ctx.send(text)
    try:
        yield message
    except Exception:
        with suppress(discord.DiscordException, OSError):
            await message.delete()
        raise


def _verdict(standing: Standing) -> str:
    episode = standing.episode
    return (
        f"Episode {episode.id} is {state_words(episode.state)} "
        f"({len(standing.approvers)} of {standing.needed} approvals)."
    )


def _post_text(post: Post) -> str:
    if post.state is PostState.PUBLISHED:
        return f"Episode {post.episode_id} is public: {link(post.permalink or post.media_id or '')}"
    if post.state is PostState.FAILED:
        return f"Episode {post.episode_id} is not posted: {plain(post.error, 1500)}"
    reason = plain(post.error or state_words(post.state), 1500)
    return f"Episode {post.episode_id} is not public yet: {reason}. It goes on by itself."


def _event_text(event: PostEvent) -> str:
    return f"{plain(event.text, 1700)} {link(event.permalink)}".rstrip()


async def setup(bot: StudioBot) -> None:
    await bot.add_cog(Publishing(bot))
