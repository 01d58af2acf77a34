//! Options of every subcommand that talks to a broker, and how it runs.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use super::exit;
use super::failure::Failure;
use super::time::parse_duration;
use crate::client::{Client, ClientConfig};

/// Where the broker is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BrokerArgs {
    /// Broker to ask first; several separated by commas.
    #[arg(short, long, value_name = "HOST:PORT", env = "MILLRACE_BROKER", default_value = "127.0.0.1:9092")]
    broker: String,
    /// How long to keep trying before giving up.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Name that the broker logs for this client.
    #[arg(long, value_name = "NAME", default_value = "millrace-cli", hide = true)]
    client_id: String,
}

// === impl BrokerArgs ===

impl BrokerArgs {
    /// Connects; fails at once when no broker answers.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let mut config =
            ClientConfig::new(&self.broker).map_err(|error| Failure::usage(error.to_string()))?;
        config.client_id.clone_from(&self.client_id);
        config.api_timeout = self.timeout;
        config.connect_timeout = config.connect_timeout.min(self.timeout);
        config.request_timeout = config.request_timeout.min(self.timeout);
        Ok(Client::connect(config).await?)
    }

    /// How long to keep trying before giving up.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Runs a subcommand to its end.
pub(crate) fn run(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(exit::FAILED, format!("cannot start threads: {error}")).report(),
    };
    let result = runtime.block_on(work);
    // A thread that still waits for input must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => exit::OK,
        Err(failure) => failure.report(),
    }
}
