# apt: kcat
"""kcat, in whatever version the machine has: Debian 12's 1.7.1 links librdkafka 2.0.2, old on purpose.

It names brokers that mis-encode a tag, and it compresses only when Produce is advertised from version 0.
"""

import json
import random
import subprocess
import tempfile
import time
from pathlib import Path

from told import BROKER, behaviour, equal, lacks, restartable, tell_all, topic, until

TIMEOUT_S = 60


def kcat(mode, *arguments, data=b"", fails=False):
    """Runs kcat to its end. Its stdout; its stderr when it was to fail."""
    command = ["kcat", mode, "-b", BROKER, "-m", "20", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S)
    complaint = done.stderr.decode(errors="replace")
    if fails:
        assert done.returncode != 0, f"{command} ended well: {done.stdout[:200]!r} {complaint}"
        return complaint
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {complaint}"
    return done.stdout


def produce(name, *arguments, data=b"", **options):
    return kcat("-P", "-t", name, *arguments, data=data, **options)


def consume(name, *arguments):
    """Every record as kcat's JSON tells it, in the order of arrival."""
    lines = kcat("-C", "-t", name, "-q", "-e", "-J", *arguments).decode().splitlines()
    return [json.loads(line) for line in lines]


def raw_values(name, *arguments):
    """Every value as bytes, cut by the lengths that kcat prints before each."""
    stream = kcat("-C", "-t", name, "-q", "-e", "-f", "%R%s", "-X", "check.crcs=true", *arguments)
    values = []
    while stream:
        size = int.from_bytes(stream[:4], "big", signed=True)
        values.append(None if size < 0 else stream[4 : 4 + size])
        stream = stream[4 + max(size, 0) :]
    return values


def offset_at(name, timestamp):
    """The offset that `kcat -Q` prints: `topic [0] offset N`."""
    return int(kcat("-Q", "-t", f"{name}:0:{timestamp}").split()[-1])


@behaviour("metadata")
def metadata():
    name = topic("metadata")
    produce(name, data=b"x\n")
    told = [json.loads(kcat("-L", "-J", "-t", name)) for _ in range(2)]
    equal(told[0]["brokers"], told[1]["brokers"], "the list of brokers")
    equal(told[0]["topics"][0]["topic"], name)
    equal(told[0]["topics"][0]["partitions"][0]["leader"], told[0]["brokers"][0]["id"], "the leader")
    assert told[0]["controllerid"] >= 0, told[0]["controllerid"]


@behaviour("automatic topic creation")
def automatic_topic_creation():
    name = topic("automatic")
    produce(name, data=b"first\n")
    equal(raw_values(name), [b"first"])


@behaviour("unknown topic")
def unknown_topic():
    complaint = kcat("-C", "-t", topic("unknown"), "-e", fails=True)
    assert "Unknown topic" in complaint, complaint


@behaviour("unknown partition")
def unknown_partition():
    name = topic("partition")
    produce(name, data=b"x\n")
    complaint = produce(name, "-p", "99", data=b"x\n", fails=True)
    assert "nknown partition" in complaint, complaint


def codec(name, compress):
    """A value of 4 MiB goes through only when it is compressed: topics take 1 MiB by default."""
    value = b"all work and no play, " * (200_000 if compress else 2_000)
    where = topic(f"codec-{name}")
    options = ["-X", f"compression.codec={name}", "-X", "message.max.bytes=20000000"]
    produce(where, "-p", "0", *options, data=value + b"\nsecond\n")
    equal(raw_values(where, "-p", "0"), [value, b"second"])


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    # librdkafka takes FindCoordinator as the sign of a broker that knows lz4, so it does not compress with it before
    # there are consumer groups.
    behaviour(f"codec {each}")(lambda each=each: codec(each, each not in ("none", "lz4")))


