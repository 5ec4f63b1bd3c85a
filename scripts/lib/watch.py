"""Watches the children of a process from outside: how long each lives, and how much memory it takes at most. Linux only.
A child that lives shorter than the time between two looks is not seen."""

import contextlib
import pathlib
import threading
import time

BETWEEN_LOOKS_SECONDS = 0.02


class Watch:
    """Looks at the children of `pid` until the block ends."""

    def __init__(self, pid: int):
        self.pid = pid
        self.longest_seconds = 0.0
        self.peak_mb = 0.0
        self._born: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look_again_and_again(self) -> None:
        while not self._over.wait(BETWEEN_LOOKS_SECONDS):
            # A process may end between two reads.
            with contextlib.suppress(OSError):
                self._look()

    def _look(self) -> None:
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        children = {child for task in tasks.iterdir() for child in read(task / "children").split()}
        now = time.monotonic()
        self._born = {child: self._born.get(child, now) for child in children}
        for child, born in self._born.items():
            self.longest_seconds = max(self.longest_seconds, now - born)
            for line in read(pathlib.Path(f"/proc/{child}/status")).splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_mb = max(self.peak_mb, int(line.split()[1]) * 1024 / 1e6)


def read(path: pathlib.Path) -> str:
    """The text of a file of the kernel, or nothing where the process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
