"""What a job may cost at most, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import StudioConfig
from pipeline.facts import Memory, Topics
from pipeline.prices import Prices
from pipeline.sections import Brief, Script
from pipeline.shows import Show


class Estimates:
    """Each paid stage's own arithmetic is beside its providers, imported when it is needed."""

    def __init__(self, config: StudioConfig, show: Show, prices: Prices) -> None:
        self._config = config
        self._show = show
        self._prices = prices

    def greatest_usd(self, stage: str, known: Mapping[str, Any]) -> float:
        """`known` are the sections and facts of the job, as JSON; 0 for what is made here."""
        if stage == "pitches" and self._config.pitches.provider != "offline":
            return self._of_pitches(known)
        if stage == "script" and self._config.script.provider != "offline":
            return self._of_script(known)
        if stage == "voices" and self._config.voices.provider != "offline":
            return self._of_voices(known)
        return 0.0

    def _of_pitches(self, known: Mapping[str, Any]) -> float:
        from pipeline.providers.writers.prompt import greatest_cost_of_pitches

        topics = Topics.model_validate(known["topics"])
        memory = Memory.model_validate(known["memory"])
        config = self._config.pitches
        return greatest_cost_of_pitches(config, topics, memory, self._show, self._prices).usd

    def _of_script(self, known: Mapping[str, Any]) -> float:
        from pipeline.providers.writers.prompt import greatest_cost_of_script

        brief = Brief.model_validate(known["brief"])
        memory = Memory.model_validate(known["memory"])
        config = self._config.script
        return greatest_cost_of_script(config, brief, memory, self._show, self._prices).usd

    def _of_voices(self, known: Mapping[str, Any]) -> float:
        from pipeline.providers.voices.costs import greatest_cost_of_voices

        script = Script.model_validate(known["script"])
        return greatest_cost_of_voices(self._config.voices, script, self._prices).usd
