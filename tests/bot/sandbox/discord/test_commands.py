import discord
import pytest

from bot.sandbox.discord import NotPossible


@pytest.fixture
async def sync(sandbox):
    """Overwrites the guild's commands with raw payloads, as any library would send them."""
    client = discord.Client(intents=discord.Intents.none())
    await client.login(sandbox.token)

    async def overwrite(*commands):
        return await client.http.bulk_upsert_guild_commands(
            sandbox.bot.id, sandbox.guild.id, payload=list(commands)
        )

    yield overwrite
    await client.close()


def command(**changes):
    return {"name": "make", "description": "Make a reel", "type": 1, **changes}


def option(**changes):
    return {"name": "topic", "description": "What about", "type": 3, **changes}


def group(*options):
    return {"name": "deep", "description": "Deep", "type": 2, "options": list(options)}


CHOICE = {"name": "a", "value": "a"}


@pytest.mark.parametrize(
    "bad",
    [
        command(name="Make"),
        command(name="make it"),
        command(name="m" * 33),
        command(name=""),
        command(description=""),
        command(description="d" * 101),
        command(options=[option(name=f"o{number}") for number in range(26)]),
        command(options=[option(), option()]),
        command(options=[option(name="Topic")]),
        command(options=[option(type=99)]),
        command(options=[option(choices=[CHOICE] * 26)]),
        command(options=[option(choices=[CHOICE], autocomplete=True)]),
        command(options=[option(choices=[{"name": "n" * 101, "value": "v"}])]),
        command(options=[option(), option(name="late", required=True)]),
        command(options=[group(group())]),
        command(
            options=[
                option(name=f"o{n}", choices=[{"name": "n" * 90, "value": "v" * 90}] * 20)
                for n in range(3)
            ]
        ),
    ],
)
async def test_a_command_that_breaks_a_rule_is_refused(sync, bad):
    with pytest.raises(discord.HTTPException) as refused:
        await sync(bad)
    assert (refused.value.status, refused.value.code) == (400, 50035)


async def test_two_commands_of_one_name_are_refused(sync):
    with pytest.raises(discord.HTTPException) as refused:
        await sync(command(), command())
    assert refused.value.code == 50035


async def test_more_than_100_commands_are_refused(sync):
    with pytest.raises(discord.HTTPException) as refused:
        await sync(*(command(name=f"c{number}") for number in range(101)))
    assert refused.value.code == 50035


async def test_a_sync_replaces_what_was_there(sandbox, sync):
    await sync(command(name="old"))
    await sync(command(name="new", options=[option()]))
    await sandbox.wait_commands_synced(timeout_s=0.01)
    assert [each["name"] for each in sandbox.commands] == ["new"]


async def test_a_sync_for_an_unknown_guild_has_no_access(sandbox, sync):
    sandbox.guild.id = 1
    with pytest.raises(discord.Forbidden) as refused:
        await sync(command())
    assert refused.value.code == 50001


async def test_commands_by_default_permission_are_hidden_from_others(sandbox, sync):
    await sync(command(default_member_permissions="32"))
    ann = sandbox.add_member("Ann")
    with pytest.raises(NotPossible, match="hidden from Ann"):
        sandbox.invoke(ann, "make")
    assert sandbox.invoke(sandbox.owner, "make").callback is None
