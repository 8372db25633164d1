import asyncio

import pytest

from pipeline.errors import UserError
from pipeline.executors import CallFailed, WorkerDied
from pipeline.promotion import Promoted
from storage.errors import RecordNotFound

ANN, BEN = 1, 2


async def test_enough_reactions_promote_a_checkpoint(room, validated):
    run = await validated(2, 4)
    standing = await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    promotion = standing.promotion
    assert (promotion.character, promotion.run_id, promotion.step) == ("Butcher", run.id, 2)
    assert (promotion.path, promotion.sha256) == ("models/butcher-1/promoted-2", "a" * 64)
    assert (promotion.who, promotion.at) == ("user 1 by reaction", room.desk.now)
    assert standing.validation.ended == "Promoted by user 1 by reaction"
    assert (await room.training.status()).promotions == (promotion,)
    assert room.promoted == [promotion]
    assert [v.step for v in await room.training.open_validations()] == [4]


async def test_a_quorum_is_of_different_people_whatever_their_doors(room, validated):
    room.wire(approvals_needed=2)
    run = await validated(2)
    assert (await room.training.sync_votes(run.id, 2, frozenset({ANN}))).promotion is None
    standing = await room.training.vote(run.id, 2, ANN)
    assert (standing.promotion, standing.voters, standing.needed) == (None, {ANN}, 2)
    assert room.promoter.calls == []
    promotion = (await room.training.vote(run.id, 2, BEN)).promotion
    assert set(promotion.who.split(", ")) == {
        *("user 1 by reaction", "user 1 by command", "user 2 by command")
    }


async def test_a_reaction_taken_back_counts_no_more(room, validated):
    room.wire(approvals_needed=2)
    run = await validated(2)
    await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    standing = await room.training.sync_votes(run.id, 2, frozenset({BEN}))
    assert (standing.voters, standing.promotion) == ({BEN}, None)
    assert await room.training.vote_standing(run.id, 2) == standing


@pytest.mark.parametrize("door", ["reaction", "command"])
async def test_who_has_lost_the_role_since_has_no_vote(room, validated, door):
    room.wire(approvals_needed=2)
    run = await validated(2)
    if door == "command":
        await room.training.vote(run.id, 2, ANN)
    else:
        await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    room.former.add(ANN)
    standing = await room.training.vote(run.id, 2, BEN)
    assert (standing.voters, standing.promotion) == ({BEN}, None)
    assert room.promoter.calls == []


async def test_what_is_said_again_promotes_nothing_again(room, validated):
    run = await validated(2)
    await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    again = await room.training.sync_votes(run.id, 2, frozenset({ANN, BEN}))
    assert again.promotion is None
    with pytest.raises(UserError, match="butcher-1 at step 2 is the model of Butcher"):
        await room.training.vote(run.id, 2, BEN)
    assert len(room.promoted) == len(room.promoter.calls) == 1


async def test_votes_that_arrive_together_promote_once(room, validated):
    run = await validated(2)
    syncs = (room.training.sync_votes(run.id, 2, frozenset({ANN})) for _ in range(5))
    standings = await asyncio.gather(*syncs)
    assert sum(standing.promotion is not None for standing in standings) == 1
    assert len(room.promoted) == 1


async def test_a_checkpoint_that_is_gone_or_damaged_is_a_sentence_and_changes_nothing(
    room, validated
):
    run = await validated(2)
    room.promoter.refusal = "checkpoint-2 is not whole; choose another one."
    with pytest.raises(UserError, match="checkpoint-2 is not whole"):
        await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    assert (await room.training.status()).promotions == ()
    assert [v.step for v in await room.training.open_validations()] == [2]


@pytest.mark.parametrize("error", [WorkerDied("killed"), CallFailed("Traceback ...")])
async def test_a_worker_that_dies_is_a_sentence_and_changes_nothing(room, validated, error):
    run = await validated(2)
    room.promoter.future = asyncio.get_running_loop().create_future()
    room.promoter.future.set_exception(error)
    with pytest.raises(UserError, match="butcher-1 at step 2 could not be promoted; "):
        await room.training.vote(run.id, 2, ANN)
    assert (await room.training.status()).promotions == ()


