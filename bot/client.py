"""StudioBot: the Discord client; wires cogs to services, repairs what it missed while away."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import discord
import yarl
from discord.ext import commands

from bot.app import utc_now
from bot.choices import said_at_start
from bot.errors import sentence
from bot.scheduler import Schedule
from bot.settings import DISCORD_API
from cogs._drafts import DraftDesk
from cogs._embeds import told
from cogs._pictures import PictureDesk
from cogs._pitches import PitchDesk
from cogs._progress import Progress
from cogs._training_progress import LiveRuns
from cogs._uploads import UploadDesk
from cogs._validations import ValidationDesk
from cogs._votes import DiscordVotes
from pipeline.errors import UserError

if TYPE_CHECKING:
    from bot.studio import Studio
    from pipeline.publishing.base import Slot

log = logging.getLogger(__name__)

COGS = (
    *("cogs.trends", "cogs.scripts", "cogs.renders", "cogs.training", "cogs.pictures"),
    *("cogs.publishing", "cogs.overview"),
)


class Desk(Protocol):
    """Keeps one kind of message in step with the database."""

    async def repair(self) -> None: ...


def default_intents() -> discord.Intents:
    """No privileged intent: roles come with the events, or are fetched when they matter."""
    return discord.Intents.default()


class StudioBot(commands.Bot):
    """Slash commands for people, the same by mention for the keyboard."""

    def __init__(
        self, studio: Studio, schedule: Schedule, *, intents: discord.Intents | None = None
    ) -> None:
        # We never speak; without this every start warns of packages for voice chat.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=intents or default_intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            help_command=None,
        )
        self.studio = studio
        self.progress = Progress(self)
        self.drafts = DraftDesk(self)
        self.pitches = PitchDesk(self)
        self.uploads = UploadDesk(self)
        self.live_runs = LiveRuns(self)
        self.validations = ValidationDesk(self)
        self.pictures = PictureDesk(self)
        self.votes = DiscordVotes(self, guild_id=studio.guild_id, role_id=studio.approver_role_id)
        self.said_at_start = said_at_start(studio.settings)
        self.reached = asyncio.Event()
        """Set once Discord has been reached and drafts were brought up to date."""
        studio.votes.read_through(self.votes)
        self._schedule = schedule
        self._events: set[asyncio.Task[None]] = set()

    async def setup_hook(self) -> None:
        """Load the cogs and sync the commands to the one guild, before the gateway connects."""
        await use_api(self, self.studio.settings.discord_api_url)
        for name in COGS:
            if name not in self.extensions:  # a login that failed is tried again
                await self.load_extension(name)
        guild = discord.Object(self.studio.guild_id)
        self.tree.copy_global_to(guild=guild)
        try:
            await self.tree.sync(guild=guild)
        except (discord.Forbidden, discord.NotFound):
            raise UserError(
                "The bot may not add commands to the server of DISCORD_GUILD_ID; check the number, "
                "and invite the bot there with the scopes bot and applications.commands."
            ) from None

    async def on_ready(self) -> None:
        """Also after every new session: what happened meanwhile is read back."""
        log.info("ready as %s", self.user)
        try:
            guild = self.get_guild(self.studio.guild_id)
            if guild is not None:
                await self.studio.drafts.set_upload_limit(guild.filesize_limit)
            await self.repair()
        finally:
            self.reached.set()

    async def repair(self) -> None:
        """Make up for what was missed, desk by desk; one failing spares the others."""
        desks: tuple[Desk, ...] = (
            *(self.drafts, self.pitches),
            *(self.uploads, self.live_runs, self.validations, self.pictures),
        )
        for desk in desks:
            try:
                await desk.repair()
            except Exception:
                # It is tried again every few minutes, and reactions are read before any post.
                log.exception("%s: not repaired; trying again later", type(desk).__name__)

    def next_slots(self, count: int) -> list[Slot]:
        """The coming slots of PUBLISH_CRON."""
        return self._schedule.next_slots(utc_now(), count)

    def slots_between(self, start: datetime, end: datetime) -> list[Slot]:
        """The slots of PUBLISH_CRON after a moment, up to and including another."""
        return self._schedule.slots_between(start, end)

    def on_job_event(self, event: object) -> None:
        """The engine's events become Discord events that the cogs listen to."""
        self.dispatch("studio_job", event)

    def on_post_event(self, event: object) -> None:
        """The same for what became of posts."""
        self.dispatch("studio_post", event)

    def on_training_event(self, run_id: object) -> None:
        """The same for a training that has something new to show."""
        self.dispatch("studio_training", run_id)

    def dispatch(self, event_name: str, /, *args: Any, **kwargs: Any) -> None:
        """Nothing begins any more once the bot is closing: discord.py has no loop then."""
        if not self.is_closed():
            super().dispatch(event_name, *args, **kwargs)

    def _schedule_event(self, *args: Any, **kwargs: Any) -> asyncio.Task[None]:
        task = super()._schedule_event(*args, **kwargs)
        self._events.add(task)
        task.add_done_callback(self._events.discard)
        return task

    async def close(self) -> None:
        """Also end the listeners that are under way: the database closes after the bot.

        discord.py leaves them running.
        """
        await super().close()
        events = self._events - {asyncio.current_task()}
        for task in events:
            task.cancel()
        await asyncio.gather(*events, return_exceptions=True)

    async def on_command_error(
        self, context: commands.Context[Any], error: commands.CommandError, /
    ) -> None:
        """One place turns every error of a command into one sentence."""
        await context.send(sentence_for_command(error), ephemeral=True)

    async def tell_error(self, interaction: discord.Interaction[Any], error: Exception) -> None:
        """The same for a form that somebody has filled in."""
        text = sentence_for_command(error)
        try:
            if interaction.response.is_done():
                await interaction.followup.send(text, ephemeral=True)
            else:
                await interaction.response.send_message(text, ephemeral=True)
        except discord.DiscordException:
            log.exception("nobody could be told: %s", text)


def sentence_for_command(error: Exception) -> str:
    """The person's sentence; discord.py's own wrappers are taken off first."""
    inner: BaseException = error
    while (deeper := getattr(inner, "original", None)) is not None:
        inner = deeper
    if isinstance(inner, commands.CommandNotFound):
        return "There is no such command; `/help` lists them."
    if isinstance(inner, commands.CheckFailure):
        return str(inner)  # it names the role in Discord's own way
    return told(str(inner) if isinstance(inner, commands.UserInputError) else sentence(inner))


async def use_api(bot: StudioBot, url: str) -> None:
    """Point discord.py at another API base; it has no public option for that (2.7)."""
    if url == DISCORD_API:
        return
    _, gateway, _ = await bot.http.get_bot_gateway()
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)


def set_rest_base(url: str) -> None:
    """Before login: every REST call goes to this base."""
    discord.http.Route.BASE = url
