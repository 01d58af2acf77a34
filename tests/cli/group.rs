//! consume --group and group, with members that are killed, stopped and paused.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::run::{Broker, millrace};

const PROTOCOLS: [&str; 2] = ["classic", "consumer"];

fn start() -> Broker {
    Broker::start_with(&[
        "group.initial.rebalance.delay.ms=0",
        "group.min.session.timeout.ms=100",
        "group.consumer.min.session.timeout.ms=500",
        "group.consumer.session.timeout.ms=1000",
        "group.consumer.min.heartbeat.interval.ms=50",
        "group.consumer.heartbeat.interval.ms=100",
    ])
}

/// `millrace consume` as a member of a group. Killed when dropped.
struct Member {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Member {
    fn start(broker: &Broker, topic: &str, protocol: &str) -> Self {
        let mut child = millrace(&["consume", topic, "-b", broker.address()])
            .args(["-g", topic, "--protocol", protocol, "--session-timeout", "1s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("it goes on printing").unwrap()
    }

    fn take(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn described(broker: &Broker, group: &str) -> Value {
    serde_json::from_str(&broker.ok(&["group", "describe", group, "--json"], b"")).unwrap()
}

fn lag(broker: &Broker, group: &str) -> Value {
    serde_json::from_str(&broker.ok(&["group", "lag", group, "--json"], b"")).unwrap()
}

/// Waits until each of `count` members has partitions.
fn wait_until_shared(broker: &Broker, group: &str, count: usize) {
    let mut told = Vec::new();
    for _ in 0..2000 {
        // Before the first member has come there is no such group.
        told = broker.run(&["group", "describe", group, "--json"], b"").stdout;
        let described: Value = serde_json::from_slice(&told).unwrap_or_default();
        let Some(members) = described["members"].as_array() else { continue };
        let is_busy = |member: &&Value| member["assigned"].as_array().is_some_and(|owned| !owned.is_empty());
        if members.len() == count && members.iter().filter(is_busy).count() == count {
            return;
        }
    }
    panic!("not shared: {}", String::from_utf8_lossy(&told));
}

fn numbers(range: std::ops::Range<i32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_group_goes_on_where_it_was_whoever_reads() {
    let broker = start();
    for protocol in PROTOCOLS {
        broker.ok(&["produce", protocol], numbers(0..10).as_bytes());
        let read = |more: &[&str]| {
            broker.ok(&[&["consume", protocol, "-g", protocol, "--protocol", protocol], more].concat(), b"")
        };
        assert_eq!(read(&["-c", "3"]), numbers(0..3), "only what is printed is done");
        assert_eq!(lag(&broker, protocol)["lag"], 7);
        assert_eq!(read(&["-e", "-c", "2", "-f", "%s\\n"]), numbers(3..5));
        assert_eq!(read(&["-e"]), numbers(5..10));
        assert_eq!(read(&["-e"]), "");
        broker.ok(&["produce", protocol], numbers(10..12).as_bytes());
        assert_eq!(read(&["-e"]), numbers(10..12));
        assert_eq!(lag(&broker, protocol)["lag"], 0);
        let other = ["consume", protocol, "-g", "late", "--protocol", protocol, "-e", "-o", "end"];
        assert_eq!(broker.ok(&other, b""), "", "a new group may begin at the end");
        broker.ok(&["group", "delete", "late", "--yes"], b"");
    }
    assert_eq!(broker.ok(&["group", "list"], b""), "classic\nconsumer\n");
    let listed = broker.ok(&["group", "list", "--long"], b"");
    assert_eq!(listed, "classic   classic   Empty\nconsumer  consumer  Empty\n");
}

#[test]
fn several_topics_and_patterns_are_read_in_a_group_only() {
    let broker = start();
    for topic in ["a-1", "a-2", "b-1"] {
        broker.ok(&["produce", topic], topic.as_bytes());
    }
    for protocol in PROTOCOLS {
        let read = |group: &str, topics: &[&str]| {
            let group = format!("{group}-{protocol}");
            let text = broker
                .ok(&[&["consume", "-g", &group, "--protocol", protocol, "-c", "2"], topics].concat(), b"");
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(read("named", &["a-1", "b-1"]), ["a-1", "b-1"]);
        assert_eq!(read("fitting", &["--pattern", "a-[0-9]"]), ["a-1", "a-2"]);
    }
    let code = |args: &[&str]| broker.run(args, b"").code;
    assert_eq!(code(&["consume", "a-1", "a-2"]), 2);
    assert_eq!(code(&["consume", "--pattern", "a"]), 2);
    assert_eq!(code(&["consume", "a-1", "-g", "g", "-p", "0"]), 2);
    assert_eq!(code(&["consume", "a-1", "-g", "g", "-o", "7"]), 2);
    assert_eq!(code(&["consume", "--pattern", "(", "-g", "g"]), 2);
    assert_eq!(code(&["consume", "a-1", "-g", "g", "--assignor", "fair"]), 2);
}

#[test]
fn a_signal_has_a_member_commit_and_leave() {
    let broker = start();
    for protocol in PROTOCOLS {
        broker.ok(&["produce", protocol], numbers(0..10).as_bytes());
        for signal in ["-TERM", "-INT"] {
            let mut member = Member::start(&broker, protocol, protocol);
            assert_eq!(member.take(10).len(), 10);
            member.signal(signal);
            assert_eq!(member.child.wait().unwrap().code(), Some(130), "{signal}");
            let group = described(&broker, protocol);
            assert_eq!(
                (&group["state"], group["members"].as_array().unwrap().len()),
                (&Value::from("Empty"), 0)
            );
            assert_eq!(lag(&broker, protocol)["lag"], 0);
            broker.ok(&["produce", protocol], numbers(0..10).as_bytes());
        }
    }
}

#[test]
fn a_member_that_is_killed_or_paused_too_long_is_replaced_and_may_come_back() {
    let broker = start();
    for protocol in PROTOCOLS {
        broker.ok(&["topic", "create", protocol, "-p", "2"], b"");
        let produce = |first: &str, second: &str| {
            broker.ok(&["produce", protocol, "-p", "0"], first.as_bytes());
            broker.ok(&["produce", protocol, "-p", "1"], second.as_bytes());
        };
        let mut stays = Member::start(&broker, protocol, protocol);
        let killed = Member::start(&broker, protocol, protocol);
        wait_until_shared(&broker, protocol, 2);
        killed.signal("-KILL");
        produce("one", "two");
        let mut lines = stays.take(2);
        lines.sort();
        assert_eq!(lines, ["one", "two"]);

        let mut paused = Member::start(&broker, protocol, protocol);
        wait_until_shared(&broker, protocol, 2);
        produce("three", "three");
        assert_eq!((stays.next(), paused.next()), ("three".to_owned(), "three".to_owned()));
        paused.signal("-STOP");
        produce("four", "five");
        let mut lines = stays.take(2);
        lines.sort();
        // What the paused one has printed and not committed comes again.
        if lines.contains(&"three".to_owned()) {
            lines.push(stays.next());
            lines.retain(|line| line != "three");
            lines.sort();
        }
        assert_eq!(lines, ["five", "four"]);
        assert_eq!(described(&broker, protocol)["members"].as_array().unwrap().len(), 1);
        paused.signal("-CONT");
        let mut complaint = String::new();
        BufReader::new(paused.child.stderr.take().unwrap()).read_line(&mut complaint).unwrap();
        assert!(complaint.contains("lost 1 partition"), "{complaint}");
        wait_until_shared(&broker, protocol, 2);
        for member in [stays, paused] {
            member.signal("-TERM");
        }
    }
}

#[test]
fn offsets_are_reset_only_in_a_group_that_nobody_uses() {
    let broker = start();
    broker.ok(&["topic", "create", "t", "-p", "2"], b"");
    let line = |number: i32| {
        format!("{{\"value\":\"x\",\"partition\":{},\"timestamp\":{}}}\n", number % 2, 1000 + number / 2)
    };
    broker.ok(&["produce", "t", "--json"], (0..20).map(line).collect::<String>().as_bytes());
    let offsets = || {
        let lag = lag(&broker, "t");
        let partitions = lag["partitions"].as_array().unwrap().iter();
        partitions.map(|each| each["committed"].as_i64()).collect::<Vec<_>>()
    };
    let reset = |args: &[&str]| broker.ok(&[&["group", "reset", "t"], args].concat(), b"");
    let csv = reset(&["-t", "t", "--to", "4", "--csv"]);
    assert_eq!((csv.as_str(), offsets()), ("t,0,4\nt,1,4\n", vec![Some(4), Some(4)]));
    let table = reset(&["-t", "t:1", "--to", "end", "--dry-run"]);
    assert_eq!(table.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["t", "1", "4", "10"]);
    assert_eq!(offsets(), [Some(4), Some(4)], "it was only shown");
    for (args, expected) in [
        (&["-t", "t:1", "--to", "end"][..], [4, 10]),
        (&["--all-topics", "--shift-by", "-3"], [1, 7]),
        (&["-t", "t:0,1", "--to", "@1005"], [5, 5]),
        (&["-t", "t:0", "--to", "-1"], [9, 5]),
        (&["--all-topics", "--to", "beginning"], [0, 0]),
    ] {
        reset(args);
        assert_eq!(offsets(), expected.map(Some), "{args:?}");
    }
    broker.ok(&["group", "reset", "t", "--from-file", "-"], csv.as_bytes());
    assert_eq!(reset(&["--all-topics", "--to", "current", "--csv", "--dry-run"]), csv);
    let beyond = broker.run(&["group", "reset", "t", "-t", "t:0", "--to", "99", "--json"], b"");
    assert_eq!(beyond.stdout, b"{\"from\":4,\"partition\":0,\"to\":10,\"topic\":\"t\"}\n");
    assert!(beyond.stderr.contains("0 to 10"), "{}", beyond.stderr);

    let fails = |args: &[&str], code: i32, told: &str| {
        let ended = broker.run(&[&["group"], args].concat(), b"");
        assert_eq!(ended.code, code, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
    };
    fails(&["reset", "t", "--to", "end"], 2, "--topic");
    fails(&["reset", "t", "-t", "t"], 2, "--to");
    fails(&["reset", "t", "-t", "nowhere", "--to", "end"], 66, "nowhere");
    fails(&["reset", "t", "-t", "t:2", "--to", "end"], 66, "no partition 2");
    fails(&["reset", "new", "--all-topics", "--to", "end"], 66, "no offsets");
    fails(&["reset", "new", "-t", "t", "--shift-by", "1"], 66, "no committed offset");
    fails(&["reset", "t", "--from-file", "/no/such/file"], 66, "/no/such/file");
    fails(&["describe", "nobody"], 66, "millrace group list");
    fails(&["lag", "nobody"], 66, "nobody");

    let _member = Member::start(&broker, "t", "classic");
    wait_until_shared(&broker, "t", 1);
    fails(&["reset", "t", "-t", "t", "--to", "end"], 77, "stop them first");
    fails(&["delete", "t", "--yes"], 77, "stop them first");
    fails(&["delete", "t", "-t", "t", "--yes"], 77, "GROUP_SUBSCRIBED_TO_TOPIC");
    let shown = broker.run(&["group", "reset", "t", "-t", "t", "--to", "end", "--dry-run", "--csv"], b"");
    assert_eq!((shown.code, shown.stdout.as_slice()), (0, &b"t,0,10\nt,1,10\n"[..]));
}

#[test]
fn groups_are_shown_with_their_topics_and_deleted() {
    let broker = start();
    broker.ok(&["produce", "t"], numbers(0..10).as_bytes());
    broker.ok(&["produce", "u"], numbers(0..10).as_bytes());
    broker.ok(&["group", "reset", "one", "-t", "t", "--to", "3"], b"");
    broker.ok(&["group", "reset", "two", "-t", "t", "-t", "u", "--to", "10"], b"");
    assert_eq!(
        broker
            .ok(&["group", "lag"], b"")
            .lines()
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect::<Vec<_>>(),
        ["7", "0"]
    );
    let described: Value =
        serde_json::from_str(&broker.ok(&["topic", "describe", "t", "--json"], b"")).unwrap();
    let groups = described["groups"].as_array().unwrap();
    assert_eq!((&groups[0]["group"], &groups[0]["lag"]), (&Value::from("one"), &Value::from(7)));
    assert_eq!((&groups[1]["group"], &groups[1]["lag"]), (&Value::from("two"), &Value::from(0)));
    assert_eq!(groups[1]["partitions"].as_array().unwrap().len(), 1, "only those of the topic");
    assert!(broker.ok(&["topic", "describe", "t"], b"").contains("one"));

    assert_eq!(
        broker.ok(&["group", "delete", "one", "two", "--dry-run"], b""),
        "one  1 committed offsets\ntwo  2 committed offsets\n"
    );
    assert_eq!(broker.ok(&["group", "delete", "two", "-t", "t:0", "--dry-run"], b""), "two  t 0\n");
    broker.ok(&["group", "delete", "two", "-t", "t:0", "--yes"], b"");
    assert_eq!(lag(&broker, "two")["partitions"].as_array().unwrap().len(), 1);
    assert_eq!(broker.run(&["group", "delete", "one"], b"").code, 2, "nobody to ask");
    broker.ok(&["group", "delete", "one", "--yes"], b"");
    assert_eq!(broker.run(&["group", "delete", "one", "--yes"], b"").code, 66);
    broker.ok(&["group", "delete", "one", "--yes", "--if-exists"], b"");
    assert_eq!(broker.ok(&["group", "list"], b""), "two\n");
}
