"""The brokers that clients run against: Millrace or Apache Kafka of our own, or one that already runs.

Each has `address`, `kind`, `alive()`, `restart()` and `stop()`. One of our own begins on an empty directory and a free
port, and keeps both across a restart.
"""

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


class Millrace(Own):
    kind = "millrace"

    def __init__(self, binary, data=None):
        self.binary = binary
        super().__init__(data)

    def command(self, listen):
        return [self.binary, "serve", "--data-dir", self.data, "--listen", listen]


class Kafka(Own):
    """Apache Kafka by tests/kafka/start, with the few settings that the scripts count on."""

    kind = "kafka"

    def command(self, listen):
        return [ROOT / "tests" / "kafka" / "start", "--dir", self.data, "--listen", listen]


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

    def stop(self):
        return 0


class Restarts:
    """Lends a broker that may be restarted to one client at a time, over a TCP port of its own.

    A client connects to the address in the environment variable `RESTART` and reads one line, the broker's address,
    as soon as nobody else has it. It writes `restart` and reads `done`, or what went wrong. Closing the connection
    gives the broker back. It is not the broker of all other behaviours, so nobody is disturbed.
    """

    def __init__(self, make):
        self.broker = None
        lease = threading.Lock()

        class Lease(socketserver.StreamRequestHandler):
            def handle(inner):
                with lease:
                    if self.broker is None:
                        self.broker = make()
                    inner.wfile.write(f"{self.broker.address}\n".encode())
                    for line in inner.rfile:
                        answer = "done"
                        try:
                            if line.strip() != b"restart":
                                raise ValueError(f"unknown word {line!r}")
                            self.broker.restart()
                        except Exception as error:  # the client tells it as the behaviour's failure
                            answer = " ".join(f"failed: {error}".split())
                        inner.wfile.write(f"{answer}\n".encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lease)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        return self.broker.stop() if self.broker and self.broker.alive() else 0
