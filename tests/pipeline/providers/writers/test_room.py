"""The writers' room: what is sent back, when it gives up, and that nothing is paid twice."""

import json
from functools import cache

import pytest
from standins.comedian import Comedian, Said, data_of

from pipeline.checks import check_script
from pipeline.config import WriterConfig
from pipeline.context import CANCEL_FILE
from pipeline.errors import BudgetSpent, ProviderError, StageCancelled, UserError
from pipeline.facts import Memory, Rejection, Topic, Topics
from pipeline.ledger import total
from pipeline.prices import load_prices
from pipeline.providers.failures import NotBilled
from pipeline.providers.writers import prompt as prompts
from pipeline.providers.writers.chat import DEFAULT_MODELS
from pipeline.providers.writers.failures import Unreadable
from pipeline.providers.writers.offline import dialogue
from pipeline.sections import Premise

COMEDIAN = Comedian()


@cache
def good_text(topic):
    asked = "<data>\n" + json.dumps({"topic": topic}) + "\n</data>"
    return Comedian()("", asked, {"properties": {"lines": 0, "gags": 0}})


def good(topic="Wordle"):
    return json.loads(good_text(topic))


def changed(**changes):
    return json.dumps({**good(), **changes})


def with_line(text):
    answer = good()
    answer["lines"][1]["text"] = text
    return json.dumps(answer)


def pitches(*numbers, **changes):
    board = []
    for number in numbers:
        lines = good(NAMES[number - 1])["lines"]
        board.append(
            {
                "topic": number,
                "hook": f"Boss, I bought {number} very loud trumpets for the neighbours!",
                "last_line": f"{lines[0]['text'].split()[-1]} number {number} is my new tie.",
                "why": "They would disagree.",
                **changes,
            }
        )
    return json.dumps({"pitches": board})


NAMES = ("Chess", "Ballet", "Karaoke", "Mushrooms", "Ikea", "Yoga", "Bowling", "Sushi", "Lego")


def topics(count, wanted=5):
    named = tuple(Topic(name=name, source="x") for name in NAMES[:count])
    return Topics(topics=named, count=wanted)


# One good answer


def test_a_good_answer_is_a_script_after_one_call(room, model, show, brief, receipts):
    asked = model(json.dumps(good()))
    script = room(asked).write(brief(), Memory(), show)
    assert check_script(script, show, topic="Wordle") == []
    assert len(asked.asked) == 1
    (receipt,) = receipts()
    assert receipt.is_certain
    assert (receipt.intent.what, receipt.request_id) == ("script, round 1", "req_1")
    assert script.metadata.cost_usd == pytest.approx(receipt.cost.usd, abs=1e-6)
    assert 0 < receipt.cost.usd < receipt.intent.greatest.usd


def test_hashtags_and_quotation_marks_are_tidied(room, model, show, brief):
    answer = with_line("“It’s mine…” said the very loud trumpet.")
    answer = json.dumps({**json.loads(answer), "hashtags": ["#Wordle", " Fun "]})
    script = room(model(answer)).write(brief(), Memory(), show)
    assert script.lines[1].text == '"It\'s mine..." said the very loud trumpet.'
    assert script.hashtags == ("Wordle", "Fun")


def test_gags_that_the_show_has_not_are_left_out(room, model, show, brief):
    script = room(model(changed(gags=[2, 99, 2, 0]))).write(brief(), Memory(), show)
    assert script.metadata.gags == (show.running_gags[1],)


@pytest.mark.parametrize("topic", ["federal election 2025", "рикша"])
def test_a_topic_that_cannot_be_used_is_refused_before_anything_is_sent(
    room, model, show, brief, topic
):
    asked = model()
    with pytest.raises(UserError):
        room(asked).write(brief(topic), Memory(), show)
    assert asked.asked == []


def test_headlines_decide_but_are_never_sent(room, model, show, brief):
    asked = model()
    news = ("Wordle adds a seventh row for zebras",)
    room(asked).write(brief(headlines=news), Memory(), show)
    assert "zebra" not in asked.asked[0].system + asked.asked[0].user

    with pytest.raises(UserError, match="death"):
        room(asked, job=8).write(brief(headlines=("Man dies",)), Memory(), show)


