//! verify on data directories: in use, sound, damaged.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::run::{Broker, Ended, millrace, run};

fn verify(dir: &Path) -> (Ended, Value) {
    let mut command = millrace(&["verify", "--json"]);
    command.arg(dir);
    let ended = run(command, b"");
    let report = serde_json::from_slice(&ended.stdout).unwrap_or_default();
    (ended, report)
}

/// The files below `dir` whose name ends so.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found
}

fn flip(path: &Path, position: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 1], position).unwrap();
}

#[test]
fn a_sound_directory_is_clean_and_one_in_use_is_left_alone() {
    let mut broker = Broker::start();
    broker.ok(&["produce", "t"], b"one\ntwo\nthree\n");
    let (ended, _) = verify(broker.dir());
    assert_eq!(ended.code, 75, "a broker uses it: {}", ended.stderr);
    broker.stop();
    let (ended, report) = verify(broker.dir());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    assert_eq!(report["logs"], 2, "the catalog's and the topic's");
    assert!(report["records"].as_u64().unwrap() >= 3);
    let text = run(millrace(&["verify", broker.dir().to_str().unwrap()]), b"");
    assert!(String::from_utf8(text.stdout).unwrap().contains("0 damaged, 0 repairable"));
}

#[test]
fn damage_is_found_where_it_is_and_ends_with_its_own_code() {
    let mut broker = Broker::start();
    for _ in 0..3 {
        broker.ok(&["produce", "orders"], b"some record\n");
    }
    broker.stop();
    let segment = files(&broker.dir().join("topics"), ".log").remove(0);
    let bytes = fs::read(&segment).unwrap();
    let values: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"some record")).collect();
    assert_eq!(values.len(), 3, "three batches of one record each");
    // In the middle of the log, and at its end, where it could be the tail of a crash.
    for position in [values[0] as u64, values[2] as u64] {
        flip(&segment, position);
        let (ended, report) = verify(broker.dir());
        assert_eq!(ended.code, 65, "position {position}: {report}");
        let damage =
            report["findings"].as_array().unwrap().iter().find(|finding| finding["severity"] == "damage");
        assert_eq!(damage.unwrap()["partition"], "orders-0");
        flip(&segment, position);
        assert_eq!(verify(broker.dir()).0.code, 0);
    }
    flip(&broker.dir().join("checkpoint"), 20);
    let (ended, report) = verify(broker.dir());
    assert_eq!((ended.code, report["findings"][0]["severity"].as_str()), (0, Some("repairable")));
    flip(&broker.dir().join("meta"), 20);
    assert_eq!(verify(broker.dir()).0.code, 65);
}

#[test]
fn what_is_no_data_directory_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path(), Path::new("/no/such/directory")] {
        let (ended, _) = verify(path);
        assert_eq!(ended.code, 66);
        assert!(ended.stderr.contains(path.to_str().unwrap()), "{}", ended.stderr);
    }
}
