# lacks: * | tests/client, tests/cli and examples/metrics-feed try its groups
"""The bundled client, by its command line: it works against any broker."""

import base64
import json
import os
import random
import subprocess
import time

from told import BROKER, behaviour, equal, lacks, restartable, tell_all, topic, until

MILLRACE = os.environ["MILLRACE"]
TIMEOUT_S = 60
# The exit codes that scripts rely on.
NOT_FOUND, REFUSED = 66, 77


def millrace(*arguments, data=b"", status=0):
    """Runs the command to its end. Its stdout; its stderr when it was to fail."""
    done = subprocess.run([MILLRACE, *arguments, "-b", BROKER], input=data, capture_output=True, timeout=TIMEOUT_S)
    complaint = done.stderr.decode(errors="replace").strip()
    assert done.returncode == status, f"{arguments} ended with {done.returncode}, not {status}: {complaint}"
    if status:
        assert complaint and not done.stdout, f"{arguments} failed, but told {complaint!r} and {done.stdout[:99]!r}"
        return complaint
    return done.stdout


def create(name, *options, status=0):
    millrace("topic", "create", name, *options, status=status)
    return name


def text(value):
    """Bytes as the JSON lines tell them."""
    return value if value is None or isinstance(value, str) else {"base64": base64.b64encode(value).decode()}


def produce(name, records, *options, status=0):
    """Sends JSON objects; where each went, as [partition, offset]."""
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    out = millrace("produce", name, "--json", "--report", "-q", *options, data=data, status=status)
    return out if status else [[int(word) for word in line.split() if word != b"-"] for line in out.splitlines()]


def consume(name, *options):
    """Every record, as JSON tells it, with keys and values as bytes."""
    lines = millrace("consume", name, "--exit", "--json", "--base64", *options).splitlines()
    found = [json.loads(line) for line in lines]
    for record in found:
        for field in ("key", "value"):
            record[field] = record[field] and base64.b64decode(record[field]["base64"])
    return found


def values(name, *options):
    return [record["value"] for record in consume(name, *options)]


def numbers(count):
    return [{"value": str(number), "partition": 0} for number in range(count)]


def describe(name, *options):
    return json.loads(millrace("topic", "describe", name, "--json", *options))


@behaviour("metadata")
def metadata():
    name = create(topic("metadata"), "-p", "3")
    found = describe(name)
    equal([partition["partition"] for partition in found["partitions"]], [0, 1, 2], "the partitions")
    assert name in millrace("topic", "list").decode().splitlines()


@behaviour("automatic topic creation")
def automatic_topic_creation():
    name = topic("automatic")
    complaint = millrace("produce", name, "--no-create", data=b"first\n", status=NOT_FOUND)
    assert name in complaint, complaint
    millrace("produce", name, data=b"first\n")
    equal(values(name), [b"first"])


@behaviour("unknown topic")
def unknown_topic():
    name = topic("unknown")
    assert name in millrace("consume", name, "--exit", status=NOT_FOUND)
    millrace("topic", "describe", name, status=NOT_FOUND)
    millrace("topic", "delete", "--yes", name, status=NOT_FOUND)
    assert name not in millrace("topic", "list").decode().splitlines()


@behaviour("unknown partition")
def unknown_partition():
    name = create(topic("partition"), "-p", "1")
    millrace("consume", name, "--exit", "-p", "7", status=NOT_FOUND)
    millrace("produce", name, "-p", "7", data=b"x\n", status=NOT_FOUND)


def codec(name):
    where = create(topic(f"codec-{name}"), "-p", "1")
    pick = random.Random(name)
    sent = [pick.randbytes(pick.randrange(1, 2_000)) for _ in range(200)]
    if name != "none":
        # Above the topic's limit of 1 MiB: only compressed does it go through.
        sent.append(b"all work and no play, " * 200_000)
    produce(where, [{"value": text(value)} for value in sent], "-z", name)
    equal(values(where), sent, "the values")


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    behaviour(f"codec {each}")(lambda each=each: codec(each))


@behaviour("keys")
def keys():
    name = create(topic("keys"), "-p", "4")
    produce(name, [{"key": f"k{n % 5}", "value": str(n)} for n in range(100)])
    found = consume(name)
    for key in range(5):
        mine = [record for record in found if record["key"] == b"k%d" % key]
        equal([record["value"] for record in mine], [b"%d" % n for n in range(key, 100, 5)], "order of a key")
        equal(len({record["partition"] for record in mine}), 1, "partitions of a key")
    other = create(topic("keys-null"), "-p", "1")
    produce(other, [{"value": "null"}, {"key": "", "value": "empty"}])
    equal([record["key"] for record in consume(other)], [None, b""], "the keys")


