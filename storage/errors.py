"""What storage can refuse; each reads as a sentence."""


class StorageError(Exception):
    """Base of what follows; its text is shown to the person."""


class RecordNotFound(StorageError):
    """There is no such row."""


class InvalidTransition(StorageError):
    """A row was not in a state from which the move is allowed; nothing was changed."""


class StorageUnusable(StorageError):
    """The folder or the database cannot be used: locked, read-only, damaged or too new."""
