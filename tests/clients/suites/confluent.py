# variant: 2.16.1 pip: confluent-kafka==2.16.1
# variant: 2.0.2 pip: confluent-kafka==2.0.2
"""confluent-kafka: librdkafka 2.16 with its admin calls, and the release of January 2023 with fewer of them.

2.0.2 is the oldest that is built for Python 3.11.
"""

import os
import random
import threading
import time
import warnings

from confluent_kafka import (
    OFFSET_BEGINNING, OFFSET_END, TIMESTAMP_CREATE_TIME, Consumer, KafkaError, KafkaException, Producer, TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, NewPartitions, NewTopic, ResourceType

from told import BROKER, behaviour, equal, lacks, restartable, tell_all, topic, until

OLD = os.environ["VARIANT"].startswith("2.0.")
if not OLD:
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, OffsetSpec

TIMEOUT_S = 60
# The old AlterConfigs call is here on purpose.
warnings.simplefilter("ignore", DeprecationWarning)
admin = AdminClient({"bootstrap.servers": BROKER})


def since(release, *names):
    """Marks a behaviour that the old release has no call for."""
    return (lambda function: [lacks(name, f"has no such call before {release}") for name in names]) if OLD \
        else behaviour(*names)


def create(name, partitions=1, at=admin, **config):
    """Creates a topic; `max_message_bytes=1` stands for the config `max.message.bytes`."""
    settings = {key.replace("_", "."): str(value) for key, value in config.items()}
    at.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(TIMEOUT_S)
    until(lambda: name in at.list_topics(timeout=TIMEOUT_S).topics, "the topic is listed")
    return name


def refused(future, *codes):
    """Waits for a call that must fail with one of these codes."""
    try:
        future.result(TIMEOUT_S)
    except KafkaException as error:
        assert error.args[0].code() in codes, f"{error.args[0]} is not one of {codes}"
    else:
        raise AssertionError(f"was accepted instead of {codes}")


def produce(name, records, expected=None, **options):
    """Sends (partition, key, value, headers, timestamp) records; what each delivery told, in order of sending."""
    settings = {"bootstrap.servers": BROKER, "message.max.bytes": 20_000_000, "linger.ms": 50, "log_level": 3}
    settings.update({key.replace("_", "."): value for key, value in options.items()})
    producer = Producer(settings)
    told = [None] * len(records)

    def delivered(index):
        def callback(error, message):
            told[index] = error if error else (message.partition(), message.offset())

        return callback

    for index, record in enumerate(records):
        partition, key, value, headers, timestamp = (*record, *(None,) * (5 - len(record)))
        extra = {"timestamp": timestamp} if timestamp else {}
        extra |= {"headers": headers} if headers else {}
        extra |= {"partition": partition} if partition is not None else {}
        while True:
            try:
                producer.produce(name, key=key, value=value, on_delivery=delivered(index), **extra)
                break
            except BufferError:
                producer.poll(0.1)
    equal(producer.flush(TIMEOUT_S), 0, "messages without an answer")
    if expected is None:
        failed = [answer for answer in told if isinstance(answer, KafkaError)]
        assert not failed, failed[:3]
    return told


def reader(**options):
    settings = {
        "bootstrap.servers": BROKER, "group.id": "unused", "enable.auto.commit": False,
        "enable.partition.eof": True, "check.crcs": True, "auto.offset.reset": "error",
        "log_level": 3,
    }
    settings.update({key if key == "log_level" else key.replace("_", "."): value for key, value in options.items()})
    return Consumer(settings)


def consume(name, partitions=(0,), offset=OFFSET_BEGINNING, place=None, **options):
    """Every message from `offset` to the end of each partition, or from one place."""
    consumer = reader(**options)
    try:
        consumer.assign([place] if place else [TopicPartition(name, each, offset) for each in partitions])
        found, at_end = [], set()
        deadline = time.monotonic() + TIMEOUT_S
        while len(at_end) < len(partitions):
            assert time.monotonic() < deadline, f"no end after {len(found)} messages"
            message = consumer.poll(1)
            if message is None:
                continue
            if not message.error():
                found.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
            else:
                raise KafkaException(message.error())
        return found
    finally:
        consumer.close()


def values(name, **options):
    return [message.value() for message in consume(name, **options)]


def fails(action, *codes):
    """Runs what must fail with one of these codes."""
    try:
        action()
    except KafkaException as error:
        assert error.args[0].code() in codes, f"{error.args[0]} is not one of {codes}"
    else:
        raise AssertionError(f"went well instead of failing with {codes}")


@behaviour("metadata")
def metadata():
    name = create(topic("metadata"), partitions=3)
    first, second = (admin.list_topics(timeout=TIMEOUT_S) for _ in range(2))
    equal(first.cluster_id, second.cluster_id, "the cluster id")
    assert first.cluster_id, "no cluster id"
    assert first.controller_id in first.brokers, first.controller_id
    partitions = first.topics[name].partitions
    equal(sorted(partitions), [0, 1, 2])
    for partition in partitions.values():
        assert partition.leader in first.brokers and partition.isrs == partition.replicas, partition


@since("2.3", "describe cluster")
def describe_cluster():
    found = admin.describe_cluster(include_authorized_operations=False).result(TIMEOUT_S)
    equal(found.cluster_id, admin.list_topics(timeout=TIMEOUT_S).cluster_id)
    assert found.controller.id in [node.id for node in found.nodes], found.controller


@behaviour("automatic topic creation")
def automatic_topic_creation():
    name = topic("automatic")
    produce(name, [(None, None, b"first")])
    count = len(admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions)
    equal(values(name, partitions=range(count)), [b"first"])


@behaviour("unknown topic")
def unknown_topic():
    name = topic("unknown")
    consumer = reader()
    error = consumer.list_topics(name, timeout=TIMEOUT_S).topics[name].error
    consumer.close()
    assert error and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART, error
    told = produce(name, [(None, None, b"x")], expected="failure", allow_auto_create_topics=False,
                   topic_metadata_propagation_max_ms=1000, message_timeout_ms=5000)
    assert told[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC), told
    assert name not in admin.list_topics(timeout=TIMEOUT_S).topics
    refused(admin.delete_topics([name])[name], KafkaError.UNKNOWN_TOPIC_OR_PART)


@behaviour("unknown partition")
def unknown_partition():
    name = create(topic("partition"))
    told = produce(name, [(7, None, b"x")], expected="failure", message_timeout_ms=5000)
    assert told[0].code() in (KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART), told
    if OLD:
        return
    offsets = admin.list_offsets({TopicPartition(name, 7): OffsetSpec.latest()})
    refused(next(iter(offsets.values())), KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION,
            KafkaError._NOENT)


def codec(name):
    """Compressible values of 4 MiB go through a limit of 1 MiB only when they are compressed."""
    where = create(topic(f"codec-{name}"))
    pick = random.Random(name)
    small = [pick.randbytes(pick.randrange(1, 2_000)) for _ in range(200)]
    # librdkafka takes FindCoordinator as the sign of a broker that knows lz4, so it does not compress with it before
    # there are consumer groups.
    large = [] if name in ("none", "lz4") else [b"all work and no play, " * 200_000]
    produce(where, [(0, None, value) for value in small + large], compression_type=name)
    equal(values(where), small + large, "the values")


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    behaviour(f"codec {each}")(lambda each=each: codec(each))


@behaviour("keys")
def keys():
    name = create(topic("keys"), partitions=4)
    produce(name, [(None, b"k%d" % (n % 5), b"%d" % n) for n in range(100)])
    found = consume(name, partitions=range(4))
    for key in range(5):
        mine = [message for message in found if message.key() == b"k%d" % key]
        equal([message.value() for message in mine], [b"%d" % n for n in range(key, 100, 5)], "order of a key")
        equal(len({message.partition() for message in mine}), 1, "partitions of a key")
    produce(name, [(0, None, b"null"), (0, b"", b"empty")])
    equal([message.key() for message in consume(name, partitions=[0])[-2:]], [None, b""], "the keys")


@behaviour("headers")
def headers():
    name = create(topic("headers"))
    sent = [("a", b"1"), ("a", b"2"), ("null", None), ("empty", b""), ("ключ", "значение".encode()), ("a", b"3")]
    produce(name, [(0, None, b"x", sent), (0, None, b"without")])
    first, second = consume(name)
    equal(first.headers(), sent, "the headers")
    equal(second.headers(), None, "the headers of a record without")


@behaviour("null and empty values")
def null_and_empty_values():
    name = create(topic("null"))
    produce(name, [(0, b"k", None), (0, b"k", b""), (0, None, None), (0, b"", b"")])
    equal([(m.key(), m.value()) for m in consume(name)], [(b"k", None), (b"k", b""), (None, None), (b"", b"")])


@behaviour("sizes 1 B to 10 MiB")
def sizes():
    name = create(topic("sizes"), max_message_bytes=12_000_000)
    sent = [random.Random(size).randbytes(size) for size in (1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20)]
    produce(name, [(0, None, value) for value in sent])
    # A fetch limit far below the records: at least one whole batch comes all the same.
    equal(values(name, fetch_message_max_bytes=1_000, fetch_max_bytes=1_000, message_max_bytes=1_000), sent)


@behaviour("message too large")
def message_too_large():
    name = create(topic("large"), max_message_bytes=10_000)
    for value, taken in ((bytes(20_000), False), (bytes(9_000), True), (random.Random(1).randbytes(10_100), False)):
        told = produce(name, [(0, None, value)], expected="either")[0]
        if taken:
            equal(told, (0, 0))
        else:
            assert isinstance(told, KafkaError) and told.code() == KafkaError.MSG_SIZE_TOO_LARGE, told
    equal(values(name), [bytes(9_000)])


def acks(level):
    name = create(topic(f"acks-{level}"))
    told = produce(name, [(0, None, b"%d" % n) for n in range(1_000)], acks=level)
    if level != 0:
        equal(told, [(0, n) for n in range(1_000)], "the acknowledged offsets")
    until(lambda: values(name) == [b"%d" % n for n in range(1_000)], "all values are there")


for level, called in ((0, "0"), (1, "1"), (-1, "all")):
    behaviour(f"acks {called}")(lambda level=level: acks(level))


def idempotent(in_flight, count):
    name = create(topic("idempotent"), partitions=2)
    sent = [(n % 2, None, b"%d" % n) for n in range(count)]
    told = produce(name, sent, enable_idempotence=True, linger_ms=1, batch_num_messages=100, max_in_flight=in_flight)
    equal(told, [(n % 2, n // 2) for n in range(count)], "the acknowledged offsets")
    for partition in range(2):
        equal(values(name, partitions=[partition]), [b"%d" % n for n in range(partition, count, 2)], "the values")


behaviour("idempotent producer")(lambda: idempotent(5, 50_000))
behaviour("idempotent, 1 in flight")(lambda: idempotent(1, 20_000))


@behaviour("offsets by time")
def offsets_by_time():
    name = create(topic("times"))
    start = int(time.time() * 1000) - 600_000
    # One batch, so that the answer must be looked for inside it; times are not in order.
    stamps = [start, start + 10, start + 30, start + 20, start + 40]
    produce(name, [(0, None, b"x", None, stamp) for stamp in stamps], linger_ms=500, compression_type="lz4")
    equal([message.timestamp() for message in consume(name)], [(TIMESTAMP_CREATE_TIME, s) for s in stamps])
    consumer = reader()
    try:
        for asked, expected in ((0, 0), (start, 0), (start + 5, 1), (start + 11, 2), (start + 25, 2),
                                (start + 31, 4), (start + 41, OFFSET_END)):
            found = consumer.offsets_for_times([TopicPartition(name, 0, asked)], TIMEOUT_S)
            equal(found[0].offset, expected, f"the offset at start{asked - start:+d}")
    finally:
        consumer.close()


@behaviour("list offsets")
def list_offsets():
    name = create(topic("list"))
    start = int(time.time() * 1000)
    produce(name, [(0, None, b"x", None, start + stamp) for stamp in (0, 900, 300)])

    consumer = reader()
    equal(consumer.get_watermark_offsets(TopicPartition(name, 0), TIMEOUT_S), (0, 3), "the watermarks")
    consumer.close()
    if OLD:
        return

    def at(spec):
        return next(iter(admin.list_offsets({TopicPartition(name, 0): spec}).values())).result(TIMEOUT_S)

    equal(at(OffsetSpec.earliest()).offset, 0, "earliest")
    equal(at(OffsetSpec.latest()).offset, 3, "latest")
    largest = at(OffsetSpec.max_timestamp())
    equal((largest.offset, largest.timestamp), (1, start + 900), "the largest timestamp")
    equal(at(OffsetSpec.for_timestamp(start + 200)).offset, 1, "by time")


@behaviour("seek into a batch")
def seek_into_a_batch():
    name = create(topic("seek"))
    produce(name, [(0, None, b"%d" % n) for n in range(1_000)], linger_ms=500, compression_type="gzip")
    for offset in (1, 499, 998, 999):
        found = consume(name, offset=offset)
        equal((found[0].offset(), len(found)), (offset, 1_000 - offset), "first offset and count")
        equal(found[0].value(), b"%d" % offset)


@behaviour("fetch waits for data")
def fetch_waits_for_data():
    name = create(topic("wait"))
    produce(name, [(0, None, b"first")])
    consumer = reader(fetch_wait_max_ms=30_000, enable_partition_eof=False)
    try:
        consumer.assign([TopicPartition(name, 0, 0)])
        equal(consumer.poll(TIMEOUT_S).value(), b"first")
        late = threading.Timer(1, lambda: produce(name, [(0, None, b"late")], linger_ms=0))
        started = time.monotonic()
        late.start()
        message = consumer.poll(TIMEOUT_S)
        waited = time.monotonic() - started
        equal(message.value(), b"late")
        assert 0.9 < waited < 10, f"the message came after {waited:.1f} s; the fetch may wait 30 s"
        late.join()
    finally:
        consumer.close()


@behaviour("offset out of range")
def offset_out_of_range():
    name = create(topic("range"))
    produce(name, [(0, None, b"a"), (0, None, b"b")])
    fails(lambda: consume(name, offset=1_000), KafkaError._AUTO_OFFSET_RESET)
    equal(values(name, offset=1_000, auto_offset_reset="earliest"), [b"a", b"b"])


@behaviour("create topic")
def create_topic():
    name = create(topic("create"), partitions=5, retention_ms=3_600_000)
    equal(len(admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions), 5)

    def attempt(name, partitions=1, replicas=1, config=None, **options):
        return admin.create_topics([NewTopic(name, partitions, replicas, config=config or {})], **options)[name]

    refused(attempt(name), KafkaError.TOPIC_ALREADY_EXISTS)
    refused(attempt("not/a/name"), KafkaError.TOPIC_EXCEPTION)
    refused(attempt(".."), KafkaError.TOPIC_EXCEPTION)
    refused(attempt(topic("zero"), 0), KafkaError.INVALID_PARTITIONS)
    refused(attempt(topic("many"), 1, 3), KafkaError.INVALID_REPLICATION_FACTOR)
    refused(attempt(topic("bad"), config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG)
    refused(attempt(topic("odd"), config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG)
    dry = topic("dry")
    attempt(dry, validate_only=True).result(TIMEOUT_S)
    assert dry not in admin.list_topics(timeout=TIMEOUT_S).topics


@since("2.3", "describe topics")
def describe_topics():
    name = create(topic("describe"), partitions=3)
    found = admin.describe_topics(TopicCollection([name]))[name].result(TIMEOUT_S)
    equal((found.name, [p.id for p in found.partitions], found.is_internal), (name, [0, 1, 2], False))
    again = admin.describe_topics(TopicCollection([name]))[name].result(TIMEOUT_S)
    equal(str(found.topic_id), str(again.topic_id), "the topic id")
    missing = topic("missing")
    refused(admin.describe_topics(TopicCollection([missing]))[missing], KafkaError.UNKNOWN_TOPIC_OR_PART)


@behaviour("create partitions")
def create_partitions():
    name = create(topic("more"), partitions=2)
    produce(name, [(0, None, b"old")])
    admin.create_partitions([NewPartitions(name, 4)])[name].result(TIMEOUT_S)
    until(lambda: len(admin.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions) == 4, "four partitions")
    produce(name, [(3, None, b"new")])
    equal(values(name, partitions=[0]) + values(name, partitions=[3]), [b"old", b"new"])
    refused(admin.create_partitions([NewPartitions(name, 3)])[name], KafkaError.INVALID_PARTITIONS)
    refused(admin.create_partitions([NewPartitions(name, 4)])[name], KafkaError.INVALID_PARTITIONS)


def configs(kind, name):
    resource = ConfigResource(kind, name)
    return admin.describe_configs([resource])[resource].result(TIMEOUT_S)


@behaviour("describe configs")
def describe_configs():
    name = create(topic("configs"), retention_ms=1_000_000, segment_bytes=2_000_000)
    found = configs(ResourceType.TOPIC, name)
    own = {key: entry.value for key, entry in found.items()
           if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    equal(own, {"retention.ms": "1000000", "segment.bytes": "2000000"}, "the topic's own values")
    for key, value in (("cleanup.policy", "delete"), ("max.message.bytes", "1048588"),
                       ("compression.type", "producer"), ("message.timestamp.type", "CreateTime")):
        equal(found[key].value, value, key)
    broker = next(iter(admin.list_topics(timeout=TIMEOUT_S).brokers))
    equal(configs(ResourceType.BROKER, str(broker))["message.max.bytes"].value, "1048588")
    missing = ConfigResource(ResourceType.TOPIC, topic("missing"))
    refused(admin.describe_configs([missing])[missing], KafkaError.UNKNOWN_TOPIC_OR_PART)


@behaviour("alter configs")
def alter_configs():
    name = create(topic("alter"), retention_ms=1_000_000, segment_bytes=2_000_000)
    resource = ConfigResource(ResourceType.TOPIC, name, set_config={"retention.ms": "2000000"})
    admin.alter_configs([resource])[resource].result(TIMEOUT_S)
    until(lambda: configs(ResourceType.TOPIC, name)["retention.ms"].value == "2000000", "the new value")
    # What the set leaves out is no longer the topic's own.
    equal(configs(ResourceType.TOPIC, name)["segment.bytes"].value, "1073741824")


def alter(name, key, value, operation):
    entry = ConfigEntry(key, value, incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    return admin.incremental_alter_configs([resource])[resource]


@since("2.2", "incremental alter configs")
def incremental_alter_configs():
    name = create(topic("incremental"), retention_ms=1_000_000, segment_bytes=2_000_000)

    alter(name, "max.message.bytes", "5000", AlterConfigOpType.SET).result(TIMEOUT_S)
    alter(name, "retention.ms", None, AlterConfigOpType.DELETE).result(TIMEOUT_S)
    expected = {"max.message.bytes": "5000", "retention.ms": "604800000", "segment.bytes": "2000000"}
    until(lambda: all(configs(ResourceType.TOPIC, name)[k].value == v for k, v in expected.items()),
          f"the topic has {expected}")
    # The new limit is in force, and a bad value changes nothing.
    told = produce(name, [(0, None, random.Random(1).randbytes(6_000))], expected="failure")
    assert isinstance(told[0], KafkaError) and told[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, told
    refused(alter(name, "max.message.bytes", "-5", AlterConfigOpType.SET), KafkaError.INVALID_CONFIG)
    equal(configs(ResourceType.TOPIC, name)["max.message.bytes"].value, "5000")


@since("2.2", "append to config lists")
def append_to_config_lists():
    name = create(topic("lists"))
    policy = lambda: configs(ResourceType.TOPIC, name)["cleanup.policy"].value  # noqa: E731
    alter(name, "cleanup.policy", "compact", AlterConfigOpType.APPEND).result(TIMEOUT_S)
    until(lambda: policy() == "delete,compact", "compact is there")
    alter(name, "cleanup.policy", "compact", AlterConfigOpType.SUBTRACT).result(TIMEOUT_S)
    until(lambda: policy() == "delete", "compact is gone")


@since("2.6", "delete records")
def delete_records():
    name = create(topic("records"))
    produce(name, [(0, None, b"%d" % n) for n in range(10)])

    def delete(offset):
        return next(iter(admin.delete_records([TopicPartition(name, 0, offset)]).values()))

    equal(delete(4).result(TIMEOUT_S).low_watermark, 4)
    equal(values(name), [b"%d" % n for n in range(4, 10)])
    refused(delete(11), KafkaError.OFFSET_OUT_OF_RANGE)
    fails(lambda: consume(name, offset=2), KafkaError._AUTO_OFFSET_RESET)
    equal(delete(OFFSET_END).result(TIMEOUT_S).low_watermark, 10)
    produce(name, [(0, None, b"next")])
    equal([(m.offset(), m.value()) for m in consume(name)], [(10, b"next")])


@behaviour("delete topic")
def delete_topic():
    name = create(topic("gone"))
    # The old release does not show a topic's id.
    topic_id = lambda: None if OLD else str(  # noqa: E731
        admin.describe_topics(TopicCollection([name]))[name].result(TIMEOUT_S).topic_id)
    before = topic_id()
    produce(name, [(0, None, b"old")])
    admin.delete_topics([name])[name].result(TIMEOUT_S)
    until(lambda: name not in admin.list_topics(timeout=TIMEOUT_S).topics, "the topic is gone")
    create(name)
    assert OLD or topic_id() != before, f"the topic id {before} is used again"
    equal(values(name), [])
    equal(produce(name, [(0, None, b"new")]), [(0, 0)])


@behaviour("keyless on compacted topic")
def keyless_on_compacted_topic():
    name = create(topic("compact"), cleanup_policy="compact")
    told = produce(name, [(0, None, b"no key")], expected="failure", message_timeout_ms=10_000)
    assert isinstance(told[0], KafkaError) and told[0].code() == KafkaError.INVALID_RECORD, told
    equal(produce(name, [(0, b"key", b"value")]), [(0, 0)])


@behaviour("goes on after a restart")
def goes_on_after_a_restart():
    with restartable() as broker:
        there = {"bootstrap.servers": broker.address}
        name = create(topic("restart"), at=AdminClient(there))
        # Every attempt to reach a broker that is away would be logged.
        quiet = {"log_level": 2}
        producer = Producer(there | quiet | {"enable.idempotence": True})
        consumer = reader(bootstrap_servers=broker.address, enable_partition_eof=False, **quiet)
        told, found = [], []

        def send(start):
            for number in range(start, start + 10):
                producer.produce(name, b"%d" % number, partition=0,
                                 on_delivery=lambda error, message: told.append(error or message.offset()))
            equal(producer.flush(TIMEOUT_S), 0, "messages without an answer")

        def read(count):
            message = consumer.poll(0.5)
            if message and not message.error():
                found.append(message)
            return len(found) >= count

        try:
            consumer.assign([TopicPartition(name, 0, 0)])
            send(0)
            until(lambda: read(10), "what came before", TIMEOUT_S)
            broker.restart()
            send(10)
            until(lambda: read(20), "what came after", TIMEOUT_S)
        finally:
            consumer.close()
        equal(told, list(range(20)), "the acknowledged offsets")
        equal([message.offset() for message in found], list(range(20)), "the offsets read")


@since("2.1", "leader epoch after a restart")
def leader_epoch_after_a_restart():
    with restartable() as broker:
        there = {"bootstrap_servers": broker.address}
        name = create(topic("epoch"), at=AdminClient({"bootstrap.servers": broker.address}))
        produce(name, [(0, None, b"%d" % n) for n in range(10)], **there)
        broker.restart()
        produce(name, [(0, None, b"%d" % n) for n in range(10, 20)], **there)
        epochs = [message.leader_epoch() for message in consume(name, **there)]
        first, second = epochs[0], epochs[-1]
        equal(epochs, [first] * 10 + [second] * 10, "the epochs")
        assert second > first >= 0, f"the epoch went from {first} to {second}"
        # The epoch of before ended at offset 10: a position of it below is good, one above was truncated away.
        found = consume(name, place=TopicPartition(name, 0, 5, leader_epoch=first), **there)
        equal((found[0].offset(), len(found)), (5, 15), "first offset and count")
        try:
            consume(name, place=TopicPartition(name, 0, 15, leader_epoch=first), **there)
        except KafkaException as error:
            assert "truncation detected at offset 15" in str(error) and "end offset is 10" in str(error), error
        else:
            raise AssertionError("a position beyond the end of its epoch was read from")


lacks("describe log dirs", "librdkafka has no such call")

tell_all()
