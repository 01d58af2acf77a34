//! Which module may know which. The table of `docs/ARCHITECTURE.md`; think hard before an arrow is added.

/// One module of the crate and what it may use besides itself.
pub(crate) struct Layer {
    pub(crate) module: &'static str,
    pub(crate) may_use: &'static [&'static str],
    /// What is deliberately unknown to it, for the message of a broken arrow.
    pub(crate) must_not_know: &'static str,
}

/// The layers, from the ground up.
pub(crate) const LAYERS: &[Layer] = &[
    Layer { module: "types", may_use: &[], must_not_know: "anything" },
    Layer { module: "metrics", may_use: &[], must_not_know: "anything" },
    Layer { module: "env", may_use: &["types"], must_not_know: "any protocol, log or topic" },
    Layer { module: "record", may_use: &["types"], must_not_know: "any protocol, log or topic" },
    Layer {
        module: "purgatory",
        may_use: &["env", "metrics", "types"],
        must_not_know: "what is waiting, or why",
    },
    Layer {
        module: "log",
        may_use: &["env", "metrics", "record", "types"],
        must_not_know: "topics, groups, tasks, sockets",
    },
    Layer {
        module: "engine",
        may_use: &["env", "log", "metrics", "purgatory", "record", "types"],
        must_not_know: "API keys, Kafka error codes, HTTP status, JSON",
    },
    Layer { module: "wire", may_use: &["types"], must_not_know: "the engine" },
    Layer {
        module: "kafka",
        may_use: &["engine", "metrics", "record", "types", "wire"],
        must_not_know: "the HTTP adapter, the log, the purgatory, the disk",
    },
    Layer {
        module: "http",
        may_use: &["engine", "metrics", "record", "types"],
        must_not_know: "the Kafka adapter, the log, the purgatory, the disk",
    },
    Layer {
        module: "client",
        may_use: &["record", "types", "wire"],
        must_not_know: "the engine, the server",
    },
    Layer {
        module: "server",
        may_use: &["engine", "env", "http", "kafka", "metrics", "types"],
        must_not_know: "the client, how a log keeps its bytes",
    },
    // `record` and `types` are what the client itself speaks in; the command line prints them.
    Layer {
        module: "cli",
        may_use: &["client", "record", "server", "types"],
        must_not_know: "the engine, the log, the wire",
    },
];

/// Only test code and the feature of that name may use it; it may use everything.
pub(crate) const TESTING: &str = "testing";

/// Parts of one module that never know one another, although they share a parent.
pub(crate) const STRANGERS: &[(&str, &[&str])] = &[("engine", &["group", "share", "txn"])];

/// Through which of its modules another may be used: `(user, used, doors)`. A name in capitals that the used
/// module re-exports is a door too.
pub(crate) const DOORS: &[(&str, &str, &[&str])] =
    &[("kafka", "engine", &["api", "error"]), ("http", "engine", &["api", "error"])];

/// Modules that are plain functions of their arguments: nothing in them is async, knows tokio or reads time.
pub(crate) const SYNCHRONOUS: &[&str] = &["types", "metrics", "record", "purgatory", "log", "wire"];

/// Parts of the engine of which the same holds.
pub(crate) const SYNCHRONOUS_IN_ENGINE: &[&str] = &["group", "share", "txn"];

/// The only file with `unsafe` code.
pub(crate) const UNSAFE_FILE: &str = "src/env/disk_os/map.rs";

/// Where the time may be read: the clock itself, and what is not part of the broker.
pub(crate) const TIME_READERS: &[&str] = &["src/env/clock.rs", "src/client/", "src/cli/", "src/testing/"];

/// Where the deadlines of sockets are kept, by the clock of the runtime that sleeps until them; `Instant::now` of the
/// standard library is refused there too, by clippy.
pub(crate) const SOCKET_DEADLINES: &[&str] = &["src/kafka/", "src/http/", "src/server/"];

/// A file longer than this wants to be split by operation.
pub(crate) const LINES_MAX: usize = 500;
