"""Votes on a fingerprint: what stands, what follows, and what never counts."""

import asyncio
from datetime import UTC, datetime
from itertools import permutations

import pytest

from pipeline.errors import ProviderError, UserError
from pipeline.services.reviews import LONGEST_WORDS, Reviews, Votes, VotesChanged
from storage.database import Database
from storage.decisions import Choice, Door
from storage.episodes import Episodes
from storage.messages import Messages
from storage.rejections import Rejections
from storage.states import EpisodeState

ANNA, BEN, CARL = 101, 102, 103
MARK, OTHER = "a" * 64, "b" * 64
NOW = datetime(2026, 3, 2, 18, tzinfo=UTC)
APPROVE, REJECT = Choice.APPROVE, Choice.REJECT


class Review:
    """One finished reel in review and its draft."""

    def __init__(self, db, needed):
        self.db = db
        self.episodes, self.messages = Episodes(db), Messages(db)
        self.reviews = Reviews(db=db, approvals_needed=needed, clock=lambda: NOW)

    async def open(self):
        self.id = (await self.episodes.create(topic="dogs", now=NOW)).id
        await self.show(1, MARK)
        return self

    async def show(self, revision, mark):
        await self.episodes.set_fingerprint(self.id, revision, mark)
        await self.episodes.move(self.id, EpisodeState.IN_REVIEW, who="studio", now=NOW)
        self.draft = await self.messages.add(
            1000 * self.id + revision,
            channel_id=1,
            kind="draft",
            episode_id=self.id,
            revision=revision,
            fingerprint=mark,
            now=NOW,
        )

    async def vote(self, choice, user_id, **kwargs):
        return await self.reviews.record(
            choice,
            user_id,
            door=Door.REACTION,
            episode_id=self.id,
            **{"revision": 1, "fingerprint": MARK, **kwargs},
        )

    async def take_back(self, choice, user_id):
        return await self.reviews.withdraw(
            choice, user_id, door=Door.REACTION, episode_id=self.id, revision=1
        )

    async def state(self):
        return (await self.episodes.get(self.id)).state

    async def moves(self):
        return [t.to_state for t in await self.episodes.transitions(self.id)][1:]


class Reader:
    def __init__(self, votes, approvers=(ANNA, BEN, CARL)):
        self.answer, self.approvers = votes, approvers

    async def votes(self, draft):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def is_approver(self, user_id):
        return user_id in self.approvers


@pytest.fixture
async def db(tmp_path):
    async with await Database.open(tmp_path / "studio.db") as db:
        yield db


@pytest.fixture
async def review(db):
    return await Review(db, 1).open()


@pytest.fixture
async def review_by_two(db):
    return await Review(db, 2).open()


async def test_one_approval_is_enough_when_one_is_needed(review):
    standing = await review.vote(APPROVE, ANNA)

    assert (standing.moved, standing.is_approved) == (True, True)
    assert await review.state() is EpisodeState.APPROVED


async def test_nobody_counts_twice_through_two_doors(review_by_two):
    await review_by_two.vote(APPROVE, ANNA)
    standing = await review_by_two.reviews.approve(review_by_two.id, ANNA)

    assert standing.approvers == {ANNA}
    assert await review_by_two.state() is EpisodeState.IN_REVIEW


async def test_a_reaction_and_a_command_of_two_people_are_two_approvals(review_by_two):
    await review_by_two.vote(APPROVE, ANNA)
    await review_by_two.reviews.approve(review_by_two.id, BEN)

    assert await review_by_two.state() is EpisodeState.APPROVED


async def test_one_reject_wins_over_any_approvals(review):
    await review.vote(APPROVE, ANNA)
    await review.vote(APPROVE, BEN)
    await review.vote(REJECT, CARL)

    assert await review.state() is EpisodeState.REJECTED


async def test_a_reject_taken_back_lets_the_approvals_stand_again(review):
    await review.vote(APPROVE, ANNA)
    await review.vote(REJECT, BEN)

    await review.take_back(REJECT, BEN)

    assert await review.state() is EpisodeState.APPROVED


async def test_an_approval_taken_back_is_an_open_review(review):
    await review.vote(APPROVE, ANNA)

    await review.take_back(APPROVE, ANNA)

    assert await review.state() is EpisodeState.IN_REVIEW