@behaviour("keys")
def keys():
    name = topic("keys")
    lines = b"".join(b"k%d:%d\n" % (number % 5, number) for number in range(100))
    produce(name, "-K", ":", data=lines)
    records = consume(name)
    for key in range(5):
        mine = [record for record in records if record["key"] == f"k{key}"]
        equal([record["payload"] for record in mine], [str(n) for n in range(key, 100, 5)], "order of a key")
        equal(len({record["partition"] for record in mine}), 1, "partitions of a key")
    other = topic("keys-null")
    produce(other, "-p", "0", data=b"no key\n")
    produce(other, "-p", "0", "-K", ":", data=b":empty key\n")
    equal(kcat("-C", "-t", other, "-q", "-e", "-f", "%K %s\n"), b"-1 no key\n0 empty key\n")


@behaviour("headers")
def headers():
    name = topic("headers")
    produce(name, "-p", "0", "-H", "a=1", "-H", "a=2", "-H", "empty=", "-H", "none", data=b"x\n")
    found = consume(name)[0]["headers"]
    equal(found, ["a", "1", "a", "2", "empty", "", "none", None], "the headers")


@behaviour("null and empty values")
def null_and_empty_values():
    # kcat drops a line that has neither key nor value, so these have keys.
    name = topic("null")
    produce(name, "-p", "0", "-K", ":", data=b"empty:\n")
    produce(name, "-p", "0", "-K", ":", "-Z", data=b"null:\n")
    equal(kcat("-C", "-t", name, "-q", "-e", "-f", "%k %S\n"), b"empty 0\nnull -1\n", "the lengths")


@behaviour("sizes 1 B to 10 MiB")
def sizes():
    # kcat creates topics only with the broker's limit of 1 MiB, so the larger ones travel compressed.
    name = topic("sizes")
    plain = [random.Random(size).randbytes(size) for size in (1, 100, 4_096, 65_536, 900_000)]
    packed = [bytes([size % 251]) * size for size in (2 << 20, 10 << 20)]
    for values, options in ((plain, []), (packed, ["-X", "compression.codec=zstd"])):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / str(index) for index in range(len(values))]
            for file, value in zip(files, values):
                file.write_bytes(value)
            produce(name, "-p", "0", "-X", "message.max.bytes=20000000", *options, *map(str, files))
    equal(raw_values(name), plain + packed, "the values")


@behaviour("message too large")
def message_too_large():
    name = topic("large")
    produce(name, "-p", "0", data=b"before\n")
    with tempfile.NamedTemporaryFile() as large:
        large.write(random.Random(1).randbytes(2 << 20))
        large.flush()
        complaint = produce(name, "-p", "0", "-X", "message.max.bytes=20000000", large.name, fails=True)
    assert "too large" in complaint, complaint
    produce(name, "-p", "0", data=b"after\n")
    equal(raw_values(name), [b"before", b"after"])


def acks(level):
    name = topic(f"acks-{level}")
    lines = b"".join(b"%d\n" % number for number in range(500))
    # Created first: nobody would say that the first messages with acks=0 met no topic.
    produce(name, "-p", "0", data=b"created\n")
    produce(name, "-p", "0", "-X", f"topic.acks={level}", data=lines)
    until(lambda: len(raw_values(name)) == 501, "all messages are there")


for level, called in (("0", "0"), ("1", "1"), ("-1", "all")):
    behaviour(f"acks {called}")(lambda level=level: acks(level))


def idempotent(in_flight):
    name = topic("idempotent")
    values = [b"%d" % number for number in range(10_000)]
    options = ["-X", "enable.idempotence=true", "-X", "batch.num.messages=50", "-X", f"max.in.flight={in_flight}"]
    produce(name, "-p", "0", *options, data=b"\n".join(values) + b"\n")
    equal(raw_values(name), values, "the values")


behaviour("idempotent producer")(lambda: idempotent(5))
behaviour("idempotent, 1 in flight")(lambda: idempotent(1))


