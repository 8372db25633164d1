"""What is on the disk at each moment of a paid call."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import BudgetSpent
from pipeline.ledger import Cost, Ledger, read_receipts

DIME = Cost(usd=0.1, chars=10)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "paid" / "7" / "receipts-1.jsonl"


def paying(ledger, what="line 1", greatest=DIME):
    return ledger.paying(provider="toy", model="toy-1", what=what, greatest=greatest)


def test_the_intent_is_on_the_disk_before_anything_is_sent_and_the_result_after_it(file):
    with paying(Ledger(file)) as call:
        (before,) = read_receipts(file)
        assert (before.is_certain, before.cost, before.intent.what) == (False, DIME, "line 1")
        call.paid(Cost(usd=0.04, chars=9), "req-1")
    (after,) = read_receipts(file)
    assert (after.is_certain, after.cost.usd, after.request_id) == (True, 0.04, "req-1")


def test_each_line_is_synced_with_its_file_and_a_new_file_with_its_folder(file, monkeypatch):
    synced = []
    fsync = os.fsync

    def watch(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, len(file.read_text().splitlines())))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with paying(Ledger(file)) as call:
        assert synced == [("receipts-1.jsonl", 1), ("7", 1), ("paid", 1)]
        call.paid(DIME)
    assert synced[3:] == [("receipts-1.jsonl", 2)]


def test_a_ledger_goes_on_behind_what_its_file_holds_already(file):
    with paying(Ledger(file), "line 1") as call:
        call.paid(DIME, "req-1")
    with file.open("a") as torn:
        torn.write('{"intent": {"call"')

    ledger = Ledger(file, allowance_usd=0.15)
    with pytest.raises(BudgetSpent), paying(ledger):
        pass
    with paying(ledger, "line 2", Cost(usd=0.05)) as call:
        call.paid(Cost(usd=0.03), "req-2")

    assert [(r.intent.what, r.request_id) for r in read_receipts(file)] == [
        ("line 1", "req-1"),
        ("line 2", "req-2"),
    ]
    assert ledger.spent.usd == pytest.approx(0.13)


def test_an_intent_that_cannot_be_written_sends_nothing(file, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    ledger, sent = Ledger(file, allowance_usd=0.1), []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"), paying(ledger):
            sent.append("it")
    assert sent == []
    with paying(ledger) as call:  # nor is it counted
        call.paid(DIME)
    # What was perhaps written has a number of its own.
    assert [receipt.intent.call for receipt in read_receipts(file)][-1] == 2


def test_a_call_whose_answer_was_lost_counts_in_full(file):
    ledger = Ledger(file)
    with pytest.raises(ConnectionError), paying(ledger):
        raise ConnectionError
    assert ledger.spent == DIME
    (receipt,) = read_receipts(file)
    assert (receipt.cost, receipt.is_certain) == (DIME, False)


def test_a_call_that_was_not_billed_costs_nothing(file):
    ledger = Ledger(file, allowance_usd=0.1)
    for _ in range(3):
        with paying(ledger) as call:
            call.not_billed()
    assert ledger.spent == Cost()
    assert [receipt.cost.usd for receipt in read_receipts(file)] == [0, 0, 0]


def test_a_call_that_does_not_fit_is_never_sent_and_leaves_no_line(file):
    ledger = Ledger(file, allowance_usd=0.15)
    with paying(ledger) as call:
        call.paid(DIME)
    before = file.read_bytes()
    with pytest.raises(BudgetSpent) as refused, paying(ledger, "line 2"):
        pytest.fail("it was sent")
    assert file.read_bytes() == before
    assert str(refused.value) == (
        "Line 2 may cost $0.1000 and $0.0500 of the budget is left; it goes on when "
        "DAILY_BUDGET_USD and MONTHLY_BUDGET_USD allow it."
    )


def test_a_budget_for_three_lines_is_a_budget_for_three_lines(file):
    ledger = Ledger(file, allowance_usd=0.3)  # 0.1 + 0.1 + 0.1 is more than that
    for number in range(3):
        with paying(ledger, f"line {number}") as call:
            call.paid(DIME)
    with pytest.raises(BudgetSpent), paying(ledger, "line 4"):
        pytest.fail("it was sent")


def test_what_a_call_did_not_need_is_left_for_the_next(file):
    ledger = Ledger(file, allowance_usd=0.1)
    with paying(ledger) as call:
        call.paid(Cost(usd=0.02))
    with pytest.raises(BudgetSpent), paying(ledger):
        pytest.fail("it was sent")
    with paying(ledger, greatest=Cost(usd=0.08)) as call:
        call.paid(Cost(usd=0.08))


def test_no_allowance_is_no_budget_and_an_allowance_of_nothing_is_nothing(file):
    with paying(Ledger(file, allowance_usd=None), greatest=Cost(usd=1e6)):
        pass
    with pytest.raises(BudgetSpent), paying(Ledger(file, allowance_usd=0.0)):
        pytest.fail("it was sent")
    with paying(Ledger(file, allowance_usd=0.0), greatest=Cost()):
        pass  # what is free needs no budget


def test_without_a_path_nothing_is_written_but_the_allowance_holds(tmp_path):
    ledger = Ledger(allowance_usd=0.1)
    with paying(ledger) as call:
        call.paid(DIME)
    with pytest.raises(BudgetSpent), paying(ledger):
        pytest.fail("it was sent")
    assert list(tmp_path.iterdir()) == []


def test_calls_from_several_threads_share_one_allowance(file):
    ledger = Ledger(file, allowance_usd=0.5)

    def speak(number):
        try:
            with paying(ledger, f"line {number}") as call:
                call.paid(DIME, f"req-{number}")
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(speak, range(40)))
    assert sum(sent) == 5
    receipts = read_receipts(file)
    assert sorted(receipt.intent.call for receipt in receipts) == [1, 2, 3, 4, 5]
    assert all(receipt.is_certain for receipt in receipts)
    assert {receipt.request_id for receipt in receipts} == {
        f"req-{receipt.intent.what.split()[1]}" for receipt in receipts
    }


def test_calls_under_way_count_in_full(file):
    ledger = Ledger(file, allowance_usd=0.15)
    with paying(ledger), pytest.raises(BudgetSpent), paying(ledger):
        pytest.fail("it was sent")


@pytest.mark.parametrize("keep", range(0, 60, 7))
def test_a_torn_last_line_is_a_lost_answer_and_nothing_else_is_lost(file, keep):
    ledger = Ledger(file)
    for _ in range(2):
        with paying(ledger) as call:
            call.paid(Cost(usd=0.01))
    whole, last = file.read_bytes().rstrip(b"\n").rsplit(b"\n", 1)
    file.write_bytes(whole + b"\n" + last[:keep])
    first, second = read_receipts(file)
    assert (first.cost.usd, first.is_certain) == (0.01, True)
    assert (second.cost.usd, second.is_certain) == (0.1, False)


def test_a_line_cut_by_a_full_disk_does_not_take_the_next_one_along(file, monkeypatch):
    ledger = Ledger(file)
    dumps = json.dumps

    def fails(descriptor):
        raise OSError(28, "No space left on device")

    with paying(ledger) as call, monkeypatch.context() as patch:
        patch.setattr(json, "dumps", lambda entry, **options: dumps(entry, **options)[:20])
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="No space"):
            call.paid(Cost(usd=0.01))
    file.write_bytes(file.read_bytes().rstrip(b"\n"))  # as far as it came
    with paying(ledger) as call:
        call.paid(Cost(usd=0.02))
    receipts = read_receipts(file)
    assert [(r.cost.usd, r.is_certain) for r in receipts] == [(0.1, False), (0.02, True)]


@pytest.mark.parametrize(
    "line", [b"7", b"[]", b"null", b"\xff", b'{"result": {"call": 9, "cost": {}}}', b"{}"]
)
def test_what_is_no_receipt_is_passed_over(file, line):
    with paying(Ledger(file)) as call:
        call.paid(DIME)
    file.write_bytes(line + b"\n" + file.read_bytes() + line + b"\n")
    assert len(read_receipts(file)) == 1


def test_there_are_no_receipts_of_an_attempt_that_paid_nothing(file):
    assert read_receipts(file) == []
