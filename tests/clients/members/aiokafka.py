# lacks: consumer group: * | it has the classic protocol only
# lacks: describe consumer group | it has the classic protocol only
# lacks: classic group: incremental | its assignors are eager
# variant: 0.8.1 lacks: classic group: static member | it has no static members
# lacks: alter group offsets | it has no such call
# lacks: delete group offsets | it has no such call
# lacks: delete groups | it has no such call
"""A member of a group, or an administrator, by aiokafka."""

import asyncio
import json
import logging
import os
import sys
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

try:
    from aiokafka.errors import KafkaError
    from aiokafka.structs import OffsetAndMetadata
except ImportError:  # 0.8.1 has them from kafka-python
    from kafka.errors import KafkaError
    from kafka.structs import OffsetAndMetadata

# It complains of what these behaviours do on purpose.
logging.disable(logging.CRITICAL)
BROKER = os.environ["BROKER"]


def say(*words):
    print(*words, flush=True)


async def commands():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def reader(group, **settings):
    return AIOKafkaConsumer(bootstrap_servers=BROKER, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
                            metadata_max_age_ms=1000, fetch_max_wait_ms=100, **settings)


async def member(options):
    static = {"group_instance_id": options["instance"]} if options["instance"] else {}
    consumer = reader(options["group"], session_timeout_ms=options["session"], heartbeat_interval_ms=500,
                      isolation_level="read_committed" if options["committed"] else "read_uncommitted", **static)

    class Listener(ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            say("owns", *sorted(f"{place.topic}/{place.partition}" for place in assigned))

        def on_partitions_revoked(self, revoked):
            say("owns")

    await consumer.start()
    consumer.subscribe(options["topics"], options["pattern"] or None, Listener())
    said = await commands()
    word = asyncio.create_task(said.readline())
    while True:
        for place, records in (await consumer.getmany(timeout_ms=50)).items():
            for record in records:
                say("read", f"{place.topic}/{place.partition}", record.offset, record.value.decode())
        if not word.done():
            continue
        if word.result().strip() != b"commit":
            await consumer.stop()
            return
        word = asyncio.create_task(said.readline())
        try:
            await consumer.commit()
            say("committed")
        except KafkaError as error:
            say("refused", error)


# === what an administrator asks ===

@asynccontextmanager
async def outside(group, *places):
    """A consumer that is no member."""
    consumer = reader(group)
    await consumer.start()
    try:
        consumer.assign(places)
        yield consumer
    finally:
        await consumer.stop()


async def admin():
    client = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await client.start()

    async def groups():
        return [each[0] for each in await client.list_consumer_groups()]

    async def describe(group):
        found = (await client.describe_consumer_groups([group]))[0].groups[0]
        assigned = [reader_of(each[-1]) for each in found[5]]
        return {"state": found[2].lower(), "members": assigned}

    async def offsets(group):
        found = await client.list_consumer_group_offsets(group)
        return {f"{each.topic}/{each.partition}": offset.offset for each, offset in found.items()}

    async def ends(name):
        async with outside(None) as consumer:
            places = [TopicPartition(name, each) for each in (0, 1)]
            found = await consumer.end_offsets(places)
            return {f"{each.topic}/{each.partition}": offset for each, offset in found.items()}

    async def commit(group, name, partition, offset, metadata):
        place = TopicPartition(name, int(partition))
        async with outside(group, place) as consumer:
            await consumer.commit({place: OffsetAndMetadata(int(offset), metadata)})

    async def committed(group, name, partition):
        place = TopicPartition(name, int(partition))
        async with outside(group, place) as consumer:
            found = await consumer.committed(place)
        told = (await client.list_consumer_group_offsets(group, partitions=[place]))[place]
        return [-1 if found is None else found, told.metadata]

    actions = {"groups": groups, "describe": describe, "offsets": offsets, "ends": ends, "commit": commit, "committed": committed}
    said = await commands()
    while line := (await said.readline()).decode():
        verb, *words = line.split()
        try:
            say("ok", json.dumps(await actions[verb](*words)))
        except KafkaError as error:
            say("error", error.errno, error)
    await client.close()


def reader_of(assignment):
    """The partitions of an assignment as it is on the wire."""
    import struct
    found, at = [], 6
    count, = struct.unpack_from(">i", assignment, 2)
    for _ in range(count):
        length, = struct.unpack_from(">h", assignment, at)
        name, at = assignment[at + 2:at + 2 + length].decode(), at + 2 + length
        size, = struct.unpack_from(">i", assignment, at)
        found += [f"{name}/{each}" for each in struct.unpack_from(f">{size}i", assignment, at + 4)]
        at += 4 + 4 * size
    return found


asyncio.run(member(json.loads(sys.argv[2])) if sys.argv[1] == "member" else admin())