@behaviour("offsets by time")
def offsets_by_time():
    name = topic("times")
    produce(name, "-p", "0", data=b"a\nb\n")
    first = consume(name)
    between = first[-1]["ts"] + 1
    until(lambda: time.time() * 1000 > between + 1, "the clock moves on")
    produce(name, "-p", "0", data=b"c\n")
    equal(offset_at(name, between), 2, "the offset at the time between")
    equal(offset_at(name, 0), 0, "the offset at the beginning of time")
    equal(offset_at(name, first[-1]["ts"] + 3_600_000), -1, "the offset in the future")
    equal([record["payload"] for record in consume(name, "-o", f"s@{between}")], ["c"])


@behaviour("list offsets")
def list_offsets():
    name = topic("list")
    produce(name, "-p", "0", data=b"a\nb\nc\n")
    equal(offset_at(name, -2), 0, "earliest")
    equal(offset_at(name, -1), 3, "latest")


@behaviour("seek into a batch")
def seek_into_a_batch():
    name = topic("seek")
    lines = b"".join(b"%d\n" % number for number in range(1_000))
    produce(name, "-p", "0", "-z", "gzip", "-X", "linger.ms=200", data=lines)
    for offset in (1, 499, 999):
        records = consume(name, "-p", "0", "-o", str(offset))
        equal((records[0]["offset"], len(records)), (offset, 1_000 - offset), "first offset and count")
    equal([record["payload"] for record in consume(name, "-o", "-3")], ["997", "998", "999"], "the last three")


@behaviour("fetch waits for data")
def fetch_waits_for_data():
    name = topic("wait")
    produce(name, "-p", "0", data=b"old\n")
    command = ["kcat", "-C", "-b", BROKER, "-t", name, "-o", "end", "-c", "1", "-q", "-u"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        # It may not be at the end yet: whichever message it meets first, it is a new one.
        until(lambda: produce(name, "-p", "0", data=b"new\n") is not None and reader.poll() is not None,
              "the reader got a message")
        equal(reader.stdout.read(), b"new\n")
    finally:
        reader.kill()
        reader.wait()


@behaviour("offset out of range")
def offset_out_of_range():
    name = topic("range")
    produce(name, "-p", "0", data=b"a\nb\n")
    reset = ["-X", "topic.auto.offset.reset=smallest"]
    equal([record["payload"] for record in consume(name, "-p", "0", "-o", "1000", *reset)], ["a", "b"])


@behaviour("goes on after a restart")
def goes_on_after_a_restart():
    with restartable() as broker:
        name = topic("restart")
        # -E: a broker that is away is no reason to give up.
        there = ["-b", broker.address, "-t", name, "-p", "0", "-E", "-q"]

        def send(start):
            # A producer each: kcat reads its input in blocks, so one that is kept open sends nothing yet.
            lines = b"".join(b"%d\n" % number for number in range(start, start + 10))
            subprocess.run(["kcat", "-P", *there], input=lines, check=True, timeout=TIMEOUT_S)

        send(0)
        command = ["kcat", "-C", *there, "-o", "beginning", "-u", "-c", "20", "-f", "%o %s\n"]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            found = [reader.stdout.readline() for _ in range(10)]
            broker.restart()
            send(10)
            equal(reader.wait(TIMEOUT_S), 0, "the reader's exit status")
            found += reader.stdout.readlines()
            equal(found, [b"%d %d\n" % (number, number) for number in range(20)], "what was read")
        finally:
            reader.kill()
            reader.wait()


lacks("leader epoch after a restart", "kcat neither shows nor takes leader epochs")

for each in (
    "describe cluster", "create topic", "describe topics", "create partitions", "describe configs",
    "alter configs", "incremental alter configs", "append to config lists", "describe log dirs", "delete records", "delete topic",
    "keyless on compacted topic",
):
    lacks(each, "kcat has no admin calls")

tell_all()