def test_another_show_is_written_without_a_change(room, model, tiny_show, brief):
    asked = model(Comedian(tiny_show))
    script = room(asked).write(brief(), Memory(), tiny_show)
    assert {line.character for line in script.lines} == {"Boxy", "Rolly"}
    assert "Butcher" not in asked.asked[0].system


# Broken answers go back, with what is wrong

BROKEN = [
    ("no json at all", "JSON"),
    ("{", "JSON"),
    ('{"lines": []}', "lines"),
    ("[]", "JSON"),
    (changed(lines=[{"character": "Bruno", "text": "Hello.", "emotion": "sad"}]), "Butcher and"),
    (changed(lines=good()["lines"][:3]), "It has 3 lines"),
    (changed(caption=""), "caption is missing"),
    (changed(hashtags=["two words"]), "hashtag"),
    (with_line("Ask @everyone about this."), "@"),
    (with_line("Look at acorns.shop now."), "link"),
    (with_line("Look at https://evil.test now."), "link"),
    (with_line("Look at ｅｖｉｌ．ｃｏｍ now."), "link"),
    (with_line("Write to nutsy (at) tree dot net."), "e-mail"),
    (with_line("Call +1 202 555 0143 now."), "phone number"),
    (with_line("This is **loud**."), "markup"),
    (with_line(r"{\an8}This is loud."), "markup"),
    (with_line("<svg onload=x>This."), "markup"),
    (with_line("This is #loud."), "#"),
    (with_line("This \u202eis\u202c turned."), "control or direction"),
    (with_line("This is\r\ntwo lines."), "control or direction"),
    (with_line("This is \U0001f525 hot."), "no voice can say"),
    (with_line("Это очень громко."), "no voice can say"),
    (with_line("You idiot."), "'idiot'"),
    (with_line("Good morning, Nutsy."), "nickname"),
    (with_line("The murder of my lamp."), "killing"),
    (with_line("x" * 400), "280"),
]


@pytest.mark.parametrize(("answer", "problem"), BROKEN)
def test_a_broken_answer_goes_back_with_its_problems(room, model, show, brief, answer, problem):
    asked = model(answer, COMEDIAN)
    script = room(asked).write(brief(), Memory(), show)
    assert check_script(script, show, topic="Wordle") == []
    told = data_of(asked.asked[1].user)
    assert any(problem in sentence for sentence in told["problems"])
    assert told["last_answer"][:40] == answer[:40]


def test_three_broken_answers_are_a_sentence_for_people(room, model, show, brief, receipts):
    asked = model(*[with_line("Ask @everyone, **now**.")] * 9)
    with pytest.raises(
        UserError, match=r"no usable script about “wordle”.*another topic"
    ) as caught:
        room(asked).write(brief(), Memory(), show)
    assert len(asked.asked) == 3
    assert [r.intent.what for r in receipts()] == [f"script, round {n}" for n in (1, 2, 3)]
    assert "everyone" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_refusal_is_not_asked_again(room, model, show, brief):
    asked = model(Said("", "refusal"))
    with pytest.raises(UserError, match="declined"):
        room(asked).write(brief(), Memory(), show)
    with pytest.raises(UserError, match="declined"):
        room(asked).write(brief(), Memory(), show)
    assert len(asked.asked) == 1


def test_an_answer_cut_off_is_asked_for_again_with_more_room(room, model, show, brief):
    asked = model(Said('{"lines": [', "length"), COMEDIAN)
    room(asked).write(brief(), Memory(), show)
    first, second = asked.asked
    assert second.max_tokens > first.max_tokens
    assert "cut off" in second.user


def test_an_answer_cut_off_twice_is_the_end(room, model, show, brief):
    asked = model(*[Said("{", "length")] * 9)
    with pytest.raises(UserError, match="cut off"):
        room(asked).write(brief(), Memory(), show)
    assert len(asked.asked) == 2


# The same joke again


def test_a_near_duplicate_and_an_old_punch_line_go_back(room, model, show, brief):
    first = room(model(json.dumps(good()))).write(brief(), Memory(), show)
    old = Memory(texts=(dialogue(first),))
    asked = model(json.dumps(good()), COMEDIAN)
    again = room(asked, job=8).write(brief(episode=2), old, show)
    problems = " ".join(data_of(asked.asked[1].user)["problems"])
    assert "too close to an earlier reel" in problems
    assert "ends with the same line" in problems
    assert dialogue(again) != dialogue(first)


