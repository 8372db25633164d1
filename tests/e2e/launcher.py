"""Starts the real bot for a test: slots come when the test says so, waits are short, every step
is noted in a journal, and at a chosen step the process kills itself as `kill -9` would.

    python launcher.py JOURNAL SLOTS [--arm PATTERN] [--die PATTERN] [--count N] [--repair-s S]

Nothing of the bot is replaced except the clock's part: each patch notes a step and goes on.
"""

import argparse
import fnmatch
import functools
import json
import os
import pickle
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import discord
from discord.ext import tasks

import bot.__main__
from bot.scheduler import Schedule, StudioScheduler
from cogs._drafts import DraftDesk
from pipeline import executors, recipes, settlement, trainer
from pipeline.config import ImagesConfig, StudioConfig
from pipeline.publishing.base import Slot
from pipeline.publishing.instagram import InstagramPublisher
from pipeline.services import posting
from pipeline.services.publishing import Publishing
from pipeline.settlement import Settlement
from storage.database import Database

CALLS = ("create", "upload", "status", "publish", "look_up", "permalink")
READS = ("SELECT", "PRAGMA", "BEGIN")


class Journal:
    """`die` counts from the first line that fits `arm`; a line is written before its step."""

    def __init__(self, path, *, arm, die, count):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._lock = threading.Lock()
        self._arm, self._die, self._count = arm, die, count
        self._is_armed = not arm

    def note(self, label):
        with self._lock:
            os.write(self._file, f"{label}\n".encode())
            if not self._is_armed:
                self._is_armed = fnmatch.fnmatchcase(label, self._arm)
            elif self._die and fnmatch.fnmatchcase(label, self._die):
                self._count -= 1
                if self._count == 0:
                    os.kill(os.getpid(), signal.SIGKILL)


def note_statements(journal):
    def noting(method):
        async def call(self, sql, values=()):
            if not sql.lstrip().startswith(READS):
                journal.note("sql " + " ".join(sql.split()[:3]))
            return await method(self, sql, values)

        return call

    Database.fetch_all = noting(Database.fetch_all)
    Database._run = noting(Database._run)


def note_calls(journal, owner, names, describe):
    for name in names:
        setattr(owner, name, noted(journal, getattr(owner, name), describe))


def noted(journal, method, describe):
    async def call(self, *args, **kwargs):
        label = describe(method, args)
        if label.startswith("http GET"):
            return await method(self, *args, **kwargs)
        journal.note(f"before {label}")
        result = await method(self, *args, **kwargs)
        journal.note(f"after {label}")
        return result

    return call


def note_workers(journal):
    """A line once the worker has been handed the stage."""
    real = executors._Worker.call

    def call(self, message, timeout_s):
        function, arguments = pickle.loads(message)
        if function.__name__ != "run_stage":
            return real(self, message, timeout_s)
        stage = json.loads(arguments[0])["stage"]
        connection = self._connection
        self._connection = Noting(connection, lambda: journal.note(f"worker {stage}"))
        try:
            return real(self, message, timeout_s)
        finally:
            self._connection = connection

    executors._Worker.call = call


class Noting:
    """A connection that says when it has sent something."""

    def __init__(self, connection, say):
        self._connection, self._say = connection, say

    def send_bytes(self, data):
        self._connection.send_bytes(data)
        self._say()

    def __getattr__(self, name):
        return getattr(self._connection, name)


def take_slots_from(path):
    def slots_between(self, start, end):
        lines = path.read_text().split() if path.exists() else []
        slots = [Slot(key=line, at=datetime.fromisoformat(line)) for line in lines]
        return [slot for slot in slots if start < slot.at <= end]

    Schedule.slots_between = slots_between
    StudioScheduler.__init__.__kwdefaults__["safety_net_s"] = 0.5


def wait_briefly():
    posting.SETTLE_S = posting.BACKOFF_S = posting.LATER_S = 0.5
    posting.LONGEST_BACKOFF_S = 1.0
    settlement.FIRST_DELAY_S = dict.fromkeys(settlement.FIRST_DELAY_S, 0.2)
    # What discord.py waits for more servers after each that came is 2 s at every start.
    discord.state.ConnectionState.guild_ready_timeout = property(lambda _: 0.1, lambda *_: None)


def train_briefly():
    """Settings that Discord does not ask for: checkpoints come soon, few pictures are drawn
    besides the training, and one thread computes, as many tests share the processors."""
    recipes.CHECKPOINTS = 40
    brief = {"num_class_images": 2, "validation_inference_steps": 2}
    recipes.TrainingConfig = functools.partial(recipes.TrainingConfig, **brief)
    StudioConfig.model_fields["drawings"].default = ImagesConfig(candidates=1, steps=2)
    StudioConfig.model_rebuild(force=True)
    environment = trainer.worker_environment
    trainer.worker_environment = lambda threads: environment(1)


def repair_every(seconds):
    # The cog's module runs anew when the bot loads it, so its loop is not there yet.
    start = tasks.Loop.start

    def start_sooner(self, *args, **kwargs):
        self.change_interval(seconds=seconds)
        return start(self, *args, **kwargs)

    tasks.Loop.start = start_sooner


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("journal", type=Path)
    parser.add_argument("slots", type=Path)
    parser.add_argument("--arm", default="")
    parser.add_argument("--die", default="")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--repair-s", type=float)
    given = parser.parse_args()
    journal = Journal(given.journal, arm=given.arm, die=given.die, count=given.count)
    note_statements(journal)
    note_workers(journal)
    note_calls(journal, InstagramPublisher, CALLS, lambda method, args: method.__name__)
    note_calls(journal, Settlement, ["settle"], lambda method, args: f"settle {args[0].stage}")
    note_calls(journal, Publishing, ["run_slot", "post_now"], lambda method, args: "post")
    note_calls(journal, DraftDesk, ["_post"], lambda method, args: "draft")
    note_calls(
        journal,
        discord.http.HTTPClient,
        ["request"],
        lambda method, args: f"http {args[0].method} {args[0].path}",
    )
    take_slots_from(given.slots)
    wait_briefly()
    train_briefly()
    if given.repair_s:
        repair_every(given.repair_s)
    sys.argv = ["emf", "run"]
    bot.__main__.main()


if __name__ == "__main__":
    main()
