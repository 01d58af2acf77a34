"""As much of the Kafka protocol as an oracle needs, by hand: the checker shares no code with what it checks.

One `Connection` is one socket; requests may be pipelined (`send`, then `receive` in the same order). Versions are the
oldest ones with plain encodings, since nothing here is about encodings.
"""

import socket
import struct
import time

NONE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR = 0, 2, 56
UNKNOWN_TOPIC, NOT_LEADER, TIMED_OUT = 3, 6, 7
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
JOIN_GROUP, SYNC_GROUP, DESCRIBE_GROUPS = 11, 14, 15
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID, ALTER_CONFIGS = 19, 20, 21, 22, 33
VERSIONS = {PRODUCE: 3, FETCH: 4, LIST_OFFSETS: 1, METADATA: 1, API_VERSIONS: 0, CREATE_TOPICS: 2,
            JOIN_GROUP: 2, SYNC_GROUP: 1, DESCRIBE_GROUPS: 0, DELETE_TOPICS: 1, DELETE_RECORDS: 0, INIT_PRODUCER_ID: 0, ALTER_CONFIGS: 0}


class Refused(Exception):
    """The broker answered with an error code."""

    def __init__(self, code, what):
        super().__init__(f"{what}: error {code}")
        self.code = code


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1
        table.append(byte)
    return table


CRC32C = crc32c_table()


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC32C
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data, at):
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result >> 1 ^ -(result & 1), at
        shift += 7


def batch(values, producer_id=-1, sequence=-1, now_ms=None):
    """A record batch (message format v2), uncompressed, one record per value, without keys."""
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    records = bytearray()
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    epoch = 0 if producer_id >= 0 else -1
    summed = struct.pack(">hiqqqhii", 0, len(values) - 1, now_ms, now_ms, producer_id, epoch, sequence,
                         len(values)) + records
    return struct.pack(">qiibI", 0, 9 + len(summed), -1, 2, crc32c(summed)) + summed


def records(data):
    """(offset, value) of every whole batch in a fetched set."""
    at = 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            return
        count, = struct.unpack_from(">i", data, at + 57)
        at += 61
        for _ in range(count):
            _, at = read_varint(data, at)
            _, at = read_varint(data, at + 1)
            delta, at = read_varint(data, at)
            _, at = read_varint(data, at)
            size, at = read_varint(data, at)
            value = bytes(data[at:at + size])
            headers, at = read_varint(data, at + size)
            assert headers == 0
            yield base + delta, value
        assert at == end, "the records of a batch fill it"


def text(string):
    data = string.encode()
    return struct.pack(">h", len(data)) + data


