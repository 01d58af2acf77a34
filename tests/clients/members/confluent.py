# lacks: delete group offsets | it has no such call
# variant: 2.0.2 lacks: consumer group: * | librdkafka has the new protocol since 2.12
# variant: 2.0.2 lacks: describe consumer group | librdkafka has the new protocol since 2.12
"""A member of a group, or an administrator, by confluent-kafka."""

import json
import os
import select
import sys

from confluent_kafka import (
    Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition,
)
from confluent_kafka.admin import AdminClient

BROKER, WAIT_S = os.environ["BROKER"], 30


def say(*words):
    print(*words, flush=True)


def member(options):
    settings = {
        "bootstrap.servers": BROKER, "group.id": options["group"], "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000, "fetch.wait.max.ms": 100,
        "isolation.level": "read_committed" if options["committed"] else "read_uncommitted",
        "max.poll.interval.ms": 60_000, "reconnect.backoff.max.ms": 500,
    }
    if options["instance"]:
        settings["group.instance.id"] = options["instance"]
    cooperative = options["assignor"] == "cooperative" or options["protocol"] == "consumer"
    if options["protocol"] == "consumer":
        settings["group.protocol"] = "consumer"
    else:
        assignor = "cooperative-sticky" if cooperative else options["assignor"]
        settings |= {"session.timeout.ms": options["session"], "heartbeat.interval.ms": 500,
                     "partition.assignment.strategy": assignor}
    consumer, owned = Consumer(settings), set()

    def owns():
        say("owns", *sorted(f"{name}/{partition}" for name, partition in owned))

    def assigned(_, places):
        owned.update((place.topic, place.partition) for place in places)
        owns()

    def revoked(_, places):
        owned.difference_update((place.topic, place.partition) for place in places)
        owns()

    consumer.subscribe([options["pattern"]] if options["pattern"] else options["topics"],
                       on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    while True:
        message = consumer.poll(0.05)
        if message is not None and not message.error():
            say("read", f"{message.topic()}/{message.partition()}", message.offset(), message.value().decode())
        if select.select([sys.stdin], [], [], 0)[0]:
            word = sys.stdin.readline().strip()
            if word != "commit":
                consumer.close()
                return
            try:
                places = [place for place in consumer.position(consumer.assignment()) if place.offset >= 0]
                answer = consumer.commit(offsets=places, asynchronous=False) if places else []
                say("refused" if any(each.error for each in answer) else "committed")
            except KafkaException:
                say("refused")


# === what an administrator asks ===

def admin():
    client = AdminClient({"bootstrap.servers": BROKER})

    def first(futures):
        return next(iter(futures.values())).result()

    def groups():
        return [each.group_id for each in client.list_consumer_groups().result().valid]

    def describe(group):
        found = first(client.describe_consumer_groups([group]))
        members = [each.assignment.topic_partitions for each in found.members]
        return {"state": found.state.name.lower(),
                "members": [[f"{place.topic}/{place.partition}" for place in each] for each in members]}

    def offsets(group):
        found = first(client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {f"{p.topic}/{p.partition}": p.offset for p in found.topic_partitions if p.offset >= 0}

    def alter(group, name, partition, offset):
        place = TopicPartition(name, int(partition), int(offset))
        found = first(client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place])]))
        for each in found.topic_partitions:
            if each.error:
                raise KafkaException(each.error)

    def ends(name):
        with_group = Consumer({"bootstrap.servers": BROKER, "group.id": "nobody"})
        count = len(with_group.list_topics(name, WAIT_S).topics[name].partitions)
        found = {f"{name}/{p}": with_group.get_watermark_offsets(TopicPartition(name, p), WAIT_S)[1] for p in range(count)}
        with_group.close()
        return found

    def commit(group, name, partition, offset, metadata):
        with_group = Consumer({"bootstrap.servers": BROKER, "group.id": group})
        place = TopicPartition(name, int(partition), int(offset), metadata)
        answer = with_group.commit(offsets=[place], asynchronous=False)
        with_group.close()
        if answer[0].error:
            raise KafkaException(answer[0].error)

    def committed(group, name, partition):
        with_group = Consumer({"bootstrap.servers": BROKER, "group.id": group})
        place = with_group.committed([TopicPartition(name, int(partition))], WAIT_S)[0]
        with_group.close()
        return [place.offset if place.offset >= 0 else -1, getattr(place, "metadata", None)]

    actions = {
        "groups": groups, "describe": describe, "offsets": offsets, "alter": alter, "ends": ends, "commit": commit,
        "committed": committed, "delete": lambda group: first(client.delete_consumer_groups([group])),
    }
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            say("ok", json.dumps(actions[verb](*words)))
        except KafkaException as error:
            say("error", error.args[0].code(), error.args[0])


if sys.argv[1] == "member":
    member(json.loads(sys.argv[2]))
else:
    admin()
