"""What ends a run that nobody stopped; the text is one sentence that says what to do next."""


class TrainingError(Exception):
    """The settings, the pictures, the base or the machine are at fault; trying again is no use."""
