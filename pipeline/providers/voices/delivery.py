"""How an emotion changes the way a line is said.

The bounds are narrow on purpose: beyond about 12 % of pace or 5 % of pitch a recogniser starts
to mishear the short words, and the character no longer sounds like itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.sections import Emotion


@dataclass(frozen=True)
class Delivery:
    """`pace` scales the tempo, `pitch` the pitch; both are 1 for a neutral line."""

    pace: float = 1.0
    pitch: float = 1.0
    exclaims: bool = False
    """A full stop at the end is said as an exclamation mark; the caption keeps the stop."""


DELIVERIES: dict[Emotion, Delivery] = {
    Emotion.NEUTRAL: Delivery(),
    Emotion.HAPPY: Delivery(pace=1.03, pitch=1.02),  # a smile shortens the vocal tract
    Emotion.SAD: Delivery(pace=0.92, pitch=0.97),  # low arousal: slow and low
    Emotion.EXCITED: Delivery(pace=1.08, pitch=1.04, exclaims=True),
    Emotion.SARCASTIC: Delivery(pace=0.94, pitch=0.98),  # dry wit drags
    Emotion.ANGRY: Delivery(pace=1.04, pitch=0.98, exclaims=True),  # a growl, not a squeak
    Emotion.CONFUSED: Delivery(pace=0.96, pitch=1.02),  # hesitates and rises
    Emotion.SURPRISED: Delivery(pace=1.0, pitch=1.04, exclaims=True),
}
