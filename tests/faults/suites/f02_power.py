"""F2, F4, F28: the power goes. What was not flushed to the device is lost, in any combination."""

import shutil
import signal

from broker import Broker
from disks import Lab, Loop, WriteLog, image, need, write_all, write_some
from kafka import Connection
from oracle import Oracle

SETTINGS = ["log.segment.bytes=1048576"]


def cut_under_load(box, kind):
    """The file system forgets what was not flushed, under load; then it is mounted again and the broker started.

    The broker is stopped at that moment (SIGSTOP), since a live one would be told lies no power cut tells: while a file
    system is being shut down, the kernel may answer 0 to an fdatasync whose data it then drops. Seen on ext4 and XFS,
    kernel 6.18, with a program of ten lines that does nothing but pwrite and fdatasync.
    """
    need("xfs_io")
    rounds = 500 if box.long else 50
    disk = box.use(Loop(box.directory, image(box.directory / "disk", 400), kind))
    broker = box.use(Broker(disk.path / "data", SETTINGS))
    with Connection(broker.port) as connection:
        connection.create_topic("faults", 3)
    topics = set()
    with Oracle(broker.port, seed=box.seed) as oracle:
        for number in range(1, rounds + 1):
            oracle.wait_for_acks(box.chance.randrange(20, 200))
            # A topic whose creation was answered just before the power goes is there afterwards (F28).
            with Connection(broker.port) as connection:
                connection.create_topic(f"made-{number}", 1)
                topics.add(f"made-{number}")
                if number > 5:
                    connection.delete_topic(f"made-{number - 5}")
                    topics.remove(f"made-{number - 5}")
            broker.signal(signal.SIGSTOP)
            disk.shut_down()
            broker.kill()
            disk.mount_again()
            broker.start()
            with Connection(broker.port) as connection:
                there = connection.topics() - {"faults"}
                assert there == topics, f"topics there {sorted(there)}, acknowledged {sorted(topics)}"
            if number % 10 == 0:
                oracle.check(all_of_it=False)
        oracle.wait_for_acks(100)
        oracle.stop()
        oracle.check()
    broker.kill()
    return f"{rounds} cuts, {oracle.acks} records acknowledged"


def f02_power_cut_of_an_ext4_under_load_loses_nothing_acknowledged(box):
    """50 power cuts of an ext4 (xfs_io shutdown)."""
    return cut_under_load(box, "ext4")


def f02_power_cut_of_an_xfs_under_load_loses_nothing_acknowledged(box):
    """The same on XFS."""
    return cut_under_load(box, "xfs")


def f02_the_cut_is_real_since_it_takes_what_was_not_synced(box):
    """The same cut, of a topic with write.caching=true, whose records are acknowledged before they are on the disk:
    the oracle must find records missing, or the tests above would prove nothing."""
    need("xfs_io")
    disk = box.use(Loop(box.directory, image(box.directory / "disk", 200)))
    broker = box.use(Broker(disk.path / "data", SETTINGS))
    with Connection(broker.port) as connection:
        connection.create_topic("faults", 3, write_caching="true")
    with Oracle(broker.port, idempotent=0, plain=3, seed=box.seed) as oracle:
        oracle.wait_for_acks(500)
        broker.signal(signal.SIGSTOP)
        disk.shut_down()
        oracle.stopping.set()
        broker.kill()
        oracle.stop()
    disk.mount_again()
    broker.start()
    try:
        oracle.check()
    except AssertionError as error:
        assert "acknowledged at offset" in str(error), error
        broker.kill()
        return f"{oracle.acks} acknowledged, and found: {str(error)[:60]} …"
    raise AssertionError("a power cut took nothing of what was not synced")


def f04_any_part_of_the_unflushed_writes_may_survive_a_power_cut(box):
    """Every write and flush of a device is recorded under load; the device is then put together as it was at a flush,
    plus any subset of the 4 KiB blocks written up to the next one; mounted, recovered and judged."""
    cuts = 600 if box.long else 60
    log, base = image(box.directory / "log", 0), image(box.directory / "base", 96)
    node = f"driver=blklogwrites,node-name=x,file=r0,log=l0,log-sector-size={WriteLog.SECTOR}"
    nodes = [f"driver=file,node-name=l0,filename={log}", node]
    with Lab(box.directory, base, nodes, "x") as lab, Loop(box.directory, lab.device) as disk:
        with Broker(disk.path / "data", SETTINGS) as broker:
            with Connection(broker.port) as connection:
                connection.create_topic("faults", 3)
            start = log.stat().st_size
            with Oracle(broker.port, seed=box.seed, mark=lambda: log.stat().st_size) as oracle:
                oracle.wait_for_acks(3000 if box.long else 1200, 120)
                oracle.stop()
    writes = WriteLog(log)
    flushes = [index for index in writes.flushes() if writes.entries[index][0] > start]
    if len(flushes) < 10:
        raise AssertionError(f"only {len(flushes)} flushes were recorded")
    chosen = sorted(box.chance.choices(range(len(flushes) - 1), k=cuts))
    rolling, done, subsets = image(box.directory / "rolling", 96), 0, 0
    for at in chosen:
        flush = flushes[at]
        with open(rolling, "r+b") as file:
            write_all(file, writes.entries[done:flush + 1])
        done = flush + 1
        cut = box.directory / "cut"
        shutil.copyfile(rolling, cut)
        if box.chance.random() < 0.8:
            subsets += 1
            with open(cut, "r+b") as file:
                write_some(file, writes.entries[done:flushes[at + 1]], box.chance)
        with Loop(box.directory, cut, made=True) as disk, Broker(disk.path / "data", SETTINGS) as broker:
            try:
                oracle.check(broker.port, up_to=writes.entries[flush][0])
            except AssertionError as error:
                raise AssertionError(f"cut at flush {at} of {len(flushes)}: {error}") from error
    return (f"{cuts} cuts ({subsets} with a subset of what followed) at {len(flushes)} flushes, "
            f"{oracle.acks} records acknowledged")
