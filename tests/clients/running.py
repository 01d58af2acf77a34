"""Runs clients and keeps what each told of every behaviour."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prepare import Unavailable, commands_for

HERE = Path(__file__).resolve().parent
# Longer than any client needs on a busy machine with two cores.
CLIENT_TIMEOUT_S = 420
OK, FAIL, LACKS, SKIP, LATER = "ok", "FAIL", "-", "skip", "later"
WORDS = {"ok": OK, "fail": FAIL, "lacks": LACKS, "skip": SKIP, "later": LATER}


_running = set()


def end_all():
    """Ends every client that runs; for a run that is broken off."""
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Result:
    """What one client said of each behaviour: (outcome, reason)."""

    def __init__(self, client, later):
        self.client = client
        self.later = later
        self.told = {}

    def tell(self, name, outcome, reason):
        """What the client says of a behaviour; of one that is to come later, the other way round."""
        if name in self.told:
            outcome, reason = FAIL, "told twice"
        elif name in self.later and outcome == FAIL:
            outcome = LATER
        elif name in self.later and outcome == OK:
            outcome, reason = FAIL, "works now: take the mark out of behaviours.txt"
        self.told[name] = (outcome, reason)
        if outcome == FAIL:
            print(f"  {self.client}: {outcome} {name}: {reason}", flush=True)

    def summary(self):
        """Each reason for later once, with how many behaviours it holds up."""
        reasons = [reason for outcome, reason in self.told.values() if outcome == LATER]
        return [f"{reasons.count(reason)} {LATER}: {reason}" for reason in dict.fromkeys(reasons)]

    def failed(self):
        return [name for name, (outcome, _) in self.told.items() if outcome in (FAIL, LATER)]

    def of(self, behaviour):
        return self.told.get(behaviour, (FAIL, "the client's script did not tell"))


def read_lines(result, stdout, known):
    """`ok<TAB>name`, `fail|lacks|skip|later<TAB>name<TAB>reason`; all else is shown as it comes."""
    for line in stdout:
        parts = line.rstrip("\n").split("\t", 2)
        if parts[0] not in WORDS or len(parts) < 2:
            print(f"  {result.client}: {line.rstrip()}", flush=True)
            continue
        name, reason = parts[1], parts[2] if len(parts) > 2 else ""
        if name in known:
            result.tell(name, WORDS[parts[0]], reason)
        else:
            result.tell(name, FAIL, "not in behaviours.txt")


def prepare(clients):
    """What runs each client and its members of groups: the commands, or why there are none."""
    commands = {}
    for client in clients:
        started = time.monotonic()
        try:
            commands[client] = commands_for(client)
        except Unavailable as why:
            commands[client] = why
        if time.monotonic() - started > 1:
            print(f"  {client.name}: prepared in {time.monotonic() - started:.1f} s", flush=True)
    return commands


def skip(result, commands, known):
    """Whether there is nothing to run, which is told of every behaviour."""
    if isinstance(commands, Unavailable):
        print(f"  {result.client}: skipped, {commands}", flush=True)
        for name in known:
            result.told[name] = (SKIP, str(commands))
    return isinstance(commands, Unavailable)


def run_script(result, part, command, broker, environment, known):
    """One script of a client from its start to its end; it tells its behaviours to the result."""
    if not broker.alive():
        result.told[f"broker alive{part}"] = (FAIL, "the broker ended before this client began")
        return
    started = time.monotonic()
    # A script may be called as the library that it imports: its own folder is not searched.
    environment = dict(os.environ, PYTHONSAFEPATH="1", BROKER=broker.address, PYTHONDONTWRITEBYTECODE="1",
                       PYTHONPATH=str(HERE), **environment)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, stdin=subprocess.DEVNULL,
                               errors="replace", start_new_session=True)
    _running.add(process)
    ended = []
    timer = threading.Timer(CLIENT_TIMEOUT_S, lambda: (ended.append(1), os.killpg(process.pid, signal.SIGKILL)))
    timer.start()
    failed = len(result.failed())
    read_lines(result, process.stdout, known)
    status = process.wait()
    timer.cancel()
    # What a script left behind ends with it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _running.discard(process)
    if ended:
        print(f"  {result.client}{part}: killed after {CLIENT_TIMEOUT_S} s", flush=True)
    elif status != 0:
        print(f"  {result.client}{part}: exit status {status}", flush=True)
        if len(result.failed()) == failed:
            result.told[f"exit status{part}"] = (FAIL, f"{status}, although no behaviour failed")
    if not broker.alive():
        result.told[f"broker alive{part}"] = (FAIL, "the broker ended")
    print(f"  {result.client}{part}: ran {time.monotonic() - started:.1f} s", flush=True)


def run_all(clients, commands, broker, settings, known, later, jobs):
    """Every client, `jobs` at a time; the results in the order of the clients.

    The behaviours of groups are told by groups.py, beside the client's own script: as many again at a time, because
    these wait for sessions to end more than they work.
    """
    print(f"{broker.kind} at {broker.address}", flush=True)
    results = {client: Result(client.name, later) for client in clients}
    with ThreadPoolExecutor(jobs) as scripts, ThreadPoolExecutor(jobs) as groups:
        waiting = []
        for client, result in results.items():
            if skip(result, commands[client], known):
                continue
            own, member = commands[client]
            environment = dict(settings, VARIANT=client.variant, LACKS=json.dumps(client.lacks()))
            for pool, part, command in ((scripts, "", own),
                                        (groups, " in groups", [sys.executable, HERE / "groups.py", *(member or ())])):
                waiting.append(pool.submit(run_script, result, part, command, broker, environment, known))
        try:
            for each in waiting:
                each.result()
        finally:
            # Broken off, they must not begin with the rest.
            for pool in (scripts, groups):
                pool.shutdown(wait=False, cancel_futures=True)
    for result in results.values():
        for line in result.summary():
            print(f"  {result.client}: {line}", flush=True)
    return list(results.values())