@behaviour("headers")
def headers():
    name = create(topic("headers"), "-p", "1")
    sent = [["a", "1"], ["a", "2"], ["null", None], ["empty", ""], ["ключ", "значение"], ["a", "3"]]
    produce(name, [{"value": "x", "headers": sent}, {"value": "without"}])
    found = [json.loads(line) for line in millrace("consume", name, "--exit", "--json").splitlines()]
    equal([record["headers"] for record in found], [sent, []], "the headers")


@behaviour("null and empty values")
def null_and_empty_values():
    name = create(topic("null"), "-p", "1")
    produce(name, [{"key": "k", "value": None}, {"key": "k", "value": ""}, {}])
    equal([(r["key"], r["value"]) for r in consume(name)], [(b"k", None), (b"k", b""), (None, None)])


@behaviour("sizes 1 B to 10 MiB")
def sizes():
    name = create(topic("sizes"), "-p", "1", "-c", "max.message.bytes=12000000")
    sent = [random.Random(size).randbytes(size) for size in (1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20)]
    for value in sent:
        millrace("produce", name, "--whole", data=value)
    equal(values(name), sent, "the values")
    equal(millrace("consume", name, "--exit", "--raw", "-o", "6"), sent[6], "the raw bytes")


@behaviour("message too large")
def message_too_large():
    name = create(topic("large"), "-p", "1", "-c", "max.message.bytes=10000")
    millrace("produce", name, "--whole", data=random.Random(1).randbytes(20_000), status=REFUSED)
    millrace("produce", name, "--whole", data=bytes(9_000))
    equal(values(name), [bytes(9_000)])


def acks(level):
    name = create(topic(f"acks-{level}"), "-p", "1")
    told = produce(name, numbers(1_000), "--acks", level)
    if level != "0":
        equal(told, [[0, n] for n in range(1_000)], "the acknowledged offsets")
    until(lambda: values(name) == [b"%d" % n for n in range(1_000)], "all values are there")


for each in ("0", "1", "all"):
    behaviour(f"acks {each}")(lambda each=each: acks(each))


@behaviour("idempotent producer")
def idempotent_producer():
    name = create(topic("idempotent"), "-p", "1")
    told = produce(name, numbers(50_000), "--linger", "0ms", "--batch-bytes", "500")
    equal(told, [[0, n] for n in range(50_000)], "the acknowledged offsets")
    equal(values(name), [b"%d" % n for n in range(50_000)], "the values")


@behaviour("offsets by time")
def offsets_by_time():
    name = create(topic("times"), "-p", "1")
    start = int(time.time() * 1000) - 600_000
    # One batch, so that the answer must be looked for inside it; times are not in order.
    stamps = [start, start + 10, start + 30, start + 20, start + 40]
    produce(name, [{"value": "x", "timestamp": stamp} for stamp in stamps], "--linger", "500ms", "-z", "lz4")
    equal([record["timestamp"] for record in consume(name)], stamps, "the times")
    for asked, expected in ((0, 5), (start + 5, 4), (start + 11, 3), (start + 31, 1), (start + 41, 0)):
        equal(len(consume(name, "-o", f"@{asked}")), expected, f"records since start{asked - start:+d}")


@behaviour("list offsets")
def list_offsets():
    name = create(topic("list"), "-p", "2")
    produce(name, numbers(3))
    found = [(partition["start"], partition["end"]) for partition in describe(name)["partitions"]]
    equal(found, [(0, 3), (0, 0)], "start and end of each partition")


@behaviour("seek into a batch")
def seek_into_a_batch():
    name = create(topic("seek"), "-p", "1")
    produce(name, numbers(1_000), "--linger", "500ms", "-z", "gzip")
    for offset in (1, 499, 998, 999):
        found = consume(name, "-p", "0", "-o", str(offset))
        equal((found[0]["offset"], len(found)), (offset, 1_000 - offset), "first offset and count")
    equal(values(name, "-o", "-3"), [b"997", b"998", b"999"], "the last three")