async def test_the_same_vote_again_changes_nothing(review):
    await review.vote(APPROVE, ANNA)

    again = await review.vote(APPROVE, ANNA)

    assert not again.moved
    assert len(await review.reviews.history(review.id)) == 1


async def test_two_approvals_at_the_same_moment_are_one_transition(review):
    await asyncio.gather(review.vote(APPROVE, ANNA), review.vote(APPROVE, BEN))

    assert await review.moves() == [EpisodeState.APPROVED]


async def test_approval_and_reject_at_the_same_moment_end_rejected(review):
    await asyncio.gather(review.vote(APPROVE, ANNA), review.vote(REJECT, BEN))

    assert await review.state() is EpisodeState.REJECTED


EVENTS = [(APPROVE, ANNA, True), (APPROVE, ANNA, False), (APPROVE, ANNA, True), (REJECT, BEN, True)]


@pytest.mark.parametrize("order", sorted(set(permutations(range(4)))), ids=str)
async def test_reading_back_gives_what_watching_would_have_given(db, order):
    watched, absent = await Review(db, 1).open(), await Review(db, 1).open()
    present = {APPROVE: set(), REJECT: set()}
    for choice, user, is_added in (EVENTS[index] for index in order):
        await (watched.vote if is_added else watched.take_back)(choice, user)
        (present[choice].add if is_added else present[choice].discard)(user)

    await absent.reviews.sync(
        absent.draft, Votes(frozenset(present[APPROVE]), frozenset(present[REJECT]))
    )

    assert await absent.state() is await watched.state()


async def test_a_vote_on_a_superseded_draft_changes_nothing(review):
    old = review.draft
    await review.episodes.new_revision(review.id, who="anna", now=NOW)
    await review.show(2, OTHER)

    voted = await review.vote(APPROVE, ANNA)
    synced = await review.reviews.sync(old, Votes(approve=frozenset({ANNA})))

    assert (voted.counted, synced.counted) == (False, False)
    assert await review.state() is EpisodeState.IN_REVIEW


async def test_approvals_of_an_old_revision_are_void(review):
    await review.vote(APPROVE, ANNA)
    await review.episodes.new_revision(review.id, who="anna", now=NOW)
    await review.show(2, OTHER)

    assert not (await review.reviews.standing(review.id)).approvers


async def test_approvals_of_another_fingerprint_are_void(review):
    await review.vote(APPROVE, ANNA)
    await review.episodes.set_fingerprint(review.id, 1, OTHER)

    assert not await review.reviews.verify(review.id, Reader(Votes(approve=frozenset({ANNA}))))


async def test_a_vote_on_another_fingerprint_is_not_counted(review):
    standing = await review.vote(APPROVE, ANNA, fingerprint=OTHER)

    assert not standing.counted
    assert await review.state() is EpisodeState.IN_REVIEW


async def test_every_decision_says_who_when_which_hash_and_where(review):
    await review.vote(APPROVE, ANNA)
    await review.reviews.reject(review.id, BEN)

    assert [
        (d.user_id, d.decision, d.door, d.fingerprint, d.decided_at)
        for d in await review.reviews.history(review.id)
    ] == [
        (ANNA, APPROVE, Door.REACTION, MARK, NOW),
        (BEN, REJECT, Door.COMMAND, MARK, NOW),
    ]


async def test_a_command_takes_back_the_opposite_command_of_the_same_person(review):
    await review.reviews.reject(review.id, ANNA)

    await review.reviews.approve(review.id, ANNA)

    assert await review.state() is EpisodeState.APPROVED


async def test_there_is_nothing_to_decide_about_an_unfinished_reel(db):
    unfinished = (await Episodes(db).create(topic="dogs", now=NOW)).id
    reviews = Reviews(db=db, approvals_needed=1, clock=lambda: NOW)

    with pytest.raises(UserError, match="is draft; there is nothing to decide"):
        await reviews.approve(unfinished, ANNA)


async def test_a_published_episode_does_not_move_any_more(review):
    await review.vote(APPROVE, ANNA)
    await review.episodes.move(review.id, EpisodeState.PUBLISHED, who="studio", now=NOW)

    await review.take_back(APPROVE, ANNA)

    assert await review.state() is EpisodeState.PUBLISHED


async def test_verify_holds_while_the_reaction_stands(review):
    await review.vote(APPROVE, ANNA)

    assert await review.reviews.verify(review.id, Reader(Votes(approve=frozenset({ANNA}))))


