"""F11: the disk is slow, or stands still."""

import threading
import time

from broker import Broker
from disks import Lab, Loop, image, need
from kafka import Connection, batch

# What a request that needs nothing of the slow file or disk may take. The machine may be busy.
PROMPT_S = 1.0


class Stopwatch:
    """Repeats a request on a connection of its own and notes how long each took."""

    def __init__(self, name, port, request):
        self.name, self.port, self.request = name, port, request
        self.took, self.failure = [], None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.repeat, daemon=True)
        self.thread.start()

    def repeat(self):
        try:
            with Connection(self.port, 60) as connection:
                while not self.stopping.is_set():
                    began = time.monotonic()
                    self.request(connection)
                    self.took.append(time.monotonic() - began)
                    time.sleep(0.005)
        except Exception as error:  # noqa: BLE001: told by the test
            self.failure = f"{self.name}: {error!r}"

    def stop(self):
        self.stopping.set()
        self.thread.join(70)
        assert self.failure is None, self.failure
        took = sorted(self.took)
        assert len(took) > 20, f"{self.name}: only {len(took)} answers"
        p99 = took[int(len(took) * 0.99)]
        assert took[-1] < PROMPT_S, f"{self.name} took up to {took[-1]:.2f} s of {len(took)} answers, p99 {p99:.3f} s"
        return f"{self.name} {p99 * 1000:.0f}/{took[-1] * 1000:.0f}"


def readers(port):
    """Requests that need no disk: of a partition other than the slow one, and of what is in the page cache."""

    def parked(connection):
        began = time.monotonic()
        connection.fetch("other", 0, connection.offset_at("other", 0, -1), max_wait_ms=200, min_bytes=1 << 20)
        assert time.monotonic() - began > 0.1

    return [
        Stopwatch("ApiVersions", port, lambda connection: connection.api_versions()),
        Stopwatch("Metadata", port, lambda connection: connection.topics()),
        Stopwatch("fetch other", port, lambda connection: connection.fetch("other", 0, 0)),
        Stopwatch("fetch same", port, lambda connection: connection.fetch("slow", 0, 0)),
        Stopwatch("long poll of 200 ms", port, parked),
    ]


def f11_a_sync_that_hangs_delays_no_other_partition(box):
    """Every fdatasync of one partition's file takes 10 s (strace), while its producers go on: produce with acks=all to
    another partition, fetches, long polls, Metadata and ApiVersions are prompt. Measured is the broker alone: the file
    system under it is not slow."""
    need("strace")
    data = box.directory / "data"
    with Broker(data) as broker:
        with Connection(broker.port) as connection:
            for topic in ("slow", "other"):
                connection.create_topic(topic, 1)
                connection.produce(topic, 0, [b"the %s one" % topic.encode()])
        slow, = (path for path in data.glob("topics/*/0/*.log") if b"the slow one" in path.read_bytes())
        assert broker.stop() == 0
        seconds = 30 if box.long else 10
        broker.before = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", box.directory / "strace", "-P", str(slow), "-e",
                         "trace=fdatasync,fsync", "-e", f"inject=fdatasync,fsync:delay_enter={seconds}s"]
        broker.start()
        stuck = [Connection(broker.port, 3 * seconds + 30) for _ in range(20)]
        for connection in stuck:
            connection.send_produce("slow", 0, batch([b"y" * 500]), timeout_ms=100_000)
        time.sleep(0.5)
        began = time.monotonic()
        watches = readers(broker.port)
        watches.append(Stopwatch("produce other acks=all", broker.port,
                                 lambda connection: connection.produce("other", 0, [b"z" * 500])))
        time.sleep(seconds - 2)
        told = [watch.stop() for watch in watches]
        lasted = time.monotonic() - began
        for connection in stuck:
            code, _ = connection.receive_produced()
            assert code == 0, code
            connection.close()
        delayed = (box.directory / "strace").read_text().count("DELAYED")
        assert delayed, "no sync was slow"
        broker.kill()
    return f"p99/max ms in {lasted:.0f} s: {', '.join(told)}"


def f11_a_disk_that_stands_still_delays_no_read(box):
    """The whole device stops answering for 10 s under producers of 30 partitions: fetches from the page cache, long
    polls, Metadata and ApiVersions are prompt; everything goes on when it answers again."""
    seconds = 30 if box.long else 10
    with Lab(box.directory, image(box.directory / "base", 96)) as lab, Loop(box.directory, lab.device) as disk:
        broker = box.use(Broker(disk.path / "data"))
        with Connection(broker.port) as connection:
            for topic, partitions in (("slow", 1), ("other", 1), ("many", 30)):
                connection.create_topic(topic, partitions)
            for topic in ("slow", "other"):
                connection.produce(topic, 0, [b"x" * 1000])
            for partition in range(30):
                connection.produce("many", partition, [b"x"])
        lab.stop()
        try:
            stuck = [Connection(broker.port, 3 * seconds + 30) for _ in range(30)]
            for partition, connection in enumerate(stuck):
                for _ in range(5):
                    connection.send_produce("many", partition, batch([b"y" * 500]), timeout_ms=100_000)
            began = time.monotonic()
            watches = readers(broker.port)
            time.sleep(seconds)
            lasted = time.monotonic() - began
        finally:
            lab.go_on()
        told = [watch.stop() for watch in watches]
        for connection in stuck:
            for _ in range(5):
                code, _ = connection.receive_produced()
                assert code == 0, code
            connection.close()
        assert broker.stop() == 0
    return f"p99/max ms in {lasted:.0f} s: {', '.join(told)}"
