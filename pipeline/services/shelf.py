"""The pictures there are to show, and the models in use: facts for the stages that show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from pipeline.facts import Library, Models, Picture, PromotedModel
from pipeline.sections import Drawings, Emotion, Images, Video
from pipeline.shows import Show
from storage.database import Database
from storage.images import Images as ImageLibrary
from storage.picture_boards import NewDrawing, PictureBoards
from storage.promotions import Promotions
from storage.records import LibraryImage, Promotion
from storage.training_images import TrainingImages


class Shelf:
    def __init__(self, db: Database, *, show: Show, clock: Callable[[], datetime]) -> None:
        self._images = ImageLibrary(db)
        self._boards = PictureBoards(db)
        self._promotions = Promotions(db)
        self._training_images = TrainingImages(db)
        self._show = show
        self._clock = clock

    async def library(self) -> Library:
        """Of the show's characters; what a model drew is there while that model is in use."""
        names = [character.name for character in self._show.characters]
        drawn = {
            image.id
            for promotion in await self._promotions.in_use()
            for image in await self._images.drawn_by(promotion.id)
        }
        pictures = await self._images.for_characters(names)
        return Library(
            pictures=tuple(
                _picture(image)
                for image in pictures
                if image.promotion_id is None or image.id in drawn
            )
        )

    async def models(self) -> Models:
        """Those in use of the show's characters, with what they learned from."""
        return Models(
            models=tuple(
                [
                    await self.model(promotion)
                    for promotion in await self._promotions.in_use()
                    if any(c.name == promotion.character for c in self._show.characters)
                ]
            )
        )

    async def model(self, promotion: Promotion) -> PromotedModel:
        learned = await self._training_images.of(promotion.character)
        return PromotedModel(
            promotion_id=promotion.id,
            character=promotion.character,
            path=promotion.path,
            sha256=promotion.sha256,
            pictures=tuple(image.path for image in learned),
        )

    async def count(self, shown: Images | Video) -> None:
        """Who speaks is known with the pictures; which drawings are seen only with the reel."""
        ids = shown.drawn if isinstance(shown, Video) else [s.image_id for s in shown.selections]
        await self._images.count_usage(Counter(ids), now=self._clock())

    async def propose(self, made: Drawings) -> None:
        """Put what was drawn on its board; nothing of it is in the library yet."""
        drawings = [
            NewDrawing(
                emotion=drawing.emotion,
                path=drawing.path,
                sha256=drawing.sha256,
                width=drawing.width,
                height=drawing.height,
                score=drawing.score,
            )
            for drawing in made.drawings
        ]
        await self._boards.fill(made.board, drawings, sheet=made.sheet)


def _picture(image: LibraryImage) -> Picture:
    return Picture(
        image_id=image.id,
        character=image.character,
        emotion=Emotion(image.emotion),
        path=image.path,
        sha256=image.sha256,
        usage_count=image.usage_count,
        last_used_at=image.last_used_at,
        source=image.source,
    )
