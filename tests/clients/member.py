"""One process of a client that is a member of a group, or answers what an administrator asks (see README.md)."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time

from told import BROKER, until

# The longest wait for anything on a busy machine.
PATIENCE_S = 90

# How long a member may be silent. In the new protocol the broker sets it, and there a static member must be back in time.
SESSION_S = {"classic": 6, "consumer": 12}
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def die_with_parent():
    """In a child before its program: without this one that is stopped would stay behind a runner that was killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Refused(Exception):
    """What the client was told instead of an answer; `code` is the protocol's number."""

    def __init__(self, words):
        code, _, self.text = words.partition(" ")
        self.code = int(code)
        super().__init__(words)


class Process:
    """It says lines of a word and what belongs to it, and takes commands; it ends when nobody is there to command it."""

    def __init__(self, command, *words, broker=None):
        environment = dict(os.environ, BROKER=broker or BROKER)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=self.errors, env=environment, errors="replace",
                                        preexec_fn=die_with_parent, start_new_session=True)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def complaint(self):
        """The end of what it wrote to stderr."""
        size = os.fstat(self.errors.fileno()).st_size
        text = os.pread(self.errors.fileno(), 300, max(0, size - 300)).decode(errors="replace")
        return " ".join(text.replace("^", "").split())

    def signal(self, which):
        """To all of its processes: some clients are a script around a program."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, which)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self):
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


class Member(Process):
    """A member of a group: what it owns, what it has read."""

    def __init__(self, command, options, broker=None):
        super().__init__(command, "member", json.dumps(options), broker=broker)
        # Since when it owns which partitions; what was read, in order: (partition, offset, value).
        self.owned, self.read, self.answers, self.gone = [(time.monotonic(), frozenset())], [], [], False
        self.reader = threading.Thread(target=self._listen, daemon=True)
        self.reader.start()

    def _listen(self):
        for line in self.process.stdout:
            word, *rest = line.split() or [""]
            if word == "owns" and frozenset(rest) != self.owned[-1][1]:
                self.owned.append((time.monotonic(), frozenset(rest)))
            elif word == "read":
                place, offset, value = rest
                self.read.append((place, int(offset), value))
            elif word in ("committed", "refused"):
                self.answers.append(word)
            elif word != "owns":
                print(f"a member: {line.rstrip()}", flush=True)

    @property
    def owns(self):
        return frozenset() if self.gone else self.owned[-1][1]

    def disown(self):
        """It is not among those who could own anything, from now on until it says so again."""
        self.owned.append((time.monotonic(), frozenset()))

    def commit(self):
        """Commits all that it has read; whether that was accepted."""
        before = len(self.answers)
        self.say("commit")
        until(lambda: len(self.answers) > before, "an answer to a commit", PATIENCE_S)
        return self.answers[-1] == "committed"

    def leave(self):
        """A clean end: it tells the group, unless it is a static member."""
        self.say("leave")
        self.process.wait(PATIENCE_S)
        self.kill()

    def kill(self):
        super().kill()
        self.gone = True
        self.disown()

    def close(self):
        # Its last lines are in the pipe still.
        self.reader.join()
        super().close()

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.disown()

    def go_on(self):
        self.signal(signal.SIGCONT)


class Admin(Process):
    """Asks one thing after the other."""

    def __init__(self, command, broker=None):
        super().__init__(command, "admin", broker=broker)

    def ask(self, *words):
        self.say(" ".join(str(word) for word in words))
        readable = select.select([self.process.stdout], [], [], PATIENCE_S)[0]
        line = self.process.stdout.readline() if readable else "nothing"
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "error":
            raise Refused(rest)
        assert kind == "ok", f"{words} was answered with {line!r}; {self.complaint()}"
        return json.loads(rest)
