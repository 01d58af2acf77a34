# lacks: consumer group: * | its librdkafka has the classic protocol only
# lacks: describe * | it asks for no such thing
# lacks: commits on demand | it commits by itself, every tenth of a second
# lacks: classic group: incremental | it takes each assignment as a whole
# lacks: list groups | it asks for no such thing
# lacks: delete group* | it asks for no such thing
# lacks: group lag | it asks for no such thing
# lacks: alter group offsets | it asks for no such thing
# lacks: offsets without a member | it asks for no such thing
"""A member of a group by kcat, which tells its assignments on stderr and commits by itself."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

from member import die_with_parent

BROKER = os.environ["BROKER"]


def main(options):
    cooperative = options["assignor"] == "cooperative"
    settings = {
        "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 1000, "fetch.wait.max.ms": 100,
        "session.timeout.ms": options["session"], "heartbeat.interval.ms": 500, "enable.auto.commit": "true",
        "auto.commit.interval.ms": 100, "reconnect.backoff.max.ms": 500,
        "partition.assignment.strategy": "cooperative-sticky" if cooperative else options["assignor"],
        "isolation.level": "read_committed" if options["committed"] else "read_uncommitted",
    }
    if options["instance"]:
        settings["group.instance.id"] = options["instance"]
    # Without -E it ends when its broker is away for a moment.
    command = ["kcat", "-E", "-u", "-b", BROKER, "-f", "read %t/%p %o %s\n"]
    for key, value in settings.items():
        command += ["-X", f"{key}={value}"]
    command += ["-G", options["group"], *([options["pattern"]] if options["pattern"] else options["topics"])]
    kcat = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                            preexec_fn=die_with_parent)
    telling = threading.Lock()

    def say(line):
        # It writes a line in pieces, which must not mix with ours.
        with telling:
            sys.stdout.write(line)
            sys.stdout.flush()

    def pass_on():
        for line in kcat.stdout:
            say(line)

    def listen():
        owned = set()
        for line in kcat.stderr:
            told = re.search(r"rebalanced .*?: (assigned|revoked|incremental assigned|[a-z ]*): ?(.*)", line)
            if told:
                places = {f"{name}/{number}" for name, number in re.findall(r"(\S+) \[(\d+)\]", told[2])}
                owned = owned - places if "revoke" in told[1] else owned | places
                say(f"owns {' '.join(sorted(owned))}\n")
            else:
                print(line, end="", file=sys.stderr, flush=True)
        # Nobody shall wait for one that has ended; what it has read is passed on first.
        passing.join()
        os._exit(kcat.wait())

    passing, listening = threading.Thread(target=pass_on), threading.Thread(target=listen)
    passing.start(), listening.start()
    for line in sys.stdin:
        if line.strip() != "commit":
            break
        # It has committed, or will within a tenth of a second, and for certain when it leaves.
        say("committed\n")
    kcat.send_signal(signal.SIGTERM)
    listening.join()


main(json.loads(sys.argv[2]))
