"""From timeline and pictures to a finished reel, its cover and its storyboard."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from pipeline.config import VideoConfig
from pipeline.context import StageContext
from pipeline.errors import ProviderError, UserError
from pipeline.reel import (
    captions,
    cover,
    encoder,
    pictures,
    portrait,
    probe,
    reactions,
    sound,
    storyboard,
)
from pipeline.reel.scene import Scene, Shot
from pipeline.reel.sprites import Frame
from pipeline.sections import Cutaway, Images, Script, Selection, SpokenLine, Video, Voices

REEL, COVER, STORYBOARD = "reel.mp4", "cover.jpg", "storyboard.png"


def run(script: Script, voices: Voices, images: Images, *, ctx: StageContext) -> Video:
    """Make reel.mp4, cover.jpg and storyboard.png; a reel that breaks a rule is not kept."""
    fps = cast(VideoConfig, ctx.config).fps
    ctx.report(0.0, "mixing the sound")
    samples = sound.mix(voices, ctx.revision_folder)
    frames = round(voices.total_duration * fps)
    cutaways = intact(images.cutaways, ctx)
    paths = {line: ctx.data_dir / cutaway.image_path for line, cutaway in cutaways.items()}
    scene = Scene(
        shots=reactions.with_cutaways(shots(voices, images, ctx=ctx, fps=fps), paths, fps=fps),
        backdrop=pictures.background(ctx.show, backdrop_file(script, ctx)),
        levels=sound.bounce(samples, frames=frames, fps=fps),
        title=topic(script),
    )
    mastered = ctx.folder / "sound.m4a"
    draft = ctx.folder / "unchecked.mp4"
    try:
        sound.master(samples, mastered)
        paint = _reporting(scene, frames, ctx)
        encoder.encode(paint, frames=frames, fps=fps, sound=mastered, path=draft)
        ctx.report(0.95, "checking the reel")
        facts = _checked(draft, frames)
        drawn = stills(scene, script, voices, images, ctx)
        draft.replace(ctx.folder / REEL)
    finally:
        mastered.unlink(missing_ok=True)
        draft.unlink(missing_ok=True)
    ctx.report(1.0, "reel finished")
    return _section(voices, facts, ctx.folder, drawn)


def shots(voices: Voices, images: Images, *, ctx: StageContext, fps: int) -> list[Shot]:
    """When each line is on the screen; a line ends on the very frame the next one starts."""
    chosen = {selection.line_index: selection for selection in images.selections}
    firsts = [0, *(round(line.start_time * fps) for line in voices.lines[1:])]
    ends = [*firsts[1:], round(voices.total_duration * fps)]
    made: list[Shot] = []
    for line, first, end in zip(voices.lines, firsts, ends, strict=True):
        own = ctx.show.character(line.character)
        listener = _listener(line, images.selections, own.name)
        cards = captions.cards(line, first=first, end=end, fps=fps, colour=own.colour)
        shot = Shot(
            index=line.index,
            picture=_picture(line, chosen.get(line.index), ctx),
            side=-1 if own is ctx.show.characters[0] else 1,
            listener=ctx.data_dir / listener if listener else None,
            first=first,
            end=end,
            cards=tuple(cards),
            returning=bool(made) and voices.lines[len(made) - 1].character == line.character,
        )
        made.append(shot)
    return made


def _picture(line: SpokenLine, selection: Selection | None, ctx: StageContext) -> Path:
    if selection is None:
        raise UserError(f"Line {line.index} has no picture. Choose the images again.")
    path = ctx.data_dir / selection.image_path
    if not path.is_file():
        raise UserError(
            f"The picture of line {line.index}, {selection.image_path}, is missing. "
            "Choose the images again."
        )
    return path


def _listener(line: SpokenLine, selections: tuple[Selection, ...], speaker: str) -> str | None:
    """The other's picture: as last seen, else as it will first be seen."""
    others = [s for s in selections if s.character.casefold() != speaker.casefold()]
    before = [s for s in others if s.line_index < line.index]
    return before[-1].image_path if before else others[0].image_path if others else None


def backdrop_file(script: Script, ctx: StageContext) -> str:
    """The show's background for the family of the topic, else its default, else its first."""
    backgrounds = ctx.show.backgrounds
    for family in (script.metadata.family, "default"):
        for file, families in backgrounds.items():
            if family and family in families:
                return file
    return next(iter(backgrounds))


def topic(script: Script) -> str:
    return script.metadata.trends[0] if script.metadata.trends else ""


def _reporting(scene: Scene, frames: int, ctx: StageContext) -> encoder.Paint:
    every = max(frames // 18, 1)

    def paint(frame: int) -> Frame:
        if frame % 5 == 0:
            ctx.check_cancelled()
        if frame % every == 0:
            ctx.report(0.05 + 0.9 * frame / frames, f"painting frame {frame} of {frames}")
        return scene.paint(frame)

    return paint


def _checked(path: Path, frames: int) -> probe.ReelFacts:
    """The facts of the encoded file; ProviderError when it may not leave the stage."""
    facts = probe.probe(path)
    played = probe.play(path)
    faults = [*probe.faults(facts), *played.complaints]
    if played.frames != frames:
        faults.append(f"It plays {played.frames} frames instead of {frames}.")
    if played.black_frames:
        faults.append(f"It has {played.black_frames} black frames.")
    if faults:
        raise ProviderError("reel", "the encoded reel breaks the rules: " + " ".join(faults))
    return facts


def intact(cutaways: Iterable[Cutaway], ctx: StageContext) -> dict[int, Cutaway]:
    """By their line. One that is gone, has changed or is dark is left out.

    The reel is whole without it, and black frames would break the rules.
    """
    found = {}
    for cutaway in cutaways:
        path = ctx.data_dir / cutaway.image_path
        is_as_judged = path.is_file() and _sha256(path) == cutaway.sha256
        if is_as_judged and not portrait.is_dark(path):
            found[cutaway.line_index] = cutaway
    return found


def stills(
    scene: Scene, script: Script, voices: Voices, images: Images, ctx: StageContext
) -> list[Cutaway]:
    """Draw cover and storyboard; the drawings of a model that are seen, there and in the reel."""
    reacting = {cutaway.line_index: cutaway for cutaway in images.cutaways}
    seen = {shot.index: reacting[shot.index] for shot in scene.shots if shot.reaction}
    storyboard.draw(scene, voices, ctx.show, ctx.folder / STORYBOARD, seen)
    # One that stands for another line would not be the face that the title goes with.
    line = cover.face(scene, voices).index
    drawn = intact([images.cover] if images.cover else [], ctx).get(line)
    picture = ctx.data_dir / drawn.image_path if drawn else None
    cover.draw(scene, voices, cover.title(script), ctx.folder / COVER, drawn=picture)
    return [*seen.values(), *([drawn] if drawn else [])]


def _section(
    voices: Voices, facts: probe.ReelFacts, folder: Path, drawn: Sequence[Cutaway]
) -> Video:
    return Video(
        episode=voices.episode,
        sha256=_sha256(folder / REEL),
        cover_sha256=_sha256(folder / COVER),
        size_bytes=facts.size_bytes,
        duration_s=facts.duration_s,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        frames=facts.frames,
        loudness_lufs=facts.loudness_lufs,
        peak_dbtp=facts.peak_dbtp,
        longest_silence_s=facts.longest_silence_s,
        drawn=tuple(one.image_id for one in drawn if one.image_id is not None),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
