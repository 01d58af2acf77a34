//! The keys of the configuration: name, kind, default and meaning, once.
//!
//! Loading, `docs/CONFIG.md` and `config/millrace.toml` all come from these tables. The engine's own keys are
//! in [`crate::engine`], and so are those that can be changed while the broker runs; here are the others of listeners,
//! connections and the process.

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Kafka's name where Kafka has the key.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The value when nobody sets it, as it would be written.
    pub default: &'static str,
    /// What it does: one or two sentences.
    pub doc: &'static str,
}

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Number {
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
}

const MIB: i64 = 1 << 20;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

const fn number(min: i64, max: i64) -> Kind {
    Kind::Number { min, max }
}

/// Keys of listeners, connections and the process.
pub const SERVER: &[Definition] = &[
    Definition {
        key: "log.dir",
        kind: Kind::Text,
        default: "",
        doc: "The data directory. Empty for the platform's own: `$XDG_DATA_HOME/millrace` or \
              `~/.local/share/millrace`. The flag `--data-dir` sets it too.",
    },
    Definition {
        key: "listeners",
        kind: Kind::Text,
        default: "PLAINTEXT://127.0.0.1:9092",
        doc: "Addresses to listen on, separated by commas; port 0 picks a free one. The flag `--listen` sets it too.",
    },
    Definition {
        key: "advertised.listeners",
        kind: Kind::Text,
        default: "",
        doc: "The address that clients are told to connect to. Empty for the one listened on; where that is a \
              wildcard, for the one that the client itself used. The flag `--advertise` sets it too.",
    },
    Definition {
        key: "allow.anonymous",
        kind: Kind::Bool,
        default: "false",
        doc: "Whether a listener that is not on loopback may let anybody in. The flag `--allow-anonymous` sets it too.",
    },
    Definition {
        key: "connections.max.idle.ms",
        kind: number(1, DAY_MS),
        default: "600000",
        doc: "A connection on which nothing happens for so long is closed.",
    },
    Definition {
        key: "connections.request.timeout.ms",
        kind: number(1, DAY_MS),
        default: "30000",
        doc: "A connection whose client stops in the middle of a request for so long is closed.",
    },
    Definition {
        key: "connections.response.timeout.ms",
        kind: number(1, DAY_MS),
        default: "30000",
        doc: "A connection whose client takes no byte of its answer for so long is closed.",
    },
    Definition {
        key: "connections.max.in.flight.requests",
        kind: number(1, 10_000),
        default: "32",
        doc: "Produce requests of one connection that may wait for their commit side by side. Any other request \
              waits for all before it.",
    },
    Definition {
        key: "connections.max.in.flight.bytes",
        kind: number(1, 1024 * MIB),
        default: "33554432",
        doc: "Bytes of requests of one connection that may be in flight; a single larger request is served alone.",
    },
    Definition {
        key: "socket.request.max.bytes",
        kind: number(1024, 1024 * MIB),
        default: "104857600",
        doc: "The largest request; a connection that announces a larger one is closed.",
    },
    Definition {
        key: "queued.max.request.bytes",
        kind: number(MIB, i64::MAX / 4),
        default: "268435456",
        doc: "Bytes of requests and answers that all connections together may hold in memory; beyond it, sockets \
              are not read. Record bytes of fetch answers do not count: they are slices of file maps.",
    },
    Definition {
        key: "node.id",
        kind: number(0, i32::MAX as i64),
        default: "1",
        doc: "This broker's id. It must stay the same for a data directory: clients know the broker by it.",
    },
    Definition {
        key: "num.network.threads",
        kind: number(0, 1024),
        default: "0",
        doc: "Threads that serve connections; 0 for one per core.",
    },
    Definition {
        key: "shutdown.timeout.ms",
        kind: number(0, DAY_MS),
        default: "10000",
        doc: "How long a stopping broker lets requests in flight finish.",
    },
];

// === impl Kind ===

impl Kind {
    /// Checks a value. The error says what would be right.
    ///
    /// # Errors
    /// When the value is not one that the key takes.
    pub fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Text => Ok(()),
            Self::Bool if matches!(value, "true" | "false") => Ok(()),
            Self::Bool => Err("expected true or false".into()),
            Self::Number { min, max } => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("expected a whole number from {min} to {max}")),
            },
        }
    }

    /// The kind as the documentation names it.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Bool => "true or false".into(),
            Self::Number { min, max } => format!("{min} to {max}"),
        }
    }
}
