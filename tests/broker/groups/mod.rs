//! Consumer groups of both protocols and their offsets, request by request, as Apache Kafka answers.
//!
//! A script of requests is sent to a broker and its answers are written down, with random ids and texts of errors made
//! anonymous. `tests/golden/kafka-4.3.1-*groups.txt` is what Apache Kafka 4.3.1 said; this broker has to say the same. To
//! record one anew: `tests/kafka/start` with [`SETTINGS`], and `RECORD_GROUPS_FROM=host:port cargo test --test broker` with
//! the name of its test; each wants a Kafka of its own.

mod consumers;
mod limits;
mod requests;
mod steps;

use std::fmt::Debug;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use millrace::types::TopicId;
use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::delete_groups::DeleteGroupsRequest;
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::{Message, Request};

use super::fixture::{Broker, Client, broker};
use requests::{commit, text};
use steps::{admin, commits, coordinators, membership, offsets, rebalance, refused_joins, statics};

const SETTINGS: &[&str] = &["group.initial.rebalance.delay.ms=0"];

/// Asks, and writes answers down.
struct Script {
    address: SocketAddr,
    client: Client,
    transcript: String,
    /// Random parts of member ids, in the order in which they came.
    ids: Vec<String>,
    /// The ids of the topics, which are random too, by their names.
    topics: Vec<(&'static str, TopicId)>,
    /// How many epochs a group leaves out at its beginning: Kafka's first one is 2.
    epochs_before: i32,
}

impl Script {
    async fn new(address: SocketAddr) -> Self {
        let client = Client::connect(address).await;
        Self {
            address,
            client,
            transcript: String::new(),
            ids: Vec::new(),
            topics: Vec::new(),
            epochs_before: 0,
        }
    }

    /// Two topics, and a coordinator that is there: Kafka makes both in the background.
    async fn prepare(&mut self) {
        let names = ["feed", "other"];
        let topics = names.map(|name| CreatableTopic {
            name: text(name),
            num_partitions: 2,
            replication_factor: 1,
            ..Default::default()
        });
        let request =
            CreateTopicsRequest { topics: topics.to_vec().into(), timeout_ms: 10_000, validate_only: false };
        let made = self.client.ask(&request, 7).await.topics;
        self.topics = names.into_iter().zip(made.iter().map(|made| made.topic_id)).collect();
        for topic in names {
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
        let answer = match name {
            "FindCoordinator" => without_endpoint(&answer),
            // In a group of the consumer protocol Kafka makes ids of another kind.
            "JoinGroup" if what.contains("beside consumers") => without_member_id(&answer),
            _ => answer,
        };
        writeln!(self.transcript, "{name} {version}, {what}\n    {answer}").unwrap();
    }

    /// Texts of errors are each broker's own, and so are random ids.
    fn anonymous(&mut self, text: &str) -> String {
        let mut kept = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("error_message: \"") {
            let (told, after) = quoted(after);
            let told = if ["", "NONE"].contains(&told) { told } else { "(text)" };
            write!(kept, "{before}error_message: {told:?}").unwrap();
            rest = after;
        }
        kept.push_str(rest);
        for epoch in ["member_epoch: ", "group_epoch: ", "assignment_epoch: ", "generation_id: "] {
            kept = counted_from(&kept, epoch, self.epochs_before);
        }
        for (name, id) in &self.topics {
            kept = kept.replace(&id.to_string(), &format!("({name})"));
        }
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

fn without_member_id(answer: &str) -> String {
    let (before, rest) = answer.split_once("member_id: \"").unwrap();
    format!("{before}member_id: (id){}", quoted(rest).1)
}

/// What is before the quotation mark that ends a text, and what is after it.
fn quoted(text: &str) -> (&str, &str) {
    let ends = |&(at, mark): &(usize, &str)| mark == "\"" && !text[..at].ends_with('\\');
    let (end, _) = text.match_indices('"').find(ends).unwrap();
    (&text[..end], &text[end + 1..])
}

/// The text with every positive number behind `name` smaller by `by`.
fn counted_from(text: &str, name: &str, by: i32) -> String {
    let mut parts = text.split(name);
    let mut counted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let number =
            part[..end].parse::<i32>().map_or(String::new(), |number| (number - by).max(0).to_string());
        write!(counted, "{name}{number}{}", &part[end..]).unwrap();
    }
    counted
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

/// A script on a broker, which is this one unless Kafka's answers are recorded.
struct Run {
    script: Script,
    golden: PathBuf,
    records: bool,
    _own: Broker,
}

// === impl Run ===

impl Run {
    async fn begin(golden: &str) -> Self {
        let own = broker(SETTINGS).await;
        let recorded = std::env::var("RECORD_GROUPS_FROM").ok();
        let address = recorded.as_ref().map_or(own.address, |address| address.parse().unwrap());
        let mut script = Script::new(address).await;
        script.prepare().await;
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        Self { script, golden, records: recorded.is_some(), _own: own }
    }

    #[expect(clippy::disallowed_methods, reason = "a recording is no data of a broker")]
    fn end(self) {
        let ours = self.script.transcript;
        if self.records {
            std::fs::write(self.golden, ours).unwrap();
            return;
        }
        let golden = std::fs::read_to_string(self.golden).unwrap();
        let mut asked = "";
        for (kafka, ours) in golden.lines().zip(ours.lines()) {
            assert_eq!(kafka, ours, "Kafka's answer, and ours, to {asked}");
            asked = kafka;
        }
        assert_eq!(golden.lines().count(), ours.lines().count());
    }
}

#[tokio::test]
async fn classic_groups_answer_as_apache_kafka_does() {
    let mut run = Run::begin("kafka-4.3.1-groups.txt").await;
    let script = &mut run.script;
    coordinators(script).await;
    refused_joins(script).await;
    let joined = membership(script).await;
    commits(script, &joined).await;
    offsets(script).await;
    admin(script, &joined).await;
    statics(script).await;
    rebalance(script).await;
    run.end();
}

#[tokio::test]
async fn consumer_groups_answer_as_apache_kafka_does() {
    let mut run = Run::begin("kafka-4.3.1-consumer-groups.txt").await;
    let feed = run.script.topics[0].1;
    let script = &mut run.script;
    consumers::count_epochs(script).await;
    consumers::statics(script, feed).await;
    consumers::statics_of_both_protocols(script).await;
    consumers::settings(script).await;
    run.end();
}
