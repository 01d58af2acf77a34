"""Load on a broker, and the judgement of what became of it.

Every record's value is a function of its producer, partition and number, so a value read tells what it must be, byte for
byte. A *ledger* per partition notes what was sent, what was acknowledged at which offset, and what a consumer saw
where. Judged is, of a broker that was restarted:

- an acknowledged record is there, at its offset, once; offsets have no gaps;
- what a consumer once saw at an offset is there for good;
- no record is there twice; a batch that was not acknowledged is whole or absent;
- an idempotent producer's records are there in the order sent, without a gap.

An outcome that nobody was told (the connection broke, an error came) may be either.
"""

import collections
import random
import threading
import time

import kafka
from kafka import Connection, Refused

PAD = bytes(range(256)) * 8
# Batches of one producer that wait for their answer; also what a broker remembers of an idempotent producer.
WINDOW = 5
# Every other producer loads old data, whose timestamps say nothing of when they came.
OLD_MS = 1_500_000_000_000


def value_of(producer, partition, number):
    """From 20 to about 1,500 bytes, so that a crash falls at all kinds of places in a batch."""
    return b"%d/%d/%d/" % (producer, partition, number) + PAD[:20 + number * 37 % 1480]


class Ledger:
    """One partition. Guarded by the oracle's lock."""

    def __init__(self):
        self.sent = {}      # (producer, first number) -> count
        self.acked = {}     # offset -> (producer, number, mark)
        self.seen = {}      # offset -> (producer, number, mark)


