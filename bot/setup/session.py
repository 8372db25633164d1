"""One sitting: the parts in their order, the file at the end, and what to do next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from bot.doctor.examination import examine
from bot.logs import set_up_logging
from bot.settings import forget_environment
from bot.setup.discord_server import ask_discord
from bot.setup.interview import Interview, set_outside
from bot.setup.person import Person
from bot.setup.posting import ask_instagram
from bot.setup.speaking import ask_voices
from bot.setup.timetable import ask_budgets, ask_times
from bot.setup.writing import ask_writer

PARTS: tuple[Callable[[Interview], None], ...] = (
    ask_discord,
    ask_writer,
    ask_voices,
    ask_instagram,
    ask_times,
    ask_budgets,
)


def set_up(env_file: Path) -> None:
    """Ask for everything; `env_file` changes at the end only."""
    person = Person()
    person.say(
        "Each answer is checked at once. Enter keeps what is there, - empties it, and Ctrl+C "
        f"leaves {env_file} as it was."
    )
    if outside := set_outside():
        person.say(f"Set in the environment, which wins over {env_file}: {', '.join(outside)}.")
        forget_environment()
    interview = Interview(person, env_file, outside)
    for part in PARTS:
        # What libraries log while answers are being checked is not for this conversation.
        set_up_logging("ERROR", interview.settings().secrets())
        part(interview)
        interview.save()
    settings = interview.finish()
    person.say(f"\n{env_file} is written, for your eyes only. The doctor says:")
    code = asyncio.run(examine(settings, verbose=False, strict=False))
    next_command = "emf run" if code == 0 and settings.discord_token else "emf setup"
    person.say(
        f"Next: `{next_command}`" + (", or `emf doctor --verbose` for all." if code else ".")
    )
