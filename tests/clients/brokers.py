"""The brokers that clients run against: Millrace or Apache Kafka of our own, or one that already runs.

Each has `address`, `kind`, `alive()`, `restart()`, `kill()` and `stop()`. One of our own begins on an empty directory and a
free port, and keeps both across a restart.
"""

import os
import re
import shlex
import signal
import socketserver
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_S = 30
# Of both: sessions are short, because members are killed (member.py knows how short), and a group need not wait for more.
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0, "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 6000, "group.consumer.session.timeout.ms": 12000,
    "group.consumer.min.heartbeat.interval.ms": 500, "group.consumer.heartbeat.interval.ms": 500,
}
SET = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]


class Own:
    """A broker process of our own; `command(listen)` is what starts it, and its first line has the address."""

    def __init__(self, data=None):
        self.directory = tempfile.TemporaryDirectory(prefix=f"clients-{self.kind}-")
        self.data = Path(data or Path(self.directory.name) / "data")
        self.log = open(Path(self.directory.name) / "log", "w+")
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command(self.address), stdout=subprocess.PIPE, stderr=self.log,
                                        stdin=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+", line)
        if not found:
            raise SystemExit(f"no address in the first line {line!r} of {self.kind}\n{self.tail()}")
        self.address = found.group()
        # The broker may be a child of the process that was started, which ends with it.
        child = re.search(r"\bpid (\d+)", line)
        self.pid = int(child.group(1)) if child else self.process.pid
        # What else it says is of no interest, but its pipe must not fill.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def tail(self):
        self.log.flush()
        return "".join(Path(self.log.name).read_text().splitlines(keepends=True)[-30:])

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """SIGTERM; the exit status, which a clean stop makes 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"none within {STOP_S} s of SIGTERM"

    def restart(self):
        status = self.stop()
        if status != 0:
            raise RuntimeError(f"{self.kind} ended with {status}: {self.tail()}")
        self.start()

    def kill(self):
        """`kill -9`, and the start after it."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        self.start()


class Millrace(Own):
    kind = "millrace"

    def __init__(self, binary, data=None):
        self.binary = binary
        super().__init__(data)

    def command(self, listen):
        return [self.binary, "serve", "--data-dir", self.data, "--listen", listen, *SET]


class Kafka(Own):
    """Apache Kafka by tests/kafka/start, with the few settings that the scripts count on."""

    kind = "kafka"
    # It is started again and again: without its second compiler that takes half the time. After kill -9 it waits for the
    # session that its own controller still holds for it.
    QUICK = ["--java=-Xmx512m", "--java=-XX:TieredStopAtLevel=1", "--java=-XX:+UseSerialGC",
             "--set", "broker.session.timeout.ms=3000", "--set", "broker.heartbeat.interval.ms=500"]

    def command(self, listen):
        return [ROOT / "tests" / "kafka" / "start", "--dir", self.data, "--listen", listen, *SET, *self.QUICK]


class Given:
    """A broker that already runs, and perhaps a shell command that restarts it."""

    kind = "given"

    def __init__(self, address, restart_command):
        self.address = address
        self.command = restart_command

    def alive(self):
        return True

    def restart(self):
        subprocess.run(shlex.split(self.command), check=True, stdin=subprocess.DEVNULL)

    def kill(self):
        """How to kill it we were not told."""
        self.restart()

    def stop(self):
        return 0


class Restarts:
    """Lends brokers that may be restarted, each to one client at a time, over a TCP port of its own.

    A client connects to the address in the environment variable `RESTART` and reads one line, a broker's address, as
    soon as there is one that nobody else has. It writes `restart` or `kill` and reads `done`, or what went wrong. Closing
    the connection gives the broker back. None of them is the broker of all other behaviours, so nobody is disturbed.
    """

    def __init__(self, make, count):
        self.brokers, idle, free = [], [], threading.Semaphore(count)

        class Lease(socketserver.StreamRequestHandler):
            def handle(inner):
                with free:
                    if idle:
                        broker = idle.pop()
                    else:
                        broker = make()
                        self.brokers.append(broker)
                    try:
                        self.serve(broker, inner.rfile, inner.wfile)
                    finally:
                        if broker.alive():
                            idle.append(broker)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lease)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def serve(broker, words, answers):
        actions = {b"restart": broker.restart, b"kill": broker.kill}
        answers.write(f"{broker.address}\n".encode())
        for line in words:
            answer = "done"
            try:
                actions[line.strip()]()
            except (Exception, SystemExit) as error:  # the client tells it as the behaviour's failure
                answer = " ".join(f"failed: {type(error).__name__}: {error}".split())
            answers.write(f"{answer}\n".encode())

    def stop(self):
        """The exit status of the first that did not end well, or 0."""
        self.server.shutdown()
        return next((status for status in (broker.stop() for broker in self.brokers if broker.alive()) if status), 0)
