"""Runs trainers as children of a process that has loaded everything already: `fork` is all it does.

A line of JSON on stdin begins one; its pid and, in the end, how it ended are lines on stdout. With
`die_at` it kills itself at that file operation, with `die_after_s` after so much time, and with
`interrupt_twice_at` it gets two SIGINT before it gives a file or folder that name for good.
"""

import json
import os
import signal
import sys

import torch

import training.plots
import training.preparation
import training.result
import training.telling  # noqa: F401
from training.dreambooth import main

WATCHED = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate")


def run(order):
    folder = order["folder"]
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    stdin = os.open(order.get("stdin", os.devnull), os.O_RDONLY)
    os.dup2(stdin, 0)
    if order.get("die_at"):
        at_operation(order["die_at"], WATCHED, signal.SIGKILL)
    if order.get("interrupt_twice_at"):
        at_operation(order["interrupt_twice_at"], ("os.rename",), signal.SIGINT, signal.SIGINT)
    if order.get("die_after_s"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends it as suddenly as SIGKILL
        signal.setitimer(signal.ITIMER_REAL, order["die_after_s"])
    torch.set_num_threads(1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    return main(order["arguments"])


def at_operation(count, operations, *signals):
    left = [count]

    def watch(event, arguments):
        if event in operations:
            left[0] -= 1
            if left[0] == 0:
                for number in signals:
                    os.kill(os.getpid(), number)

    sys.addaudithook(watch)


def say(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


say(ready=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = run(json.loads(line))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    say(pid=child)
    _, status = os.waitpid(child, 0)
    say(code=os.waitstatus_to_exitcode(status))
