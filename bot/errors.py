"""Any exception -> the sentence a person reads. The one home of that mapping."""

import logging

from pipeline.errors import ProviderError, StageCancelled, UserError
from storage.errors import StorageError

log = logging.getLogger(__name__)


def sentence(error: BaseException) -> str:
    """What to tell the person; anything unforeseen is logged with its traceback."""
    if isinstance(error, UserError | StorageError):
        return str(error)
    if isinstance(error, ProviderError):
        text = str(error).rstrip(".")
        return f"{text}. Try again later." if error.retryable else f"{text}."
    if isinstance(error, StageCancelled):
        return "The work was stopped."
    log.error("unforeseen error", exc_info=error)
    return "Something went wrong on our side; the log has the details."
