//! What the broker asks of its process: descriptors and threads.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

/// Raises the soft limit of file descriptors to the hard one: each connection and each segment takes one.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of file descriptors stays as it is");
    }
}

/// How many connections there may be at most, whatever is asked for: half of the descriptors. The other half is for
/// segments, so that clients cannot keep the log from working.
#[must_use]
pub fn connections_most() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    descriptors
        .map_or(usize::MAX, |descriptors| usize::try_from(descriptors / 2).unwrap_or(usize::MAX).max(1))
}

/// The runtime that serves connections, with one thread per core or as many as asked for.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime(network_threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if network_threads > 0 {
        builder.worker_threads(network_threads);
    }
    builder.thread_name("millrace-net").enable_all().build()
}
