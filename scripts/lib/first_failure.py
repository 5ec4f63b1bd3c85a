#!/usr/bin/env python3
"""Runs a program of tests, given with its arguments, and ends it and what it started as soon as a test fails: one is enough to
notice a change."""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None)
tests = subprocess.Popen(
    [*sys.argv[1:], "--nocapture"], stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
)  # fmt: skip


def end(*_) -> None:
    os.killpg(tests.pid, signal.SIGKILL)
    sys.exit(1)


signal.signal(signal.SIGTERM, end)
for line in tests.stdout:
    print(line, end="", flush=True)
    if line.endswith("... FAILED\n"):
        end()
sys.exit(tests.wait() != 0)
