"""The behaviours of the clients in pure Python, which differ in how they are called and not in what they do.

A suite gives `tell` its own `Client`: methods that call the library, named and shaped alike. Errors are the library's,
with Kafka's code in `errno`. What a library has no call for, the suite says in `without`, with the reason.
"""

import random
import threading
import time

from told import behaviour, equal, lacks, restartable, tell_all, topic, until

OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, MESSAGE_TOO_LARGE, INVALID_TOPIC = 1, 3, 10, 17
TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_CONFIG = 36, 37, 38, 40
PATIENCE_S = 60
_asked = []


def asks(name):
    def register(function):
        _asked.append((name, function))
        return function

    return register


def tell(client, without):
    """Tells every behaviour with this client and ends the process."""
    for name, function in _asked:
        if name in without:
            lacks(name, without.pop(name))
        else:
            behaviour(name)(lambda function=function: function(client))
    for name, why in without.items():
        lacks(name, why)
    tell_all()


# === what the behaviours are made of ===


def create(client, name, partitions=1, **config):
    """Creates a topic; `max_message_bytes=1` stands for the config `max.message.bytes`."""
    client.create_topic(name, partitions, 1, {key.replace("_", "."): str(value) for key, value in config.items()})
    until(lambda: name in client.topics(), "the topic is listed")
    return name


def refused(action, *codes):
    try:
        answer = action()
    except Exception as error:
        assert getattr(error, "errno", None) in codes, f"{type(error).__name__} {error} is not one of {codes}"
    else:
        raise AssertionError(f"was accepted ({answer}) instead of {codes}")


def produce(client, name, records, **options):
    """Sends (partition, key, value, headers, timestamp) records; where each went, as (partition, offset)."""
    told = attempt(client, name, records, **options)
    failed = [answer for answer in told if isinstance(answer, Exception)]
    assert not failed, f"{len(failed)} of {len(told)} failed: {failed[0]!r}"
    return told


def attempt(client, name, records, **options):
    producer = client.producer(**options)
    try:
        return producer.send(name, [(*record, *(None,) * (5 - len(record))) for record in records])
    finally:
        producer.close()


def consume(client, name, partitions=(0,), offset=0, **options):
    """Every record from `offset` to the end of each partition."""
    reader = client.reader(name, partitions, offset, **options)
    try:
        ends = {partition: end for partition, end in reader.ends().items() if end > offset or options}
        found, deadline = [], time.monotonic() + PATIENCE_S
        while ends:
            assert time.monotonic() < deadline, f"no end after {len(found)} records"
            for record in reader.poll(500):
                found.append(record)
                if record.offset + 1 >= ends.get(record.partition, 0):
                    ends.pop(record.partition, None)
        return found
    finally:
        reader.close()


def values(client, name, **options):
    return [record.value for record in consume(client, name, **options)]


def numbered(count, start=0):
    return [(0, None, b"%d" % number) for number in range(start, start + count)]


# === producing and reading ===


@asks("metadata")
def metadata(client):
    name = create(client, topic("metadata"), partitions=3)
    first, second = client.cluster(), client.cluster()
    equal(first, second, "the cluster")
    assert first["controller"] in first["brokers"], first
    equal(client.describe(name)["partitions"], {0: first["controller"], 1: first["controller"], 2: first["controller"]},
          "partitions and their leaders")


@asks("describe cluster")
def describe_cluster(client):
    found = client.cluster()
    assert found["cluster_id"] and found["controller"] in found["brokers"], found


@asks("automatic topic creation")
def automatic_topic_creation(client):
    name = topic("automatic")
    produce(client, name, [(None, None, b"first")])
    equal(values(client, name, partitions=sorted(client.describe(name)["partitions"])), [b"first"])


@asks("unknown topic")
def unknown_topic(client):
    name = topic("unknown")
    refused(lambda: client.delete_topic(name), UNKNOWN_TOPIC_OR_PARTITION)
    assert name not in client.topics(), "the question created the topic"


@asks("unknown partition")
def unknown_partition(client):
    name = create(client, topic("partition"))
    # Each library has its own way to say it; none may hang.
    started = time.monotonic()
    told = attempt(client, name, [(7, None, b"x")], max_block_ms=3_000)
    assert isinstance(told[0], Exception), told
    assert time.monotonic() - started < PATIENCE_S, "took too long"


