import asyncio
import shutil

import pytest

from pipeline.errors import UserError
from pipeline.services import training as training_module
from storage.errors import InvalidTransition, StorageUnusable
from storage.states import TrainingState
from training.config import load_config

S = TrainingState


async def test_a_run_is_set_up_from_the_show_the_base_and_the_pictures(room):
    run = await room.training.start("butcher", steps=400, who="Ann")
    folder = room.path / "models" / "butcher-1"
    config = load_config(folder / "config.yaml", inside=room.path)
    assert (run.name, run.character, run.base, run.steps) == ("butcher-1", "Butcher", "sd15", 400)
    assert (run.state, run.note) == (S.RUNNING, "Begins with 20 pictures")
    assert config.instance_prompt == "a drawing of sks french bulldog"
    assert config.class_prompt == "a drawing of a french bulldog"
    assert config.validation_prompts[0] == "a drawing of sks french bulldog, happy face"
    assert (config.resolution, config.max_train_steps, config.checkpointing_steps) == (512, 400, 50)
    assert config.output_dir.resolve() == folder
    assert config.base_model == str(folder / "../../bases/sd15")


async def test_a_run_keeps_the_pictures_it_began_with(room):
    run = await room.training.start("Butcher", who="Ann")
    await room.pictures(25)
    pictures = sorted((room.path / "models" / run.name / "pictures").iterdir())
    assert len(pictures) == 20
    assert pictures[0].read_bytes() == b"picture 0"


async def test_the_settings_are_found_where_the_data_has_moved_to(room, tmp_path_factory):
    run = await room.training.start("Butcher", who="Ann")
    moved = tmp_path_factory.mktemp("moved") / "models"
    shutil.copytree(room.path / "models", moved)
    config = load_config(moved / run.name / "config.yaml")
    assert config.instance_data_dir.resolve() == (moved / run.name / "pictures").resolve()


@pytest.mark.parametrize(
    ("count", "note"), [(5, "Begins with 5 pictures; 15 to 25 make a better"), (15, "Begins")]
)
async def test_few_pictures_are_enough_and_more_are_advised(room, count, note):
    await room.pictures(count, "Nutsy")
    run = await room.training.start("NUTSY", who="Ann")
    assert run.character == "Nutsy"
    assert run.note.startswith(note)


