//! Administration: topics, partitions, configs, offsets, groups, the cluster and its disks.
//!
//! Each method is one request, sent again while its failure may pass, until the client's `api_timeout`. What a broker
//! says of single topics or partitions is theirs alone: one that fails does not fail the others.

mod configs;
mod group_offsets;
mod groups;
mod log_dirs;
pub(crate) mod offsets;
mod topics;

use std::sync::Arc;

pub use self::configs::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource};
pub use self::group_offsets::{PartitionLag, TopicReader};
pub use self::groups::{GroupDescription, GroupListing, MemberDescription};
pub use self::log_dirs::{LogDir, LogDirPartition};
pub use self::offsets::{ListedOffset, OffsetQuery, OffsetSpec};
pub use self::topics::{CreatedTopic, NewTopic};
use super::cluster::{AutoCreate, Client};
use super::config::BrokerAddress;
use super::error::Error;
use super::metadata::TopicMetadata;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_cluster::DescribeClusterRequest;

/// Administers a cluster.
///
/// ```no_run
/// use millrace::client::{Admin, Client, ClientConfig, NewTopic};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let admin = Admin::new(&Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?);
/// let topic = NewTopic::new("orders").partitions(3).config("retention.ms", "3600000");
/// for created in admin.create_topics(&[topic], false).await? {
///     println!("{:?}", created?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

/// The brokers of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id, when the brokers tell.
    pub cluster_id: Option<String>,
    /// The broker that administrative requests go to.
    pub controller_id: Option<i32>,
    /// Node ids and addresses.
    pub brokers: Vec<(i32, BrokerAddress)>,
}

// === impl Admin ===

impl Admin {
    /// An admin that works through `client`.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone() }
    }

    /// The brokers of the cluster.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        let asked = self
            .client
            .retrying(
                || "describing the cluster".to_owned(),
                || async {
                    let response = self.client.call_any(&DescribeClusterRequest::default()).await?;
                    let message = response.error_message.as_ref().map(ToString::to_string);
                    Error::check(response.error_code, message, || "describing the cluster".to_owned())?;
                    Ok(response)
                },
            )
            .await;
        match asked {
            Ok(response) => Ok(ClusterDescription {
                cluster_id: Some(response.cluster_id.to_string()),
                controller_id: (response.controller_id >= 0).then_some(response.controller_id),
                brokers: response
                    .brokers
                    .iter()
                    .filter_map(|broker| {
                        let port = u16::try_from(broker.port).ok()?;
                        Some((broker.broker_id, BrokerAddress { host: broker.host.to_string(), port }))
                    })
                    .collect(),
            }),
            // Brokers before Kafka 2.8: metadata tells as much.
            Err(Error::Unsupported { .. }) => {
                let metadata = self.client.metadata();
                let brokers = metadata.brokers.iter().map(|(id, broker)| (*id, broker.address.clone()));
                Ok(ClusterDescription {
                    cluster_id: metadata.cluster_id.clone(),
                    controller_id: metadata.controller_id,
                    brokers: brokers.collect(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// A topic's id and partitions, as the brokers know them now.
    ///
    /// # Errors
    /// When it does not exist, or no broker answers.
    pub async fn describe_topic(&self, name: &str) -> Result<Arc<TopicMetadata>, Error> {
        self.client.fetch_topic(name, AutoCreate::No, tokio::time::Instant::now()).await
    }
}

/// How long a broker may work on an administrative request.
fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
}

/// A response that leaves out what was asked for.
fn no_answer(context: String) -> Error {
    Error::broker(
        context,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        Some("the response does not mention it".to_owned()),
    )
}
