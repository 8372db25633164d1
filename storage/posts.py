"""Posts: what the platform is known to have, and every call made to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from storage.database import Database, Value
from storage.errors import InvalidTransition, RecordNotFound
from storage.records import from_row, to_text
from storage.states import POST_MOVES, PostState

UNDER_WAY = (PostState.PREPARING, PostState.UPLOADING, PostState.READY, PostState.PUBLISHING)


@dataclass(frozen=True)
class Post:
    """An episode on one platform; `slot` is None when a person asked for it."""

    episode_id: int
    platform: str
    revision: int
    fingerprint: str
    sha256: str
    caption: str
    state: PostState
    container_id: str | None
    upload_url: str | None
    media_id: str | None
    permalink: str | None
    attempts: int
    waits: int
    error: str
    run_after: datetime | None
    slot: str | None
    created_at: datetime
    attempted_at: datetime | None
    posted_at: datetime | None
    tried_since: datetime | None


@dataclass(frozen=True)
class PostCall:
    """One call to the platform; `outcome` is empty while nobody knows how it ended."""

    id: int
    episode_id: int
    platform: str
    call: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str


class Posts:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, episode_id: int, platform: str) -> Post | None:
        row = await self._db.fetch_one(
            "SELECT * FROM posts WHERE episode_id = ? AND platform = ?", (episode_id, platform)
        )
        return None if row is None else from_row(Post, row)

    async def get(self, episode_id: int, platform: str) -> Post:
        post = await self.find(episode_id, platform)
        if post is None:
            raise RecordNotFound(f"Episode {episode_id} has not been sent to {platform} yet.")
        return post

    async def claim(
        self,
        episode_id: int,
        platform: str,
        *,
        revision: int,
        fingerprint: str,
        sha256: str,
        caption: str,
        slot: str | None,
        now: datetime,
    ) -> Post:
        """Start a post, or one that failed once more; InvalidTransition when there is another."""
        row = await self._db.fetch_one(
            "INSERT INTO posts (episode_id, platform, revision, fingerprint, sha256, caption, slot,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (episode_id, platform) DO UPDATE SET state = 'preparing',"
            " revision = excluded.revision, fingerprint = excluded.fingerprint,"
            " sha256 = excluded.sha256, caption = excluded.caption, slot = excluded.slot,"
            " created_at = excluded.created_at, container_id = NULL, upload_url = NULL,"
            " attempts = 0, waits = 0, error = '', run_after = NULL, attempted_at = NULL,"
            " tried_since = NULL"
            " WHERE state = ? RETURNING *",
            (
                *(episode_id, platform, revision, fingerprint, sha256, caption, slot),
                *(to_text(now), PostState.FAILED),
            ),
        )
        if row is None:
            post = await self.get(episode_id, platform)
            raise InvalidTransition(
                f"Episode {episode_id} is {post.state.value} on {platform} already."
            )
        return from_row(Post, row)

    async def due(self, platform: str, now: datetime) -> list[Post]:
        """Posts under way or unknown whose time to go on has come, the oldest first."""
        states = (*UNDER_WAY, PostState.UNKNOWN)
        rows = await self._db.fetch_all(
            f"SELECT * FROM posts WHERE platform = ? AND state IN ({_marks(states)})"
            " AND (run_after IS NULL OR run_after <= ?) ORDER BY created_at",
            (platform, *states, to_text(now)),
        )
        return [from_row(Post, row) for row in rows]

    async def newest(self, platform: str, *states: PostState, limit: int = 20) -> list[Post]:
        """The newest first; without states, all of them."""
        wanted = states or tuple(PostState)
        rows = await self._db.fetch_all(
            f"SELECT * FROM posts WHERE platform = ? AND state IN ({_marks(wanted)})"
            " ORDER BY created_at DESC LIMIT ?",
            (platform, *wanted, limit),
        )
        return [from_row(Post, row) for row in rows]

    async def move(self, post: Post, to: PostState, **columns: Value) -> Post:
        """Compare and set: InvalidTransition when the post is no longer as given."""
        if to not in POST_MOVES[post.state]:
            raise InvalidTransition(
                f"The post of episode {post.episode_id} is {post.state.value} and cannot become "
                f"{to.value}."
            )
        changes: dict[str, Value] = {"waits": 0, "error": "", "run_after": None, **columns}
        changes["state"] = to
        return await self._update(post, changes)

    async def wait(
        self, post: Post, *, reason: str, run_after: datetime, is_held: bool = False
    ) -> Post:
        """Leave it as it is until later; held back, it has not been tried in vain so far."""
        changes: dict[str, Value] = {"error": reason, "run_after": to_text(run_after)}
        if is_held:
            changes["tried_since"] = to_text(run_after)
        return await self._update(post, {**changes, "waits": post.waits + 1})

    async def go_on(self, platform: str, reason: str) -> None:
        """Those under way that wait for this reason need not wait any longer."""
        await self._db.execute(
            f"UPDATE posts SET run_after = NULL WHERE platform = ? AND error = ? AND state IN"
            f" ({_marks(UNDER_WAY)})",
            (platform, reason, *UNDER_WAY),
        )

    async def set_permalink(self, post: Post, permalink: str) -> Post:
        return await self._update(post, {"permalink": permalink})

    async def begin_call(self, post: Post, call: str, *, now: datetime) -> int:
        """The intent, on disk before the call is made; returns its id."""
        done = await self._db.execute(
            "INSERT INTO post_calls (episode_id, platform, call, started_at) VALUES (?, ?, ?, ?)",
            (post.episode_id, post.platform, call, to_text(now)),
        )
        return done.last_id

    async def finish_call(self, call_id: int, outcome: str, *, now: datetime) -> None:
        await self._db.execute(
            "UPDATE post_calls SET finished_at = ?, outcome = ? WHERE id = ?",
            (to_text(now), outcome, call_id),
        )

    async def answer(self, post: Post, call: str, outcome: str, *, now: datetime) -> None:
        """Calls of a kind whose end was unknown have ended like this after all."""
        await self._db.execute(
            "UPDATE post_calls SET finished_at = ?, outcome = ? WHERE episode_id = ?"
            " AND platform = ? AND call = ? AND outcome = ''",
            (to_text(now), outcome, post.episode_id, post.platform, call),
        )

    async def calls(self, post: Post) -> list[PostCall]:
        rows = await self._db.fetch_all(
            "SELECT * FROM post_calls WHERE episode_id = ? AND platform = ? ORDER BY id",
            (post.episode_id, post.platform),
        )
        return [from_row(PostCall, row) for row in rows]

    async def unanswered(self, post: Post, call: str) -> int:
        """How many calls of a kind have an unknown end, since the post was claimed."""
        row = await self._db.fetch_one(
            "SELECT count(*) FROM post_calls WHERE episode_id = ? AND platform = ? AND call = ?"
            " AND outcome = '' AND started_at >= ?",
            (post.episode_id, post.platform, call, to_text(post.created_at)),
        )
        return 0 if row is None else int(row[0])

    async def _update(self, post: Post, columns: dict[str, Value]) -> Post:
        # The container as well as the state: a second bot may have made its own meanwhile.
        row = await self._db.fetch_one(
            f"UPDATE posts SET {', '.join(f'{name} = ?' for name in columns)}"
            " WHERE episode_id = ? AND platform = ? AND state = ? AND container_id IS ?"
            " RETURNING *",
            (*columns.values(), post.episode_id, post.platform, post.state, post.container_id),
        )
        if row is None:
            raise InvalidTransition(
                f"The post of episode {post.episode_id} has been changed by somebody else."
            )
        return from_row(Post, row)


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)
