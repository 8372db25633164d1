"""The parts about when reels go out, and how much may be spent."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot.scheduler import Schedule
from bot.setup.interview import Interview
from pipeline.errors import UserError

TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def ask_times(interview: Interview) -> None:
    interview.title("When reels are posted")
    interview.ask("TIMEZONE", "Time zone, like Europe/Paris")
    interview.person.say("  Times like 12:00 18:30, or lines of a crontab separated by ;")
    interview.ask("PUBLISH_CRON", "Every day at", lambda text: _as_cron(interview, text))
    settings = interview.settings()
    slot = Schedule(settings.publish_cron, settings.zone()).next_slots(datetime.now(UTC), 1)[0]
    interview.person.say(f"  The next slot: {slot.at.astimezone(settings.zone()):%A %d %B %H:%M}.")


def _as_cron(interview: Interview, text: str) -> str:
    words = text.replace(",", " ").split()
    times = [TIME.fullmatch(word) for word in words]
    cron = ";".join(f"{int(each[2])} {int(each[1])} * * *" for each in times if each)
    cron = cron if all(times) else text
    Schedule(cron, interview.settings().zone())
    return cron


def ask_budgets(interview: Interview) -> None:
    settings = interview.settings()
    keys = (settings.openai_api_key, settings.anthropic_api_key, settings.elevenlabs_api_key)
    if not any(keys):
        return
    interview.title("What may be spent on writing and speaking, in US dollars")
    interview.person.say("  At the limit reels wait; they go on by themselves afterwards.")
    interview.ask("DAILY_BUDGET_USD", "A day at most, - for no limit", _amount)
    interview.ask("MONTHLY_BUDGET_USD", "A month at most, - for no limit", _amount)


def _amount(text: str) -> str:
    amount = text.removeprefix("$").removesuffix("$").strip()
    if not re.fullmatch(r"\d{1,6}([.]\d{1,2})?", amount):
        raise UserError("Write an amount like 2 or 2.50.")
    return amount
