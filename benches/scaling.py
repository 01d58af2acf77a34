"""What a broker costs by the number of its partitions and by the size of its log: Millrace against itself.

Every contender is a broker of its own, so that whatever it does for what it holds is counted. All send and fetch the same
bytes in the same requests, in turns, after a round that does not count: memory and blocks that are touched first, and
caches that fill, are the same for all.

The large log takes little of the disk: `load sparse` has the broker's own log write it, segments and indexes and all,
with holes in place of most batches. A broker that looked at more of it than it needs would meet the holes.
"""

import json
import subprocess
import time

from contest import at_most, median

PARTITIONS = (1, 10, 100, 1000)
GIGABYTES = (1, 100)
# A processor's time is told in steps of 10 ms; so many bytes take some thirty of them.
PRODUCED_BYTES = 400_000_000
# How it is produced. Small batches for one partition that come together share a write and a sync, which those for
# several cannot, whatever a partition costs: the shapes without that say what it costs.
SHAPES = (("batches of 64 KiB, one at a time", ("--connections", "1", "--bytes", str(PRODUCED_BYTES // 2))),
          ("batches of 900 KB, 16 at a time", ("--batch-bytes", "900000", "--bytes", str(PRODUCED_BYTES))),
          ("batches of 64 KiB, 16 at a time", ("--bytes", str(PRODUCED_BYTES))))
FETCHED_BYTES = 2_000_000_000
HELD_BYTES = 512_000_000
# Read again and again at the end of a log: 256 MB.
LAST_RECORDS = 250_000
PLACES = 1000
# What a crash leaves beyond the checkpoint.
UNCHECKED_BYTES = 100_000_000
CHECKPOINT_SECONDS = 10


def scaling(bench):
    """Millrace alone: cost by the number of partitions and by the size of the log, starts after a crash among it."""
    by_partitions(bench)
    by_size(bench)


def by_partitions(bench):
    def brokers(directory):
        return [bench.millrace(directory, f"partitions-{count}", settings=()) for count in PARTITIONS]

    def measure(*brokers):
        held = list(zip(PARTITIONS, brokers))

        def run(broker, what, count, topic, *words):
            return bench.load(broker, what, "--partitions", str(count), *words, topic=topic)

        def in_turns(what, topic, *words):
            return bench.in_turns([
                (count, lambda _, count=count, broker=broker: run(broker, what, count, topic, *words))
                for count, broker in held], warmups=1)

        def compare_all(what, results):
            for count in PARTITIONS[1:]:
                compare(bench, f"{what.format(f'{count:,}')}, against 1: broker CPU", results[count], results[1], "s/GB")

        for shape, words in SHAPES:
            compare_all(f"produce to {{}} partitions, {shape}", in_turns("batches", "produced", *words))
        bench.delete("produced", brokers)
        for count, broker in held:
            run(broker, "batches", count, "fetched", "--bytes", str(HELD_BYTES))
            # What was appended lately is read by a shorter way, and of many partitions more is late.
            broker.stop()
            broker.start()
        compare_all("catch-up fetch of {} partitions, 4 MiB a time",
                    in_turns("fetch", "fetched", "--bytes", str(FETCHED_BYTES)))

    bench.with_brokers(brokers, measure)


def by_size(bench):
    def brokers(directory):
        return [grown(bench, directory, gigabytes) for gigabytes in GIGABYTES]

    def measure(*brokers):
        held = list(zip(GIGABYTES, brokers))

        def in_turns(what, *words, first_records=False):
            first = [("--first-records", str(broker.records)) if first_records else () for broker in brokers]
            return bench.in_turns([
                (gigabytes, lambda _, broker=broker, first=first: bench.load(broker, what, *words, *first, topic="log"))
                for (gigabytes, broker), first in zip(held, first)], warmups=1)

        fetched = ("--bytes", str(FETCHED_BYTES), "--fetch-bytes", str(1 << 20))
        places = in_turns("fetch", *fetched, "--places", str(PLACES), first_records=True)
        end = in_turns("fetch", *fetched, "--last-records", str(LAST_RECORDS))
        produced = in_turns("batches", "--bytes", str(PRODUCED_BYTES))
        starts = bench.in_turns([
            (gigabytes, lambda _, broker=broker: start_after_crash(bench, broker)) for gigabytes, broker in held], warmups=1)
        for what, results, unit in (
                ("produce to the end of a log of 100 GB, against 1 GB: broker CPU", produced, "s/GB"),
                ("fetch of the last 256 MB of 100 GB, against 1 GB: broker CPU", end, "s/GB"),
                (f"fetch of 1 MiB from {PLACES:,} places of 100 GB, against 1 GB: broker CPU", places, "s/GB"),
                ("start after kill -9 with 100 GB, against 1 GB", starts, "ms")):
            compare(bench, what, results[GIGABYTES[1]], results[GIGABYTES[0]], unit)

    bench.with_brokers(brokers, measure)


def compare(bench, what, large, small, unit):
    name = {"s/GB": "cpu_seconds_per_gb", "ms": "ready_ms"}[unit]
    bench.row(what, median(large, name), median(small, name), unit, *at_most(1.2))


def grown(bench, directory, gigabytes):
    """A broker with a log of that length."""
    broker = bench.millrace(directory, f"gigabytes-{gigabytes}", settings=())
    subprocess.run([bench.arguments.millrace, "topic", "create", "-b", broker.address, "-p", "1", "log"],
                   check=True, stdout=subprocess.DEVNULL)
    broker.stop()
    partition, = (broker.data_dir / "topics").glob("*/0")
    told = subprocess.run([bench.loader, "sparse", "--directory", partition, "--bytes", str(gigabytes * 10**9),
                           "--places", str(PLACES)], check=True, stdout=subprocess.PIPE)
    broker.records = json.loads(told.stdout)["records"]
    broker.start()
    return broker


def start_after_crash(bench, broker):
    """Kills it a given number of bytes after a checkpoint."""
    file = broker.data_dir / "checkpoint"
    before = file.stat().st_mtime_ns
    bench.load(broker, "batches", "--bytes", "1000000", topic="log")
    until = time.monotonic() + CHECKPOINT_SECONDS
    while file.stat().st_mtime_ns == before and time.monotonic() < until:
        time.sleep(0.02)
    bench.load(broker, "batches", "--bytes", str(UNCHECKED_BYTES), topic="log")
    broker.kill()
    broker.start()
    return {"ready_ms": broker.ready_ms}
