"""F8, F9, F10: the disk is full, or says no."""

import contextlib
import json
import re
import time

import kafka
from broker import Broker, until
from disks import Lab, Loop, Tmpfs, image, need, run, sector_of
from kafka import Connection, Refused
from oracle import Oracle


def refusal(connection, topic, values):
    """The error code that answers a produce; 0 for none."""
    try:
        connection.produce(topic, 0, values)
        return 0
    except Refused as refused:
        return refused.code


def f08_a_full_disk_refuses_produce_and_nothing_else(box):
    """64 MiB of ext4 are filled. Produce is answered KAFKA_STORAGE_ERROR, while fetches, deletions of records and
    topics and retention go on; it works again soon after space returns, without a restart."""
    disk = box.use(Loop(box.directory, image(box.directory / "disk", 64)))
    broker = box.use(Broker(disk.path / "data", ["log.segment.bytes=1048576", "log.retention.check.interval.ms=500"]))
    connection = box.use(Connection(broker.port))
    for topic in ("kept", "dropped", "retained"):
        connection.create_topic(topic, 1)
    block = [b"-" * 200_000]
    first = connection.produce("kept", 0, [b"first"])
    for _ in range(20):
        connection.produce("dropped", 0, block)
        connection.produce("retained", 0, block)
    filler = disk.path / "filler"
    run("fallocate", "-l", str(44 << 20), filler)
    acked, codes = 0, set()
    while len(codes) < 3:
        code = refusal(connection, "kept", block)
        acked += code == 0
        assert acked < 500, "a full disk takes everything"
        codes |= {(code, len(codes))} if code else set()
    assert {code for code, _ in codes} == {kafka.KAFKA_STORAGE_ERROR}, codes

    assert connection.fetch("kept", 0, first, max_bytes=1000)[1][0] == (0, b"first"), "fetch on a full disk"
    assert len(connection.read_all("kept", 0)) == acked + 1
    connection.api_versions()
    assert connection.topics() == {"kept", "dropped", "retained"}
    filled = len(connection.read_all("retained", 0))
    connection.delete_records("retained", 0, filled // 2)
    connection.delete_topic("dropped")
    # What the deletions freed is taken again before the next step, so that retention too works on a full disk.
    refill(disk.path / "filler2")
    connection.set_topic("retained", retention_bytes=100_000)
    until(lambda: connection.offset_at("retained", 0, -2) > filled // 2, 10, "retention on a full disk")
    refill(disk.path / "filler3")
    assert broker.alive()

    for each in (filler, disk.path / "filler2", disk.path / "filler3"):
        each.unlink(missing_ok=True)
    took = until(lambda: refusal(connection, "kept", block) == 0, 10, "produce after space returned")
    end = connection.read_all("kept", 0)[-1][0]
    broker.kill()
    broker.start()
    with Connection(broker.port) as again:
        assert again.read_all("kept", 0)[-1][0] == end, "what was answered after the disk was full"
    broker.kill()
    return f"refused after {acked} records, produce again {took * 1000:.0f} ms after space returned"


def refill(path):
    """Takes what space there is."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass


def f08_a_full_disk_under_load_loses_nothing(box):
    """Producers and a consumer on a disk that is filled and emptied again and again, with a kill in between."""
    disk = box.use(Loop(box.directory, image(box.directory / "disk", 64)))
    broker = box.use(Broker(disk.path / "data", ["log.segment.bytes=1048576"]))
    with Connection(broker.port) as connection:
        connection.create_topic("faults", 3)
    rounds = 40 if box.long else 4
    with Oracle(broker.port, seed=box.seed) as oracle:
        for number in range(rounds):
            oracle.wait_for_acks(100)
            refill(disk.path / "filler")
            before = oracle.codes[kafka.KAFKA_STORAGE_ERROR]
            until(lambda: oracle.codes[kafka.KAFKA_STORAGE_ERROR] > before + 3, 20, "a refusal")
            assert broker.alive()
            if number % 2:
                broker.kill()
                (disk.path / "filler").unlink()
                broker.start()
            else:
                (disk.path / "filler").unlink()
        oracle.wait_for_acks(100)
        oracle.stop()
        oracle.check()
    broker.kill()
    return f"{rounds} times full, {oracle.acks} acknowledged, {oracle.codes[kafka.KAFKA_STORAGE_ERROR]} refused"


def f09_a_failed_sync_is_never_acknowledged_and_ends_the_broker(box):
    """The n-th fdatasync or syncfs fails with EIO (strace): exit code 74, no second try, and after a restart nothing
    acknowledged is missing."""
    need("strace")
    rounds = 30 if box.long else 6
    data = box.directory / "data"
    calls = []
    for number in range(rounds):
        call = ("fdatasync", "syncfs")[number % 2]
        # Many partitions make the broker sync the file system as a whole.
        partitions = 40 if call == "syncfs" else 3
        topic = f"faults-{number}"
        when = box.chance.randrange(20, 60) if call == "fdatasync" else box.chance.randrange(1, 4)
        trace = ["strace", "-f", "-qq", "-o", box.directory / "strace", "-e",
                 "trace=fdatasync,syncfs,fsync", "-e", f"inject={call}:error=EIO:when={when}+"]
        with Broker(data, before=[]) as broker:
            with Connection(broker.port) as connection:
                connection.create_topic(topic, partitions)
            assert broker.stop() == 0
            broker.before = trace
            broker.start()
            plain, idempotent = (8, 8) if call == "syncfs" else (1, 2)
            with Oracle(broker.port, topic, partitions, plain, idempotent, box.seed + number) as oracle:
                code = broker.wait(60)
                assert code == 74, f"it ended with {code}: {broker.told()[-500:]}"
                broker.before = []
                broker.start()
                oracle.wait_for_acks(50)
                oracle.stop()
                oracle.check()
            assert broker.stop() == 0
        failed = [line for line in (box.directory / "strace").read_text().splitlines() if "EIO" in line]
        files = [match.group(1) for line in failed if (match := re.search(r"fdatasync\((\d+)", line))]
        assert len(files) == len(set(files)), f"a failed sync was tried again: {failed}"
        calls.append(f"{call} {when}")
    return f"failed: {', '.join(calls)}"


def f09_a_device_that_fails_a_flush_ends_the_broker(box):
    """The device itself fails its flushes from some time on (blkdebug); then it is mounted anew without the fault."""
    base = image(box.directory / "base", 96)
    with Loop(box.directory, base):
        pass
    told = []
    for flushes in (60, 150):
        states = [{"event": "flush_to_disk", "state": n, "new_state": n + 1} for n in range(1, flushes)]
        node = {"driver": "blkdebug", "node-name": "b0", "image": "r0", "set-state": states,
                "inject-error": [{"event": "flush_to_disk", "iotype": "flush", "errno": 5, "once": False,
                                  "state": flushes}]}
        nodes = [json.dumps(node), "driver=raw,node-name=top,file=b0"]
        with Lab(box.directory, base, nodes, "top") as lab:
            with Loop(box.directory, lab.device, made=True) as disk:
                with Broker(disk.path / "data") as broker:
                    with Connection(broker.port) as connection:
                        connection.create_topic(f"faults-{flushes}", 1)
                    with Oracle(broker.port, f"faults-{flushes}", 1, seed=box.seed) as oracle:
                        code = broker.wait(60)
                        oracle.stop()
                    assert code == 74, f"it ended with {code}: {broker.told()[-500:]}"
        with Loop(box.directory, base, made=True) as disk, Broker(disk.path / "data") as again:
            oracle.check(again.port)
        told.append(f"{oracle.acks} acknowledged before flush {flushes}")
    return "; ".join(told)


def f10_a_bad_sector_costs_its_range_and_nothing_else(box):
    """Some sectors of one segment give EIO when read: an error for that range, all else is served, the process lives."""
    base = image(box.directory / "base", 96)
    with Loop(box.directory, base) as disk:
        with Broker(disk.path / "data") as broker, Connection(broker.port) as connection:
            for topic in ("bad", "good"):
                connection.create_topic(topic, 2)
                for partition in range(2):
                    for number in range(100):
                        connection.produce(topic, partition, [b"%d-" % number + b"." * 8000])
            assert broker.stop() == 0
        logs = {path: path.stat().st_size for path in (disk.path / "data" / "topics").glob("*/*/*.log")}
        victim = sorted(logs)[0]
        sector = sector_of(victim, 400_000) // 8 * 8
    node = {"driver": "blkdebug", "node-name": "b0", "image": "r0", "inject-error": [
        {"event": "none", "iotype": "read", "errno": 5, "once": False, "sector": sector + step} for step in range(8)]}
    with Lab(box.directory, base, [json.dumps(node)], "b0") as lab, Loop(box.directory, lab.device, made=True) as disk:
        broker = Broker(disk.path / "data")
        try:
            place, errors = read_around(broker.start())
        finally:
            broker.kill()
    return f"refused of {place[0]}-{place[1]}: {errors}"


def read_around(broker):
    """Reads every record; (the partition with errors, its errors)."""
    with Connection(broker.port) as connection:
        whole, refused = 0, {}
        for topic in ("bad", "good"):
            for partition in range(2):
                found = []
                for offset in range(100):
                    try:
                        got = connection.fetch(topic, partition, offset, max_bytes=4000)[1]
                        assert got[0][0] == offset and got[0][1].startswith(b"%d-" % offset)
                        found.append(offset)
                    except Refused as error:
                        refused.setdefault((topic, partition), []).append((offset, error.code))
                whole += len(found) == 100
        assert whole == 3 and len(refused) == 1, f"whole partitions: {whole}, refused: {refused}"
        (place, errors), = refused.items()
        assert len(errors) <= 10, f"more than the bad sectors' range is refused: {errors}"
        assert {code for _, code in errors} <= {kafka.CORRUPT_MESSAGE, kafka.KAFKA_STORAGE_ERROR}, errors
        connection.produce(*place, [b"goes on"])
        assert broker.alive()
    return place, errors


def f09_fsyncgate_a_device_that_cannot_keep_what_it_took(box):
    """A thin device runs out of space under write-back: the sync fails once and would succeed the next time, with the
    data gone. The broker ends with 74, and after a restart serves nothing that was never sent, torn or moved.

    That all that was acknowledged is there is not asked: ext4 itself loses, on such a device, what it had synced.
    """
    tiny = box.directory / "tiny"
    tiny.mkdir()
    space = box.use(Tmpfs(tiny, "40m"))
    disk = box.use(Loop(box.directory, image(tiny / "disk", 400)))
    broker = box.use(Broker(disk.path / "data", ["log.segment.bytes=8388608"]))
    with Connection(broker.port) as connection:
        connection.create_topic("faults", 3)
        connection.create_topic("filler", 1)
        with Oracle(broker.port, seed=box.seed) as oracle:
            with contextlib.suppress(OSError):
                while broker.alive():
                    connection.produce("filler", 0, [b"-" * 400_000], acks=1)
            code = broker.wait(20)
            assert code == 74, f"it ended with {code}: {broker.told()[-500:]}"
            oracle.stop()
    space.grow("300m")
    disk.mount_again()
    broker.start()
    served = 0
    with Connection(broker.port) as again:
        for partition in range(3):
            found = again.read_all("faults", partition)
            served += len(found)
            for offset, value in found:
                oracle.identify(partition, offset, value)
    oracle.fail_on_anomalies()
    broker.kill()
    return f"{oracle.acks} records acknowledged, {served} served after the restart"
