"""The behaviours of consumer groups, told of one client: `groups.py COMMAND...` where the command starts its part of members/.

Each member is a process, so that every client can be killed and stopped in the same way, and is judged by the same rules.
"""

import fnmatch
import json
import os
import time

import told
from crew import Crew, admin, refused
from member import PATIENCE_S, SESSION_S
from told import equal, restartable, tell_all, topic, until

# What this client has not: a pattern of names, and why.
LACKS = json.loads(os.environ["LACKS"])
# No behaviour, but it decides what is read again after a member that had not been told to commit.
COMMITS_BY_ITSELF = any(pattern == "commits on demand" for pattern, _ in LACKS)
# Most of the time these behaviours wait: for a session to end, for a program to start.
AT_ONCE = 3
NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, GROUP_SUBSCRIBED_TO_TOPIC, UNKNOWN_MEMBER_ID = 68, 69, 86, 25


def behaviour(name):
    """As in told.py, unless the client lacks it."""
    for pattern, why in LACKS:
        if fnmatch.fnmatchcase(name, pattern):
            told.lacks(name, why)
            return lambda function: function
    return told.behaviour(name)


# === members, in both protocols ===

def shares(protocol):
    # The session is so long that one who goes away must have said so.
    with Crew(protocol, session=30_000) as crew:
        first = crew.add()
        crew.settled(first)
        crew.read_and_commit(first)
        crew.add(), crew.add()
        crew.settled(*crew.members)
        crew.read_and_commit(*crew.members)
        crew.add(), crew.add()
        crew.settled(*crew.members)
        crew.read_and_commit(*crew.members)
        first.leave()
        crew.members[3].leave()
        left = crew.members[1], crew.members[2], crew.members[4]
        crew.settled(*left)
        crew.produce(12)
        crew.has_read(0)
        crew.never_two_owners()


def killed(protocol):
    with Crew(protocol) as crew:
        one, two = crew.add(), crew.add()
        crew.settled(one, two)
        crew.read_and_commit(one, two)
        crew.produce(12)
        crew.has_read(0)
        # Only what the other has read since its commit is to be read again.
        crew.commit(one)
        again = {int(value) for _, _, value in two.read if int(value) >= 12 and not COMMITS_BY_ITSELF}
        began = time.monotonic()
        two.kill()
        crew.settled(one)
        took = time.monotonic() - began
        lasts = SESSION_S[protocol]
        assert took > lasts / 2, f"its partitions were given away after {took:.1f} s of a session of {lasts} s"
        crew.wait(lambda: again <= set(crew.values(one)), "what the dead member had not committed")
        crew.commit(one)
        before = len(one.read)
        crew.produce(6)
        crew.has_read(24, one)
        if not COMMITS_BY_ITSELF:
            equal(len(one.read) - before, 6, "records after the takeover")
        crew.never_two_owners()


def paused(protocol):
    with Crew(protocol) as crew:
        one, two = crew.add(), crew.add()
        crew.settled(one, two)
        crew.read_and_commit(two)
        one.pause()
        crew.settled(two)
        crew.produce(12)
        first = 12 if COMMITS_BY_ITSELF else 0
        crew.wait(lambda: set(range(first, 24)) <= set(crew.values(two)), "every record by the other member")
        crew.commit(two)
        # What it says first is a commit of long ago; nobody may be thrown back by it.
        one.say("commit")
        one.go_on()
        crew.settled(one, two)
        before = [len(member.read) for member in (one, two)]
        crew.produce(12)
        crew.wait(lambda: set(range(24, 36)) <= set(crew.values()), "the records after the pause")
        after = sorted(int(each[2]) for member, start in zip((one, two), before) for each in member.read[start:])
        equal(after, list(range(24, 36)), "what was read after the pause")
        crew.never_two_owners()


def static(protocol):
    with Crew(protocol, session=30_000) as crew:
        one, two = crew.add(instance="one"), crew.add(instance="two")
        crew.settled(one, two)
        mine, others = one.owns, len(two.owned)
        # The old protocol knows no farewell of a static member, so that its death is the same.
        one.kill() if protocol == "classic" else one.leave()
        again = crew.add(instance="one")
        crew.wait(lambda: again.owns == mine, "the same partitions as before")
        crew.produce(12)
        crew.has_read(0)
        equal(len(two.owned), others, "assignments of the other member")


def incremental(protocol):
    with Crew(protocol, assignor="cooperative") as crew:
        one = crew.add()
        crew.settled(one)
        began = len(one.owned)
        two = crew.add()
        crew.settled(one, two)
        kept = one.owns
        for _, owned in one.owned[began - 1:]:
            assert kept <= owned, f"{sorted(kept - owned)} were taken away from the member that keeps them"
        crew.produce(12)
        crew.has_read(0)
        crew.never_two_owners()


def pattern(protocol):
    stem = topic("stem")
    with Crew(protocol, topics=[], pattern=f"^{stem}-.*") as crew:
        crew.create(f"{stem}-a", 2)
        one = crew.add()
        crew.wait(lambda: one.owns == {f"{stem}-a/0", f"{stem}-a/1"}, "the topic that was there")
        crew.create(f"not-{stem}-b")
        crew.create(f"{stem}-c")
        crew.wait(lambda: one.owns == {f"{stem}-a/0", f"{stem}-a/1", f"{stem}-c/0"}, "the new topic as well")
        crew.produce(3, f"{stem}-c", 1)
        crew.has_read(0)


