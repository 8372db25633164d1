import importlib
import inspect

import pytest

from pipeline.config import ImagesConfig, StudioConfig, VoicesConfig
from pipeline.context import StageContext
from pipeline.providers.images import illustrations
from pipeline.providers.voices import elevenlabs
from pipeline.stages import drawings
from pipeline.workflow import FACTS, SECTIONS, WORKFLOW, Lane, stages_of_a_reel, workflow_for

NAMES = [stage.name for stage in WORKFLOW.stages]


@pytest.fixture(params=WORKFLOW.stages, ids=NAMES)
def stage(request):
    return request.param


def test_the_table_names_the_parameters_of_run(stage):
    run = importlib.import_module(stage.module_name).run
    assert tuple(inspect.signature(run).parameters) == (*stage.inputs, "ctx")


def test_the_types_of_the_parameters_belong_to_their_names(stage):
    run = importlib.import_module(stage.module_name).run
    hints = inspect.get_annotations(run, eval_str=True)
    inputs = {name: {**SECTIONS, **FACTS}[name] for name in stage.inputs}
    assert hints == {**inputs, "ctx": StageContext, "return": SECTIONS[stage.name]}


def test_each_input_is_a_fact_or_made_earlier(stage):
    # The brief is written when an episode is asked for, or with the trends.
    earlier = {*NAMES[: NAMES.index(stage.name)], "brief", *FACTS}
    assert set(stage.inputs) <= earlier


def test_every_stage_has_a_config(stage):
    assert StudioConfig().for_stage(stage.name)


def test_every_stage_is_in_one_lane():
    assert sorted(n for lane in Lane for n in WORKFLOW.names_in(lane)) == sorted(NAMES)


def test_the_chain_runs_from_trends_to_preview():
    assert [WORKFLOW.after(name) and WORKFLOW.after(name).name for name in NAMES] == [
        *NAMES[1:],
        None,
    ]


@pytest.mark.parametrize(
    ("until", "names"),
    [
        ("preview", ("script", "voices", "images", "video", "preview")),
        ("voices", ("script", "voices")),
        ("trends", ()),
    ],
)
def test_the_stages_of_a_reel_end_where_asked(until, names):
    assert stages_of_a_reel(until) == names


def test_drawing_new_pictures_needs_the_gpu_and_a_process_of_its_own():
    config = StudioConfig(images=ImagesConfig(provider="diffusion"))
    images = workflow_for(config).stage("images")
    assert (images.lane, images.fresh) == (Lane.GPU, True)
    assert images.timeout_s >= illustrations.MOST_S + 600
    assert WORKFLOW.stage("drawings").timeout_s >= drawings.MOST_S + 600
    assert WORKFLOW.stage("images").lane is Lane.CPU


def test_an_unknown_stage_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="no stage 'dance'"):
        WORKFLOW.stage("dance")


def test_a_voice_that_is_a_service_keeps_no_core_busy():
    offline = workflow_for(StudioConfig())
    online = workflow_for(StudioConfig(voices=VoicesConfig(provider="elevenlabs")))
    assert offline == WORKFLOW
    assert [stage.name for stage in online.stages] == NAMES
    voices = online.stage("voices")
    assert (voices.lane, voices.fresh) == (Lane.IO, False)
    assert voices.grace_s > elevenlabs.TIMEOUT_S
    assert [s for s in online.stages if s != voices] == [
        s for s in WORKFLOW.stages if s.name != "voices"
    ]
