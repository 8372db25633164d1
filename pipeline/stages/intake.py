"""From files that somebody has sent to pictures that a character can be trained with."""

import hashlib
import io

from PIL import Image

from pipeline.context import StageContext
from pipeline.errors import UserError
from pipeline.facts import Upload, Uploads
from pipeline.files import write_whole
from pipeline.intake import contact_sheet
from pipeline.intake.contact_sheet import Tile
from pipeline.intake.decoding import Decoded, Unusable, decode
from pipeline.intake.duplicates import Gallery, Seen, average_hash, short
from pipeline.intake.memory import limited_memory
from pipeline.intake.sharpness import BLURRED_BELOW, sharpness
from pipeline.sections import Intake, RefusedPicture, TakenPicture

SMALL_BELOW = 512
"""Pixels of the shorter side; what the smallest family is trained at."""
MORE_BYTES = 1536 * 1024**2
"""Half as much again as the hungriest picture of 40 megapixels: a WebP with transparency."""
THUMBNAIL = (1024, 1024)


def run(uploads: Uploads, *, ctx: StageContext) -> Intake:
    """Look at each file by itself: one that is refused is no reason to refuse another."""
    character = ctx.show.character(uploads.character).name
    folder = f"training/{character.lower()}"
    gallery = Gallery(uploads.known)
    taken: list[TakenPicture] = []
    refused = list(uploads.refused)
    tiles = [_grey_tile(picture) for picture in refused]
    with limited_memory(MORE_BYTES):
        for done, upload in enumerate(uploads.files):
            ctx.check_cancelled()
            ctx.report(done / len(uploads.files), f"picture {done + 1} of {len(uploads.files)}")
            try:
                picture, tile = _take(upload, gallery, folder, ctx)
            except Unusable as why:
                refused.append(_refusal(upload, why))
                tiles.append(_grey_tile(refused[-1]))
            else:
                taken.append(picture)
                tiles.append(tile)
        sheet = f"{folder}/sheets/{ctx.job}.jpg"
        title = f"{character}: {len(taken)} taken" + (
            f", {len(refused)} refused" if refused else ""
        )
        tiles.sort(key=lambda tile: tile.letter)
        write_whole(ctx.data_dir / sheet, contact_sheet.draw(title, tiles))
    ctx.report(1.0, "pictures looked at")
    return Intake(
        character=character,
        taken=tuple(taken),
        refused=tuple(sorted(refused, key=lambda picture: picture.number)),
        sheet=sheet,
        uploaded_by=uploads.uploaded_by,
    )


def _take(
    upload: Upload, gallery: Gallery, folder: str, ctx: StageContext
) -> tuple[TakenPicture, Tile]:
    """Store a picture that can be used; Unusable for one that cannot, or is there already."""
    data = _bytes(upload, ctx)
    source_sha256 = hashlib.sha256(data).hexdigest()
    _refuse_the_same(source_sha256, gallery)
    decoded = decode(data)
    encoded = _as_png(decoded.image)
    sha256 = hashlib.sha256(encoded).hexdigest()
    _refuse_the_same(sha256, gallery)
    average, sharp = average_hash(decoded.image), sharpness(decoded.image)
    remarks = _remarks(decoded, sharp, gallery.much_like(average))
    path = f"{folder}/{sha256}.png"
    write_whole(ctx.data_dir / path, encoded)
    gallery.add(Seen(sha256, source_sha256, average, upload.letter))
    picture = TakenPicture(
        number=upload.number,
        name=upload.name,
        path=path,
        sha256=sha256,
        source_sha256=source_sha256,
        width=decoded.image.width,
        height=decoded.image.height,
        average_hash=average,
        sharpness=sharp,
        remarks=remarks,
    )
    decoded.image.thumbnail(THUMBNAIL)
    return picture, Tile(upload.letter, upload.name, remarks, short(sha256), decoded.image)


def _bytes(upload: Upload, ctx: StageContext) -> bytes:
    try:
        return (ctx.data_dir / upload.path).read_bytes()
    except FileNotFoundError as error:
        raise UserError("The files of this upload are gone; send them again.") from error


def _refuse_the_same(sha256: str, gallery: Gallery) -> None:
    if seen := gallery.same_as(sha256):
        raise Unusable(f"is the same picture as {seen.words}; send another one")


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _remarks(decoded: Decoded, sharp: float, alike: Seen | None) -> tuple[str, ...]:
    width, height = decoded.image.size
    remarks = []
    if min(width, height) < SMALL_BELOW:
        remarks.append(f"Small: {width} x {height}; sides of {SMALL_BELOW} or more are better.")
    if sharp < BLURRED_BELOW:
        remarks.append("Looks blurred.")
    if alike is not None:
        remarks.append(f"Much like {short(alike.sha256)}.")
    if decoded.is_one_of_many:
        remarks.append("It moves; only its first frame is used.")
    return tuple(remarks)


def _refusal(upload: Upload, why: Unusable) -> RefusedPicture:
    reason = f"{upload.name} {why}."
    return RefusedPicture(number=upload.number, name=upload.name, reason=reason)


def _grey_tile(refused: RefusedPicture) -> Tile:
    """The name stands below the reason already."""
    words = refused.reason.removeprefix(refused.name).lstrip().removeprefix("is ")
    return Tile(refused.letter, refused.name, (words[:1].upper() + words[1:],))
