# variant: 0.14.0 pip: aiokafka==0.14.0
# variant: 0.14.0 pip: cramjam==2.11.0
# variant: 0.8.1 pip: aiokafka==0.8.1
# variant: 0.8.1 pip: kafka-python==2.0.2
# variant: 0.8.1 pip: lz4==4.4.4
# variant: 0.8.1 pip: python-snappy==0.7.3
# variant: 0.8.1 pip: zstandard==0.23.0
"""aiokafka: the newest, and 0.8.1 of 2023, which takes the protocol from kafka-python 2.0.2.

The library is asynchronous. Each producer and reader here has an event loop of its own, which runs while it is asked.
"""

import asyncio
import atexit
import os
import warnings

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

import shared
from told import BROKER

OLD = os.environ["VARIANT"].startswith("0.8.")
if OLD:
    from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
else:
    from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
# Old calls of asyncio in 0.8.1 are its own affair.
warnings.simplefilter("ignore")


class OnALoop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def run(self, action):
        return self.loop.run_until_complete(action)

    def end(self, action):
        self.run(action)
        self.loop.close()


class Producer(OnALoop):
    def __init__(self, address, compression=None, acks=-1, idempotent=False, in_flight=1, batch_bytes=16_384,
                 max_block_ms=20_000):
        super().__init__()
        self.timeout_ms = max_block_ms
        self.producer = self.run(self.start(
            bootstrap_servers=address, compression_type=compression, acks=acks, enable_idempotence=idempotent,
            max_batch_size=batch_bytes, max_request_size=20_000_000, linger_ms=50,
            request_timeout_ms=max(max_block_ms, 10_000)))

    async def start(self, **settings):
        producer = AIOKafkaProducer(**settings)
        await producer.start()
        return producer

    def send(self, name, records):
        return self.run(self.send_all(name, records))

    async def send_all(self, name, records):
        sent = []
        for partition, key, value, headers, timestamp in records:
            try:
                sent.append(await self.producer.send(name, value, key, partition, timestamp, headers))
            except Exception as error:
                sent.append(error)
        await self.producer.flush()
        return [await self.answer(each) for each in sent]

    @staticmethod
    async def answer(future):
        if isinstance(future, Exception):
            return future
        try:
            told = await future
            return (told.partition, told.offset) if told else (None, None)
        except Exception as error:
            return error

    def close(self):
        self.end(self.producer.stop())


class Reader(OnALoop):
    def __init__(self, address, name, partitions, offset, reset="none", fetch_bytes=1 << 20, wait_ms=500):
        super().__init__()
        self.places = [TopicPartition(name, partition) for partition in partitions]
        self.consumer = self.run(self.start(
            offset, bootstrap_servers=address, group_id=None, enable_auto_commit=False, auto_offset_reset=reset,
            fetch_max_wait_ms=wait_ms, max_partition_fetch_bytes=fetch_bytes, fetch_max_bytes=50 * fetch_bytes))

    async def start(self, offset, **settings):
        consumer = AIOKafkaConsumer(**settings)
        consumer.assign(self.places)
        await consumer.start()
        for place in self.places:
            consumer.seek(place, offset)
        return consumer

    def poll(self, milliseconds):
        found = self.run(self.consumer.getmany(timeout_ms=milliseconds))
        return [record for records in found.values() for record in records]

    def beginnings(self):
        found = self.run(self.consumer.beginning_offsets(self.places))
        return {place.partition: offset for place, offset in found.items()}

    def ends(self):
        found = self.run(self.consumer.end_offsets(self.places))
        return {place.partition: offset for place, offset in found.items()}

    def at_time(self, timestamp):
        found = self.run(self.consumer.offsets_for_times({self.places[0]: timestamp}))[self.places[0]]
        return found and found.offset

    def close(self):
        self.end(self.consumer.stop())


class Client(OnALoop):
    null_headers = True
    idempotent = True
    completes_alter_configs = False
    max_timestamp = None
    # It knows error codes up to about 80: it calls INVALID_RECORD (87) unknown (-1).
    invalid_record = -1

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.admin = self.run(self.start())
        atexit.register(lambda: self.end(self.admin.close()))

    async def start(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        return admin

    def at(self, address):
        return Client(address)

    def producer(self, **options):
        return Producer(self.address, **options)

    def reader(self, name, partitions, offset, **options):
        return Reader(self.address, name, partitions, offset, **options)

    @staticmethod
    def check(code, message):
        if code:
            raise for_code(code)(message)

    def topics(self):
        return self.run(self.admin.list_topics())

    def cluster(self):
        found = self.run(self.admin.describe_cluster())
        return {"cluster_id": found["cluster_id"], "controller": found["controller_id"],
                "brokers": sorted(broker["node_id"] for broker in found["brokers"])}

    def describe(self, name):
        found = self.run(self.admin.describe_topics([name]))[0]
        return {"partitions": {each["partition"]: each["leader"] for each in found["partitions"]},
                "internal": found["is_internal"], "id": found.get("topic_id")}

    def create_topic(self, name, partitions, replicas, configs, validate_only=False):
        wanted = NewTopic(name, partitions, replicas, topic_configs=configs)
        answer = self.run(self.admin.create_topics([wanted], validate_only=validate_only))
        self.check(*answer.topic_errors[0][1:3])

    def delete_topic(self, name):
        self.check(self.run(self.admin.delete_topics([name])).topic_error_codes[0][1], name)

    def create_partitions(self, name, count):
        return self.run(self.admin.create_partitions({name: NewPartitions(count)}))

    def configs(self, kind, name):
        resource = ConfigResource(ConfigResourceType[kind.upper()], name)
        resources = self.run(self.admin.describe_configs([resource]))[0].resources
        return {entry[0]: entry[1] for entry in resources[0][4]}

    def alter_configs(self, name, configs):
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs)
        self.check(*self.run(self.admin.alter_configs([resource]))[0].resources[0][:2])

    def delete_records(self, name, offset):
        place = TopicPartition(name, 0)
        return self.run(self.admin.delete_records({place: RecordsToDelete(offset)}))[place]


WITHOUT = {
    "idempotent producer": "sends one request at a time to each broker: see the row below",
    "incremental alter configs": "has no such call",
    "append to config lists": "has no such call",
    "describe log dirs": "has no such call",
    "leader epoch after a restart": "knows no leader epochs",
}
if OLD:
    WITHOUT["delete records"] = "0.8.1 has no such call"

shared.tell(Client(BROKER), WITHOUT)