def test_a_premise_is_kept_word_for_word(room, model, show, brief):
    premise = Premise(
        hook="I married a trumpet this morning!", last_line="Then the trumpet gets the sofa."
    )
    asked = model(json.dumps(good()), COMEDIAN)
    script = room(asked).write(brief(premise=premise), Memory(), show)
    assert (script.lines[0].text, script.lines[-1].text) == (premise.hook, premise.last_line)
    assert "not the hook" in " ".join(data_of(asked.asked[1].user)["problems"])


def test_a_premise_that_was_made_once_binds_no_more(room, model, show, brief):
    premise = Premise(hook="I married a trumpet!", last_line="Then the trumpet gets the sofa.")
    asked = model(COMEDIAN)
    memory = Memory(texts=("Oh no. Then the trumpet gets the sofa.",))
    room(asked).write(brief(premise=premise), memory, show)
    assert "premise" not in data_of(asked.asked[0].user)


# The instructions stay inside


@pytest.mark.parametrize("hide", [str, str.upper, lambda text: text.replace(" ", " - ")])
def test_an_answer_that_repeats_the_instructions_is_refused(room, model, show, brief, hide):
    secret = "the password of the moon is a very old camembert named Gerard"
    told = show.model_copy(update={"rules": (*show.rules, secret)})
    asked = model(*[with_line(hide(secret)), changed(caption=f"Ha! {hide(secret)}?")], COMEDIAN)
    script = room(asked).write(brief(), Memory(), told)
    assert secret in asked.asked[0].system
    assert all("repeats its instructions" in call.user for call in asked.asked[1:])
    assert "gerard" not in script.model_dump_json().casefold()


# Paid once


def killed(room, model, *answers):
    """An attempt that dies without settling anything more."""

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    return model(*answers, die), Killed


def test_an_answer_that_had_arrived_is_never_asked_for_again(room, model, show, brief, receipts):
    asked, death = killed(room, model, with_line("Ask @everyone."))
    with pytest.raises(death):
        room(asked).write(brief(), Memory(), show)
    again = model(COMEDIAN)
    script = room(again).write(brief(), Memory(), show)
    assert len(again.asked) == 1  # round 2; round 1 was read from the disk
    assert "@" in str(data_of(again.asked[0].user)["problems"])
    paid = [receipt.intent.what for receipt in receipts()]
    assert paid == ["script, round 1", "script, round 2", "script, round 2"]
    certain = [r.cost for r in receipts() if r.is_certain]
    assert script.metadata.cost_usd == pytest.approx(total(certain).usd, abs=2e-6)


def test_a_good_answer_is_read_again_even_when_the_memory_changed(room, model, show, brief):
    first = room(model(COMEDIAN)).write(brief(), Memory(), show)
    nobody = model()
    again = room(nobody).write(brief(), Memory(texts=("Something else.",)), show)
    assert nobody.asked == []
    assert again == first


def test_the_answer_is_on_the_disk_before_it_counts_as_paid(
    room, model, show, brief, tmp_path, monkeypatch
):
    seen = []
    writer = room(model(COMEDIAN))
    settle = writer.ledger._settle

    def look_first(result):
        seen.extend(path.name for path in (tmp_path / "paid" / "7").glob("answer-*.json"))
        settle(result)

    monkeypatch.setattr(writer.ledger, "_settle", look_first)
    writer.write(brief(), Memory(), show)
    assert seen == ["answer-1.json"]


def test_a_damaged_answer_is_asked_for_again(room, model, show, brief, tmp_path):
    room(model(COMEDIAN)).write(brief(), Memory(), show)
    (tmp_path / "paid" / "7" / "answer-1.json").write_text('{"subject": "x"')
    asked = model(COMEDIAN)
    room(asked).write(brief(), Memory(), show)
    assert len(asked.asked) == 1


