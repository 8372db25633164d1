"""The end of the bot: its listeners end before the database does."""

import asyncio


async def test_a_listener_under_way_ends_with_the_bot(start_bot):
    ended = asyncio.Event()
    began = asyncio.Event()

    async def on_studio_job(event):
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with start_bot() as bot:
        bot.add_listener(on_studio_job)
        bot.dispatch("studio_job", object())
        await began.wait()
        bot.remove_listener(on_studio_job)
    assert ended.is_set()


async def test_a_closed_bot_begins_no_listener(start_bot, caplog):
    async with start_bot() as bot:
        pass
    bot.on_job_event(object())
    assert caplog.text == ""
