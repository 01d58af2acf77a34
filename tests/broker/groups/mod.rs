//! Consumer groups of the classic protocol and their offsets, request by request, as Apache Kafka answers.
//!
//! A script of requests is sent to a broker and its answers are written down, with member ids and texts of errors made
//! anonymous. `tests/golden/kafka-4.3.1-groups.txt` is what Apache Kafka 4.3.1 said; this broker has to say the same. To
//! record it anew: `tests/kafka/start` with [`SETTINGS`], and `RECORD_GROUPS_FROM=host:port cargo test --test broker groups`.

mod requests;
mod steps;

use std::fmt::Debug;
use std::fmt::Write as _;
use std::net::SocketAddr;

use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::delete_groups::DeleteGroupsRequest;
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::{Message, Request};

use super::fixture::{Client, broker};
use requests::{commit, text};
use steps::{admin, commits, coordinators, membership, offsets, rebalance, refused_joins, statics};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kafka-4.3.1-groups.txt");
const SETTINGS: &[&str] = &["group.initial.rebalance.delay.ms=0"];

/// Asks, and writes answers down.
struct Script {
    address: SocketAddr,
    client: Client,
    transcript: String,
    /// Random parts of member ids, in the order in which they came.
    ids: Vec<String>,
}

impl Script {
    async fn new(address: SocketAddr) -> Self {
        let client = Client::connect(address).await;
        Self { address, client, transcript: String::new(), ids: Vec::new() }
    }

    /// Two topics, and a coordinator that is there: Kafka makes both in the background.
    async fn prepare(&mut self) {
        let topics = ["feed", "other"].map(|name| CreatableTopic {
            name: text(name),
            num_partitions: 2,
            replication_factor: 1,
            ..Default::default()
        });
        let request =
            CreateTopicsRequest { topics: topics.to_vec().into(), timeout_ms: 10_000, validate_only: false };
        self.client.ask(&request, 5).await;
        for topic in ["feed", "other"] {
            loop {
                let answer = self.client.ask(&commit("prepare", "", -1, topic, 1), 8).await;
                let topic = answer.topics.iter().next().unwrap();
                if topic.partitions.iter().next().unwrap().error_code.is_none() {
                    break;
                }
                let request = FindCoordinatorRequest { key: text("prepare"), ..Default::default() };
                self.client.ask(&request, 1).await;
            }
        }
        loop {
            let groups = vec![text("prepare")].into();
            let deleted = self.client.ask(&DeleteGroupsRequest { groups_names: groups }, 2).await;
            if deleted.results.iter().next().unwrap().error_code.is_none() {
                break;
            }
        }
    }

    async fn ask<R: Request>(&mut self, what: &str, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug + Message,
    {
        let response = self.client.ask(request, version).await;
        self.tell::<R>(what, version, &response);
        response
    }

    fn tell<R: Request>(&mut self, what: &str, version: i16, response: &impl Debug) {
        let answer = self.anonymous(&format!("{response:?}"));
        let name = R::API_KEY.name();
        let answer = if name == "FindCoordinator" { without_endpoint(&answer) } else { answer };
        writeln!(self.transcript, "{name} {version}, {what}\n    {answer}").unwrap();
    }

    /// Texts of errors are each broker's own, and so are random ids.
    fn anonymous(&mut self, text: &str) -> String {
        let mut kept = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("error_message: \"") {
            let (told, after) = after.split_once('"').unwrap();
            let told = if ["", "NONE"].contains(&told) { told } else { "(text)" };
            write!(kept, "{before}error_message: {told:?}").unwrap();
            rest = after;
        }
        kept.push_str(rest);
        let mut start = 0;
        while start + 36 <= kept.len() {
            if !kept.is_char_boundary(start)
                || !kept.is_char_boundary(start + 36)
                || !is_uuid(&kept[start..start + 36])
            {
                start += 1;
                continue;
            }
            let id = kept[start..start + 36].to_owned();
            let index = self.ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                self.ids.push(id);
                self.ids.len() - 1
            });
            kept.replace_range(start..start + 36, &format!("#{index}"));
        }
        kept
    }
}

/// Where to connect to differs.
fn without_endpoint(answer: &str) -> String {
    let is_place = |part: &&str| {
        let port = part.strip_prefix("port: ").and_then(|port| port.parse::<u16>().ok());
        part.starts_with("host: \"1") || port.is_some_and(|port| port > 0)
    };
    answer.split(", ").filter(|part| !is_place(part)).collect::<Vec<_>>().join(", ")
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let dashes = [8, 13, 18, 23];
    bytes
        .iter()
        .enumerate()
        .all(|(index, byte)| if dashes.contains(&index) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

#[expect(clippy::disallowed_methods, reason = "a recording is no data of a broker")]
#[tokio::test]
async fn classic_groups_answer_as_apache_kafka_does() {
    let own = broker(SETTINGS).await;
    let recorded = std::env::var("RECORD_GROUPS_FROM").ok();
    let address = recorded.as_ref().map_or(own.address, |address| address.parse().unwrap());
    let mut script = Script::new(address).await;
    script.prepare().await;
    coordinators(&mut script).await;
    refused_joins(&mut script).await;
    let joined = membership(&mut script).await;
    commits(&mut script, &joined).await;
    offsets(&mut script).await;
    admin(&mut script, &joined).await;
    statics(&mut script).await;
    rebalance(&mut script).await;
    if recorded.is_some() {
        std::fs::write(GOLDEN, &script.transcript).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    let differing = golden.lines().zip(script.transcript.lines()).find(|(kafka, ours)| kafka != ours);
    assert_eq!(differing, None, "Kafka's answer, and ours");
    assert_eq!(golden.lines().count(), script.transcript.lines().count());
}
