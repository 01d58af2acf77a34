//! produce, consume, topic, bench and completions against a broker.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use super::run::{Broker, millrace, run};

#[test]
fn lines_go_in_and_come_out() {
    let broker = Broker::start();
    assert_eq!(broker.ok(&["produce", "lines"], b"one\n\nthree"), "");
    assert_eq!(broker.ok(&["consume", "lines", "-e"], b""), "one\n\nthree\n");
    let lines: String = (0..5000).map(|number| format!("{number}\n")).collect();
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        broker.ok(&["produce", codec, "-z", codec], lines.as_bytes());
        assert_eq!(broker.ok(&["consume", codec, "-e"], b""), lines);
    }
}

#[test]
fn keys_headers_nulls_and_partitions_go_where_they_are_told() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "t", "-p", "3"], b"");
    let sent = ["produce", "t", "-K", "\\t", "-H", "a=1", "-H", "b", "-Z", "-p", "2", "--report"];
    assert_eq!(broker.ok(&sent, b"k\tv\nno key\n\tx\nk\t\n"), "2 0\n2 1\n2 2\n2 3\n");
    let shown = ["consume", "t", "-e", "-Z", "-f", "%t/%p/%o %k:%K %s:%S %h\\n"];
    let expected = "t/2/0 k:1 v:1 a=1,b=NULL\n\
                    t/2/1 NULL:-1 no key:6 a=1,b=NULL\n\
                    t/2/2 NULL:-1 x:1 a=1,b=NULL\n\
                    t/2/3 k:1 NULL:-1 a=1,b=NULL\n";
    assert_eq!(broker.ok(&shown, b""), expected);
    assert_eq!(
        broker.ok(&["produce", "t", "--acks", "0", "-k", "fixed", "-p", "0", "--report"], b"x"),
        "0 -\n"
    );
}