async def test_a_character_without_pictures_is_told_how_to_get_some(room):
    with pytest.raises(UserError, match=r"Nutsy has 0 pictures.*at least 5, 15 to 25"):
        await room.training.start("Nutsy", who="Ann")


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"character": "Garfield"}, "There is no character 'Garfield'"),
        ({"character": "Butcher", "steps": 0}, "1 to 20000 steps, not 0; 800 is usual"),
        ({"character": "Butcher", "steps": 10**9}, "1 to 20000 steps"),
        ({"character": "Butcher", "base": "sdxl"}, "There is no base sdxl. There are sd15"),
        ({"character": "Butcher", "base": "../secrets"}, "is no name of a base"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_leaves_nothing(room, wish, sentence):
    with pytest.raises(UserError, match=sentence):
        await room.training.start(**wish, who="Ann")
    assert (await room.training.status()).runs == ()
    assert not list((room.path / "models").glob("*"))


async def test_one_of_several_bases_must_be_chosen(room):
    room.base("another")
    with pytest.raises(UserError, match=r"Which base\? There are another, sd15"):
        await room.training.start("Butcher", who="Ann")
    assert (await room.training.start("Butcher", base="another", who="Ann")).base == "another"


async def test_without_a_base_people_learn_how_to_fetch_one(room):
    (room.path / "bases" / "sd15").rename(room.path / "elsewhere")
    with pytest.raises(UserError, match=r"`emf train base .*@COMMIT` fetches one"):
        await room.training.start("Butcher", who="Ann")


async def test_a_base_that_is_a_link_out_of_the_folder_is_refused(room, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "sd15"
    (room.path / "bases" / "sd15").rename(outside)
    (room.path / "bases" / "sd15").symlink_to(outside)
    with pytest.raises(UserError, match="base_model lies outside"):
        await room.training.start("Butcher", who="Ann")
    assert not list((room.path / "models").glob("*"))


async def test_without_its_packages_training_names_the_command_that_installs_them(
    room, monkeypatch
):
    def missing():
        raise UserError("Training needs torch; run `./run install training`.")

    monkeypatch.setattr(training_module, "refuse_without_packages", missing)
    with pytest.raises(UserError, match=r"\./run install training"):
        await room.training.start("Butcher", who="Ann")


async def test_a_second_run_is_refused_by_name_while_one_is_under_way(room):
    await room.training.start("Butcher", who="Ann")
    with pytest.raises(UserError, match="butcher-1 is being trained, and that is one at a time"):
        await room.training.start("Butcher", who="Ben")


async def test_of_two_starts_at_once_one_begins_and_the_other_leaves_nothing(room):
    starts = (room.training.start("Butcher", who=who) for who in ("Ann", "Ben"))
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(refusals) == 1
    assert isinstance(refusals[0], UserError | InvalidTransition)
    runs = (await room.training.status()).runs
    assert [run.name for run in runs] == [p.name for p in (room.path / "models").iterdir()]


async def test_a_start_cut_off_after_its_row_is_a_run_like_any_other(room, monkeypatch):
    create = room.training._runs.create

    async def cut_off(**keywords):
        await create(**keywords)
        raise asyncio.CancelledError

    monkeypatch.setattr(room.training._runs, "create", cut_off)
    with pytest.raises(asyncio.CancelledError):
        await room.training.start("Butcher", who="Ann")
    [run] = (await room.training.status()).runs
    assert (room.path / "models" / run.name / "config.yaml").is_file()


async def test_a_row_that_cannot_be_written_leaves_no_folder(room, monkeypatch):
    async def full(*args, **keywords):
        raise StorageUnusable("The database cannot be used: disk full.")

    monkeypatch.setattr(room.training._runs, "create", full)
    with pytest.raises(StorageUnusable):
        await room.training.start("Butcher", who="Ann")
    assert list((room.path / "models").iterdir()) == []


async def test_a_folder_without_a_row_is_nobodys_and_left_alone(room):
    (room.path / "models" / "butcher-1").mkdir(parents=True)
    assert (await room.training.start("Butcher", who="Ann")).name == "butcher-2"


async def test_a_picture_whose_file_is_gone_is_named(room):
    (room.path / "training" / "butcher" / "3.png").unlink()
    with pytest.raises(UserError, match=r"The picture 3\.png is gone; upload it again"):
        await room.training.start("Butcher", who="Ann")
    assert not list((room.path / "models").glob("*"))


async def test_moves_say_who_made_them_and_are_told(room):
    run = await room.training.start("Butcher", who="Ann")
    assert (await room.training.pause("Ben")).note == "Paused by Ben"
    assert (await room.training.resume("Ann")).note == "Resumed by Ann"
    stopped = await room.training.stop("Ben")
    assert (stopped.state, stopped.note, stopped.ended_at) == (
        S.STOPPED,
        "Stopped by Ben",
        room.desk.now,
    )
    assert room.told == [run.id] * 4
    assert await room.training.untold() == [stopped]


async def test_the_second_of_two_clicks_gets_a_sentence(room):
    run = await room.training.start("Butcher", who="Ann")
    clicks = (room.training.pause(who, run_id=run.id) for who in ("Ann", "Ben"))
    outcomes = await asyncio.gather(*clicks, return_exceptions=True)
    refusals = [str(outcome) for outcome in outcomes if isinstance(outcome, InvalidTransition)]
    assert refusals == ["Training butcher-1 is paused; it cannot be paused."]
    assert (await room.training.get(run.id)).state is S.PAUSED


@pytest.mark.parametrize(
    ("move", "sentence"),
    [
        ("pause", "No training is running; "),
        ("stop", "No training is running or paused"),
        ("resume", "No training is paused or stopped or failed"),
    ],
)
async def test_without_a_run_to_move_people_are_told_so(room, move, sentence):
    with pytest.raises(InvalidTransition, match=sentence):
        await getattr(room.training, move)("Ann")


async def test_a_paused_run_is_resumed_before_one_that_was_stopped(room):
    paused = await room.training.start("Butcher", who="Ann")
    await room.training.pause("Ann")
    await room.training.start("Butcher", who="Ann")
    await room.training.stop("Ann")
    assert (await room.training.resume("Ann")).id == paused.id


async def test_a_run_is_not_resumed_while_another_is_under_way(room):
    paused = await room.training.start("Butcher", who="Ann")
    await room.training.pause("Ann")
    await room.training.start("Butcher", who="Ann")
    with pytest.raises(UserError, match="butcher-2 is being trained"):
        await room.training.resume("Ann")
    with pytest.raises(InvalidTransition, match="One network is trained at a time, and butcher-2"):
        await room.training.resume("Ann", run_id=paused.id)


async def test_the_status_shows_the_run_under_way_and_the_newest_first(room):
    await room.training.start("Butcher", who="Ann")
    await room.training.pause("Ann")
    second = await room.training.start("Butcher", who="Ann")
    await room.training.stop("Ann")
    status = await room.training.status()
    assert (status.run, len(status.runs)) == (await room.training.get(second.id), 2)
    resumed = await room.training.resume("Ann")
    assert (await room.training.status()).run == resumed


async def test_a_run_knows_its_message_and_a_message_its_checkpoint(room, validated):
    run = await validated(2, 4)
    await room.training.live_message(run.id, 5, 6)
    await room.training.shown(run.id, 2, 5, 7)
    assert (await room.training.get(run.id)).message_id == 6
    assert (await room.training.find_validation(7)).step == 2
    assert await room.training.find_validation(6) is None
    await room.training.told(run.id)
    assert await room.training.untold() == []
    assert [v.step for v in await room.training.open_validations()] == [2, 4]
    assert [v.step for v in await room.training.validations(run.id)] == [2, 4]
