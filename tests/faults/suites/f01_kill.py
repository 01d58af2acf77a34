"""F1, F29: the process dies or sleeps at any moment; the kernel and the disk live on."""

import re
import signal
import subprocess
import threading
import time

import kafka
from broker import Broker, Ended
from disks import need
from kafka import Connection
from oracle import Oracle

SETTINGS = ["log.segment.bytes=1048576"]


def f01_kill_9_under_load_a_hundred_times_loses_nothing(box):
    """kill -9 at random moments under idempotent and plain producers and a consumer, with SIGSTOP mixed in."""
    rounds = 1000 if box.long else 100
    broker = box.use(Broker(box.directory, SETTINGS))
    with Connection(broker.port) as connection:
        connection.create_topic("faults", 3)
    slowest = 0.0
    with Oracle(broker.port, seed=box.seed) as oracle:
        for number in range(1, rounds + 1):
            oracle.wait_for_acks(box.chance.randrange(20, 300))
            if box.chance.random() < 0.3:
                broker.signal(signal.SIGSTOP)
                time.sleep(box.chance.uniform(0.01, 0.2))
                if box.chance.random() < 0.5:
                    broker.signal(signal.SIGCONT)
                    oracle.wait_for_acks(20)
            broker.kill()
            began = time.monotonic()
            broker.start()
            slowest = max(slowest, time.monotonic() - began)
            if number % 10 == 0:
                oracle.check(all_of_it=False)
        oracle.wait_for_acks(200)
        oracle.stop()
        oracle.check()
    assert broker.stop() == 0
    return f"{rounds} kills, {oracle.acks} records acknowledged, slowest start {slowest:.2f} s"


# What changes a file or a directory, and what makes the change last.
CALLS = ("pwrite64", "pwritev", "write", "fdatasync", "fsync", "syncfs", "rename", "ftruncate", "unlink", "unlinkat",
         "rmdir", "mkdir", "openat", "fallocate")


class Script:
    """A short life of a broker that uses every operation on files: one thread, so that it goes alike each time.

    Notes what the broker answered, up to the moment at which it dies.
    """

    SETTINGS = ["num.io.threads=1", "num.network.threads=1", "log.segment.bytes=1048576"]

    def __init__(self):
        self.acked, self.created, self.deleted, self.asked = [], set(), set(), set()
        self.log_start = 0

    def run(self, port):
        with Connection(port, 10) as connection:
            self.create(connection, "kept", segment_bytes=1048576)
            self.create(connection, "gone")
            for number in range(9):
                self.produce(connection, "kept", [b"%d-%d-" % (number, each) + b"." * 60_000 for each in range(5)])
            self.produce(connection, "gone", [b"x"])
            self.asked.add("gone")
            connection.delete_topic("gone")
            self.deleted.add("gone")
            connection.delete_records("kept", 0, 30)
            self.log_start = 30
            self.produce(connection, "kept", [b"last"])

    def create(self, connection, name, **settings):
        connection.create_topic(name, 1, **settings)
        self.created.add(name)

    def produce(self, connection, topic, values):
        offset = connection.produce(topic, 0, values)
        if topic == "kept":
            self.acked += [(offset + step, value) for step, value in enumerate(values)]

    def check(self, port):
        with Connection(port) as connection:
            topics = connection.topics()
            assert "kept" in topics or "kept" not in self.created, "an acknowledged topic is gone"
            assert "gone" not in topics or "gone" not in self.deleted, "a deleted topic is back"
            assert "gone" in topics or "gone" not in self.created or "gone" in self.asked, "a topic went by itself"
            if "kept" in topics:
                start = connection.offset_at("kept", 0, -2)
                assert start >= self.log_start, f"the log starts at {start} again, not at {self.log_start}"
                found = connection.read_all("kept", 0, start)
                assert [offset for offset, _ in found] == list(range(start, start + len(found))), "a gap"
                missing = set(record for record in self.acked if record[0] >= start) - set(found)
                assert not missing, f"acknowledged and not there: {sorted(offset for offset, _ in missing)}"
                assert len(found) + start <= len(self.acked) + 5, "records that nobody sent"
            # And it goes on.
            connection.create_topic("after", 1)
            end = connection.produce("after", 0, [b"after"])
            assert connection.read_all("after", 0, end)


def traced(directory, *options):
    # Without --seccomp-bpf, under which strace 6.1 does not count right for signals.
    return ["strace", "-f", "-qq", "-o", directory / "strace", *options]


def points(box):
    """(call, n): the n-th of the calls of one thread, for all threads and calls of a run of the script."""
    broker = Broker(box.directory / "counted", Script.SETTINGS, traced(box.directory, "-e", "trace=" + ",".join(CALLS)))
    with broker:
        Script().run(broker.port)
        assert broker.stop() == 0
    counts = {}
    for line in (box.directory / "strace").read_text().splitlines():
        if match := re.match(r"(\d+) +(\w+)\(", line):
            counts[match.groups()] = counts.get(match.groups(), 0) + 1
    most = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    return [(call, n) for call, count in sorted(most.items()) for n in range(1, count + 1)]


def f01_killed_before_any_file_call_of_a_scripted_life_it_recovers(box):
    """SIGKILL before the n-th pwritev, fdatasync, rename, unlink …; --long takes every point, else spread ones."""
    need("strace")
    every = points(box)
    chosen = every if box.long else sorted(box.chance.sample(every, min(70, len(every))))
    died = 0
    for index, (call, n) in enumerate(chosen):
        data = box.directory / str(index)
        inject = traced(box.directory, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={n}")
        script, broker = Script(), Broker(data, Script.SETTINGS, inject)
        try:
            try:
                broker.start()
                script.run(broker.port)
                broker.stop()
            except (Ended, OSError):
                pass
            broker.kill()
            died += "killed by SIGKILL" in (box.directory / "strace").read_text()
            broker.before = []
            script.check(broker.start().port)
        except (AssertionError, Ended, kafka.Refused) as error:
            raise AssertionError(f"killed before {call} {n}: {error}") from error
        finally:
            broker.kill()
        subprocess.run(["rm", "-rf", data], check=True)
    assert died > len(chosen) // 2, f"only {died} of {len(chosen)} kills came"
    return f"{len(chosen)} of {len(every)} points, {died} died before they were done"
