# lacks: consumer group: * | it has the classic protocol only
# lacks: describe consumer group | it has the classic protocol only
# variant: 2.0.2 lacks: classic group: static member | it has no static members
# variant: 2.0.2 lacks: classic group: incremental | its assignors are eager
# variant: 2.0.2 lacks: alter group offsets | it has no such call
# variant: 2.0.2 lacks: delete group offsets | it has no such call
"""A member of a group, or an administrator, by kafka-python."""

import json
import os
import select
import sys

import kafka.errors
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaConnectionError, KafkaError, for_code
from kafka.structs import OffsetAndMetadata

BROKER, VARIANT = os.environ["BROKER"], os.environ["VARIANT"]
OLD = VARIANT == "2.0.2"


def say(*words):
    print(*words, flush=True)


def reader(group, **settings):
    return KafkaConsumer(bootstrap_servers=BROKER, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
                         metadata_max_age_ms=1000, fetch_max_wait_ms=100, **settings)


def member(options):
    assignors = [RangePartitionAssignor]
    settings = {"session_timeout_ms": options["session"], "heartbeat_interval_ms": 500, "max_poll_interval_ms": 60_000}
    if options["assignor"] == "cooperative":
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
        assignors = [CooperativeStickyAssignor]
    if options["instance"]:
        settings["group_instance_id"] = options["instance"]
    if not OLD:
        settings["isolation_level"] = "read_committed" if options["committed"] else "read_uncommitted"
    consumer = reader(options["group"], partition_assignment_strategy=assignors, **settings)
    owned = set()

    class Listener(ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            owned.update(f"{place.topic}/{place.partition}" for place in assigned)
            say("owns", *sorted(owned))

        def on_partitions_revoked(self, revoked):
            owned.difference_update(f"{place.topic}/{place.partition}" for place in revoked)
            say("owns", *sorted(owned))

    if options["pattern"]:
        consumer.subscribe(pattern=options["pattern"], listener=Listener())
    else:
        consumer.subscribe(options["topics"], listener=Listener())
    while True:
        try:
            # A poll that ends in the middle of a rebalance makes the newest forget to tell what it was given.
            polled = consumer.poll(300 if owned else 3000)
        except KafkaConnectionError:
            # The newest says so of a broker that takes long to come back; the next poll tries again.
            polled = {}
        for place, records in polled.items():
            for record in records:
                say("read", f"{place.topic}/{place.partition}", record.offset, record.value.decode())
        if select.select([sys.stdin], [], [], 0)[0]:
            if sys.stdin.readline().strip() != "commit":
                consumer.close()
                return
            try:
                consumer.commit()
                say("committed")
            except KafkaError as error:
                say("refused", *str(error).split())


# === what an administrator asks ===

def admin():
    client = KafkaAdminClient(bootstrap_servers=BROKER)
    place = lambda name, partition: TopicPartition(name, int(partition))  # noqa: E731

    def at(offset, metadata=""):
        return OffsetAndMetadata(int(offset), metadata) if OLD else OffsetAndMetadata(int(offset), metadata, -1)

    def fail(code):
        if code:
            raise for_code(code)

    def each_of(errors):
        """It tells errors by their classes, or by the names of these."""
        for error in errors.values():
            fail(0 if error == "OK" else (getattr(kafka.errors, error) if isinstance(error, str) else error).errno)

    def groups():
        return [each[0] for each in client.list_consumer_groups()] if OLD else [each["group_id"] for each in client.list_groups()]

    def describe(group):
        if OLD:
            found = client.describe_consumer_groups([group])[0]
            assigned = [each.member_assignment.assignment for each in found.members]
            return {"state": found.state.lower(), "members": [[f"{name}/{p}" for name, ps in each for p in ps] for each in assigned]}
        found = client.describe_groups([group])[group]
        assigned = [each["member_assignment"]["assigned_partitions"] if each["member_assignment"] else [] for each in found["members"]]
        return {"state": found["group_state"].lower(),
                "members": [[f"{each['topic']}/{p}" for each in all for p in each["partitions"]] for all in assigned]}

    def offsets(group):
        found = client.list_consumer_group_offsets(group) if OLD else client.list_group_offsets([group])[group]
        return {f"{each.topic}/{each.partition}": offset.offset for each, offset in found.items() if offset.offset >= 0}

    def delete(group):
        if OLD:
            fail(client.delete_consumer_groups([group])[0][1].errno)
        else:
            each_of(client.delete_groups([group]))

    def ends(name):
        consumer = reader(None)
        found = consumer.end_offsets([TopicPartition(name, each) for each in consumer.partitions_for_topic(name)])
        consumer.close()
        return {f"{each.topic}/{each.partition}": offset for each, offset in found.items()}

    def commit(group, name, partition, offset, metadata):
        consumer = reader(group)
        consumer.assign([place(name, partition)])
        consumer.commit({place(name, partition): at(offset, metadata)})
        consumer.close()

    def committed(group, name, partition):
        consumer = reader(group)
        consumer.assign([place(name, partition)])
        found = consumer.committed(place(name, partition), metadata=True)
        consumer.close()
        return [found.offset, found.metadata] if found else [-1, None]

    actions = {
        "groups": groups, "describe": describe, "offsets": offsets, "delete": delete, "ends": ends, "commit": commit,
        "committed": committed,
        "alter": lambda group, name, partition, offset: each_of(
            client.alter_group_offsets(group, {place(name, partition): at(offset)})),
        "forget": lambda group, name, partition: each_of(client.delete_group_offsets(group, [place(name, partition)])),
    }
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            say("ok", json.dumps(actions[verb](*words)))
        except KafkaError as error:
            say("error", error.errno, error)


if sys.argv[1] == "member":
    member(json.loads(sys.argv[2]))
else:
    admin()