async def test_verify_finds_an_approval_given_while_the_bot_was_away(review):
    assert await review.reviews.verify(review.id, Reader(Votes(approve=frozenset({ANNA}))))
    assert await review.state() is EpisodeState.APPROVED


async def test_verify_fails_once_the_reaction_is_gone(review):
    await review.vote(APPROVE, ANNA)

    assert not await review.reviews.verify(review.id, Reader(Votes()))
    assert await review.state() is EpisodeState.IN_REVIEW


async def test_verify_fails_once_somebody_rejects(review):
    await review.vote(APPROVE, ANNA)
    votes = Votes(frozenset({ANNA}), frozenset({BEN}))

    assert not await review.reviews.verify(review.id, Reader(votes))
    assert await review.state() is EpisodeState.REJECTED


async def test_verify_drops_the_command_of_somebody_without_the_role(review):
    await review.reviews.approve(review.id, ANNA)

    assert not await review.reviews.verify(review.id, Reader(Votes(), approvers=(BEN,)))


async def test_verify_keeps_the_command_of_an_approver_without_any_draft(review):
    await review.reviews.approve(review.id, ANNA)
    await review.messages.close(review.draft.message_id, now=NOW)

    assert await review.reviews.verify(review.id, Reader(None))


async def test_verify_without_the_draft_counts_no_reaction(review):
    await review.vote(APPROVE, ANNA)
    await review.messages.close(review.draft.message_id, now=NOW)

    assert not await review.reviews.verify(review.id, Reader(Votes(approve=frozenset({ANNA}))))


async def test_a_deleted_draft_is_closed_and_its_votes_are_gone(review):
    await review.vote(APPROVE, ANNA)

    assert not await review.reviews.verify(review.id, Reader(None))
    assert await review.messages.open_draft(review.id, 1) is None


async def test_verify_never_guesses_when_discord_is_silent(review):
    await review.vote(APPROVE, ANNA)
    silent = Reader(ProviderError("Discord", "does not answer", True))

    with pytest.raises(ProviderError):
        await review.reviews.verify(review.id, silent)

    assert await review.state() is EpisodeState.APPROVED


async def test_a_revision_made_while_discord_is_asked_is_not_approved(review):
    await review.vote(APPROVE, ANNA)

    class Slow(Reader):
        async def votes(self, draft):
            await review.episodes.new_revision(review.id, who="anna", now=NOW)
            return self.answer

    assert not await review.reviews.verify(review.id, Slow(Votes(approve=frozenset({ANNA}))))


class Interrupted(Reader):
    """Something is said between the answer of Discord and its use."""

    def __init__(self, said, *answers):
        super().__init__(answers[-1])
        self.said, self.answers = said, list(answers)

    async def votes(self, draft):
        if len(self.answers) == 1:
            return self.answers[0]
        await self.said()
        return self.answers.pop(0)


async def test_a_reject_given_while_votes_are_read_stands(review):
    await review.vote(APPROVE, ANNA)
    reader = Interrupted(
        lambda: review.vote(REJECT, BEN),
        Votes(frozenset({ANNA})),
        Votes(frozenset({ANNA}), frozenset({BEN})),
    )

    assert not await review.reviews.verify(review.id, reader)
    assert await review.state() is EpisodeState.REJECTED


async def test_an_approval_taken_back_while_votes_are_read_stays_so(review):
    await review.vote(APPROVE, ANNA)
    reader = Interrupted(lambda: review.take_back(APPROVE, ANNA), Votes(frozenset({ANNA})), Votes())

    assert not await review.reviews.verify(review.id, reader)
    assert await review.state() is EpisodeState.IN_REVIEW


async def test_a_reject_given_again_while_votes_are_read_stands(review):
    await review.vote(APPROVE, ANNA)
    await review.vote(REJECT, BEN)
    reader = Interrupted(
        lambda: review.vote(REJECT, BEN),
        Votes(frozenset({ANNA})),
        Votes(frozenset({ANNA}), frozenset({BEN})),
    )

    assert not await review.reviews.verify(review.id, reader)


async def test_votes_that_never_stop_changing_are_an_error_that_passes(review):
    class Restless(Reader):
        async def votes(self, draft):
            await review.vote(APPROVE, ANNA)
            return self.answer

    with pytest.raises(ProviderError) as failure:
        await review.reviews.verify(review.id, Restless(Votes(frozenset({ANNA}))))

    assert failure.value.retryable


