//! `docs/CONFIG.md` and `config/millrace.toml`, written from the definitions.
//!
//! Tests hold the files equal to these texts; `UPDATE_DOCS=1 cargo test --lib document` writes them anew.

use std::fmt::Write;

use super::definitions::SERVER;
use super::layers::variable_of;
use crate::engine::config::{BROKER_SETTINGS, GROUP_SETTINGS, Scope, Setting, TOPIC_SETTINGS};

const INTRODUCTION: &str = "\
# Configuration

Written from the definitions in the source (`UPDATE_DOCS=1 cargo test --lib document` writes it anew); a test holds it true.

`millrace serve` needs no configuration. What is set is taken from, strongest first:

1. `--set key=value`, as often as needed;
2. the flags `--data-dir`, `--listen`, `--advertise`, `--allow-anonymous`;
3. the environment: `MILLRACE_`, then the key in capitals with underscores for dots (`MILLRACE_LOG_DIR`);
4. the file given by `--config` (TOML; `config/millrace.toml` has every key with its default);
5. the default.

A key that does not exist and a value that makes no sense are refused, with the nearest right name, before anything
is opened. Keys that Kafka has carry Kafka's names and, except for the limits of connections, Kafka's defaults.
";

const EXIT_CODES: &str = "
## Exit codes of `millrace serve`

| code | |
|---|---|
| 0 | asked to stop (SIGTERM, SIGINT) and stopped cleanly: the next start scans nothing |
| 1 | something without a code of its own |
| 2 | the command line makes no sense |
| 69 | an address cannot be listened on |
| 74 | a disk failed: nothing of what was not on it is acknowledged; look at the disk, then start again |
| 75 | another process holds the data directory; the message names it |
| 78 | the configuration is wrong |

Once it accepts connections, it prints one line on stdout, `millrace listening on 127.0.0.1:9092` (several addresses are
separated by a comma and a space), and nothing else. Logs go to stderr; `--log` or `MILLRACE_LOG` filters them.
";

/// One key as both texts show it.
struct Entry {
    key: &'static str,
    values: String,
    default: &'static str,
    doc: String,
}

fn sections() -> [(&'static str, Vec<Entry>); 2] {
    let server = SERVER.iter().map(|definition| Entry {
        key: definition.key,
        values: definition.kind.describe(),
        default: definition.default,
        doc: definition.doc.to_owned(),
    });
    let entry = |setting: &Setting| Entry {
        key: setting.name,
        values: setting.values(),
        default: setting.default,
        doc: match setting.scope {
            Scope::Dynamic => format!("{} Can be changed while the broker runs (AlterConfigs).", setting.doc),
            _ => setting.doc.to_owned(),
        },
    };
    let (process, topics): (Vec<&Setting>, Vec<&Setting>) =
        BROKER_SETTINGS.iter().partition(|setting| OF_THE_PROCESS.contains(&setting.name));
    let process = server.chain(process.into_iter().map(entry));
    [
        ("Listeners, connections, process", process.collect()),
        ("Topics, logs, groups", topics.into_iter().map(entry).collect()),
    ]
}

/// Settings of the engine's table that are shown with the server's.
const OF_THE_PROCESS: &[&str] = &["max.connections", "max.connections.per.ip", "num.io.threads"];

/// The topic settings, for the table at the end of `docs/CONFIG.md`.
fn topic_entries() -> impl Iterator<Item = Entry> {
    TOPIC_SETTINGS.iter().map(|setting| Entry {
        key: setting.name,
        values: setting.values(),
        default: setting.default,
        doc: match setting.scope {
            Scope::Topic(broker) => format!("{} Falls back to `{broker}`.", setting.doc),
            _ => setting.doc.to_owned(),
        },
    })
}

/// The group settings, for the table that follows.
fn group_entries() -> impl Iterator<Item = Entry> {
    GROUP_SETTINGS.iter().map(|setting| Entry {
        key: setting.name,
        values: setting.values(),
        default: setting.default,
        doc: match setting.scope {
            Scope::Group(broker) => format!("{} Falls back to `{broker}`.", setting.doc),
            _ => setting.doc.to_owned(),
        },
    })
}

/// `docs/CONFIG.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (heading, entries) in sections() {
        table(&mut text, heading, entries);
    }
    table(&mut text, "Settings of a topic", topic_entries());
    text.push_str(
        "\nTopics carry these themselves: CreateTopics, IncrementalAlterConfigs, `millrace topic`.\n",
    );
    table(&mut text, "Settings of a group", group_entries());
    text.push_str("\nGroups of the consumer protocol carry these themselves: IncrementalAlterConfigs.\n");
    text.push_str(EXIT_CODES);
    text
}

fn table(text: &mut String, heading: &str, entries: impl IntoIterator<Item = Entry>) {
    let _ = write!(text, "\n## {heading}\n\n| key | values | default | |\n|---|---|---|---|\n");
    for Entry { key, values, default, doc } in entries {
        let default = if default.is_empty() { "(empty)" } else { default };
        let _ = writeln!(text, "| `{key}` | {values} | `{default}` | {doc} |");
    }
}

/// `config/millrace.toml`: every key, commented out, with its default.
#[must_use]
pub fn toml() -> String {
    let mut text = "\
# Millrace's configuration: every key with its default. Take the # off a line to change it.
# Keys are quoted because some are the beginning of others. docs/CONFIG.md says the same as a table.
"
    .to_owned();
    for (heading, entries) in sections() {
        let _ = write!(text, "\n# === {heading} ===\n");
        for Entry { key, values, default, doc } in entries {
            text.push('\n');
            for line in wrap(&format!("{doc} Values: {values}. Environment: {}", variable_of(key)), 110) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "# \"{key}\" = {}", literal(default));
        }
    }
    text
}

/// The default as TOML.
fn literal(default: &str) -> String {
    let is_bare = matches!(default, "true" | "false") || default.parse::<i64>().is_ok();
    if is_bare { default.to_owned() } else { format!("{default:?}") }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Layers, ServerConfig, keys};
    use super::*;

    #[test]
    fn config_md_says_what_the_definitions_say() {
        crate::testing::golden::holds("docs/CONFIG.md", &markdown());
    }

    #[test]
    fn the_configuration_file_has_every_key_with_its_default() {
        crate::testing::golden::holds("config/millrace.toml", &toml());
        let all_on: String = toml()
            .lines()
            .map(|line| line.strip_prefix("# \"").map_or(line.to_owned(), |rest| format!("\"{rest}")) + "\n")
            .collect();
        let mut layers = Layers::default();
        layers.add_file(Path::new("config/millrace.toml"), &all_on).unwrap();
        assert!(keys().all(|key| layers.get(key).is_some()));
        ServerConfig::from_layers(&layers).unwrap();
    }
}
