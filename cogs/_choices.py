"""Autocomplete: what the person can mean, at most 25 of them, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from cogs._embeds import STAGE_WORDS, state_words

if TYPE_CHECKING:
    from bot.client import StudioBot

    Interaction = discord.Interaction[StudioBot]

MOST = 25
Choices = list[app_commands.Choice[int]]


async def episodes(interaction: Interaction, typed: str) -> Choices:
    """Episodes whose number or topic holds what was typed."""
    found = await interaction.client.studio.episodes.newest(limit=200)
    labels = ((f"{e.id} · {e.topic or '…'} · {state_words(e.state)}"[:100], e.id) for e in found)
    return _matching(labels, typed)


async def jobs(interaction: Interaction, typed: str) -> Choices:
    """Jobs that can still be stopped."""
    found = await interaction.client.studio.episodes.open_jobs()
    labels = (
        (f"{j.id} · episode {j.episode_id} · {STAGE_WORDS[j.stage]}"[:100], j.id) for j in found
    )
    return _matching(labels, typed)


async def topics(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Today's unused topics; any other text may be typed as well."""
    found = await interaction.client.studio.trends.fresh()
    return _names((trend.name for trend in found), typed)


async def characters(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """The characters of the show."""
    names = [character.name for character in interaction.client.studio.show.characters]
    return _names(names, typed)


async def bases(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Folders of DATA_DIR/bases that look like a model."""
    folder = interaction.client.studio.folder.path / "bases"
    return _names(sorted(p.parent.name for p in folder.glob("*/model_index.json")), typed)


async def checkpoints(interaction: Interaction, typed: str) -> Choices:
    """Steps of the training that is named, else of the newest, that have been validated."""
    service = interaction.client.studio.training
    run = (await service.status()).run
    run_id = getattr(interaction.namespace, "training", None) or (run.id if run else 0)
    found = await service.validations(run_id)
    return _matching(((f"step {v.step}", v.step) for v in reversed(found)), typed)


def _names(names: Iterable[str], typed: str) -> list[app_commands.Choice[str]]:
    found = [name for name in names if typed.casefold() in name.casefold()]
    return [app_commands.Choice(name=name[:100], value=name[:100]) for name in found[:MOST]]


def _matching(labels: Iterable[tuple[str, int]], typed: str) -> Choices:
    wanted = typed.casefold()
    return [
        app_commands.Choice(name=label, value=value)
        for label, value in labels
        if wanted in label.casefold()
    ][:MOST]
