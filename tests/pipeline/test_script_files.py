import json

import pytest

from pipeline.config import WriterConfig
from pipeline.errors import UserError
from pipeline.script_files import read_script
from pipeline.shows import load_show

SHOW = load_show("butcher_and_nutsy")


def line(text="Something happened today.", character="Butcher", emotion="sad", **more):
    return {"character": character, "text": text, "emotion": emotion, **more}


def data(**changes):
    lines = [line(), line(character="Nutsy")] * 3
    return {"episode": "demo", "lines": lines, **changes}


def read(source):
    return read_script(
        source if isinstance(source, str) else json.dumps(source), SHOW, WriterConfig()
    )


def test_a_script_by_hand_is_completed():
    script = read(
        data(lines=[line(character="  bUTCHER "), line(" so  much\nspace ", "NUTSY")] * 3)
    )
    assert [each.character for each in script.lines[:2]] == ["Butcher", "Nutsy"]
    assert script.lines[1].text == "so much space"
    assert [each.index for each in script.lines] == [1, 2, 3, 4, 5, 6]
    assert script.metadata.provider == "hand"
    assert script.caption
    assert script.hashtags == SHOW.hashtags[:5]


def test_what_the_author_gives_is_kept():
    script = read(data(caption="Mine.", hashtags=["own"]))
    assert (script.caption, script.hashtags) == ("Mine.", ("own",))


def test_an_old_file_is_read():
    old = [{"character": "Butcher", "line": "Hello.", "emotion": "sad"},
           {"character": "Nutsy", "line": "Hi!", "emotion": "excited"}] * 3  # fmt: skip
    script = read({"timestamp": "2024", "characters": ["a"], "script": old,
                   "metadata": {"llm_provider": "openai", "line_count": 6}})  # fmt: skip
    assert script.lines[5].text == "Hi!"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "my.json"
    path.write_text(json.dumps(data()), encoding="utf-8-sig")
    assert len(read_script(path, SHOW, WriterConfig()).lines) == 6


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("not json", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "`lines` is missing"),
        ("", "is not JSON"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"lines": [], "episode": NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"lines": ' + "[" * 50 + "]" * 50 + "}", "nested too deeply"),
        (data(lines=[line()] * 3), "It has 3 lines"),
        (data(lines=[line(), line(character="Nutsy")] * 20), "It has 40 lines"),
        (data(lines=[line(character="Bruno")] * 6), "There is no character 'Bruno'"),
        (data(lines=[line()] * 6), "Nutsy says nothing"),
        (data(lines=[line(text="")] * 6), "`text` of line 1 is empty"),
        (data(lines=[line(text="   ")] * 6), "Line 1"),
        (data(lines=[line(text="x" * 300)] * 6), "`text` of line 1 is too long"),
        (data(lines=[line(text=7)] * 6), "`text` of line 1 has the wrong type"),
        (data(lines=[line(emotion="hungry")] * 6), "`emotion` of line 1 must be one of"),
        (data(lines=[{"character": "B", "text": "Hi."}] * 6), "`emotion` of line 1 is missing"),
        (data(lines=[line(audio_file="../../etc/passwd")] * 6), "`audio_file` of line 1 is not"),
        (data(audio_file="../../etc/passwd"), "`audio_file` is not a part of a script"),
        (data(lines="many"), "`lines` has the wrong type"),
        (data(lines=[1, 2, 3, 4, 5]), "Line 1 has the wrong type"),
        (data(lines=None), "`lines` has the wrong type"),
        (data(lines=[line(index=5)] * 6), "Line 1 has the index 5"),
        (data(lines=[line(index=0)] * 6), "`index` of line 1 has the wrong type"),
        (data(hashtags=["not a tag"]), "`hashtags.0` is too long or has characters"),
        (data(caption="x" * 3000), "`caption` is too long"),
        (data(schema_version=9), "`schema_version` has the wrong type"),
        (data(lines=[line(), line("Hello, Nutsy.", "Nutsy")] * 3), "says 'Nutsy'"),
        (data(lines=[line(), line("Pay at example.com", "Nutsy")] * 3), "contains a link"),
        ('{"lines": "\\ud800"}', "`lines` has the wrong type"),
        (data(lines=[line("Lone \ud800 surrogate")] * 6), "`text` of line 1 has the wrong type"),
        (" " * 300_000, "is larger than 256 kB"),
    ],
)  # fmt: skip
def test_a_bad_script_is_one_sentence(bad, words):
    with pytest.raises(UserError) as caught:
        read(bad)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*gone\.json"):
        read_script(tmp_path / "gone.json", SHOW, WriterConfig())


def test_a_folder_is_not_a_script(tmp_path):
    with pytest.raises(UserError, match="is not a file"):
        read_script(tmp_path, SHOW, WriterConfig())


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.json"
    path.write_bytes(b"[" * 300_000)
    with pytest.raises(UserError, match="is larger than"):
        read_script(path, SHOW, WriterConfig())


def test_a_file_that_is_not_text_is_one_sentence(tmp_path):
    path = tmp_path / "picture.json"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_script(path, SHOW, WriterConfig())
