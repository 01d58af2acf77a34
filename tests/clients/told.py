"""What the clients written in Python share: behaviours as functions, and the lines that tell how they went."""

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
BROKER = os.environ["BROKER"]
_ONLY = os.environ.get("ONLY", "")
_behaviours = []
_telling = threading.Lock()


class CannotTry(Exception):
    """The behaviour cannot be tried in this run; the text says why."""


def behaviour(name):
    """Marks the function that shows a behaviour; it fails by an exception."""

    def register(function):
        _behaviours.append((name, function))
        return function

    return register


def lacks(name, why):
    """This client has no such thing."""
    _behaviours.append((name, why))


def topic(name):
    """A topic name that no earlier run has used."""
    return f"{name.replace(' ', '-')}-{os.getpid()}-{time.time_ns()}"


def equal(found, expected, what="value"):
    """Fails unless both are equal; long bytes are not printed."""
    if found != expected:
        raise AssertionError(f"{what} is {short(found)}, not {short(expected)}")


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:280]}… ({len(text)} characters)"


def until(condition, what, seconds=20):
    """Asks until the answer is true; for what a broker may do a moment later."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.05)


class Restartable:
    """A broker that nobody else has for now."""

    def __init__(self, stream):
        self._stream = stream
        self.address = self._line()

    def _line(self):
        line = self._stream.readline()
        assert line, "the runner hung up"
        return line.strip()

    def restart(self):
        self._ask("restart")

    def kill(self):
        """`kill -9`; it is back when this returns."""
        self._ask("kill")

    def _ask(self, word):
        self._stream.write(f"{word}\n")
        self._stream.flush()
        equal(self._line(), "done", f"the answer to the {word}")


@contextlib.contextmanager
def restartable():
    """Borrows a broker that may be restarted (see README.md)."""
    if not os.environ.get("RESTART"):
        raise CannotTry("this run has no broker that may be restarted")
    host, port = os.environ["RESTART"].rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rw") as stream:
        yield Restartable(stream)


def tell(word, name, reason=""):
    """One line, whole even when several threads tell."""
    with _telling:
        print(*filter(None, (word, name, reason)), sep="\t", flush=True)


def tried(name, action):
    """Runs one behaviour and tells how it went; whether it did not fail."""
    if isinstance(action, str):
        tell("lacks", name, action)
        return True
    try:
        action()
        tell("ok", name)
    except CannotTry as why:
        tell("skip", name, why)
    except Exception as error:  # whatever goes wrong is the behaviour's failure
        at = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in at if os.path.dirname(frame.filename).startswith(HERE)]
        where = f"line {mine[-1].lineno}: " if mine else ""
        text = " ".join(f"{where}{type(error).__name__}: {error}".split())
        tell("fail", name, text[:900])
        return False
    return True


def tell_all(at_once=1):
    """Runs every behaviour, so many at once, and prints a line for each; ends the process."""
    chosen = [each for each in _behaviours if _ONLY in each[0]]
    if at_once == 1:
        well = [tried(*each) for each in chosen]
    else:
        with ThreadPoolExecutor(at_once) as pool:
            well = list(pool.map(lambda each: tried(*each), chosen))
    sys.exit(0 if all(well) else 1)