async def test_roles_are_asked_for_before_the_reactions(review):
    await review.reviews.approve(review.id, ANNA)
    asked = []

    class Noting(Reader):
        async def votes(self, draft):
            asked.append("votes")
            return self.answer

        async def is_approver(self, user_id):
            asked.append("role")
            return True

    await review.reviews.verify(review.id, Noting(Votes()))

    assert asked == ["role", "votes"]


async def test_old_votes_are_not_read_back(review):
    marker = await review.reviews.marker(review.id)
    await review.vote(REJECT, BEN)

    with pytest.raises(VotesChanged):
        await review.reviews.sync(review.draft, Votes(frozenset({ANNA})), marker=marker)

    assert await review.state() is EpisodeState.REJECTED


async def test_votes_are_read_back_when_nothing_was_said_meanwhile(review):
    marker = await review.reviews.marker(review.id)

    await review.reviews.sync(review.draft, Votes(frozenset({ANNA})), marker=marker)

    assert await review.state() is EpisodeState.APPROVED


async def test_verify_does_not_hold_for_a_draft_of_something_else(review):
    await review.reviews.approve(review.id, ANNA)
    await review.messages.add(
        4711,
        channel_id=1,
        kind="draft",
        episode_id=review.id,
        revision=1,
        fingerprint=OTHER,
        now=NOW,
    )

    assert not await review.reviews.verify(review.id, Reader(Votes()))


async def test_a_draft_posted_while_votes_are_read_is_read_too(review):
    await review.vote(APPROVE, ANNA)

    async def post_another():
        await review.messages.add(
            4711,
            channel_id=1,
            kind="draft",
            episode_id=review.id,
            revision=1,
            fingerprint=MARK,
            now=NOW,
        )

    reader = Interrupted(post_another, Votes(frozenset({ANNA})), Votes())

    assert not await review.reviews.verify(review.id, reader)


async def test_an_approval_by_command_needs_an_open_draft(review):
    await review.messages.close(review.draft.message_id, now=NOW)

    with pytest.raises(UserError, match="wait for its draft"):
        await review.reviews.approve(review.id, ANNA)

    assert await review.state() is EpisodeState.IN_REVIEW


async def test_an_approval_by_command_is_about_what_the_draft_shows(review):
    await review.episodes.set_fingerprint(review.id, 1, OTHER)

    with pytest.raises(UserError, match="as it would go out now"):
        await review.reviews.approve(review.id, ANNA)


async def test_a_reject_by_command_needs_no_draft(review):
    await review.messages.close(review.draft.message_id, now=NOW)

    await review.reviews.reject(review.id, ANNA)

    assert await review.state() is EpisodeState.REJECTED


async def reasons(review):
    return [(r.user_id, r.reason, r.words) for r in await Rejections(review.db).recent(NOW, 9)]


async def test_the_reason_of_a_reject_is_kept_with_it(review):
    await review.reviews.reject(review.id, ANNA, reason="boring", words="  no\n surprise ")

    assert await review.state() is EpisodeState.REJECTED
    assert await reasons(review) == [(ANNA, "boring", "no surprise")]


async def test_words_alone_are_a_reason_and_nothing_is_none(review):
    await review.reviews.reject(review.id, ANNA)
    assert await reasons(review) == []

    await review.reviews.reject(review.id, ANNA, words="x" * 900)
    assert await reasons(review) == [(ANNA, "words", "x" * LONGEST_WORDS)]


async def test_an_unknown_reason_rejects_nothing(review):
    with pytest.raises(UserError, match="boring, off-character, risky, repeat, words"):
        await review.reviews.reject(review.id, ANNA, reason="ugly")

    assert await review.state() is EpisodeState.IN_REVIEW


async def test_a_reject_that_fails_keeps_no_reason(review):
    await review.episodes.move(review.id, EpisodeState.SPOILED, who="studio", now=NOW)

    with pytest.raises(UserError, match="nothing to decide"):
        await review.reviews.reject(review.id, ANNA, reason="boring")

    assert await reasons(review) == []


async def test_who_approves_after_all_takes_the_own_reason_back(review):
    await review.reviews.reject(review.id, ANNA, reason="boring")
    await review.reviews.reject(review.id, BEN, reason="risky")

    await review.reviews.approve(review.id, ANNA)

    assert await reasons(review) == [(BEN, "risky", "")]
    assert await review.state() is EpisodeState.REJECTED