class Reader:
    """Takes an answer apart from front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values if len(values) > 1 else values[0]

    def bytes(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def text(self):
        size = self.take("h")
        return None if size < 0 else self.bytes(size).decode()


class Connection:
    """A connection to a broker. Every wait ends by `timeout` at the latest, with an OSError."""

    def __init__(self, port, timeout=15.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = self.socket.makefile("rb")
        self.timeout = timeout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.buffer.close()
        self.socket.close()

    def send(self, key, body):
        frame = struct.pack(">hhi", key, VERSIONS[key], 0) + text("faults") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        head = self.buffer.read(8)
        if len(head) < 8:
            raise ConnectionError("the broker closed the connection")
        size = struct.unpack_from(">i", head)[0] - 4
        data = self.buffer.read(size)
        if len(data) < size:
            raise ConnectionError("the broker closed the connection in an answer")
        return Reader(data)

    def receive_size(self):
        """Only how large the next answer is; the answer itself stays on its way."""
        return struct.unpack(">i", self.socket.recv(4))[0]

    def ask(self, key, body):
        self.send(key, body)
        return self.receive()

    # === Produce

    def send_produce(self, topic, partition, data, acks=-1, timeout_ms=10_000):
        self.send(PRODUCE, struct.pack(">hhii", -1, acks, timeout_ms, 1) + text(topic)
                  + struct.pack(">iii", 1, partition, len(data)) + data)

    def receive_produced(self):
        """(error code, base offset)"""
        answer = self.receive()
        answer.take("i"), answer.text(), answer.take("ii")
        return answer.take("hq")

    def produce(self, topic, partition, values, acks=-1, timeout_ms=10_000):
        """The base offset."""
        self.send_produce(topic, partition, batch(values), acks, timeout_ms)
        code, offset = self.receive_produced()
        if code:
            raise Refused(code, f"produce to {topic}-{partition}")
        return offset

    # === Fetch and offsets

    def send_fetch(self, topic, partition, offset, max_wait_ms=0, max_bytes=1 << 20, min_bytes=1):
        self.send(FETCH, struct.pack(">iiiibi", -1, max_wait_ms, min_bytes, max_bytes, 0, 1) + text(topic)
                  + struct.pack(">iiqi", 1, partition, offset, max_bytes))

    def fetch(self, topic, partition, offset, max_wait_ms=0, max_bytes=1 << 20, min_bytes=1):
        """(high watermark, [(offset, value)]), from `offset` on."""
        self.send_fetch(topic, partition, offset, max_wait_ms, max_bytes, min_bytes)
        answer = self.receive()
        answer.take("ii"), answer.text()
        _, _, code, high_watermark, _, aborted = answer.take("iihqqi")
        if code:
            raise Refused(code, f"fetch of {topic}-{partition} at {offset}")
        assert aborted <= 0
        data = answer.bytes(max(answer.take("i"), 0))
        return high_watermark, [record for record in records(data) if record[0] >= offset]

    def read_all(self, topic, partition, offset=0):
        """Every record from `offset` up to the high watermark."""
        found = []
        while True:
            high_watermark, some = self.fetch(topic, partition, offset)
            found += some
            if not some:
                if offset < high_watermark:
                    raise AssertionError(f"{topic}-{partition}: nothing at {offset}, below {high_watermark}")
                return found
            offset = some[-1][0] + 1

    def offset_at(self, topic, partition, timestamp):
        """By timestamp; -1 for the end, -2 for the start."""
        answer = self.ask(LIST_OFFSETS, struct.pack(">ii", -1, 1) + text(topic)
                          + struct.pack(">iiq", 1, partition, timestamp))
        answer.take("i"), answer.text(), answer.take("ii")
        code, _, offset = answer.take("hqq")
        if code:
            raise Refused(code, "ListOffsets")
        return offset

    # === Metadata, admin, producer ids

    def api_versions(self):
        code = self.ask(API_VERSIONS, b"").take("h")
        if code:
            raise Refused(code, "ApiVersions")

    def topics(self):
        """Names of all topics."""
        answer = self.ask(METADATA, struct.pack(">i", -1))
        for _ in range(answer.take("i")):
            answer.take("i"), answer.text(), answer.take("i"), answer.text()
        answer.take("i")
        names = set()
        for _ in range(answer.take("i")):
            answer.take("h")
            names.add(answer.text())
            answer.take("b")
            for _ in range(answer.take("i")):
                answer.take("hii")
                for _ in range(2):
                    answer.bytes(4 * answer.take("i"))
        return names

    def create_topic(self, name, partitions, **configs):
        """Settings with underscores for dots."""
        body = struct.pack(">i", 1) + text(name) + struct.pack(">ihii", partitions, 1, 0, len(configs))
        for key, value in configs.items():
            body += text(key.replace("_", ".")) + text(str(value))
        answer = self.ask(CREATE_TOPICS, body + struct.pack(">ib", 10_000, 0))
        answer.take("ii"), answer.text()
        code = answer.take("h")
        if code:
            raise Refused(code, f"create {name}: {answer.text()}")

    def delete_topic(self, name):
        answer = self.ask(DELETE_TOPICS, struct.pack(">i", 1) + text(name) + struct.pack(">i", 10_000))
        answer.take("ii"), answer.text()
        code = answer.take("h")
        if code:
            raise Refused(code, f"delete {name}")

    def delete_records(self, topic, partition, offset):
        answer = self.ask(DELETE_RECORDS, struct.pack(">i", 1) + text(topic)
                          + struct.pack(">iiqi", 1, partition, offset, 10_000))
        answer.take("ii"), answer.text(), answer.take("ii")
        _, code = answer.take("qh")
        if code:
            raise Refused(code, f"delete records of {topic}-{partition}")

    def set_topic(self, name, **configs):
        """Replaces the topic's settings."""
        body = struct.pack(">ib", 1, 2) + text(name) + struct.pack(">i", len(configs))
        for key, value in configs.items():
            body += text(key.replace("_", ".")) + text(str(value))
        answer = self.ask(ALTER_CONFIGS, body + b"\0")
        answer.take("ii")
        code = answer.take("h")
        if code:
            raise Refused(code, f"settings of {name}")

    def producer_id(self):
        answer = self.ask(INIT_PRODUCER_ID, struct.pack(">hi", -1, 60_000))
        answer.take("i")
        code, producer_id = answer.take("hq")
        if code:
            raise Refused(code, "InitProducerId")
        return producer_id

    # === Groups

    def join_alone(self, group, session_ms, rebalance_ms=600_000):
        """Becomes the only member of a classic group."""
        answer = self.ask(JOIN_GROUP, text(group) + struct.pack(">ii", session_ms, rebalance_ms) + text("")
                          + text("faults") + struct.pack(">i", 1) + text("any") + struct.pack(">i", 0))
        answer.take("i")
        code, generation = answer.take("hi")
        if code:
            raise Refused(code, f"join {group}")
        answer.text(), answer.text()
        member = answer.text()
        answer = self.ask(SYNC_GROUP, text(group) + struct.pack(">i", generation) + text(member)
                          + struct.pack(">i", 0))
        answer.take("i")
        code = answer.take("h")
        if code:
            raise Refused(code, f"sync {group}")

    def group_state(self, group):
        answer = self.ask(DESCRIBE_GROUPS, struct.pack(">i", 1) + text(group))
        answer.take("i")
        code = answer.take("h")
        if code:
            raise Refused(code, f"describe {group}")
        answer.text()
        return answer.text()
