"""F12, F14, F26: descriptors run out, the clock jumps, somebody else wants the directory."""

import os
import socket
import subprocess
import time
from pathlib import Path

from broker import Broker, until
from disks import Unavailable, need
from kafka import Connection, Refused


def f12_without_descriptors_what_is_open_goes_on(box):
    """Started with few descriptors and more topics and clients than they allow: those connected are served, no processor
    time is burnt, and when clients leave all is as before."""
    need("prlimit")
    broker = box.use(Broker(box.directory / "data", before=["prlimit", "--nofile=128:128"]))
    first = box.use(Connection(broker.port))
    for number in range(60):
        first.create_topic(f"t{number}", 3)
        for partition in range(3):
            first.produce(f"t{number}", partition, [b"%d" % number])
    crowd = [socket.create_connection(("127.0.0.1", broker.port), 5) for _ in range(200)]
    time.sleep(0.5)
    used = ticks(broker.pid)
    began = time.monotonic()
    for number in range(60):
        first.produce(f"t{number}", 0, [b"more"])
        assert len(first.read_all(f"t{number}", 0)) == 2
    busy = time.monotonic() - began
    time.sleep(1)
    spent = (ticks(broker.pid) - used) / os.sysconf("SC_CLK_TCK")
    assert spent < 0.5 * busy + 0.4, f"{spent:.2f} s of processor time in {busy + 1:.2f} s"
    for each in crowd:
        each.close()
    with Connection(broker.port) as late:
        late.api_versions()
        late.create_topic("late", 1)
        late.produce("late", 0, [b"late"])
    assert broker.stop() == 0
    return f"180 partitions and 200 clients with 128 descriptors; {spent:.2f} s of processor time in {busy + 1:.1f} s"


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def f14_the_clock_jumps_and_nothing_expires(box):
    """The wall clock jumps an hour back and ten years forward (libfaketime): nothing is deleted in that pass, offsets
    and append times never decrease, an idempotent producer stays known."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Unavailable("libfaketime is not installed")
    clock = box.directory / "clock"
    clock.write_text("+0")
    broker = box.use(Broker(
        box.directory / "data", ["log.retention.check.interval.ms=300", "log.retention.ms=3600000"],
        environment={"LD_PRELOAD": str(found[0]), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                     "FAKETIME_TIMESTAMP_FILE": str(clock)}))
    connection = box.use(Connection(broker.port))
    connection.create_topic("t", 1, message_timestamp_type="LogAppendTime", segment_bytes=1048576)
    count = 0
    for jump in ("+0", "-3600", "+315360000", "+0"):
        clock.write_text(jump)
        for _ in range(20):
            try:
                count += 1
                connection.produce("t", 0, [b"%d" % count + b"." * 60_000])
            except Refused as refused:
                raise AssertionError(f"after a jump of {jump} s: {refused}") from refused
        time.sleep(0.7)
        assert connection.offset_at("t", 0, -2) == 0, f"records are deleted after a jump of {jump} s"
    assert len(connection.read_all("t", 0)) == count
    assert broker.stop() == 0
    return f"{count} records over three jumps"


def contents(directory):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size, path.is_file() and path.read_bytes())
            for path in sorted(directory.rglob("*"))}


def f26_a_second_broker_leaves_the_directory_untouched(box):
    """It exits within a second with 75, names the holder, and leaves every byte and time as they were; the lock dies
    with its holder."""
    data = box.directory / "data"
    broker = box.use(Broker(data))
    with Connection(broker.port) as connection:
        connection.create_topic("t", 3)
        for partition in range(3):
            connection.produce("t", partition, [b"x"])
    # The checkpoint is written every few seconds while anything has changed; then nothing changes any more.
    until(lambda: (data / "checkpoint").exists(), 10, "the first checkpoint")
    time.sleep(0.5)
    before, slowest = contents(data), 0.0
    for _ in range(5):
        began = time.monotonic()
        second = subprocess.run([broker.binary, "serve", "--data-dir", data, "--listen", "127.0.0.1:0"],
                                capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10)
        slowest = max(slowest, time.monotonic() - began)
        assert second.returncode == 75, f"it ended with {second.returncode}: {second.stderr}"
        assert str(broker.pid) in second.stderr, f"the holder is not named: {second.stderr}"
    assert slowest < 1, f"{slowest:.2f} s"
    assert contents(data) == before, "the second broker changed the directory"
    broker.kill()
    broker.start()
    assert broker.stop() == 0
    return f"refused within {slowest * 1000:.0f} ms"
