//! What groups cost: commits, rebalances, and one topic for many groups. Each member is a task with a connection of its
//! own.

pub(crate) mod commits;
pub(crate) mod fanout;
pub(crate) mod rebalance;

use std::future::Future;

use crate::Target;
use crate::measured::{Period, Window};
use crate::raw::Raw;

/// Clients that work beside one another, each for a group of its own.
#[derive(clap::Args)]
pub(crate) struct Crowd {
    #[command(flatten)]
    target: Target,
    /// How many.
    #[arg(long, default_value_t = 100)]
    count: usize,
    #[command(flatten)]
    window: Window,
}

impl Crowd {
    /// Runs a client for each group, named after `name`, until the window is over; their results, and the broker's
    /// processor seconds in it.
    async fn run<T, F>(&self, name: &str, client: impl Fn(String, Period) -> F) -> (Vec<T>, f64)
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let groups: Vec<String> = (0..self.count).map(|number| format!("{name}-{number}")).collect();
        let mut raw = Raw::connect(&self.target.broker).await;
        for group in &groups {
            raw.await_coordinator(group).await;
        }
        let period = self.window.begin();
        let working: Vec<_> = groups.into_iter().map(|group| tokio::spawn(client(group, period))).collect();
        let cpu_seconds = period.cpu_seconds(self.target.pid).await;
        let mut results = Vec::with_capacity(working.len());
        for task in working {
            results.push(task.await.unwrap());
        }
        (results, cpu_seconds)
    }
}
