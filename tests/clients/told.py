"""What the clients written in Python share: behaviours as functions, and the lines that tell how they went."""

import contextlib
import os
import socket
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
BROKER = os.environ["BROKER"]
_ONLY = os.environ.get("ONLY", "")
_behaviours = []


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
        self._stream.write("restart\n")
        self._stream.flush()
        equal(self._line(), "done", "the answer to the restart")


@contextlib.contextmanager
def restartable():
    """Borrows a broker that may be restarted (see README.md)."""
    if not os.environ.get("RESTART"):
        raise CannotTry("this run has no broker that may be restarted")
    host, port = os.environ["RESTART"].rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rw") as stream:
        yield Restartable(stream)


def tell_all():
    """Runs every behaviour and prints a line for each; ends the process."""
    failed = False
    for name, action in _behaviours:
        if _ONLY not in name:
            continue
        if isinstance(action, str):
            print(f"lacks\t{name}\t{action}", flush=True)
            continue
        try:
            action()
            print(f"ok\t{name}", flush=True)
        except CannotTry as why:
            print(f"skip\t{name}\t{why}", flush=True)
        except Exception as error:  # whatever goes wrong is the behaviour's failure
            failed = True
            at = traceback.extract_tb(error.__traceback__)
            mine = [frame for frame in at if os.path.dirname(frame.filename).startswith(HERE)]
            where = f"line {mine[-1].lineno}: " if mine else ""
            text = " ".join(f"{where}{type(error).__name__}: {error}".split())
            print(f"fail\t{name}\t{text[:600]}", flush=True)
    sys.exit(1 if failed else 0)