def codec(client, name):
    """Compressible values of 4 MiB go through a limit of 1 MiB only when they are compressed."""
    where = create(client, topic(f"codec-{name}"))
    pick = random.Random(name)
    sent = [pick.randbytes(pick.randrange(1, 2_000)) for _ in range(200)]
    if name != "none":
        sent += [b"all work and no play, " * 200_000]
    produce(client, where, [(0, None, value) for value in sent], compression=None if name == "none" else name)
    equal(values(client, where), sent, "the values")


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    asks(f"codec {each}")(lambda client, each=each: codec(client, each))


@asks("keys")
def keys(client):
    name = create(client, topic("keys"), partitions=4)
    produce(client, name, [(None, b"k%d" % (n % 5), b"%d" % n) for n in range(100)])
    found = consume(client, name, partitions=range(4))
    for key in range(5):
        mine = [record for record in found if record.key == b"k%d" % key]
        equal([record.value for record in mine], [b"%d" % n for n in range(key, 100, 5)], "order of a key")
        equal(len({record.partition for record in mine}), 1, "partitions of a key")
    other = create(client, topic("keys-null"))
    produce(client, other, [(0, None, b"null"), (0, b"", b"empty")])
    equal([record.key for record in consume(client, other)], [None, b""], "the keys")


@asks("headers")
def headers(client):
    name = create(client, topic("headers"))
    sent = [("a", b"1"), ("a", b"2"), ("empty", b""), ("ключ", "значение".encode()), ("a", b"3")]
    if client.null_headers:
        sent.insert(2, ("null", None))
    produce(client, name, [(0, None, b"x", sent), (0, None, b"without")])
    first, second = consume(client, name)
    equal(list(first.headers), sent, "the headers")
    equal(list(second.headers or ()), [], "the headers of a record without")


@asks("null and empty values")
def null_and_empty_values(client):
    name = create(client, topic("null"))
    sent = [(b"k", None), (b"k", b""), (None, b""), (b"", b"")]
    produce(client, name, [(0, *pair) for pair in sent])
    equal([(record.key, record.value) for record in consume(client, name)], sent)


@asks("sizes 1 B to 10 MiB")
def sizes(client):
    name = create(client, topic("sizes"), max_message_bytes=12_000_000)
    sent = [random.Random(size).randbytes(size) for size in (1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20)]
    produce(client, name, [(0, None, value) for value in sent])
    # A fetch limit far below the records: at least one whole batch comes all the same.
    equal(values(client, name, fetch_bytes=1_000), sent, "the values")


@asks("message too large")
def message_too_large(client):
    name = create(client, topic("large"), max_message_bytes=10_000)
    for size, taken in ((20_000, False), (9_000, True), (10_100, False)):
        told = attempt(client, name, [(0, None, bytes(size))])[0]
        if taken:
            equal(told, (0, 0))
        else:
            equal(getattr(told, "errno", told), MESSAGE_TOO_LARGE, "the error")
    equal(values(client, name), [bytes(9_000)])


def acks(client, level):
    name = create(client, topic(f"acks-{level}"))
    told = produce(client, name, numbered(1_000), acks=level)
    if level != 0:
        equal(told, [(0, n) for n in range(1_000)], "the acknowledged offsets")
    until(lambda: values(client, name) == [b"%d" % n for n in range(1_000)], "all values are there")


for level, called in ((0, "0"), (1, "1"), (-1, "all")):
    asks(f"acks {called}")(lambda client, level=level: acks(client, level))