def resumes(protocol):
    with restartable() as lent, Crew(protocol, broker=lent.address) as crew:
        one, two = crew.add(), crew.add()
        crew.settled(one, two)
        crew.read_and_commit(one, two)
        lent.kill()
        crew.produce(12)
        # Members may read again what they had not committed; nothing is lost.
        crew.wait(lambda: set(range(24)) <= set(crew.values()), "every record")
        # Who may commit is back in the group, and keeps what it owns from there on.
        crew.wait(lambda: one.commit() and two.commit(), "commits after the restart")
        crew.settled(one, two)
        crew.produce(12)
        crew.wait(lambda: set(range(36)) <= set(crew.values()), "the records after the restart")
        crew.wait(lambda: one.commit() and two.commit(), "commits of them")
        one.leave(), two.leave()
        crew.produce(6)
        three = crew.add()
        crew.settled(three)
        crew.has_read(36, three)
        equal(crew.values(three), list(range(36, 42)), "what the next member reads")


for _protocol in ("classic", "consumer"):
    for _name, _action in {
        "shares partitions": shares, "member killed": killed, "member paused": paused, "static member": static,
        "incremental": incremental, "pattern": pattern, "resumes": resumes,
    }.items():
        behaviour(f"{_protocol} group: {_name}")(lambda action=_action, protocol=_protocol: action(protocol))


@behaviour("group: read committed")
def read_committed():
    with Crew(committed=True) as crew:
        crew.settled(crew.add())
        crew.produce(12)
        crew.has_read(0)


# === what an administrator asks ===

def described(protocol):
    with admin() as asked, Crew(protocol) as crew:
        one, two = crew.add(), crew.add()
        crew.settled(one, two)
        answer = {}

        def stable():
            # A member says what it owns before the coordinator has heard of it.
            answer.update(asked.ask("describe", crew.group))
            return answer["state"] == "stable"
        crew.wait(stable, "a stable group")
        found = sorted(sorted(each) for each in answer["members"])
        equal(found, sorted([sorted(one.owns), sorted(two.owns)]), "the members' partitions")
        one.leave(), two.leave()
        until(lambda: asked.ask("describe", crew.group)["state"] == "empty", "an empty group", PATIENCE_S)


behaviour("describe classic group")(lambda: described("classic"))
behaviour("describe consumer group")(lambda: described("consumer"))


@behaviour("list groups")
def list_groups():
    with admin() as asked, Crew() as crew:
        assert crew.group not in asked.ask("groups")
        crew.settled(crew.add())
        crew.wait(lambda: crew.group in asked.ask("groups"), "the group in the list")


@behaviour("delete groups")
def delete_groups():
    with admin() as asked, Crew() as crew:
        member = crew.add()
        crew.settled(member)
        crew.produce(6)
        crew.has_read(0)
        crew.commit(member)
        refused(NON_EMPTY_GROUP, asked.ask, "delete", crew.group)
        member.leave()
        asked.ask("delete", crew.group)
        assert crew.group not in asked.ask("groups")
        refused(GROUP_ID_NOT_FOUND, asked.ask, "delete", crew.group)
        # Its offsets went with it.
        crew.settled(crew.add())
        crew.has_read(0, crew.members[1])


@behaviour("group lag")
def group_lag():
    with admin() as asked, Crew(partitions=2) as crew:
        member = crew.add()
        crew.settled(member)
        crew.produce(20)
        crew.has_read(0)
        crew.commit(member)
        member.leave()
        crew.produce(5)
        committed, ends = asked.ask("offsets", crew.group), asked.ask("ends", crew.name)
        lag = {place: ends[place] - committed[place] for place in sorted(ends)}
        equal(lag, {f"{crew.name}/0": 3, f"{crew.name}/1": 2}, "the lag")


@behaviour("alter group offsets")
def alter_group_offsets():
    with admin() as asked, Crew(partitions=1) as crew:
        crew.produce(10)
        asked.ask("alter", crew.group, crew.name, 0, 7)
        equal(asked.ask("offsets", crew.group), {f"{crew.name}/0": 7}, "the offsets")
        member = crew.add()
        crew.settled(member)
        crew.has_read(7)
        refused(UNKNOWN_MEMBER_ID, asked.ask, "alter", crew.group, crew.name, 0, 1)


@behaviour("delete group offsets")
def delete_group_offsets():
    with admin() as asked, Crew(partitions=1) as crew:
        member = crew.add()
        crew.settled(member)
        crew.produce(3)
        crew.has_read(0)
        crew.commit(member)
        refused(GROUP_SUBSCRIBED_TO_TOPIC, asked.ask, "forget", crew.group, crew.name, 0)
        member.leave()
        equal(asked.ask("offsets", crew.group), {f"{crew.name}/0": 3}, "the offsets before")
        asked.ask("forget", crew.group, crew.name, 0)
        equal(asked.ask("offsets", crew.group), {}, "the offsets after")


@behaviour("offsets without a member")
def offsets_without_a_member():
    with admin() as asked, admin() as other, Crew(partitions=2) as crew:
        for offset, metadata in ((3, "first"), (1, "back")):
            asked.ask("commit", crew.group, crew.name, 1, offset, metadata)
            equal(other.ask("committed", crew.group, crew.name, 1), [offset, metadata], "what was committed")
        equal(other.ask("committed", crew.group, crew.name, 0)[0], -1, "what was never committed")


if __name__ == "__main__":
    tell_all(AT_ONCE)
