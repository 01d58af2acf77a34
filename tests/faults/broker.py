"""The real binary as a child process, on a port that it keeps over restarts."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path


class Ended(Exception):
    """The broker ended before it was ready."""


def free_port():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """`millrace serve` on `data`. Within `with`, no process is left behind."""

    binary = None  # set by `run`

    def __init__(self, data, settings=(), before=(), environment=None):
        """`before` is put in front of the command: `strace …`, `prlimit …`. The broker is then its child."""
        self.data, self.settings, self.before = data, list(settings), list(before)
        self.environment = environment
        self.port = free_port()
        self.process = self.pid = None
        self.errors = tempfile.TemporaryFile(mode="w+")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
        self.errors.close()

    def start(self, patience=30.0):
        """Returns when it accepts connections."""
        command = [*self.before, self.binary, "serve", "--data-dir", str(self.data), "--listen",
                   f"127.0.0.1:{self.port}", *(word for setting in self.settings for word in ("--set", setting))]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MILLRACE_")}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, start_new_session=True,
                                        env={**environment, **(self.environment or {})})
        hung = threading.Timer(patience, self.kill)
        hung.start()
        line = self.process.stdout.readline()
        hung.cancel()
        if not re.match(r"millrace listening on ", line):
            code = self.process.wait()
            raise Ended(f"the broker ended with {code} before it was ready: {self.told()[-600:]}")
        self.pid = self.find_pid()
        return self

    def find_pid(self):
        """The broker's own process id, which behind a tracer is not that of our child."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        if self.before and self.before[0] == "strace":
            with open(children) as file:
                return int(file.read().split()[0])
        return self.process.pid

    def told(self):
        """What it said on stderr, over all starts."""
        self.errors.seek(0)
        return self.errors.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self):
        """`kill -9`; returns when every process of it is gone."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        # Behind a tracer the broker is not our child, and lets go of its directory a moment later.
        until(lambda: is_free(Path(self.data) / "lock"), 10, "the end of the broker's hold on its directory")
        self.process.stdout.close()
        self.process = None

    def stop(self):
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(30)

    def wait(self, patience):
        """The exit code of a broker that ends by itself."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the broker still runs after {patience} s: {self.told()[-600:]}") from None
        self.process.stdout.close()
        self.process = None
        return code


def is_free(lock):
    """Whether nobody holds the lock file."""
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        # Not there yet, or on a disk that fails: then it is held by nobody who could do anything.
        return True


def until(condition, patience, what):
    """Waits for something that is to come by itself; the seconds it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began
