"""What the behaviours of groups are made of: a crew of members with its topic, and one who asks about groups."""

import contextlib
import json
import os
import subprocess
import sys
import time

from member import PATIENCE_S, SESSION_S, Admin, Member, Refused
from told import BROKER, equal, topic, until

# What runs this client's part of members/.
COMMAND = sys.argv[1:]
# Two owners for a moment shorter than this are two pipes that were not read in order on a busy machine.
MOMENT_S = 1


def millrace(broker, *arguments, data=b""):
    """The bundled client makes topics and records; it works against any broker."""
    done = subprocess.run([os.environ["MILLRACE"], *arguments, "-b", broker], input=data, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{arguments}: {done.stderr.decode(errors='replace')}"


class Crew:
    """A topic, a group, and members of it that come and go."""

    def __init__(self, protocol="classic", partitions=6, broker=BROKER, **options):
        self.name, self.group, self.broker, self.sent, self.members = topic("group"), topic("crew"), broker, 0, []
        self.partitions = partitions
        self.options = {
            "group": self.group, "topics": [self.name], "pattern": "", "protocol": protocol, "instance": "",
            "assignor": "range", "committed": False, "session": SESSION_S[protocol] * 1000,
        } | options
        self.create(self.name, partitions)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.kill()

    def create(self, name, partitions=1):
        millrace(self.broker, "topic", "create", name, "-p", str(partitions))

    def produce(self, count, name=None, partitions=None):
        """Numbers, to one partition after the other."""
        lines = []
        for _ in range(count):
            partition = self.sent % (partitions or self.partitions)
            lines.append(json.dumps({"value": str(self.sent), "partition": partition}).encode() + b"\n")
            self.sent += 1
        millrace(self.broker, "produce", name or self.name, "--json", "-q", data=b"".join(lines))

    def add(self, **options):
        self.members.append(Member(COMMAND, self.options | options, self.broker))
        return self.members[-1]

    def places(self):
        return {f"{self.name}/{partition}" for partition in range(self.partitions)}

    def wait(self, condition, what):
        """Asks until it is true; a failure says how far it came."""
        def asked():
            self.all_alive()
            return condition()
        try:
            until(asked, what, PATIENCE_S)
        except AssertionError as error:
            owned = [" ".join(sorted(member.owns)).replace(self.name, "") or "nothing" for member in self.members]
            missing = sorted(set(range(self.sent)) - set(self.values()))
            raise AssertionError(f"{error}: owned are {', '.join(owned)}; not read {missing}") from None

    def settled(self, *members):
        """Waits until these own all partitions: each of them one owner, each member as many as another or one more.

        Less would be a state on the way, from which a partition still moves after it was read and before the commit.
        """
        def shared():
            counts = [len(member.owns) for member in members]
            owned = sorted(place for member in members for place in member.owns)
            return max(counts) - min(counts) <= 1 and owned == sorted(self.places())
        self.wait(shared, "the share of each member")

    def all_alive(self):
        for number, member in enumerate(self.members):
            ended = not member.gone and member.process.poll() is not None
            assert not ended, f"member {number} ended with {member.process.returncode}: {member.complaint()}"

    def values(self, *members):
        return sorted(int(value) for member in members or self.members for _, _, value in member.read)

    def has_read(self, first, *members):
        """Waits for every number from one on, and fails when one came twice."""
        wanted = list(range(first, self.sent))
        self.wait(lambda: set(wanted) <= set(self.values(*members)), f"the records {first} to {self.sent - 1}")
        found = [value for value in self.values(*members) if value >= first]
        if found != wanted:
            twice = {value for value in found if found.count(value) > 1}
            readers = [f"{place.removeprefix(self.name)}@{offset}={value} by {number}" for number, member in enumerate(self.members)
                       for place, offset, value in member.read if int(value) in twice]
            raise AssertionError(f"read twice: {', '.join(readers)}; owned since: {self.history()}")

    def read_and_commit(self, *members):
        """Twelve records more, read by all together and committed by these."""
        self.produce(12)
        self.has_read(0)
        self.commit(*members)

    def history(self):
        """What each member has owned since which second."""
        began = min(member.owned[0][0] for member in self.members)
        return " | ".join(", ".join(
            f"{at - began:.1f}: {' '.join(sorted(place.removeprefix(self.name) for place in places)) or 'nothing'}"
            for at, places in member.owned) for member in self.members)

    def commit(self, *members):
        for member in members:
            assert member.commit(), "a commit was refused"

    def never_two_owners(self):
        spans = []
        for member in self.members:
            times = [at for at, _ in member.owned[1:]] + [time.monotonic()]
            for (since, places), till in zip(member.owned, times):
                spans += [(place, since, till, member) for place in places]
        for place, since, till, member in spans:
            for other, from_, to, another in spans:
                both = min(till, to) - max(since, from_)
                assert place != other or member is another or both < MOMENT_S, f"{place} had two owners for {both:.1f} s"


@contextlib.contextmanager
def admin(broker=None):
    asked = Admin(COMMAND, broker)
    try:
        yield asked
    finally:
        asked.kill()


def refused(code, ask, *words):
    try:
        answer = ask(*words)
    except Refused as why:
        equal(why.code, code, f"the error of {words[0]} ({why.text})")
        return
    raise AssertionError(f"{words[0]} was accepted: {answer}")