@pytest.mark.parametrize("other", [{"topic": "chess"}, {"episode": 2}, {"day": 5}])
def test_an_answer_to_another_brief_is_not_taken(room, model, show, brief, other):
    room(model(COMEDIAN)).write(brief(), Memory(), show)
    asked = model(COMEDIAN)
    room(asked).write(brief(**other), Memory(), show)
    assert len(asked.asked) == 1


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (UserError("wrong key"), False),
        (NotBilled("OpenAI", "too many", True, 7.0), False),
        (ProviderError("OpenAI", "lost", True), True),
        (Unreadable("OpenAI", "no answer", True), True),
    ],
)
def test_what_was_lost_counts_in_full_and_what_was_refused_not(
    room, model, show, brief, receipts, error, billed
):
    with pytest.raises((UserError, ProviderError)) as caught:
        room(model(error)).write(brief(), Memory(), show)
    assert str(caught.value) == str(error)
    (receipt,) = receipts()
    assert receipt.cost == (receipt.intent.greatest if billed else type(receipt.cost)())
    assert receipt.is_certain is not billed


def test_an_unreadable_answer_is_asked_for_once_more_only(room, model, show, brief):
    asked = model(*[Unreadable("OpenAI", "no answer", True)] * 9)
    retryable = []
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            room(asked).write(brief(), Memory(), show)
        retryable.append(caught.value.retryable)
    assert retryable == [True, False]


def test_a_call_that_may_cost_too_much_is_not_sent(room, model, show, brief):
    asked = model()
    with pytest.raises(BudgetSpent):
        room(asked, allowance_usd=0.0001).write(brief(), Memory(), show)
    assert asked.asked == []


def test_a_cancelled_writer_asks_no_more(room, model, show, brief, tmp_path):
    def cancel(*_):
        (tmp_path / "attempt-1" / CANCEL_FILE).touch()
        return "{"

    asked = model(cancel)
    with pytest.raises(StageCancelled):
        room(asked).write(brief(), Memory(), show)
    assert len(asked.asked) == 1


# The reservation covers whatever happens


@pytest.mark.parametrize("answer", ["\u202e\x07\n" * 30_000, "😀" * 50_000, "{" * 100_000, "x"])
def test_the_greatest_cost_covers_three_broken_answers(
    room, model, show, brief, receipts, prices, answer
):
    memory = Memory(
        texts=("A loud old joke about ≈ cheese. " * 40,) * 60,
        rejections=(Rejection(reason="boring", words="é" * 900, topic="x"),) * 12,
    )
    config = WriterConfig(provider="openai")
    greatest = prompts.greatest_cost_of_script(config, brief(), memory, show, prices)
    asked = model(Said(answer, "length"), answer, answer)
    with pytest.raises(UserError):
        room(asked).write(brief(), memory, show)
    assert len(asked.asked) == 3
    assert total([r.intent.greatest for r in receipts()]).usd <= greatest.usd < 0.05


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_default_models_have_a_price(provider):
    assert load_prices().knows(provider, DEFAULT_MODELS[provider])


def test_the_longest_prompt_is_priced_as_a_short_one(show, brief):
    old = "A loud old joke about ≈ cheese. " * 40
    memory = Memory(
        texts=(old,) * 60,
        rejections=(Rejection(reason="boring", words="é" * 900, topic="x" * 120),) * 12,
    )
    prompt = prompts.script_prompt(WriterConfig(provider="openai"), brief(), memory, show)
    assert prompt.greatest_tokens_in + prompts.REPAIR_BYTES < 100_000


def test_nothing_is_reserved_for_what_is_never_sent(show, brief, prices):
    offline, online = WriterConfig(), WriterConfig(provider="openai")
    costs = [
        prompts.greatest_cost_of_script(offline, brief(), Memory(), show, prices),
        prompts.greatest_cost_of_script(online, brief("рикша"), Memory(), show, prices),
        prompts.greatest_cost_of_pitches(offline, topics(3), Memory(), show, prices),
        prompts.greatest_cost_of_pitches(
            online, topics(1), Memory(topics=("chess",)), show, prices
        ),
    ]
    assert [cost.usd for cost in costs] == [0, 0, 0, 0]
    assert prompts.greatest_cost_of_pitches(online, topics(3), Memory(), show, prices).usd > 0


# Pitches


