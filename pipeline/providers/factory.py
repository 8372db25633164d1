"""Name -> provider; each is imported when it is asked for, so a worker loads only its own."""

from typing import assert_never

from pipeline.config import ImagesConfig
from pipeline.providers.base import Pictures


def pictures(config: ImagesConfig) -> Pictures:
    match config.provider:
        case "library":
            from pipeline.providers.images.library import LibraryPictures

            return LibraryPictures()
        case _:
            assert_never(config.provider)