class Oracle:
    """Producers and consumers of one topic.

    `mark` is a number read at each acknowledgement and each record seen, which a test may need to know what had
    happened by then (how long a write log was).
    """

    def __init__(self, port, topic="faults", partitions=3, plain=1, idempotent=2, seed=0, mark=lambda: 0):
        self.port, self.topic, self.partitions = port, topic, partitions
        self.kinds = [False] * plain + [True] * idempotent
        self.ledgers = [Ledger() for _ in range(partitions)]
        self.lock = threading.Lock()
        self.mark = mark
        self.acks = 0
        self.codes = collections.Counter()
        self.anomalies = []
        self.stopping = threading.Event()
        self.random = random.Random(seed)
        self.threads = []
        self.checked = [0] * partitions

    # === Load

    def __enter__(self):
        roles = [(self.produce, (index, idempotent)) for index, idempotent in enumerate(self.kinds)]
        for role, arguments in roles + [(self.consume, ())]:
            thread = threading.Thread(target=self.guarded, args=(role, *arguments), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No load from here on; what was not answered stays unknown."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client does not end"
        self.threads = []

    def guarded(self, role, *arguments):
        try:
            role(*arguments)
        except Exception as error:  # noqa: BLE001: a checker that dies silently would check nothing
            self.complain(f"the checker failed: {error!r}")

    def complain(self, what):
        with self.lock:
            self.anomalies.append(what)

    def wait_for_acks(self, more, patience=30):
        """Until so many more records are acknowledged than were at the call."""
        target, end = self.acks + more, time.monotonic() + patience
        while self.acks < target:
            self.fail_on_anomalies()
            assert time.monotonic() < end, f"{target - self.acks} of {more} acks missing after {patience} s; {self.codes}"
            time.sleep(0.005)

    def connect(self):
        """A connection as soon as there is one; None when the load is to stop."""
        while not self.stopping.is_set():
            try:
                return Connection(self.port)
            except OSError:
                time.sleep(0.01)
        return None

    def produce(self, index, idempotent):
        """One producer. An idempotent one sends again what was not answered, a plain one goes on."""
        chance = random.Random(self.random.random() + index)
        numbers = [0] * self.partitions
        sequences = [0] * self.partitions
        producer_id = -1
        unanswered = collections.deque()
        while (connection := self.connect()) is not None:
            try:
                with connection:
                    if idempotent and producer_id < 0:
                        producer_id = connection.producer_id()
                    for partition, _, _, data in unanswered:
                        connection.send_produce(self.topic, partition, data)
                    while not self.stopping.is_set():
                        while len(unanswered) < WINDOW:
                            partition = chance.randrange(self.partitions)
                            count, first = chance.choice((1, 1, 2, 5)), numbers[partition]
                            numbers[partition] += count
                            values = [value_of(index, partition, first + step) for step in range(count)]
                            sequence = sequences[partition] if idempotent else -1
                            sequences[partition] += count
                            data = kafka.batch(values, producer_id, sequence, OLD_MS if index % 2 else None)
                            unanswered.append((partition, first, count, data))
                            with self.lock:
                                self.ledgers[partition].sent[index, first] = count
                            connection.send_produce(self.topic, partition, data)
                        if not self.answered(index, idempotent, unanswered, connection):
                            break
            except Refused as refused:
                with self.lock:
                    self.codes[refused.code] += 1
            except OSError:
                pass
            if not idempotent:
                unanswered.clear()
            time.sleep(0.01)

    def answered(self, index, idempotent, unanswered, connection):
        """Takes one answer. False when what is in flight must be sent again, in order."""
        code, offset = connection.receive_produced()
        mark = self.mark()
        partition, first, count, _ = unanswered[0]
        if code:
            with self.lock:
                self.codes[code] += 1
            if not idempotent:
                unanswered.popleft()
                return True
            # The first error of a connection, with at most five batches in flight: by it the broker says that it has
            # lost something, or does not know its producer.
            if code in (45, 46, 47, 59):
                self.complain(f"producer {index}, partition {partition}, number {first}: error {code}")
            return False
        unanswered.popleft()
        with self.lock:
            acked = self.ledgers[partition].acked
            for step in range(count):
                if offset + step in acked:
                    self.anomalies.append(f"two records acknowledged at offset {offset + step} of {partition}")
                acked[offset + step] = (index, first + step, mark)
            self.acks += count
        return True

    def consume(self):
        """Reads all partitions over and over; what was seen must stay."""
        chance = random.Random(self.random.random())
        places = [0] * self.partitions
        while (connection := self.connect()) is not None:
            # Sometimes anew from earlier, so that what lay before a crash is read again after it.
            places = [max(0, place - chance.choice((0, 0, 50, 500))) for place in places]
            try:
                with connection:
                    while not self.stopping.is_set():
                        for partition in range(self.partitions):
                            _, found = connection.fetch(self.topic, partition, places[partition], 5, 1 << 17)
                            if found:
                                self.saw(partition, found)
                                places[partition] = found[-1][0] + 1
            except Refused as refused:
                with self.lock:
                    self.codes[refused.code] += 1
                if refused.code == 1:
                    self.complain(f"the log ends before what a consumer read: {refused}, at {places}")
                    return
                time.sleep(0.02)
            except OSError:
                pass

    def saw(self, partition, found):
        mark = self.mark()
        with self.lock:
            seen = self.ledgers[partition].seen
            for offset, value in found:
                record = self.identify(partition, offset, value)
                if record is None:
                    continue
                earlier = seen.setdefault(offset, (*record, mark))
                if earlier[:2] != record:
                    self.anomalies.append(f"offset {offset} of {partition} was {earlier[:2]} and is {record}")

    def identify(self, partition, offset, value):
        """(producer, number) of a value; None, and an anomaly, when no such was ever sent."""
        try:
            producer, of, number, _ = value.split(b"/", 3)
            producer, number = int(producer), int(number)
            good = int(of) == partition and value == value_of(producer, partition, number)
        except ValueError:
            good = False
        if not good:
            self.anomalies.append(f"offset {offset} of {partition} holds bytes that nobody sent: {value[:40]!r}")
            return None
        return producer, number

    # === Judgement

    def fail_on_anomalies(self):
        with self.lock:
            assert not self.anomalies, "; ".join(self.anomalies[:5])

    def check(self, port=None, up_to=None, all_of_it=True):
        """Reads the topic and judges. With `up_to`, only what was told by that mark must be there.

        Without `all_of_it`, reads from where the last check ended.
        """
        with Connection(port or self.port) as connection:
            for partition in range(self.partitions):
                start = 0 if all_of_it else self.checked[partition]
                with self.lock:
                    # The load may go on meanwhile: what was told by now must be there.
                    told = [("acknowledged", dict(self.ledgers[partition].acked)),
                            ("seen", dict(self.ledgers[partition].seen))]
                found = connection.read_all(self.topic, partition, start)
                with self.lock:
                    self.judge(partition, found, told, start, up_to)
                if up_to is None:
                    self.checked[partition] = max(0, len(found) + start - 200)
        self.fail_on_anomalies()
        return self

    def judge(self, partition, found, told, start, up_to):
        say = self.anomalies.append
        offsets = [offset for offset, _ in found]
        if offsets != list(range(start, start + len(found))):
            say(f"offsets of {partition} have gaps")
        there = {offset: self.identify(partition, offset, value) for offset, value in found}
        for what, records in told:
            for offset in sorted(records):
                producer, number, mark = records[offset]
                if offset < start or up_to is not None and mark > up_to:
                    continue
                if there.get(offset) != (producer, number):
                    say(f"{what} at offset {offset} of {partition}: {(producer, number)}; there is {there.get(offset)}")
        where = collections.defaultdict(list)
        for offset, record in there.items():
            where[record].append(offset)
        for record, at in where.items():
            if len(at) > 1:
                say(f"{record} is in {partition} {len(at)} times, at {at}")
        self.judge_batches(partition, there, where, start, say)

    def judge_batches(self, partition, there, where, start, say):
        """Whole or absent; an idempotent producer's without a gap."""
        numbers = collections.defaultdict(list)
        for offset in sorted(there):
            if there[offset] is not None:
                numbers[there[offset][0]].append(there[offset][1])
        for producer, order in numbers.items():
            if self.kinds[producer] and order != list(range(order[0], order[0] + len(order))):
                say(f"producer {producer}'s records in {partition} are not those sent, in order")
            if self.kinds[producer] and start == 0 and order[0] != 0:
                say(f"producer {producer}'s first record in {partition} is {order[0]}")
        for (producer, first), count in self.ledgers[partition].sent.items():
            present = [where[producer, first + step][0] for step in range(count) if (producer, first + step) in where]
            cut_by_start = present and start and present[0] - (count - len(present)) < start
            if present and len(present) < count and not cut_by_start:
                say(f"of producer {producer}'s batch at {first} in {partition} only {len(present)} of {count} are there")
            if present != list(range(present[0], present[0] + len(present)) if present else []):
                say(f"producer {producer}'s batch at {first} in {partition} is torn apart: {present}")
