"""Pictures sent by modal, options and message: taken or refused, and reported once."""

import pytest
from trained_here import picture

from bot.sandbox.discord import NotPossible
from pipeline.services.incoming import IncomingFile

HOSTILE = b"<svg onload=alert(1)>"
LABEL = "1 to 10 pictures, as JPEG, PNG or WebP"
MIB = 2**20


def report_in(message):
    return message.embeds[0]["description"] if message.embeds else ""


@pytest.fixture
def reported(world):
    """The answer to an upload, once it has become its report."""

    async def wait(words="taken,", among=None):
        return await world.wait_for_message(
            lambda m: words in report_in(m) and (among is None or m in among), 30
        )

    return wait


@pytest.fixture
def send(world, margot):
    """Fill the form with files; what the person reads."""

    async def submit(files, character="Butcher", member=margot):
        opened = await world.invoke(member, "train upload", {"character": character}).answered()
        return world.submit_modal(opened, {LABEL: files})

    return submit


async def names(studio, character="Butcher"):
    return [image.sha256 for image in await studio.uploads.of(character)]


async def test_a_form_takes_pictures_and_its_answer_becomes_the_report(
    bot, world, studio, send, reported
):
    files = [("a.png", picture(1)), ("b.png", picture(2)), ("c.svg", HOSTILE)]
    submitted = await (await send(files)).answered()
    assert submitted.is_deferred
    report = await reported()
    assert report in submitted.messages
    assert "2 pictures taken, 1 refused. Butcher has 2 pictures now." in report_in(report)
    assert "not taken: c.svg" in report_in(report)
    assert [a.filename for a in report.attachments] == ["sheet.jpg"]
    assert report.attachments[0].data.startswith(b"\xff\xd8")
    assert len(await names(studio)) == 2
    assert not [m for m in world.messages(world.approvals) if m.embeds]


async def test_attachments_of_the_command_need_no_form(world, bot, studio, margot, reported):
    options = {"character": "Nutsy"}
    options |= {f"picture{n}": (f"{n}.png", picture(n)) for n in range(1, 11)}
    interaction = await world.invoke(margot, "train upload", options).answered()
    assert interaction.is_deferred
    assert "10 pictures taken, 0 refused" in report_in(await reported())
    assert len(await names(studio, "Nutsy")) == 10


async def test_by_mention_the_files_of_the_message_count(world, bot, studio, margot, reported):
    text = f"{world.bot.mention} train upload Butcher"
    world.say(margot, world.general, text, files={"a.png": picture(1), "b.png": picture(2)})
    report = await reported()
    assert report.channel is world.general
    assert len(await names(studio)) == 2


async def test_by_mention_without_files_is_a_sentence(world, bot, margot, says):
    world.say(margot, world.general, f"{world.bot.mention} train upload Butcher")
    await says("Attach pictures of Butcher to the message, up to ten.")


async def test_nobody_without_the_role_gets_the_form(world, bot, passerby):
    interaction = world.invoke(passerby, "train upload", {"character": "Butcher"})
    assert "This needs the role" in (await interaction.replied()).content
    with pytest.raises(NotPossible):
        world.submit_modal(interaction, {})


async def test_who_loses_the_role_while_the_form_is_open_sends_nothing(world, bot, studio, margot):
    opened = await world.invoke(margot, "train upload", {"character": "Butcher"}).answered()
    world.set_roles(margot, [])
    submitted = world.submit_modal(opened, {LABEL: {"a.png": picture(1)}})
    assert "This needs the role" in (await submitted.replied()).content
    assert submitted.is_ephemeral
    assert await names(studio) == []


async def test_an_unknown_character_is_a_sentence_before_any_form(world, bot, margot, reply_to):
    reply = await reply_to(margot, "train upload", {"character": "*Brutus*"})
    assert "Brutus" in reply.content
    assert "*Brutus*" not in reply.content.replace("\\*", "")


async def test_what_is_declared_too_large_is_not_downloaded(world, bot, studio, reported, send):
    rich = world.add_member("Ritz", [world.approver], has_nitro=True)
    files = [("huge.png", bytes(21 * MIB)), ("a.png", picture(1))]
    await send(files, member=rich)
    report = await reported()
    assert "huge.png is larger than 20 MB" in report_in(report).replace("\\", "")
    assert "1 picture taken, 1 refused" in report_in(report)


async def test_only_what_is_too_large_is_a_sentence_at_once(world, bot, send):
    rich = world.add_member("Ritz", [world.approver], has_nitro=True)
    submitted = await send([("huge.png", bytes(21 * MIB))], member=rich)
    reply = await submitted.replied()
    assert "is larger than 20 MB; send a smaller copy" in reply.content


