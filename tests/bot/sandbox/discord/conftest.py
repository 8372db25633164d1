"""A loopback Discord, and a small real discord.py bot on it."""

import asyncio
import contextlib
import warnings

import pytest
import yarl

from bot.sandbox.discord import DiscordSandbox

with warnings.catch_warnings():
    # discord.py imports audioop, which Python 3.12 and older announce as going away.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
    from discord import app_commands
    from discord.ext import commands


@pytest.fixture
async def sandbox(monkeypatch):
    async with DiscordSandbox() as discord_sandbox:
        point_discord_py_at(discord_sandbox, monkeypatch)
        yield discord_sandbox


def point_discord_py_at(sandbox, monkeypatch):
    monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway.url))


@pytest.fixture
async def channel(sandbox):
    """The approval channel, reached through REST alone by a client that is only logged in."""
    client = discord.Client(intents=discord.Intents.default())
    await client.login(sandbox.token)
    yield await client.fetch_channel(sandbox.approvals.id)
    await client.close()


@contextlib.asynccontextmanager
async def running(bot, sandbox):
    await bot.login(sandbox.token)
    task = asyncio.create_task(bot.connect())
    await bot.wait_until_ready()
    try:
        yield bot
    finally:
        await bot.close()
        with contextlib.suppress(discord.ConnectionClosed):
            await task


@pytest.fixture
async def bot(sandbox):
    async with running(Probe(sandbox.guild.id), sandbox) as probe:
        yield probe


@pytest.fixture
def start():
    """More bots than one, or one with other intents: `async with start(sandbox, intents)`."""

    def start_probe(sandbox, intents=None):
        return running(Probe(sandbox.guild.id, intents=intents), sandbox)

    return start_probe


@pytest.fixture
def granting(monkeypatch):
    """A sandbox whose bot was granted privileged intents: `async with granting(intents)`."""

    @contextlib.asynccontextmanager
    async def open_sandbox(granted):
        async with DiscordSandbox(granted=granted) as discord_sandbox:
            point_discord_py_at(discord_sandbox, monkeypatch)
            yield discord_sandbox

    return open_sandbox


class Probe(commands.Bot):
    """One command for each way to answer an interaction."""

    def __init__(self, guild_id, *, intents=None):
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=intents or discord.Intents.default(),
            guild_ready_timeout=0.02,
        )
        self.home = discord.Object(guild_id)
        self.may_go_on = asyncio.Event()
        self.problems = asyncio.Queue()
        self.submitted = asyncio.Queue()

    async def setup_hook(self):
        for command in (make, panel, form, late, twice, hold, hello, show, Script()):
            self.tree.add_command(command)
        self.tree.copy_global_to(guild=self.home)
        self.tree.on_error = self.on_tree_error
        self.add_command(say_back)
        await self.tree.sync(guild=self.home)

    async def before_identify_hook(self, shard_id, *, initial=False):
        """Without discord.py's pause of 5 s before it identifies again."""

    async def on_tree_error(self, interaction, error):
        self.problems.put_nowait(getattr(error, "original", error))


@commands.command()
async def say_back(context, *, text):
    await context.reply(text)


@app_commands.command(description="Make a reel")
async def make(interaction: discord.Interaction, topic: str, count: int = 1):
    await interaction.response.defer()
    await interaction.followup.send(f"{topic} x{count}")
    await interaction.followup.send("and more")


@app_commands.command(description="Buttons")
async def panel(interaction: discord.Interaction):
    await interaction.response.send_message("pick", view=Panel(), ephemeral=True)


@app_commands.command(description="Opens a form")
async def form(interaction: discord.Interaction):
    await interaction.response.send_modal(Form())


@app_commands.command(description="Answers when told to")
async def late(interaction: discord.Interaction):
    await interaction.client.may_go_on.wait()
    await interaction.response.send_message("sorry")


@app_commands.command(description="Answers twice")
async def twice(interaction: discord.Interaction):
    await interaction.response.send_message("one")
    interaction.response._response_type = None
    await interaction.response.send_message("two")


@app_commands.command(description="Edits its answer when told to")
async def hold(interaction: discord.Interaction):
    await interaction.response.defer(ephemeral=True)
    await interaction.client.may_go_on.wait()
    await interaction.edit_original_response(content="done")


@app_commands.command(description="Greets")
async def hello(interaction: discord.Interaction, who: discord.Member, picture: discord.Attachment):
    size = len(await picture.read())
    await interaction.response.send_message(f"{who.name} {[r.name for r in who.roles]} {size}")


@app_commands.command(description="Shows an episode")
@app_commands.choices(form=[app_commands.Choice(name="Short", value="short")])
async def show(
    interaction: discord.Interaction, episode: app_commands.Range[int, 1, 9], form: str = "short"
):
    await interaction.response.send_message(f"{episode} {form}")


@show.autocomplete("episode")
async def _episodes(interaction, current):
    return [app_commands.Choice(name=f"Episode {current}", value=int(current))]


class Script(app_commands.Group):
    def __init__(self):
        super().__init__(name="script", description="Scripts")

    @app_commands.command(description="Write one")
    async def write(self, interaction: discord.Interaction, topic: str):
        await interaction.response.send_message(f"wrote {topic}")


class Panel(discord.ui.View):
    @discord.ui.button(label="Yes", custom_id="yes")
    async def yes(self, interaction, button):
        await interaction.response.edit_message(content="picked yes", view=None)

    @discord.ui.button(label="Off", disabled=True)
    async def off(self, interaction, button): ...

    @discord.ui.select(options=[discord.SelectOption(label="A"), discord.SelectOption(label="B")])
    async def letter(self, interaction, select):
        await interaction.response.send_message(select.values[0])


class Form(discord.ui.Modal, title="A line"):
    line = discord.ui.TextInput(label="Line", max_length=20)
    pictures = discord.ui.Label(
        text="Pictures", component=discord.ui.FileUpload(required=False, max_values=2)
    )

    async def on_submit(self, interaction):
        files = [await each.read() for each in self.pictures.component.values]
        interaction.client.submitted.put_nowait((self.line.value, files))
        await interaction.response.defer()
