"""What the measures of side_by_side share: brokers, clients, rounds in turns, rows of the table."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MILLRACE_SETTINGS = ["group.initial.rebalance.delay.ms=0", "log.retention.check.interval.ms=500", "max.connections.per.ip=20000", "max.connections=19000"]
KAFKA_SETTINGS = ["log.retention.check.interval.ms=500", "log.segment.delete.delay.ms=500"]

# Free memory is filled in such steps, until a step leaves as much free as there was.
FILL_STEP = 256 << 20
FILL_ENOUGH = 32 << 20
# More than any machine's memory.
HOLES = 1 << 40


class Broker:
    """A broker in a process of its own; its first line names its address, and Kafka's its process."""

    def __init__(self, name, command, directory):
        self.name = name
        self.command = command
        self.data_dir = directory / name
        self.log = directory / f"{name}.log"
        self.process = None

    def start(self):
        """Starts it, the first time or again; it is ready when this returns."""
        since = time.monotonic()
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        self.ready_ms = (time.monotonic() - since) * 1e3
        address = re.search(r"127\.0\.0\.1:\d+", line)
        if not address:
            sys.exit(f"{self.name} did not start: {line!r}, see {self.log}")
        self.address = address.group()
        pid = re.search(r"pid (\d+)", line)
        self.pid = int(pid.group(1)) if pid else self.process.pid
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def anonymous_mib(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rounds = arguments.rounds
        self.rows = []
        self.brokers = []
        self.holes = tempfile.TemporaryFile(dir=arguments.directory)
        self.holes.truncate(HOLES)
        self.buffer = bytearray(1 << 20)
        self.filled = 0
        self.loader = arguments.load or self.built_loader()

    def built_loader(self):
        built = subprocess.run(
            ["cargo", "bench", "--bench", "load", "--no-run", "--message-format=json"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        told = (json.loads(line) for line in built.stdout.splitlines() if line.startswith("{"))
        return next(each["executable"] for each in told
                    if each.get("executable") and each["target"]["name"] == "load")

    # Brokers

    def pair(self, directory):
        return [self.millrace(directory), self.kafka(directory)]

    def millrace(self, directory, name="millrace", settings=MILLRACE_SETTINGS):
        words = [word for setting in settings for word in ("--set", setting)]
        return self.begun(Broker(name, [self.arguments.millrace, "serve", "--data-dir", directory / name,
                                        "--listen", "127.0.0.1:0", *words], directory))

    def kafka(self, directory):
        settings = [word for setting in KAFKA_SETTINGS for word in ("--set", setting)]
        command = [ROOT / "tests/kafka/start", "--dir", directory / "kafka", *settings]
        return self.begun(Broker("kafka", command, directory))

    def begun(self, broker):
        """The broker, started, and stopped when the measure ends."""
        self.brokers.append(broker)
        broker.start()
        return broker

    def with_brokers(self, start, measure):
        directory = Path(tempfile.mkdtemp(prefix="side-by-side-", dir=self.arguments.directory))
        try:
            return measure(*start(directory))
        finally:
            for broker in self.brokers:
                broker.stop()
            self.brokers.clear()
            shutil.rmtree(directory, ignore_errors=True)

    # Clients

    def settle(self):
        """Writes what the other one has left to be written, and fills free memory with pages of a file that is all holes.

        The page cache then takes pages that it had before, as on any machine that has been up for a while. Free memory
        of a virtual machine may be its host's, which gives it page by page at the first touch: several times what a copy
        costs, for some runs and not for others.
        """
        os.sync()
        free, taken = free_bytes(), FILL_ENOUGH
        while taken >= FILL_ENOUGH:
            for _ in range(FILL_STEP // len(self.buffer)):
                os.preadv(self.holes.fileno(), [self.buffer], self.filled)
                self.filled = (self.filled + len(self.buffer)) % HOLES
            before, free = free, free_bytes()
            taken = before - free

    def load(self, broker, what, *words, topic, configs=()):
        self.settle()
        command = [self.loader, what, "--broker", broker.address, "--pid", str(broker.pid), "--topic", topic, *words]
        for config in configs:
            command += ["--config", config]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
        return json.loads(done.stdout)

    def bundled(self, broker, what, *words, topic):
        self.settle()
        command = [self.arguments.millrace, "bench", what, "-b", broker.address, "--topic", topic, "--json", "--keep", *words]
        used = broker.cpu_seconds()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
        told = json.loads(done.stdout)
        used = broker.cpu_seconds() - used
        told["cpu_seconds_per_gb"] = used / (told["megabytes_per_second"] * told["seconds"] / 1e3)
        return told

    def delete(self, topic, brokers):
        """Gives back what a topic takes of the disk."""
        for broker in brokers:
            subprocess.run([self.arguments.millrace, "topic", "delete", "--yes", "-b", broker.address, topic],
                           check=True, stdout=subprocess.DEVNULL)

    def in_turns(self, contenders, rounds=None, warmups=0):
        """Each contender is (name, function of the round); a list of results for each, those of warm-ups left out."""
        results = {name: [] for name, _ in contenders}
        for number in range(-warmups, rounds or self.rounds):
            for name, run in contenders:
                try:
                    result = run(number)
                    if number >= 0:
                        results[name].append(result)
                    print(".", end="", file=sys.stderr, flush=True)
                except subprocess.CalledProcessError as error:
                    print(f"{name}: a round failed with {error.returncode} and counts for nothing", file=sys.stderr)
        print(file=sys.stderr)
        failed = [str(name) for name, rounds_of_it in results.items() if not rounds_of_it]
        if failed:
            sys.exit(f"no round of {', '.join(failed)} came to its end")
        return results

    # Results

    def row(self, measure, ours, theirs, unit, target="", met=None):
        ratio = f"{ours / theirs:.2f}" if theirs else ""
        verdict = "" if met is None else ("met" if met(ours, theirs) else "missed")
        theirs = f"{theirs:.4g}" if theirs is not None else ""
        line = f"| {measure} | {ours:.4g} {unit} | {theirs} | {ratio} | {target} | {verdict} |"
        self.rows.append(line)
        print(line, flush=True)


def free_bytes():
    return int(re.search(r"MemFree:\s+(\d+) kB", Path("/proc/meminfo").read_text()).group(1)) << 10


def median(results, *path):
    def dig(result):
        for key in path:
            result = result[key]
        return result
    return statistics.median(dig(result) for result in results)


def at_least(times):
    return f"≥ {times:g} ×", lambda ours, theirs: ours >= times * theirs


def at_most(times, words=None):
    return words or f"≤ {times:.2g} ×", lambda ours, theirs: ours <= times * theirs


def below(limit, unit):
    return f"≤ {limit:g} {unit}", lambda ours, _: ours <= limit