async def test_the_words_of_a_name_stay_words(world, bot, studio, send, reported):
    name = "**bold** @everyone <@1> [x](https://evil.example)\u202e.png"
    await send([(name, HOSTILE), ("a.png", picture(1))])
    report = await reported()
    shown = report_in(report)
    assert "**bold**" not in shown
    assert "<@1>" not in shown
    assert "](https://" not in shown
    assert "\u202e" not in shown
    assert not report.pings


async def test_a_file_that_cannot_be_downloaded_is_a_sentence_and_leaves_nothing(
    world, bot, studio, send
):
    world.faults.add("GET", "/ephemeral-attachments/*/b.png", status=404)
    submitted = await send([("a.png", picture(1)), ("b.png", picture(2))])
    reply = await submitted.replied()
    assert "b.png cannot be downloaded" in reply.content
    assert await names(studio) == []
    assert list((studio.folder.path / "training" / "incoming").iterdir()) == []


async def test_an_answer_that_came_too_late_is_only_logged(world, bot, studio, margot):
    opened = await world.invoke(margot, "train upload", {"character": "Butcher"}).answered()
    submitted = world.submit_modal(opened, {LABEL: {"a.png": picture(1)}})
    world.advance(4)
    await world.wait_until(
        lambda: [r for r in world.requests if r.status == 404], 10, "the refusal"
    )
    assert submitted.messages == []
    assert await names(studio) == []


async def test_a_report_of_an_absence_comes_at_the_start_into_the_same_message(
    bot, world, studio, cpu, send, reported, start_bot, eventually
):
    cpu.holding = True
    submitted = await send([("a.png", picture(1))])
    answer = await submitted.replied()
    assert "looked at" in report_in(answer)
    await eventually(lambda: cpu.held)
    await bot.close()
    cpu.release()
    await studio.engine.finished()
    assert "looked at" in report_in(answer)
    async with start_bot() as another:
        await reported(among=[answer])
        await another.repair()
    assert len([m for m in world.messages(world.general) if m.embeds]) == 1
    assert not [m for m in world.messages(world.approvals) if m.embeds]


async def test_an_upload_that_was_never_answered_is_reported_once_in_the_approval_channel(
    bot, world, studio, reported, start_bot, monkeypatch
):
    data = picture(1)

    async def read():
        return data

    async def dies(*_):
        raise OSError("the bot is killed here")

    with monkeypatch.context() as patch:
        patch.setattr(studio.uploads, "told", dies)
        await studio.uploads.take("Butcher", [IncomingFile("a.png", len(data), read)], "Margot")
        report = await reported()
        await bot.close()
    world.advance(400)  # a nonce is forgotten by then
    async with start_bot() as another:
        await another.repair()
    assert await studio.uploads.untold() == []
    assert [m for m in world.messages(world.approvals) if m.embeds] == [report]


async def test_a_report_whose_answer_was_deleted_comes_into_the_approval_channel_once(
    bot, world, studio, cpu, send, reported, eventually
):
    cpu.holding = True
    answer = await (await send([("a.png", picture(1))])).replied()
    await eventually(lambda: cpu.held)
    world.delete_message(answer)
    cpu.release()
    report = await reported()
    assert report.channel is world.approvals
    assert [a.filename for a in report.attachments] == ["sheet.jpg"]
    await bot.repair()
    assert [m for m in world.messages(world.approvals) if m.embeds] == [report]


async def test_a_job_that_was_stopped_says_so(
    bot, world, studio, cpu, send, reported, eventually, margot, reply_to
):
    cpu.holding = True
    await (await send([("a.png", picture(1))])).replied()
    await eventually(lambda: cpu.held)
    (job,) = await studio.episodes.open_jobs()
    listed = await reply_to(margot, "render status")
    assert "looking at" in listed.content
    await reply_to(margot, "render cancel", {"job": job.id})
    cpu.release()
    await reported("Send them again")


async def test_pictures_are_listed_with_their_numbers_and_can_be_removed(
    bot, world, studio, margot, passerby, send, reported, reply_to
):
    await send([("a.png", picture(1)), ("b.png", picture(2))])
    await reported()
    first, second = await names(studio)
    listed = await reply_to(passerby, "train pictures", {"character": "butcher"})
    assert listed.is_ephemeral
    assert "Butcher has 2 pictures. 15 to 25 make a good set" in report_in(listed)
    assert f"`{first[:8]}` 640x640" in report_in(listed)
    assert [a.filename for a in listed.attachments] == ["sheet.jpg"]
    await reply_to(margot, "train remove", {"character": "Butcher", "picture": "1"})
    assert await names(studio) == [second]


async def test_characters_are_offered(world, bot, margot):
    asked = await world.autocomplete(margot, "train upload", "character", "b").answered()
    assert [choice["value"] for choice in asked.choices] == ["Butcher"]
