"""F17: peers that are gone without a word, as behind a firewall that drops everything, or a machine without power."""

import ctypes
import os
import socket
import struct
import time
from pathlib import Path

from broker import Broker, until
from kafka import Connection

SO_ATTACH_FILTER = 26
EACH = 10
PAYLOAD = b"x" * 900_000


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction))]


def vanish(peer):
    """From here on the kernel drops what comes for this socket before TCP sees it: nothing is acknowledged any more, no
    probe is answered, and nothing is sent."""
    nothing = (Instruction * 1)(Instruction(0x06, 0, 0, 0))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(Program(1, nothing)))


def sockets(pid):
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")
        except OSError:
            pass
    return count


def anonymous_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


def f17_peers_that_vanish_are_gone_within_two_minutes(box):
    """Idle ones, members of groups, parked fetches (one of them with an answer on its way), half requests and answers that
    were being sent: sockets, memberships and buffers of all of them are free again."""
    broker = box.use(Broker(box.directory / "data", ["group.initial.rebalance.delay.ms=0"]))
    good = box.use(Connection(broker.port))
    good.create_topic("t", 2)
    for _ in range(8):
        good.produce("t", 1, [PAYLOAD])
    sockets_before, kib_before = sockets(broker.pid), anonymous_kib(broker.pid)

    kinds = {kind: [box.use(Connection(broker.port)) for _ in range(EACH)]
             for kind in ("idle", "member", "parked", "half", "sending")}
    for number, peer in enumerate(kinds["member"]):
        peer.join_alone(f"g{number}", 10_000)
    for peer in kinds["parked"]:
        peer.send_fetch("t", 0, 0, max_wait_ms=600_000)
    for peer in kinds["half"]:
        peer.socket.sendall(struct.pack(">ihh", 1 << 20, 0, 3) + b"." * 50_000)
    for peer in kinds["sending"]:
        peer.send_fetch("t", 1, 0, max_bytes=8 << 20)
        peer.receive_size()
    for peer in kinds["idle"]:
        peer.api_versions()
    peers = [peer for some in kinds.values() for peer in some]
    assert sockets(broker.pid) == sockets_before + len(peers)
    assert good.group_state("g0") == "Stable"

    for peer in peers:
        vanish(peer.socket)
    began = time.monotonic()
    until(lambda: all(good.group_state(f"g{number}") in ("Empty", "Dead") for number in range(EACH)), 30,
          "the members are out of their groups")
    members = time.monotonic() - began
    # The answers to these are on their way to nobody.
    good.produce("t", 0, [b"wake"])
    until(lambda: sockets(broker.pid) <= sockets_before, 120 - members, "all sockets are closed")
    gone = time.monotonic() - began
    grown = anonymous_kib(broker.pid) - kib_before
    assert grown < 8 << 10, f"{grown} KiB are still held"
    good.produce("t", 0, [b"as before"])
    assert broker.stop() == 0
    return f"members out after {members:.0f} s, {len(peers)} sockets closed after {gone:.0f} s, {grown} KiB more"
