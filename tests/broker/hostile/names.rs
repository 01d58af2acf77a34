//! Names that would lead out of the data directory if they ever reached a path.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::delete_topics::DeleteTopicsRequest;
use millrace::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::wire::{ErrorCode, Str};

use super::victim::Victim;
use crate::fixture::{Client, batch, only, produce};

/// Every file and directory below, relative to it.
fn tree(dir: &Path) -> BTreeSet<PathBuf> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(root).unwrap().to_owned());
            if path.is_dir() {
                walk(&path, root, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(dir, dir, &mut found);
    found
}

fn names() -> Vec<&'static str> {
    let long: &'static str = "n".repeat(250).leak();
    vec![
        "",
        ".",
        "..",
        "../escape",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a b",
        "a\0b",
        "a\nb",
        "%2e%2e%2f",
        "C:evil",
        "~",
        "naïve",
        "\u{202e}gnp",
        "a;rm",
        "$HOME",
        "*",
        "con\u{7f}",
        long,
    ]
}

#[tokio::test]
async fn f23_no_name_reaches_a_path() {
    let victim = Victim::start(&[]);
    let mut client = Client::connect(victim.address).await;
    let before = tree(victim.dir.path());
    for name in names() {
        let topic = CreatableTopic {
            name: Str::from_static(name),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic].into(), timeout_ms: 5000, ..Default::default() };
        let created = client.ask(&request, 5).await;
        let code = created.topics.iter().next().unwrap().error_code;
        assert_eq!(code, ErrorCode::INVALID_TOPIC_EXCEPTION, "{name:?} was created");

        let asked = MetadataRequestTopic { name: Some(Str::from_static(name)), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![asked].into()), ..Default::default() };
        let told = client.ask(&request, 9).await;
        let code = told.topics.iter().next().unwrap().error_code;
        assert_eq!(code, ErrorCode::INVALID_TOPIC_EXCEPTION, "{name:?} was made on being asked for");

        let produced = client.ask(&produce(name, -1, batch(&[b"x"])), 9).await;
        assert!(!only(&produced).error_code.is_none(), "{name:?} was written to");

        let request = DeleteTopicsRequest {
            topic_names: vec![Str::from_static(name)].into(),
            timeout_ms: 5000,
            ..Default::default()
        };
        let deleted = client.ask(&request, 5).await;
        assert!(deleted.responses.iter().all(|topic| !topic.error_code.is_none()), "{name:?} was deleted");
    }
    assert_eq!(tree(victim.dir.path()), before, "a name left something behind");

    // A good name leaves a directory under an id, never under the name.
    client.make_topic("feed-with_a.name").await;
    let after = tree(victim.dir.path());
    assert!(after.len() > before.len());
    assert!(after.iter().all(|path| !path.to_string_lossy().contains("feed")), "{after:?}");
}