def idempotent(client, in_flight):
    name = create(client, topic("idempotent"), partitions=2)
    count = 5_000
    told = produce(client, name, [(n % 2, None, b"%d" % n) for n in range(count)], idempotent=True,
                   in_flight=in_flight, batch_bytes=1_000)
    equal(told, [(n % 2, n // 2) for n in range(count)], "the acknowledged offsets")
    for partition in range(2):
        equal(values(client, name, partitions=[partition]), [b"%d" % n for n in range(partition, count, 2)])


asks("idempotent producer")(lambda client: idempotent(client, 5))
asks("idempotent, 1 in flight")(lambda client: idempotent(client, 1))


@asks("offsets by time")
def offsets_by_time(client):
    name = create(client, topic("times"))
    start = int(time.time() * 1000) - 600_000
    stamps = [start, start + 10, start + 30, start + 20, start + 40]
    produce(client, name, [(0, None, b"x", None, stamp) for stamp in stamps], compression="gzip")
    equal([record.timestamp for record in consume(client, name)], stamps, "the timestamps")
    reader = client.reader(name, [0], 0)
    try:
        for asked, expected in ((0, 0), (start, 0), (start + 5, 1), (start + 11, 2), (start + 25, 2),
                                (start + 31, 4), (start + 41, None)):
            equal(reader.at_time(asked), expected, f"the offset at start{asked - start:+d}")
    finally:
        reader.close()


@asks("list offsets")
def list_offsets(client):
    name = create(client, topic("list"))
    start = int(time.time() * 1000)
    produce(client, name, [(0, None, b"x", None, start + stamp) for stamp in (0, 900, 300)])
    reader = client.reader(name, [0], 0)
    try:
        equal((reader.beginnings(), reader.ends()), ({0: 0}, {0: 3}), "earliest and latest")
    finally:
        reader.close()
    if client.max_timestamp:
        equal(client.max_timestamp(name), (1, start + 900), "the largest timestamp")


@asks("seek into a batch")
def seek_into_a_batch(client):
    name = create(client, topic("seek"))
    produce(client, name, numbered(1_000), compression="gzip")
    for offset in (1, 499, 998, 999):
        found = consume(client, name, offset=offset)
        equal((found[0].offset, len(found)), (offset, 1_000 - offset), "first offset and count")
        equal(found[0].value, b"%d" % offset)


@asks("fetch waits for data")
def fetch_waits_for_data(client):
    name = create(client, topic("wait"))
    produce(client, name, [(0, None, b"first")])
    reader = client.reader(name, [0], 0, wait_ms=20_000)
    try:
        until(lambda: reader.poll(1_000), "the first record")
        late = threading.Timer(1, lambda: produce(client, name, [(0, None, b"late")]))
        started = time.monotonic()
        late.start()
        found = until(lambda: reader.poll(1_000), "the late record")
        waited = time.monotonic() - started
        equal(found[0].value, b"late")
        assert 0.9 < waited < 10, f"the record came after {waited:.1f} s; the fetch may wait 20 s"
        late.join()
    finally:
        reader.close()


@asks("offset out of range")
def offset_out_of_range(client):
    name = create(client, topic("range"))
    produce(client, name, numbered(2))
    refused(lambda: consume(client, name, offset=1_000, reset="none"), OFFSET_OUT_OF_RANGE)
    equal(values(client, name, offset=1_000, reset="earliest"), [b"0", b"1"])


# === administration ===


@asks("create topic")
def create_topic(client):
    name = create(client, topic("create"), partitions=5, retention_ms=3_600_000)
    equal(len(client.describe(name)["partitions"]), 5, "partitions")
    refused(lambda: client.create_topic(name, 1, 1, {}), TOPIC_ALREADY_EXISTS)
    refused(lambda: client.create_topic("not/a/name", 1, 1, {}), INVALID_TOPIC)
    refused(lambda: client.create_topic("..", 1, 1, {}), INVALID_TOPIC)
    refused(lambda: client.create_topic(topic("zero"), 0, 1, {}), INVALID_PARTITIONS)
    refused(lambda: client.create_topic(topic("many"), 1, 3, {}), INVALID_REPLICATION_FACTOR)
    refused(lambda: client.create_topic(topic("bad"), 1, 1, {"retention.ms": "soon"}), INVALID_CONFIG)
    refused(lambda: client.create_topic(topic("odd"), 1, 1, {"no.such.config": "1"}), INVALID_CONFIG)
    dry = topic("dry")
    client.create_topic(dry, 1, 1, {}, validate_only=True)
    assert dry not in client.topics(), "validation created the topic"


@asks("describe topics")
def describe_topics(client):
    name = create(client, topic("describe"), partitions=30)
    found = client.describe(name)
    equal(sorted(found["partitions"]), list(range(30)), "the partitions")
    equal(found["internal"], False, "internal")
    equal(client.describe(name), found, "the same question again")


@asks("create partitions")
def create_partitions(client):
    name = create(client, topic("more"), partitions=2)
    client.create_partitions(name, 4)
    until(lambda: len(client.describe(name)["partitions"]) == 4, "four partitions")
    equal(produce(client, name, [(3, None, b"new")]), [(3, 0)])
    for count in (3, 4):
        refused(lambda count=count: client.create_partitions(name, count), INVALID_PARTITIONS)


@asks("describe configs")
def describe_configs(client):
    name = create(client, topic("configs"), retention_ms=1_000_000, segment_bytes=2_000_000)
    found = client.configs("topic", name)
    for key, value in (("retention.ms", "1000000"), ("segment.bytes", "2000000"), ("cleanup.policy", "delete"),
                       ("max.message.bytes", "1048588"), ("compression.type", "producer")):
        equal(found[key], value, key)
    equal(client.configs("broker", str(client.cluster()["controller"]))["message.max.bytes"], "1048588")


@asks("alter configs")
def alter_configs(client):
    name = create(client, topic("alter"), retention_ms=1_000_000, segment_bytes=2_000_000)
    client.alter_configs(name, {"retention.ms": "2000000"})
    until(lambda: client.configs("topic", name)["retention.ms"] == "2000000", "the new value")
    # What the set leaves out is no longer the topic's own.
    expected = "2000000" if client.completes_alter_configs else "1073741824"
    equal(client.configs("topic", name)["segment.bytes"], expected, "segment.bytes")


@asks("incremental alter configs")
def incremental_alter_configs(client):
    name = create(client, topic("incremental"), retention_ms=1_000_000, segment_bytes=2_000_000)
    client.change_config(name, "SET", "max.message.bytes", "5000")
    client.change_config(name, "DELETE", "retention.ms", None)
    expected = {"max.message.bytes": "5000", "retention.ms": "604800000", "segment.bytes": "2000000"}
    until(lambda: expected.items() <= client.configs("topic", name).items(), f"the topic has {expected}")
    told = attempt(client, name, [(0, None, random.Random(1).randbytes(6_000))])[0]
    equal(getattr(told, "errno", told), MESSAGE_TOO_LARGE, "the error of a record above the new limit")
    refused(lambda: client.change_config(name, "SET", "max.message.bytes", "-5"), INVALID_CONFIG)


@asks("append to config lists")
def append_to_config_lists(client):
    name = create(client, topic("lists"))
    policy = lambda: client.configs("topic", name)["cleanup.policy"]  # noqa: E731
    client.change_config(name, "APPEND", "cleanup.policy", "compact")
    until(lambda: policy() == "delete,compact", "compact is there")
    client.change_config(name, "SUBTRACT", "cleanup.policy", "compact")
    until(lambda: policy() == "delete", "compact is gone")


@asks("describe log dirs")
def describe_log_dirs(client):
    name = create(client, topic("dirs"), partitions=2)
    produce(client, name, [(1, None, random.Random(1).randbytes(10_000))])
    found = client.log_dirs(name)
    equal(sorted(found), [0, 1], "the partitions told")
    assert found[1] >= 10_000, found


@asks("delete records")
def delete_records(client):
    name = create(client, topic("records"))
    produce(client, name, numbered(10))
    equal(client.delete_records(name, 4), 4, "the low watermark")
    equal(values(client, name, offset=4), [b"%d" % n for n in range(4, 10)])
    refused(lambda: client.delete_records(name, 11), OFFSET_OUT_OF_RANGE)
    refused(lambda: consume(client, name, offset=2, reset="none"), OFFSET_OUT_OF_RANGE)
    equal(client.delete_records(name, -1), 10, "the low watermark at the end")
    equal(produce(client, name, [(0, None, b"next")]), [(0, 10)])


@asks("delete topic")
def delete_topic(client):
    name = create(client, topic("gone"))
    before = client.describe(name)
    produce(client, name, numbered(3))
    client.delete_topic(name)
    until(lambda: name not in client.topics(), "the topic is gone")
    create(client, name)
    if before["id"]:
        assert client.describe(name)["id"] != before["id"], f"the topic id {before['id']} is used again"
    equal(produce(client, name, [(0, None, b"new")]), [(0, 0)])


@asks("keyless on compacted topic")
def keyless_on_compacted_topic(client):
    name = create(client, topic("compact"), cleanup_policy="compact")
    told = attempt(client, name, [(0, None, b"no key")])[0]
    equal(getattr(told, "errno", told), client.invalid_record, "the error")
    equal(produce(client, name, [(0, b"key", b"value")]), [(0, 0)])


# === a restart ===


@asks("goes on after a restart")
def goes_on_after_a_restart(client):
    with restartable() as broker:
        there = client.at(broker.address)
        name = create(there, topic("restart"))
        producer = there.producer(idempotent=there.idempotent)
        reader = there.reader(name, [0], 0)
        try:
            first = producer.send(name, [(*record, None, None) for record in numbered(10)])
            equal(first, [(0, n) for n in range(10)], "the offsets before")
            found = []
            until(lambda: found.extend(reader.poll(500)) or len(found) >= 10, "what came before")
            broker.restart()
            second = producer.send(name, [(*record, None, None) for record in numbered(10, start=10)])
            equal(second, [(0, n) for n in range(10, 20)], "the offsets after")
            until(lambda: found.extend(reader.poll(500)) or len(found) >= 20, "what came after", PATIENCE_S)
            equal([record.offset for record in found], list(range(20)), "the offsets read")
        finally:
            producer.close()
            reader.close()
