//! `millrace serve`: run the broker until it is asked to stop.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit;
use crate::server::config::{ConfigError, Layers, ServerConfig, Source, keys};
use crate::server::{Env, Server, StartError, process};

/// Options of `millrace serve`. Every other setting is a key of the configuration file, the environment
/// (`MILLRACE_NUM_PARTITIONS=3`) or `--set num.partitions=3`; `docs/CONFIG.md` lists them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the data is; the platform's data directory when not given.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one. May be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
    /// Address that clients are told to connect to, where it differs from the one listened on.
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one configuration key; beats flags, environment and file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Let anybody in who reaches a listener that is not on loopback.
    #[arg(long)]
    allow_anonymous: bool,
    /// What to log to stderr: a level, or targets with levels (`info,millrace::kafka=debug`).
    #[arg(long, value_name = "FILTER", env = "MILLRACE_LOG", default_value = "info")]
    log: Targets,
}

/// Runs the broker.
pub(super) fn run(args: &Args) -> ExitCode {
    let stderr_is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(stderr_is_terminal);
    tracing_subscriber::registry().with(lines).with(args.log.clone()).init();

    let config = match layers(args).and_then(|layers| ServerConfig::from_layers(&layers)) {
        Ok(config) => config,
        Err(error) => return fail(&error, exit::CONFIG.into()),
    };
    process::raise_descriptor_limit();
    let runtime = match process::runtime(config.network_threads) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, exit::FAILURE),
    };
    let code = runtime.block_on(serve(&config, stderr_is_terminal));
    // Whatever a blocking thread still does is not worth waiting for: the engine is closed.
    runtime.shutdown_background();
    code
}

async fn serve(config: &ServerConfig, greet: bool) -> ExitCode {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return fail(&"cannot listen for signals", exit::FAILURE);
    };
    let server = match Server::start(config, Env::system()).await {
        Ok(server) => server,
        Err(error) => return fail(&error, code_of(&error)),
    };
    announce(&server, config, greet);
    let fatal = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fatal = server.failed() => Some(fatal),
    };
    if let Some(error) = fatal {
        // Nothing is closed cleanly: the next start must trust only what the disk says.
        return fail(&error, exit::DISK.into());
    }
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        stopped = server.stop() => match stopped {
            Ok(()) => exit::OK,
            Err(error) => fail(&error, exit::DISK.into()),
        },
        _ = terminate.recv() => fail(&"stopped at once, as a second signal asked", exit::FAILURE),
        _ = interrupt.recv() => fail(&"stopped at once, as a second signal asked", exit::FAILURE),
    }
}

/// Gathers what the file, the environment and the command line say.
fn layers(args: &Args) -> Result<Layers, ConfigError> {
    let mut layers = Layers::default();
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.clone(), error })?;
        layers.add_file(path, &text)?;
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    layers.add_environment(variables, keys())?;
    if let Some(dir) = &args.data_dir {
        layers.add("log.dir", dir.to_string_lossy(), Source::Flag("--data-dir"));
    }
    if !args.listen.is_empty() {
        layers.add("listeners", args.listen.join(","), Source::Flag("--listen"));
    }
    if let Some(address) = &args.advertise {
        layers.add("advertised.listeners", address, Source::Flag("--advertise"));
    }
    if args.allow_anonymous {
        layers.add("allow.anonymous", "true", Source::Flag("--allow-anonymous"));
    }
    for assignment in &args.set {
        layers.add_set(assignment)?;
    }
    Ok(layers)
}

/// The one line on stdout, which scripts wait for, and for a person what to do next.
#[expect(clippy::print_stderr, reason = "for the person at the terminal, not for the log")]
fn announce(server: &Server, config: &ServerConfig, greet: bool) {
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(data_dir = %config.data_dir.display(), durability = server.durability(), "ready");
    let mut stdout = std::io::stdout().lock();
    // A closed stdout is no reason to stop serving.
    let _ = writeln!(stdout, "millrace listening on {}", addresses.join(", "));
    let _ = stdout.flush();
    if greet {
        let address = &addresses[0];
        eprintln!("  data        {}", config.data_dir.display());
        eprintln!("  durability  {}", server.durability());
        eprintln!("  produce     echo hello | millrace produce -b {address} greetings");
        eprintln!("  consume     millrace consume -b {address} greetings");
        eprintln!("  or          kcat -b {address} -t greetings -P    kcat -b {address} -t greetings -C");
    }
}

fn code_of(error: &StartError) -> ExitCode {
    match error {
        StartError::InUse { .. } => exit::IN_USE.into(),
        StartError::Config(_) => exit::CONFIG.into(),
        StartError::Listen { .. } => exit::UNAVAILABLE.into(),
        StartError::Disk(_) => exit::DISK.into(),
    }
}

#[expect(clippy::print_stderr, reason = "why the process ends must be seen whatever the log filter says")]
fn fail(error: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    eprintln!("millrace: {error}");
    code
}