@behaviour("fetch waits for data")
def fetch_waits_for_data():
    name = create(topic("wait"), "-p", "1")
    command = [MILLRACE, "consume", name, "-b", BROKER, "-c", "1"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        millrace("produce", name, data=b"late\n")
        equal(reader.communicate(timeout=TIMEOUT_S)[0], b"late\n")
        equal(reader.returncode, 0, "the exit status")
    finally:
        reader.kill()
        reader.wait()


@behaviour("offset out of range")
def offset_out_of_range():
    name = create(topic("range"), "-p", "1")
    produce(name, numbers(2))
    complaint = millrace("consume", name, "--exit", "-p", "0", "-o", "1000", status=NOT_FOUND)
    assert "1000" in complaint, complaint


@behaviour("create topic")
def create_topic():
    name = create(topic("create"), "-p", "5", "-c", "retention.ms=3600000")
    equal(len(describe(name)["partitions"]), 5, "partitions")
    create(name, status=REFUSED)
    create(name, "--if-not-exists")
    create("not/a/name", status=REFUSED)
    create(topic("many"), "--replication-factor", "3", status=REFUSED)
    create(topic("bad"), "-c", "retention.ms=soon", status=REFUSED)
    create(topic("odd"), "-c", "no.such.config=1", status=REFUSED)
    dry = create(topic("dry"), "--validate-only")
    assert dry not in millrace("topic", "list").decode().splitlines()


@behaviour("describe topics")
def describe_topics():
    name = create(topic("describe"), "-p", "30")
    found = describe(name)
    equal([partition["partition"] for partition in found["partitions"]], list(range(30)), "the partitions")
    equal(describe(name)["id"], found["id"], "the topic id")


@behaviour("create partitions")
def create_partitions():
    name = create(topic("more"), "-p", "2")
    millrace("topic", "alter", name, "-p", "4")
    until(lambda: len(describe(name)["partitions"]) == 4, "four partitions")
    equal(produce(name, [{"value": "new", "partition": 3}]), [[3, 0]])
    millrace("topic", "alter", name, "-p", "3", status=REFUSED)


def config(name, key):
    return describe(name, "--all")["configs"][key]


@behaviour("describe configs")
def describe_configs():
    name = create(topic("configs"), "-c", "segment.bytes=2000000")
    equal(config(name, "segment.bytes")["value"], "2000000")
    equal(config(name, "max.message.bytes")["value"], "1048588")


@behaviour("incremental alter configs")
def incremental_alter_configs():
    name = create(topic("incremental"), "-c", "retention.ms=1000000", "-c", "segment.bytes=2000000")
    millrace("topic", "alter", name, "-c", "max.message.bytes=5000", "--reset", "retention.ms")
    expected = {"max.message.bytes": "5000", "retention.ms": "604800000", "segment.bytes": "2000000"}
    until(lambda: all(config(name, key)["value"] == value for key, value in expected.items()),
          f"the topic has {expected}")
    millrace("topic", "alter", name, "-c", "max.message.bytes=-5", status=REFUSED)


@behaviour("delete topic")
def delete_topic():
    name = create(topic("gone"), "-p", "1")
    before = describe(name)["id"]
    produce(name, numbers(3))
    millrace("topic", "delete", "--yes", name)
    until(lambda: name not in millrace("topic", "list").decode().splitlines(), "the topic is gone")
    create(name, "-p", "1")
    assert describe(name)["id"] != before, f"the topic id {before} is used again"
    equal(produce(name, [{"value": "new"}]), [[0, 0]])


@behaviour("keyless on compacted topic")
def keyless_on_compacted_topic():
    name = create(topic("compact"), "-p", "1", "-c", "cleanup.policy=compact")
    produce(name, [{"value": "no key"}], status=REFUSED)
    equal(produce(name, [{"key": "key", "value": "value"}]), [[0, 0]])


@behaviour("goes on after a restart")
def goes_on_after_a_restart():
    with restartable() as broker:
        name = topic("restart")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = lambda *words: subprocess.Popen([MILLRACE, *words, "-b", broker.address], **pipes)  # noqa: E731
        # Created first: a reader that is too early says that there is none.
        subprocess.run([MILLRACE, "topic", "create", name, "-b", broker.address], check=True, timeout=TIMEOUT_S)
        producer = command("produce", name, "-p", "0", "--report", "-q")
        reader = None
        try:
            for start in (0, 10):
                producer.stdin.write(b"".join(b"%d\n" % number for number in range(start, start + 10)))
                producer.stdin.flush()
                reader = reader or command("consume", name, "-p", "0", "-c", "20", "-f", "%o %s\n")
                equal([reader.stdout.readline() for _ in range(10)],
                      [b"%d %d\n" % (number, number) for number in range(start, start + 10)], "what was read")
                if start == 0:
                    broker.restart()
            producer.stdin.close()
            report = [line.split() for line in producer.stdout]
            equal(report, [[b"0", b"%d" % number] for number in range(20)], "where they went")
            equal((producer.wait(TIMEOUT_S), reader.wait(TIMEOUT_S)), (0, 0), "the exit statuses")
        finally:
            for process in filter(None, (producer, reader)):
                process.kill()
                process.wait()


lacks("idempotent, 1 in flight", "how many are in flight is not for its user to choose")
lacks("leader epoch after a restart", "its commands neither show nor take leader epochs")

for each in ("describe cluster", "alter configs", "append to config lists", "describe log dirs", "delete records"):
    lacks(each, "no command of its own")

tell_all()