#[test]
fn positions_counts_and_partitions_choose_what_is_read() {
    let broker = Broker::start();
    let lines: String = (0..100)
        .map(|number| format!(r#"{{"value":"{number}","timestamp":{}}}"#, 1000 + number) + "\n")
        .collect();
    broker.ok(&["produce", "p", "--json"], lines.as_bytes());
    let read = |args: &[&str]| {
        let text = broker.ok(&[&["consume", "p", "-f", "%s "], args].concat(), b"");
        text.split_whitespace().map(|word| word.parse::<i32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(&["-e"]), (0..100).collect::<Vec<_>>());
    assert_eq!(read(&["-e", "-o", "-3"]), [97, 98, 99]);
    assert_eq!(read(&["-e", "-o", "98"]), [98, 99]);
    assert_eq!(read(&["-c", "2", "-o", "10"]), [10, 11]);
    assert_eq!(read(&["-c", "2"]), [0, 1]);
    assert_eq!(read(&["-e", "-o", "@1097"]), [97, 98, 99]);
    assert_eq!(read(&["-e", "-o", "@1970-01-01T00:00:01.098Z", "-p", "0"]), [98, 99]);
    assert_eq!(read(&["-e", "-o", "@1h"]), [0; 0], "they are older than an hour");
    assert_eq!(read(&["-e", "-o", "end"]), [0; 0]);
    assert_eq!(read(&["-e", "-o", "1000"]), [0; 0]);
    assert_eq!(broker.run(&["consume", "p", "-o", "1000", "-p", "0"], b"").code, 66);
    assert_eq!(broker.run(&["consume", "p", "-p", "1"], b"").code, 66);
    assert_eq!(broker.run(&["consume", "p", "-o", "middle"], b"").code, 2);
}

#[test]
fn every_byte_survives_json_and_files() {
    let broker = Broker::start();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes");
    std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    let path = path.to_str().unwrap();
    broker.ok(&["produce", "raw", "--whole", "-f", path, "-k", "ke\"y"], b"");
    assert_eq!(broker.run(&["consume", "raw", "-e", "--raw"], b"").stdout, bytes);
    for base64 in [&["--base64"][..], &[]] {
        let lines = broker.ok(&[&["consume", "raw", "-e", "--json"], base64].concat(), b"");
        let copy = format!("copy{}", base64.len());
        broker.ok(&["produce", &copy, "--json"], lines.as_bytes());
        assert_eq!(broker.run(&["consume", &copy, "-e", "--raw"], b"").stdout, bytes);
        assert_eq!(broker.ok(&["consume", &copy, "-e", "-f", "%k"], b""), "ke\"y");
    }
}

#[test]
fn a_follower_prints_records_as_they_come_and_ends_quietly_with_its_reader() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "follow"], b"");
    let mut follower = millrace(&["consume", "follow", "-b", broker.address()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(follower.stdout.take().unwrap());
    for text in ["first\n", "second\n"] {
        broker.ok(&["produce", "follow"], text.as_bytes());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, text);
    }
    drop(stdout);
    let output = follower.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn faults_are_told_on_stderr_with_a_code_of_their_own() {
    let broker = Broker::start();
    let check = |args: &[&str], stdin: &[u8], code: i32, told: &str| {
        let ended = broker.run(args, stdin);
        assert_eq!((ended.code, ended.stdout.as_slice()), (code, &b""[..]), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{args:?}: {}", ended.stderr);
    };
    check(&["consume", "nowhere"], b"", 66, "millrace topic list");
    check(&["topic", "describe", "nowhere"], b"", 66, "UNKNOWN_TOPIC_OR_PARTITION");
    check(&["produce", "new", "--no-create"], b"x", 66, "millrace topic create");
    check(&["produce", "t", "-f", "/no/such/file"], b"", 66, "/no/such/file");
    check(&["produce", "t", "--json"], b"{}\nnonsense", 65, "stdin:2");
    check(&["produce", "not a name"], b"x", 77, "letters, digits");
    check(&["produce", "t", "-D", ""], b"x", 2, "-D");
    check(&["consume", "t", "-f", "%x"], b"", 2, "%o offset");
    check(&["topic", "delete", "t"], b"", 2, "--yes");
    check(&["topic", "alter", "t"], b"", 2, "nothing to change");
    check(&["topic", "create", "other", "-c", "retention.ms=soon"], b"", 77, "retention.ms");
    // Nobody listens on port 1.
    check(&["topic", "list", "-b", "127.0.0.1:1"], b"", 69, "127.0.0.1:1");
    check(&["topic", "list", "-b", "no port:x"], b"", 2, "HOST:PORT");
}

#[test]
fn topics_are_created_shown_changed_and_deleted() {
    let broker = Broker::start();
    broker.ok(&["topic", "create", "b", "a", "-p", "2", "-c", "retention.ms=60000"], b"");
    assert_eq!(broker.run(&["topic", "create", "a"], b"").code, 77);
    broker.ok(&["topic", "create", "a", "--if-not-exists"], b"");
    assert_eq!(broker.ok(&["topic", "list"], b""), "a\nb\n");
    broker.ok(&["produce", "a", "-p", "1"], b"x\ny");
    let described: Value =
        serde_json::from_str(&broker.ok(&["topic", "describe", "a", "--json"], b"")).unwrap();
    assert_eq!(described["partitions"][1]["end"], 2);
    assert_eq!(described["configs"]["retention.ms"]["value"], "60000");
    assert_eq!(described["configs"].as_object().unwrap().len(), 1, "only what differs from the defaults");
    broker.ok(
        &["topic", "alter", "a", "-p", "4", "--reset", "retention.ms", "-c", "cleanup.policy=delete"],
        b"",
    );
    let described: Value =
        serde_json::from_str(&broker.ok(&["topic", "describe", "a", "--json"], b"")).unwrap();
    assert_eq!(described["partitions"].as_array().unwrap().len(), 4);
    assert!(described["configs"].get("retention.ms").is_none());
    let text = broker.ok(&["topic", "describe", "a", "b"], b"");
    assert!(text.contains("partitions 4") && text.contains("retention.ms=60000"), "{text}");
    broker.ok(&["topic", "delete", "a", "--yes"], b"");
    assert_eq!(broker.run(&["topic", "delete", "a", "--yes"], b"").code, 66);
    broker.ok(&["topic", "delete", "a", "b", "--yes", "--if-exists"], b"");
    assert_eq!(broker.ok(&["topic", "list"], b""), "");
}

#[test]
fn benches_report_what_they_measured_and_clean_up() {
    let broker = Broker::start();
    let report = |args: &[&str]| -> Value {
        serde_json::from_str(&broker.ok(&[&["bench"], args, &["--json"]].concat(), b"")).unwrap()
    };
    let short = ["--duration", "300ms", "--warmup", "100ms"];
    let produced = report(&[&["produce"][..], &short].concat());
    assert!(produced["records_per_second"].as_f64().unwrap() > 1000.0, "{produced}");
    assert_eq!(
        (&produced["failed"], produced["durability"].as_str()),
        (&0.into(), Some("disk (write.caching=false)"))
    );
    let latency = report(&[&["latency", "--rate", "200", "-c", "write.caching=true"][..], &short].concat());
    assert_eq!(latency["ack_ms"]["count"], 60, "300 ms at 200 per second, without the warm-up: {latency}");
    assert_eq!(latency["read_ms"]["count"], 60);
    assert!(latency["ack_ms"]["p50"].as_f64() <= latency["ack_ms"]["p99.9"].as_f64());
    assert_eq!(latency["durability"], "page cache (write.caching=true)");
    let consumed = report(&["consume", "-n", "20000", "--size", "50"]);
    assert!(consumed["records"].as_u64().unwrap() >= 20_000, "{consumed}");
    assert_eq!(broker.ok(&["topic", "list"], b""), "", "what a bench creates it deletes");
}

#[test]
fn every_subcommand_has_a_help_and_every_shell_its_completions() {
    for subcommand in ["serve", "produce", "consume", "topic", "verify", "bench", "completions"] {
        let ended = run(millrace(&[subcommand, "--help"]), b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{subcommand}");
        assert!(!ended.stdout.is_empty());
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(millrace(&["completions", shell]), b"");
        assert_eq!(ended.code, 0);
        assert!(String::from_utf8(ended.stdout).unwrap().contains("consume"), "{shell}");
    }
}