def test_as_many_pitches_as_asked_for_each_of_another_topic(room, model, show):
    asked = model(pitches(1, 2, 3, 4, 5))
    made = room(asked).pitch(topics(9), Memory(), show)
    assert [pitch.topic for pitch in made.pitches] == list(NAMES[:5])
    assert made.provider == "openai"
    data = data_of(asked.asked[0].user)
    assert (data["count"], len(data["topics"])) == (5, 5 + prompts.SPARE_TOPICS)


def test_no_more_pitches_than_topics(room, model, show):
    made = room(model(pitches(1, 2))).pitch(topics(2), Memory(), show)
    assert len(made.pitches) == 2


def test_used_topics_are_not_pitched_again(room, model, show):
    asked = model(pitches(1))
    made = room(asked).pitch(topics(3, 1), Memory(topics=("CHESS", "ballet tickets")), show)
    assert made.pitches[0].topic == "Karaoke"


def test_good_pitches_are_kept_and_only_the_missing_ones_are_asked_for(room, model, show):
    bad = json.loads(pitches(3, hook="Ask @everyone about it!"))["pitches"]
    first = json.dumps({"pitches": [*json.loads(pitches(1, 2))["pitches"], *bad]})
    asked = model(first, pitches(4))
    made = room(asked).pitch(topics(5, 3), Memory(), show)
    assert [pitch.topic for pitch in made.pitches] == ["Chess", "Ballet", "Mushrooms"]
    problems = data_of(asked.asked[1].user)["problems"]
    assert (
        problems[0] == "The pitches of topics 1, 2 are kept. 1 more are wanted, for other topics."
    )
    assert "Pitch of topic 3: The hook mentions somebody with @." in problems


def test_after_the_repair_round_fewer_good_pitches_are_better_than_none(room, model, show):
    asked = model(pitches(1), pitches(1))
    assert len(room(asked).pitch(topics(5, 3), Memory(), show).pitches) == 1
    assert len(asked.asked) == 2


BAD_PITCHES = [
    ({"last_line": "That is what it is, yes."}, "not the joke"),
    ({"last_line": "Nutsy is my new tie."}, "nickname"),
    ({"why": "See evil.example for more."}, "link"),
    ({"hook": "x " * 100}, "at most 140"),
    ({"hook": "My lamp died at a funeral!"}, "death"),
    ({"hook": "..."}, "empty"),
]


@pytest.mark.parametrize(("changes", "problem"), BAD_PITCHES)
def test_pitches_that_break_the_rules_are_never_shown(room, model, show, changes, problem):
    asked = model(*[pitches(1, **changes)] * 3)
    with pytest.raises(UserError, match="no usable pitch"):
        room(asked).pitch(topics(2, 1), Memory(), show)
    assert len(asked.asked) == 2
    assert problem in " ".join(data_of(asked.asked[1].user)["problems"])


def test_a_pitch_of_an_old_joke_is_refused(room, model, show):
    old = json.loads(pitches(1))["pitches"][0]
    memory = Memory(texts=(f"{old['hook']} Oh no, not again. {old['last_line']}",))
    asked = model(pitches(1), pitches(2))
    made = room(asked).pitch(topics(2, 1), memory, show)
    assert made.pitches[0].topic == "Ballet"


def test_pitches_of_one_board_differ(room, model, show):
    one = json.loads(pitches(1))["pitches"][0]
    twice = json.dumps({"pitches": [one, {**one, "topic": 2}]})
    made = room(model(twice, twice)).pitch(topics(2, 2), Memory(), show)
    assert len(made.pitches) == 1


def test_without_a_usable_topic_there_is_a_sentence(room, model, show):
    asked = model()
    with pytest.raises(UserError, match="/trends fetch"):
        room(asked).pitch(topics(1), Memory(topics=("Chess",)), show)
    assert asked.asked == []


def test_pitches_are_paid_once_too(room, model, show, receipts):
    first = room(model(pitches(1))).pitch(topics(1), Memory(), show)
    nobody = model()
    assert room(nobody).pitch(topics(1), Memory(), show) == first
    assert nobody.asked == []
    assert [receipt.intent.what for receipt in receipts()] == ["pitches, round 1"]
