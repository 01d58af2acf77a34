//! ListPartitionReassignments: with one broker no partition is ever on its way to another.

use super::super::dispatch::Call;
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

/// Answers with none, also for topics that do not exist, as Kafka does.
pub(in crate::kafka) fn handle(
    _: &Call,
    _: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
