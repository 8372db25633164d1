"""Files that people send: with a message, as an option of a command, or in a modal."""

import asyncio
import io
import warnings

import pytest

from bot.sandbox.discord import NotPossible
from bot.sandbox.discord.errors import ApiError
from bot.sandbox.discord.modals import check_modal

with warnings.catch_warnings():
    # discord.py imports audioop, which Python 3.12 and older announce as going away.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
    from discord import app_commands

MIB = 2**20


@pytest.fixture
def ann(sandbox):
    return sandbox.add_member("Ann", [sandbox.approver])


@pytest.fixture
async def album(sandbox, bot):
    """A command with a modal that takes two to ten files."""
    received = asyncio.Queue()

    class Album(discord.ui.Modal, title="Pictures"):
        pictures = discord.ui.Label(
            text="Files", component=discord.ui.FileUpload(min_values=2, max_values=10)
        )

        async def on_submit(self, interaction):
            received.put_nowait(self.pictures.component.values)
            await interaction.response.send_message("thanks")

    @app_commands.command(description="Opens the album")
    async def album(interaction: discord.Interaction):
        await interaction.response.send_modal(Album())

    bot.tree.add_command(album, guild=bot.home)
    await bot.tree.sync(guild=bot.home)
    return received


async def opened(sandbox, member):
    return await sandbox.invoke(member, "album").answered()


async def test_a_modal_brings_ten_files_in_the_order_they_were_picked(sandbox, ann, album):
    files = [(f"{n}.png", bytes([n])) for n in range(10)]
    submitted = sandbox.submit_modal(await opened(sandbox, ann), {"Files": files})
    assert (await submitted.replied()).content == "thanks"
    values = await album.get()
    assert [(each.filename, await each.read()) for each in values] == files
    assert {(each.size, each.content_type, each.ephemeral) for each in values} == {
        (1, "image/png", True)
    }


async def test_two_files_may_have_the_same_name(sandbox, ann, album):
    files = [("a.png", b"1"), ("a.png", b"22")]
    await sandbox.submit_modal(await opened(sandbox, ann), {"Files": files}).replied()
    assert [await each.read() for each in await album.get()] == [b"1", b"22"]


async def test_a_name_of_any_characters_can_be_downloaded(sandbox, ann, album):
    names = ["../../x.png", "a b?c#d%2f.png", "東京 🐿️.png", "**@everyone**\u202e.png"]
    files = [(name, name.encode()) for name in names]
    await sandbox.submit_modal(await opened(sandbox, ann), {"Files": files}).replied()
    values = await album.get()
    assert [(v.filename, await v.read()) for v in values] == files


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "'Files' is empty"),
        ({"1.png": b""}, "takes 2 to 10 files"),
        ({f"{n}.png": b"" for n in range(11)}, "takes 2 to 10 files"),
        ({"1.png": b"", "2.png": bytes(10 * MIB + 1)}, "'2.png' is larger than the 10485760"),
    ],
)
async def test_a_client_sends_no_more_than_the_modal_and_discord_take(
    sandbox, ann, album, files, sentence
):
    modal = await opened(sandbox, ann)
    with pytest.raises(NotPossible, match=sentence):
        sandbox.submit_modal(modal, {"Files": files})


async def test_people_with_nitro_send_more(sandbox, album):
    rich = sandbox.add_member("Ritz", has_nitro=True)
    files = {"1.png": b"", "2.png": bytes(10 * MIB + 1)}
    await sandbox.submit_modal(await opened(sandbox, rich), {"Files": files}).replied()
    assert [each.size for each in await album.get()] == [0, 10 * MIB + 1]


async def test_what_came_with_an_interaction_is_served_for_a_day(sandbox, ann, album):
    files = {"1.png": b"1", "2.png": b"2"}
    await sandbox.submit_modal(await opened(sandbox, ann), {"Files": files}).replied()
    first = (await album.get())[0]
    assert "/ephemeral-attachments/" in first.url
    sandbox.advance(25 * 3600)
    with pytest.raises(discord.NotFound):
        await first.read()


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"type": 19, "custom_id": "x"}, "type"),
        ({"type": 1, "components": [{"type": 19, "custom_id": "x"}]}, "components"),
        ({"type": 18, "label": "", "component": {"type": 19, "custom_id": "x"}}, "label"),
        ({"type": 18, "label": "F", "component": {"type": 2, "custom_id": "x"}}, "component"),
        ({"type": 18, "label": "F", "component": {"type": 19}}, "component"),
        (
            {
                "type": 18,
                "label": "F",
                "component": {"type": 19, "custom_id": "x", "max_values": 11},
            },
            "component",
        ),
        (
            {
                "type": 18,
                "label": "F",
                "component": {"type": 19, "custom_id": "x", "min_values": 3, "max_values": 2},
            },
            "component",
        ),
    ],
)
def test_a_modal_that_discord_would_refuse_is_refused(part, path):
    with pytest.raises(ApiError) as refused:
        check_modal({"title": "T", "custom_id": "m", "components": [part]})
    assert path in refused.value.body["errors"]["components"]["0"]


def test_two_inputs_of_a_modal_do_not_share_an_id():
    part = {"type": 18, "label": "F", "component": {"type": 19, "custom_id": "x"}}
    with pytest.raises(ApiError):
        check_modal({"title": "T", "custom_id": "m", "components": [part, part]})


async def test_a_message_carries_at_most_ten_files(sandbox, ann):
    with pytest.raises(NotPossible, match="10 files"):
        sandbox.say(ann, sandbox.general, "x", files={f"{n}": b"" for n in range(11)})


async def test_a_message_of_the_bot_holds_several_files_in_order(sandbox, channel):
    files = [discord.File(io.BytesIO(bytes([n])), f"{n}.png") for n in range(3)]
    sent = await channel.send(files=files)
    assert [a.data for a in sandbox.messages(sandbox.approvals)[0].attachments] == [
        b"\0",
        b"\1",
        b"\2",
    ]
    assert [a.filename for a in sent.attachments] == ["0.png", "1.png", "2.png"]
