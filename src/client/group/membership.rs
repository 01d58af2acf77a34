//! What a member does in either protocol: it joins and joins again until it is to close or nothing helps any more.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot;

use super::coordinator::Coordinator;
use super::member::{Change, Closing, Member, Trouble};
use crate::client::error::Error;
use crate::wire::Request;

/// How long leaving the group may take; the session timeout does the same, later.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// A member as its protocol has it.
pub(super) trait Membership {
    fn member(&mut self) -> &mut Member;

    /// Joins where it has to, and stays until there is reason to begin anew.
    async fn go_on(&mut self) -> Result<(), Trouble>;

    /// Sends one heartbeat. One that does not come through is tried again soon; the coordinator decides how many it misses.
    async fn heartbeat(&mut self) -> Result<(), Trouble>;

    /// Leaves the group, so that its partitions need not wait for the session timeout.
    async fn leave(&mut self);

    /// Is out of the group, if known because of what.
    fn forget(&mut self, why: Option<&Error>);

    /// Does `work` while heartbeats go on. A rebalance waits until the work is done.
    async fn beside_heartbeats<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let mut work = pin!(work);
        loop {
            let next_heartbeat = self.member().next_heartbeat;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(next_heartbeat) => match self.heartbeat().await {
                    // Asked again with the next heartbeat, when there is time for it.
                    Ok(()) | Err(Trouble::Rejoin) => {}
                    Err(trouble) => return Err(trouble),
                },
            }
        }
    }
}

/// Is a member until it is to close.
pub(super) async fn run(mut membership: impl Membership, mut closing: oneshot::Receiver<Closing>) {
    let closing = tokio::select! {
        biased;
        closing = &mut closing => closing,
        error = serve(&mut membership) => {
            membership.leave().await;
            lose_all(&mut membership, None);
            membership.member().send(Change::Failed(error.clone()));
            if let Ok(Closing { done, .. }) = closing.await {
                let _nobody_waits_if_this_fails = done.send(Err(error));
            }
            return;
        }
    };
    // Without a word the application has gone: no commit, since nobody knows what it has done with its records.
    let Ok(Closing { positions, done }) = closing else { return };
    let committed = membership.member().shared.commit_in_time(&positions).await;
    membership.leave().await;
    let _nobody_waits_if_this_fails = done.send(committed);
}

/// Joins, and joins again; returns when that cannot help any more.
async fn serve(membership: &mut impl Membership) -> Error {
    loop {
        match membership.go_on().await {
            Ok(()) | Err(Trouble::Rejoin) => {}
            Err(Trouble::Lost(error)) => {
                let group = &membership.member().config().group_id;
                tracing::info!(group, %error, "out of the group; joining anew");
                lose_all(membership, Some(&error));
            }
            Err(Trouble::Overdue) => {
                membership.leave().await;
                lose_all(membership, None);
                membership.member().wait_for_application().await;
            }
            Err(Trouble::Retry(error)) => membership.member().rest(&error).await,
            Err(Trouble::Fatal(error)) => return error,
        }
    }
}

fn lose_all(membership: &mut impl Membership, why: Option<&Error>) {
    membership.forget(why);
    membership.member().lose_all();
}

// === impl Member ===

impl Member {
    /// Sends the request that leaves the group, again while that may help and there is time.
    pub(super) async fn leave<R: Request>(&self, coordinator: &Coordinator, request: &R) {
        let group = self.config().group_id.as_str();
        let leaving = async {
            while let Err(error) = coordinator.call(request, i16::MAX, Duration::ZERO).await {
                tracing::debug!(group, %error, "cannot leave the group");
                if !error.is_retriable() {
                    return;
                }
                tokio::time::sleep(self.client().config().retry.initial).await;
            }
        };
        if tokio::time::timeout(LEAVE_WITHIN, leaving).await.is_err() {
            tracing::debug!(group, "the session timeout will end the membership");
        }
    }
}
