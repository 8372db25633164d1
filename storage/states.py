"""The states of episodes, jobs and posts, and the moves they allow.

Editorial truth is in episodes, work in progress in jobs, what the platform knows in posts;
none repeats the other. A move is one UPDATE that names where it may come from.
"""

from enum import StrEnum


class EpisodeState(StrEnum):
    DRAFT = "draft"  # still being made
    IN_REVIEW = "in_review"  # the current revision is finished; people decide
    APPROVED = "approved"  # in the queue for a slot
    PUBLISHED = "published"  # public; final
    REJECTED = "rejected"  # an approver said no
    SPOILED = "spoiled"  # too late to be funny


class JobState(StrEnum):
    QUEUED = "queued"  # due at run_after
    RUNNING = "running"  # an attempt lives in a worker
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # out of attempts, or not worth another
    CANCELLED = "cancelled"  # a person stopped it


class PostState(StrEnum):
    PREPARING = "preparing"  # nothing outside yet, or only a container
    UPLOADING = "uploading"  # the container exists, bytes are on their way
    READY = "ready"  # all bytes arrived and were the approved ones; publish is not under way
    PUBLISHING = "publishing"  # publish may have been called; never call it again blindly
    PUBLISHED = "published"  # media id known
    UNKNOWN = "unknown"  # the platform cannot tell; a person is asked
    FAILED = "failed"  # certainly not public; the reason is in `error`


class TrainingState(StrEnum):
    RUNNING = "running"  # its process lives, or is started again when the bot is
    PAUSED = "paused"  # a person stopped it for a while; its newest checkpoint is whole
    STOPPED = "stopped"  # a person ended it; what it has saved stays
    FINISHED = "finished"  # all steps are done
    FAILED = "failed"  # the reason is in `error`


E = EpisodeState
# Every state may become published: when publish has been called, the platform has the last
# word, whatever people have changed since. Posting calls it for approved episodes only.
EPISODE_MOVES: dict[EpisodeState, frozenset[EpisodeState]] = {
    E.DRAFT: frozenset({E.IN_REVIEW, E.REJECTED, E.PUBLISHED}),
    E.IN_REVIEW: frozenset({E.APPROVED, E.REJECTED, E.SPOILED, E.DRAFT, E.PUBLISHED}),
    E.APPROVED: frozenset({E.PUBLISHED, E.IN_REVIEW, E.REJECTED, E.SPOILED, E.DRAFT}),
    E.REJECTED: frozenset({E.IN_REVIEW, E.DRAFT, E.PUBLISHED}),
    E.SPOILED: frozenset({E.APPROVED, E.REJECTED, E.DRAFT, E.PUBLISHED}),
    E.PUBLISHED: frozenset(),
}

J = JobState
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    J.QUEUED: frozenset({J.RUNNING, J.CANCELLED}),
    J.RUNNING: frozenset({J.SUCCEEDED, J.FAILED, J.CANCELLED, J.QUEUED}),
    J.FAILED: frozenset({J.QUEUED}),
    J.SUCCEEDED: frozenset(),
    J.CANCELLED: frozenset(),
}

P = PostState
POST_MOVES: dict[PostState, frozenset[PostState]] = {
    P.PREPARING: frozenset({P.UPLOADING, P.PUBLISHED, P.UNKNOWN, P.FAILED}),
    P.UPLOADING: frozenset({P.READY, P.PREPARING, P.FAILED}),
    P.READY: frozenset({P.PUBLISHING, P.PREPARING, P.UNKNOWN, P.FAILED}),
    P.PUBLISHING: frozenset({P.PUBLISHED, P.READY, P.PREPARING, P.UNKNOWN, P.FAILED}),
    P.UNKNOWN: frozenset({P.PUBLISHED, P.READY, P.PREPARING}),
    P.FAILED: frozenset({P.PREPARING}),
    P.PUBLISHED: frozenset(),
}

T = TrainingState
TRAINING_MOVES: dict[TrainingState, frozenset[TrainingState]] = {
    T.RUNNING: frozenset({T.PAUSED, T.STOPPED, T.FINISHED, T.FAILED}),
    T.PAUSED: frozenset({T.RUNNING, T.STOPPED}),
    T.STOPPED: frozenset({T.RUNNING}),
    T.FAILED: frozenset({T.RUNNING, T.STOPPED}),
    T.FINISHED: frozenset(),
}
