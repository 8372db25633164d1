"""Episodes, their revisions and the sections of each, and who moved them where."""

from collections.abc import Iterable
from datetime import datetime

from storage.database import Database
from storage.errors import InvalidTransition, RecordNotFound
from storage.records import Episode, Revision, Transition, from_row, to_text
from storage.states import EPISODE_MOVES, EpisodeState

SECTIONS = ("brief", "script", "voices", "images", "video", "preview")
"""In the order in which they are made; each is a column of `revisions`."""


class Episodes:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self,
        *,
        topic: str = "",
        source: str = "hand",
        requested_by: str = "",
        best_before: datetime | None = None,
        now: datetime,
    ) -> Episode:
        """A draft with an empty first revision; an empty topic waits for a trend."""
        async with self._db.transaction():
            row = await self._db.fetch_one(
                "INSERT INTO episodes (topic, source, requested_by, best_before, created_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
                (topic, source, requested_by, _text(best_before), to_text(now), to_text(now)),
            )
            assert row is not None
            await self._db.execute(
                "INSERT INTO revisions (episode_id, number, created_at) VALUES (?, 1, ?)",
                (row["id"], to_text(now)),
            )
        return from_row(Episode, row)

    async def get(self, episode_id: int) -> Episode:
        row = await self._db.fetch_one("SELECT * FROM episodes WHERE id = ?", (episode_id,))
        if row is None:
            raise RecordNotFound(f"There is no episode {episode_id}.")
        return from_row(Episode, row)

    async def newest(self, *states: EpisodeState, limit: int = 50) -> list[Episode]:
        """The newest first; without states, all of them."""
        wanted = states or tuple(EpisodeState)
        rows = await self._db.fetch_all(
            f"SELECT * FROM episodes WHERE state IN ({_marks(wanted)}) ORDER BY id DESC LIMIT ?",
            (*wanted, limit),
        )
        return [from_row(Episode, row) for row in rows]

    async def queue(self) -> list[Episode]:
        """Approved ones, the one that spoils first in front, evergreen ones last."""
        rows = await self._db.fetch_all(
            "SELECT * FROM episodes WHERE state = ? ORDER BY best_before IS NULL, best_before, id",
            (EpisodeState.APPROVED,),
        )
        return [from_row(Episode, row) for row in rows]

    async def set_topic(
        self,
        episode_id: int,
        *,
        topic: str,
        source: str,
        best_before: datetime | None,
        now: datetime,
    ) -> Episode:
        row = await self._db.fetch_one(
            "UPDATE episodes SET topic = ?, source = ?, best_before = ?, updated_at = ?"
            " WHERE id = ? RETURNING *",
            (topic, source, _text(best_before), to_text(now), episode_id),
        )
        if row is None:
            raise RecordNotFound(f"There is no episode {episode_id}.")
        return from_row(Episode, row)

    async def move(
        self,
        episode_id: int,
        to: EpisodeState,
        *,
        who: str,
        now: datetime,
        reason: str = "",
        revision: int | None = None,
    ) -> Episode:
        """Change the state and write it down; `revision` is the one that was looked at.

        InvalidTransition when the state does not allow it or the revision is another by now.
        """
        async with self._db.transaction():
            before = await self.get(episode_id)
            sources = [state for state, targets in EPISODE_MOVES.items() if to in targets]
            row = await self._db.fetch_one(
                f"UPDATE episodes SET state = ?, updated_at = ? WHERE id = ? AND revision = ?"
                f" AND state IN ({_marks(sources)}) RETURNING *",
                (to, to_text(now), episode_id, revision or before.revision, *sources),
            )
            if row is None:
                raise _refused(before, to, revision)
            await self._db.execute(
                "INSERT INTO transitions (episode_id, revision, at, who, from_state, to_state,"
                " reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (episode_id, before.revision, to_text(now), who, before.state, to, reason),
            )
        return from_row(Episode, row)

    async def transitions(self, episode_id: int) -> list[Transition]:
        rows = await self._db.fetch_all(
            "SELECT * FROM transitions WHERE episode_id = ? ORDER BY id", (episode_id,)
        )
        return [from_row(Transition, row) for row in rows]

    async def new_revision(
        self,
        episode_id: int,
        *,
        copying: Iterable[str] = (),
        who: str,
        now: datetime,
        reason: str = "",
    ) -> Episode:
        """Start the next revision with the given sections of the last; the episode is a draft."""
        names = ", ".join(_column(name) for name in copying)
        copied = f", {names}" if names else ""
        async with self._db.transaction():
            episode = await self.get(episode_id)
            if episode.state is not EpisodeState.DRAFT:
                await self.move(episode_id, EpisodeState.DRAFT, who=who, now=now, reason=reason)
            await self._db.execute(
                f"INSERT INTO revisions (episode_id, number, created_at{copied})"
                f" SELECT episode_id, number + 1, ?{copied} FROM revisions"
                f" WHERE episode_id = ? AND number = ?",
                (to_text(now), episode_id, episode.revision),
            )
            await self._db.execute(
                "UPDATE episodes SET revision = revision + 1, updated_at = ? WHERE id = ?",
                (to_text(now), episode_id),
            )
            return await self.get(episode_id)

    async def revision(self, episode_id: int, number: int) -> Revision:
        row = await self._db.fetch_one(
            "SELECT * FROM revisions WHERE episode_id = ? AND number = ?", (episode_id, number)
        )
        if row is None:
            raise RecordNotFound(f"Episode {episode_id} has no revision {number}.")
        return Revision(
            episode_id=episode_id,
            number=number,
            fingerprint=row["fingerprint"],
            created_at=datetime.fromisoformat(row["created_at"]),
            sections={name: row[name] for name in SECTIONS if row[name] is not None},
        )

    async def section(self, episode_id: int, revision: int, name: str) -> str:
        """The JSON of one section; RecordNotFound when it is not made yet."""
        sections = (await self.revision(episode_id, revision)).sections
        if name not in sections:
            raise RecordNotFound(f"Episode {episode_id} has no {name} yet.")
        return sections[name]

    async def save_section(self, episode_id: int, revision: int, name: str, json: str) -> None:
        await self._set(episode_id, revision, _column(name), json)

    async def set_fingerprint(self, episode_id: int, revision: int, fingerprint: str) -> None:
        """Of all that would go out; approvals are given to it."""
        await self._set(episode_id, revision, "fingerprint", fingerprint)

    async def latest_sections(self, name: str, limit: int) -> list[str]:
        """One JSON per episode, of its newest revision that has one; the newest episode first."""
        column = _column(name)
        rows = await self._db.fetch_all(
            f"SELECT r.{column}, max(r.number) FROM revisions r WHERE r.{column} IS NOT NULL"
            " GROUP BY r.episode_id ORDER BY r.episode_id DESC LIMIT ?",
            (limit,),
        )
        return [row[0] for row in rows]

    async def _set(self, episode_id: int, revision: int, column: str, value: str) -> None:
        done = await self._db.execute(
            f"UPDATE revisions SET {column} = ? WHERE episode_id = ? AND number = ?",
            (value, episode_id, revision),
        )
        if not done.rows:
            raise RecordNotFound(f"Episode {episode_id} has no revision {revision}.")


def _refused(episode: Episode, to: EpisodeState, revision: int | None) -> InvalidTransition:
    if revision is not None and revision != episode.revision:
        return InvalidTransition(
            f"Episode {episode.id} has moved on to revision {episode.revision}; "
            f"look at that one instead of {revision}."
        )
    return InvalidTransition(
        f"Episode {episode.id} is {_words(episode.state)} and cannot become {_words(to)}."
    )


def _words(state: EpisodeState) -> str:
    return state.value.replace("_", " ")


def _column(name: str) -> str:
    if name not in SECTIONS:
        raise ValueError(f"there is no section {name!r}")
    return name


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)
