# variant: 3.0.12 pip: kafka-python==3.0.12
# variant: 2.0.2 pip: kafka-python==2.0.2
# pip: crc32c==2.7.1
# pip: lz4==4.4.4
# pip: python-snappy==0.7.3
# pip: zstandard==0.23.0
"""kafka-python: the newest, and 2.0.2, which was the newest from 2020 until 2024 and is what many still run.

2.0.2 needs a Python before 3.12, whose import system its copy of `six` does not know.
"""

import os
import re

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import for_code

import shared
from told import BROKER

OLD = os.environ["VARIANT"].startswith("2.0.")
# kafka-python 2.0.2 waits at most this for a broker that is away.
BLOCK_MS = 20_000


class Producer:
    def __init__(self, address, compression=None, acks=-1, idempotent=False, in_flight=5, batch_bytes=16_384,
                 max_block_ms=BLOCK_MS):
        settings = {"enable_idempotence": idempotent} if not OLD else {"retries": 100}
        if not OLD and acks == 0:
            settings["retries"] = 0
        self.producer = KafkaProducer(
            bootstrap_servers=address, compression_type=compression, acks=acks, batch_size=batch_bytes,
            max_in_flight_requests_per_connection=in_flight, max_request_size=20_000_000, linger_ms=50,
            max_block_ms=max_block_ms, **settings)

    def send(self, name, records):
        sent = []
        for partition, key, value, headers, timestamp in records:
            try:
                sent.append(self.producer.send(name, value, key, headers, partition, timestamp))
            except Exception as error:
                sent.append(error)
        self.producer.flush(60)
        return [each if isinstance(each, Exception) else self.answer(each) for each in sent]

    @staticmethod
    def answer(future):
        try:
            told = future.get(60)
            return told.partition, told.offset
        except Exception as error:
            return error

    def close(self):
        self.producer.close(10)


class Reader:
    def __init__(self, address, name, partitions, offset, reset="none", fetch_bytes=1 << 20, wait_ms=500):
        self.places = [TopicPartition(name, partition) for partition in partitions]
        self.consumer = KafkaConsumer(
            bootstrap_servers=address, group_id=None, enable_auto_commit=False, auto_offset_reset=reset,
            fetch_max_wait_ms=wait_ms, max_partition_fetch_bytes=fetch_bytes, fetch_max_bytes=50 * fetch_bytes)
        self.consumer.assign(self.places)
        for place in self.places:
            self.consumer.seek(place, offset)

    def poll(self, milliseconds):
        return [record for records in self.consumer.poll(milliseconds).values() for record in records]

    def beginnings(self):
        return {place.partition: offset for place, offset in self.consumer.beginning_offsets(self.places).items()}

    def ends(self):
        return {place.partition: offset for place, offset in self.consumer.end_offsets(self.places).items()}

    def at_time(self, timestamp):
        found = self.consumer.offsets_for_times({self.places[0]: timestamp})[self.places[0]]
        return found and found.offset

    def close(self):
        self.consumer.close()


class Client:
    # A header's value must be bytes, says this library.
    null_headers = False
    idempotent = not OLD
    # The newest reads the other values and sends them again, so that AlterConfigs changes one value only.
    completes_alter_configs = not OLD
    # 2.0.2 knows error codes up to 82: it calls INVALID_RECORD (87) unknown (-1).
    invalid_record = -1 if OLD else 87

    def __init__(self, address):
        self.address = address
        self.admin = KafkaAdminClient(bootstrap_servers=address)

    def at(self, address):
        return Client(address)

    def producer(self, **options):
        return Producer(self.address, **options)

    def reader(self, name, partitions, offset, **options):
        return Reader(self.address, name, partitions, offset, **options)

    def topics(self):
        return self.admin.list_topics()

    def cluster(self):
        found = self.admin.describe_cluster()
        return {"cluster_id": found["cluster_id"], "controller": found["controller_id"],
                "brokers": sorted(broker["node_id" if OLD else "broker_id"] for broker in found["brokers"])}

    def describe(self, name):
        found = self.admin.describe_topics([name])[0]
        index, leader = ("partition", "leader") if OLD else ("partition_index", "leader_id")
        return {"partitions": {each[index]: each[leader] for each in found["partitions"]},
                "internal": found["is_internal"], "id": None if OLD else found["topic_id"]}

    def create_topic(self, name, partitions, replicas, configs, validate_only=False):
        wanted = NewTopic(name, partitions, replicas, topic_configs=configs)
        return self.admin.create_topics([wanted], validate_only=validate_only)

    def delete_topic(self, name):
        return self.admin.delete_topics([name])

    def create_partitions(self, name, count):
        return self.admin.create_partitions({name: NewPartitions(count)})

    def configs(self, kind, name):
        resource = ConfigResource(ConfigResourceType[kind.upper()], name)
        if OLD:
            resources = self.admin.describe_configs([resource])[0].resources
            return {entry[0]: entry[1] for entry in resources[0][4]}
        found = self.admin.describe_configs([resource], config_filter="all")
        return {key: entry["value"] for key, entry in found[kind][name].items()}

    def alter_configs(self, name, configs):
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs)
        return self.admin.alter_configs([resource], **({} if OLD else {"incremental": False}))

    def change_config(self, name, operation, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {key: (operation, value)})
        # An error comes as text: "[Error 40] InvalidConfigurationError: ...".
        told = self.admin.alter_configs([resource], incremental=True)["topic"][name]
        if told != "OK":
            raise for_code(int(re.match(r"\[Error (-?\d+)\]", told).group(1)))(told)

    def log_dirs(self, name):
        found = {}
        for broker in self.admin.describe_log_dirs([name]):
            for directory in broker["log_dirs"]:
                for each in directory["topics"]:
                    found |= {part["partition_index"]: part["partition_size"] for part in each["partitions"]}
        return found

    def delete_records(self, name, offset):
        place = TopicPartition(name, 0)
        return self.admin.delete_records({place: offset})[place]["low_watermark"]

    def max_timestamp(self, name):
        place = TopicPartition(name, 0)
        found = self.admin.list_partition_offsets({place: -3})[place]
        return found.offset, found.timestamp


WITHOUT = {
    "leader epoch after a restart": "the consumer checks epochs by itself, but seek() takes none",
}
if OLD:
    Client.max_timestamp = None
    WITHOUT = {
        "idempotent producer": "2.0.2 has none",
        "idempotent, 1 in flight": "2.0.2 has none",
        "incremental alter configs": "2.0.2 has no such call",
        "append to config lists": "2.0.2 has no such call",
        "describe log dirs": "2.0.2 has no such call",
        "delete records": "2.0.2 has no such call",
        "leader epoch after a restart": "2.0.2 knows no leader epochs",
    }

shared.tell(Client(BROKER), WITHOUT)