async def test_a_vote_taken_back_while_weights_are_linked_wins(room, validated):
    run = await validated(2)
    room.promoter.future = asyncio.get_running_loop().create_future()
    voting = asyncio.create_task(room.training.sync_votes(run.id, 2, frozenset({ANN})))

    async def asked():
        return room.promoter.calls

    await room.until(asked)
    withdrawing = asyncio.create_task(room.training.sync_votes(run.id, 2, frozenset()))

    async def withdrawn():
        return not (await room.training.vote_standing(run.id, 2)).voters

    await room.until(withdrawn)
    room.promoter.future.set_result(Promoted("promoted-2", "a" * 64))
    assert (await voting).promotion is None
    assert (await withdrawing).promotion is None
    assert (await room.training.status()).promotions == ()


async def test_the_way_back_leads_to_the_model_before_and_then_to_none(room, validated):
    run = await validated(2, 4)
    first = (await room.training.vote(run.id, 2, ANN)).promotion
    second = (await room.training.vote(run.id, 4, ANN)).promotion
    assert (await room.training.status()).promotions == (second,)
    assert await room.training.back("butcher", "Ben") == first
    assert (await room.training.status()).promotions == (first,)
    assert await room.training.back("Butcher", "Ben") is None
    with pytest.raises(UserError, match="Butcher has no model in use"):
        await room.training.back("Butcher", "Ben")


async def test_a_model_that_was_put_aside_comes_back_by_new_votes_only(room, validated):
    room.wire(approvals_needed=2)
    run = await validated(2)
    await room.training.sync_votes(run.id, 2, frozenset({ANN, BEN}))
    await room.training.back("Butcher", "Ann")
    # The ✅ are still on the message, whose reactions count no more.
    assert (await room.training.sync_votes(run.id, 2, frozenset({ANN, BEN}))).promotion is None
    assert (await room.training.vote(run.id, 2, ANN)).promotion is None
    assert (await room.training.vote(run.id, 2, BEN)).promotion is not None


async def test_votes_for_a_model_that_was_replaced_are_spent(room, validated):
    room.wire(approvals_needed=2)
    run = await validated(2, 4)
    await room.training.sync_votes(run.id, 2, frozenset({ANN, BEN}))
    await room.training.sync_votes(run.id, 4, frozenset({ANN, BEN}))
    assert (await room.training.vote(run.id, 2, ANN)).promotion is None


async def test_the_reactions_of_a_closed_message_count_no_more(room, validated):
    room.wire(approvals_needed=2)
    run = await validated(2)
    await room.training.sync_votes(run.id, 2, frozenset({ANN}))
    await room.training.closed(run.id, 2, "its message was deleted")
    assert (await room.training.vote(run.id, 2, BEN)).voters == {BEN}


async def test_each_character_has_a_model_of_its_own(room, validated):
    await room.pictures(20, "Nutsy")
    bulldog, squirrel = await validated(2), await validated(2, character="Nutsy")
    await room.training.vote(bulldog.id, 2, ANN)
    await room.training.vote(squirrel.id, 2, ANN)
    promotions = (await room.training.status()).promotions
    assert [promotion.character for promotion in promotions] == ["Butcher", "Nutsy"]


async def test_what_follows_a_promotion_may_fail_without_undoing_it(room, validated, monkeypatch):
    async def fail(promotion):
        raise RuntimeError("the gaps cannot be filled")

    monkeypatch.setattr(room, "note", fail)
    room.wire()
    run = await validated(2)
    assert (await room.training.vote(run.id, 2, ANN)).promotion is not None


async def test_a_step_that_was_never_validated_cannot_be_voted_on(room, validated):
    run = await validated(2)
    with pytest.raises(RecordNotFound, match="no validation at step 3"):
        await room.training.vote(run.id, 3, ANN)
    with pytest.raises(RecordNotFound, match="no training 99"):
        await room.training.vote(99, 2, ANN)


async def test_an_episode_gets_no_model_while_the_gpu_is_taken(room, validated):
    run = await validated(2)
    await room.training.vote(run.id, 2, ANN)
    facts = room.desk.bookkeeping.facts
    room.desk.gpu.is_taken = True
    assert (await facts(None, "images"))["models"].models == ()
    room.desk.gpu.is_taken = False
    [model] = (await facts(None, "images"))["models"].models
    assert (model.character, model.path) == ("Butcher", "models/butcher-1/promoted-2")
