"""File systems of a test's own, whose power can be cut and whose device can fail.

`Loop` is a file system on an image; `Lab` puts a block layer under it (qemu-storage-daemon, exported over FUSE), which
can record every write, fail reads or flushes, or stop altogether. Nothing here needs a kernel module.
"""

import os
import re
import shutil
import signal
import struct
import subprocess
from pathlib import Path

from broker import until

MIB = 1 << 20


class Unavailable(Exception):
    """This machine cannot do it: the test is skipped, loudly."""


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise Unavailable("not root")


class Loop:
    """A file system on a loop device over `image`, mounted at `path`. Made anew unless `made`."""

    def __init__(self, directory, image, kind="ext4", made=False):
        need("losetup", "mount", f"mkfs.{kind}")
        self.path = Path(directory) / f"mnt-{Path(image).name}"
        self.path.mkdir(exist_ok=True)
        self.mounted = False
        try:
            self.device = run("losetup", "-f", "--show", image)
        except RuntimeError as error:
            raise Unavailable(f"no loop device: {error}") from error
        try:
            if not made:
                options = ["-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"] if kind == "ext4" else ["-K"]
                run(f"mkfs.{kind}", "-q", *options, self.device)
            self.mount()
        except RuntimeError as error:
            self.close()
            raise Unavailable(f"no mount: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def mount(self):
        run("mount", self.device, self.path)
        self.mounted = True

    def unmount(self):
        # A process that was just killed may hold the mount for a moment.
        until(lambda: subprocess.run(["umount", self.path], capture_output=True).returncode == 0, 10,
              f"umount of {self.path}")
        self.mounted = False

    def shut_down(self):
        """The file system forgets at once all that is not on the device, and every call from now on fails."""
        run("xfs_io", "-x", "-c", "shutdown", self.path)

    def mount_again(self):
        self.unmount()
        self.mount()

    def close(self):
        if self.mounted:
            try:
                self.unmount()
            except AssertionError:
                # Something still holds it: another error is on its way and says why.
                run("umount", "-l", self.path, check=False)
        run("losetup", "-d", self.device, check=False)


class Tmpfs:
    """Memory as a file system, which may grow."""

    def __init__(self, path, size):
        self.path = path
        try:
            run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", path)
        except RuntimeError as error:
            raise Unavailable(f"no mount: {error}") from error

    def grow(self, size):
        run("mount", "-o", f"remount,size={size}", self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", "-l", self.path)


def image(path, mib):
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return path


class Lab:
    """A block device, `device`, whose writes go through qemu-storage-daemon to `base`."""

    def __init__(self, directory, base, nodes=(), top="r0"):
        """`nodes` are further --blockdev arguments; `top` names the one to be exported."""
        need("qemu-storage-daemon")
        if not os.path.exists("/dev/fuse"):
            raise Unavailable("no /dev/fuse")
        self.device = Path(directory) / f"{Path(base).stem}.fuse"
        self.device.touch()
        arguments = ["--blockdev", f"driver=file,node-name=f0,filename={base}",
                     "--blockdev", "driver=raw,node-name=r0,file=f0"]
        for node in nodes:
            arguments += ["--blockdev", node]
        export = f"type=fuse,id=e0,node-name={top},mountpoint={self.device},writable=on"
        self.errors = open(Path(directory) / "qemu-storage-daemon.log", "w+")
        self.process = subprocess.Popen(["qemu-storage-daemon", *arguments, "--export", export],
                                        stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        size = os.path.getsize(base)
        until(lambda: self.process.poll() is not None or self.device.stat().st_size == size, 10, "the FUSE export")
        if self.process.poll() is not None:
            self.errors.seek(0)
            raise Unavailable(f"qemu-storage-daemon: {self.errors.read().strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        self.process.terminate()
        self.process.wait()
        subprocess.run(["umount", "-l", self.device], capture_output=True)
        self.errors.close()

    def stop(self):
        """From now on nothing that asks the device comes back."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class WriteLog:
    """What blklogwrites recorded, in the format of dm-log-writes: every write and flush in order."""

    SECTOR = 512
    FLUSH, FUA, DISCARD = 1, 2, 4

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, _, self.count, sector = struct.unpack_from("<QQQI", self.data)
        assert magic == 0x6A736677736872 and sector == self.SECTOR, "a write log"
        self.entries = []  # (end position in the log, sector, bytes, flags)
        at = self.SECTOR
        while at + self.SECTOR <= len(self.data):
            sector, count, flags, length = struct.unpack_from("<QQQQ", self.data, at)
            at += self.SECTOR
            held = 0 if flags & self.DISCARD else count * self.SECTOR
            if (sector, count, flags) == (0, 0, 0) or at + held > len(self.data):
                break
            self.entries.append((at + held, sector, self.data[at:at + held], flags))
            at += held

    def flushes(self):
        """Indexes of entries that say: all before is on the medium."""
        return [index for index, entry in enumerate(self.entries) if entry[3] & (self.FLUSH | self.FUA)]


def write_some(file, entries, chance):
    """Any of the entries' 4 KiB blocks, each as it was or as it became: what a power cut may leave of them."""
    for _, sector, data, _ in entries:
        for at in range(0, len(data), 4096):
            if chance.random() < 0.5:
                file.seek(sector * WriteLog.SECTOR + at)
                file.write(data[at:at + 4096])


def write_all(file, entries):
    for _, sector, data, _ in entries:
        file.seek(sector * WriteLog.SECTOR)
        file.write(data)


def sector_of(path, position):
    """Where on its device a position of a file lies."""
    need("filefrag")
    row = re.compile(r"^ *\d+: +(\d+)\.\. *(\d+): +(\d+)\.\.", re.M)
    wanted = position // 512
    for first, last, physical in row.findall(run("filefrag", "-v", "-b512", path)):
        if int(first) <= wanted <= int(last):
            return int(physical) + wanted - int(first)
    raise AssertionError(f"{path} has no block at {position}")
