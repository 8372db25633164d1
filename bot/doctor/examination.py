"""All checks one by one, and the report that people read."""

from __future__ import annotations

import sys

from bot.console import console
from bot.doctor import channel, instagram, machine, services
from bot.doctor.findings import Check, Finding, Level, error
from bot.doctor.training import training
from bot.settings import Settings
from pipeline.errors import ProviderError, UserError

CHECKS: tuple[Check, ...] = (
    machine.python_and_packages,
    machine.ffmpeg,
    channel.show,
    machine.folder,
    machine.private_files,
    training,
    channel.schedule,
    services.money,
    services.offline_voice,
    services.voices,
    services.writer,
    services.trends,
    channel.discord_server,
    instagram.publisher,
)


async def examine(settings: Settings, *, verbose: bool, strict: bool) -> int:
    """Print what is wrong (with `verbose` also what is fine); 0 when the channel can run."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += await check(settings)
        except (UserError, ProviderError) as failure:
            findings.append(error(str(failure)))
    # One wrong setting may stop several checks with the same sentence.
    findings = list(dict.fromkeys(findings))
    for finding in findings:
        if verbose or finding.level is not Level.OK:
            console.print(f"{finding.level:8} {finding.text}", markup=False)
    bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    count = sum(finding.level in bad for finding in findings)
    sys.stdout.write(f"{count} problem(s).\n" if count else "Everything needed is there.\n")
    return 1 if count else 0
