//! The rules of the house that no compiler checks: arrows between modules, unsafe code, time, file length.
//!
//! A rule that fails names the file, the line and the arrow. The rules have tests of their own: a made-up file
//! that breaks one is caught.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot go on fails")]

#[path = "layering/rows.rs"]
mod rows;
#[path = "layering/scan.rs"]
mod scan;
#[path = "layering/table.rs"]
mod table;

use std::path::{Path, PathBuf};

use scan::Token;
use table::{
    DOORS, LAYERS, LINES_MAX, SOCKET_DEADLINES, STRANGERS, SYNCHRONOUS, SYNCHRONOUS_IN_ENGINE, TESTING,
    TIME_READERS, UNSAFE_FILE,
};

/// One file of the crate.
struct Source {
    /// Relative to the package: `src/log/append.rs`.
    name: String,
    /// Its module: `["log", "append"]`; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    text: String,
    tokens: Vec<Token>,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let inner = name.strip_prefix("src/").expect("sources are below src/");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        let file = module.pop().expect("a path has a last part");
        let stem = file.strip_suffix(".rs").expect("sources end in .rs");
        if !matches!(stem, "mod" | "lib" | "main") {
            module.push(stem.to_owned());
        }
        Self { name: name.to_owned(), module, text: text.to_owned(), tokens: scan::tokens(text) }
    }

    /// The layer of the file; `lib.rs` and `main.rs` have none.
    fn layer(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.name)
    }
}

/// Every source file of the crate, sorted.
fn sources() -> Vec<Source> {
    fn collect(directory: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no sources below {}", root.display());
    paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            Source::new(&name, &std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Arrows that point upwards or sideways.
fn broken_arrows(source: &Source) -> Vec<String> {
    let from = source.layer().unwrap_or("the crate's root");
    if from == TESTING {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for reference in scan::references(&source.module, &source.tokens) {
        let Some(to) = reference.path.first() else { continue };
        let mut fault = |what: String| faults.push(source.fault(reference.line, &what));
        if to == from {
            if let Some((left, right)) = strangers(&source.module, &reference.path) {
                fault(format!("{left} -> {right}: they never import one another"));
            }
            continue;
        }
        if to == TESTING {
            if !reference.in_test {
                fault(format!("{from} -> {to}: only test code may use it"));
            }
            continue;
        }
        let Some(layer) = LAYERS.iter().find(|layer| layer.module == from) else {
            // `lib.rs` declares the modules, `main.rs` calls the command line; the table has no row for them.
            if source.layer().is_some() {
                fault(format!("{from} has no row in the table"));
            }
            continue;
        };
        if !layer.may_use.contains(&to.as_str()) {
            fault(format!("{from} -> {to}: {from} must not know {}", layer.must_not_know));
        } else if let Some(inner) = past_the_door(from, &reference.path) {
            fault(format!("{from} -> {to}::{inner}: not one of the doors of {to}"));
        }
    }
    faults
}

/// The two parts of one module that should not know one another, when an arrow joins them.
fn strangers(from: &[String], to: &[String]) -> Option<(String, String)> {
    let (parent, parts) = STRANGERS.iter().find(|(parent, _)| from.first().is_some_and(|m| m == parent))?;
    let part = |path: &[String]| path.get(1).filter(|name| parts.contains(&name.as_str())).cloned();
    let (left, right) = (part(from)?, part(to)?);
    (left != right).then(|| (format!("{parent}::{left}"), format!("{parent}::{right}")))
}

/// The inner module that a path goes through, when it is not one of the doors that `from` may use.
fn past_the_door<'a>(from: &str, path: &'a [String]) -> Option<&'a str> {
    let (_, _, doors) =
        DOORS.iter().find(|(user, used, _)| *user == from && path.first().is_some_and(|m| m == used))?;
    let inner = path.get(1)?;
    // A module has something behind it and a small first letter; what stands alone is a name at the door.
    let is_module = path.len() > 2 && inner.starts_with(char::is_lowercase);
    (is_module && !doors.contains(&inner.as_str())).then_some(inner)
}

/// `unsafe` outside the one file that may have it.
fn stray_unsafe(source: &Source) -> Vec<String> {
    if source.name == UNSAFE_FILE {
        return Vec::new();
    }
    let stray = source.tokens.iter().filter(|token| token.text == "unsafe");
    stray.map(|token| source.fault(token.line, &format!("unsafe code lives in {UNSAFE_FILE}"))).collect()
}

/// Time read past `env::Clock`.
fn stray_time(source: &Source) -> Vec<String> {
    let is_one_of = |places: &[&str]| places.iter().any(|place| source.name.starts_with(place));
    if is_one_of(TIME_READERS) {
        return Vec::new();
    }
    let reads = source.tokens.windows(3).filter(|window| {
        let timed =
            window[0].text == "SystemTime" || (window[0].text == "Instant" && !is_one_of(SOCKET_DEADLINES));
        timed && window[1].text == "::" && window[2].text == "now"
    });
    reads.map(|window| source.fault(window[0].line, "the time comes from env::Clock")).collect()
}

/// Async code in the layers that are plain functions of their arguments.
fn stray_async(source: &Source) -> Vec<String> {
    let layer = source.layer().unwrap_or_default();
    let inner = source.module.get(1).map_or("", String::as_str);
    let synchronous =
        SYNCHRONOUS.contains(&layer) || (layer == "engine" && SYNCHRONOUS_IN_ENGINE.contains(&inner));
    if !synchronous {
        return Vec::new();
    }
    let stray =
        source.tokens.iter().filter(|token| matches!(token.text.as_str(), "async" | "await" | "tokio"));
    stray
        .map(|token| source.fault(token.line, &format!("{layer} knows no tasks, yet names `{}`", token.text)))
        .collect()
}

/// Files that have grown too long.
fn too_long(source: &Source) -> Vec<String> {
    let count = source.text.lines().count();
    if count <= LINES_MAX {
        return Vec::new();
    }
    vec![source.fault(count, &format!("longer than {LINES_MAX} lines: split it by operation"))]
}

/// Files that no `mod` line names, so that nothing compiles them.
fn orphans(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let Some((name, parent)) = source.module.split_last() else { continue };
        let declared = sources
            .iter()
            .filter(|other| other.module == parent)
            .any(|other| scan::declares_module(&other.tokens, name));
        if !declared {
            faults.push(source.fault(1, "no `mod` line names this file: nothing compiles it"));
        }
    }
    faults
}

fn check_all(rule: impl Fn(&Source) -> Vec<String>) {
    let faults: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn arrows_between_modules_point_only_downwards() {
    check_all(broken_arrows);
}

#[test]
fn unsafe_code_lives_in_one_file() {
    check_all(stray_unsafe);
}

#[test]
fn the_broker_reads_the_time_only_from_its_clock() {
    check_all(stray_time);
}

#[test]
fn the_lower_layers_know_no_tasks() {
    check_all(stray_async);
}

#[test]
fn no_file_is_too_long() {
    check_all(too_long);
}

#[test]
fn every_file_is_compiled() {
    let faults = orphans(&sources());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_folder_of_src_has_a_row_in_the_table() {
    for source in sources() {
        let Some(layer) = source.layer() else { continue };
        let known = layer == TESTING || LAYERS.iter().any(|row| row.module == layer);
        assert!(known, "{}: `{layer}` has no row in tests/layering/table.rs", source.name);
    }
}

#[test]
fn the_table_has_no_circle() {
    for (index, layer) in LAYERS.iter().enumerate() {
        for used in layer.may_use {
            let below = LAYERS.iter().position(|other| other.module == *used);
            assert!(below.is_some_and(|below| below < index), "{} -> {used} points upwards", layer.module);
        }
    }
}

// The rules themselves: each of these files is made up.

#[track_caller]
fn arrows(name: &str, text: &str, expected: &[&str]) {
    let faults = broken_arrows(&Source::new(name, text));
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, part) in faults.iter().zip(expected) {
        assert!(fault.contains(part), "{fault:?} does not say {part:?}");
    }
}

#[test]
fn an_upward_arrow_is_named_with_file_and_line() {
    arrows("src/log/append.rs", "\nuse crate::engine::Engine;\n", &["src/log/append.rs:2: log -> engine"]);
    arrows("src/record/mod.rs", "fn f(x: crate::wire::Reader) {}", &["src/record/mod.rs:1: record -> wire"]);
}

#[test]
fn a_broken_arrow_hides_neither_in_a_group_nor_behind_super_nor_in_a_macro() {
    let group = "use crate::{\n  types::{TopicId, Offset},\n  kafka::{self, dispatch as d},\n  env,\n};";
    arrows("src/engine/mod.rs", group, &["src/engine/mod.rs:3: engine -> kafka", ":3: engine -> kafka"]);
    arrows("src/wire/codec/reader.rs", "use super::super::super::engine::api;", &["wire -> engine"]);
    arrows("src/wire/mod.rs", "mod inner { use super::super::log::Log; }", &["wire -> log"]);
    arrows("src/wire/mod.rs", "macro_rules! m { () => { $crate::client::Client } }", &["wire -> client"]);
}

#[test]
fn what_is_allowed_or_only_mentioned_is_no_fault() {
    arrows("src/log/append.rs", "use crate::record::Batch; use super::segment; use self::x::y;", &[]);
    arrows(
        "src/log/append.rs",
        "/// See [`crate::engine`].\n/* crate::kafka /* x */ crate::cli */ fn f() {}",
        &[],
    );
    arrows(
        "src/log/a.rs",
        "const A: &str = \"crate::cli\"; const B: &str = r#\"crate::\"cli\"#; const C: char = '\"';",
        &[],
    );
    arrows("src/log/a.rs", "fn f<'a>(x: &'a str) -> char { '\\'' } pub(crate) fn g() {}", &[]);
    arrows("src/types/ids.rs", "use bytes::Bytes; use std::fmt::{self, Display};", &[]);
}

#[test]
fn testing_is_for_tests_only() {
    arrows("src/log/append.rs", "use crate::testing::ManualClock;", &["log -> testing"]);
    arrows("src/log/append.rs", "#[cfg(test)] mod tests { use crate::testing::ManualClock; }", &[]);
    arrows("src/log/append/tests.rs", "use crate::testing::ManualClock;", &[]);
}

#[test]
fn group_share_and_txn_are_strangers() {
    arrows("src/engine/group/join.rs", "use crate::engine::txn::Marker;", &["engine::group -> engine::txn"]);
    arrows("src/engine/share/mod.rs", "use super::group::Member;", &["engine::share -> engine::group"]);
    arrows("src/engine/share/mod.rs", "use super::partition::Partition; use super::share::x;", &[]);
}

#[test]
fn the_adapters_come_through_the_doors_of_the_engine() {
    arrows("src/kafka/a.rs", "use crate::engine::{Engine, Error, api::Outcome, error::ErrorKind};", &[]);
    arrows("src/kafka/a.rs", "use crate::engine::catalog::Topic;", &["kafka -> engine::catalog"]);
}

#[test]
fn a_new_folder_without_a_row_is_a_fault() {
    arrows("src/misc/mod.rs", "use crate::types::Offset;", &["misc has no row"]);
}

#[test]
fn unsafe_time_async_length_and_orphans_are_caught() {
    let source = |name, text: &str| Source::new(name, text);
    let one = |faults: Vec<String>| assert_eq!(faults.len(), 1, "{faults:?}");
    let none = |faults: Vec<String>| assert!(faults.is_empty(), "{faults:?}");

    one(stray_unsafe(&source("src/log/map.rs", "fn f() { unsafe { g() } }")));
    none(stray_unsafe(&source(UNSAFE_FILE, "fn f() { unsafe { g() } }")));
    none(stray_unsafe(&source("src/log/map.rs", "// unsafe\n#![deny(unsafe_code)]")));

    one(stray_time(&source("src/engine/a.rs", "let t = std::time::Instant::now();")));
    one(stray_time(&source("src/kafka/a.rs", "let t = std::time::SystemTime::now();")));
    none(stray_time(&source("src/kafka/a.rs", "let t = tokio::time::Instant::now();")));
    none(stray_time(&source("src/env/clock.rs", "let t = std::time::SystemTime::now();")));

    one(stray_async(&source("src/engine/share/a.rs", "async fn f() {}")));
    none(stray_async(&source("src/engine/produce.rs", "async fn f() {}")));

    one(too_long(&source("src/log/a.rs", &"\n".repeat(LINES_MAX + 1))));
    none(too_long(&source("src/log/a.rs", &"\n".repeat(LINES_MAX))));

    let tree = [
        source("src/lib.rs", "pub mod log;"),
        source("src/log/mod.rs", "mod a;"),
        source("src/log/b.rs", ""),
    ];
    let by_macro = "macro_rules! m { ($($x:ident)*) => { $(pub mod $x;)* } } m! { b }";
    let with_macro =
        [source("src/log/mod.rs", by_macro), source("src/log/b.rs", ""), source("src/lib.rs", "mod log;")];
    none(orphans(&with_macro));
    assert_eq!(orphans(&tree), ["src/log/b.rs:1: no `mod` line names this file: nothing compiles it"]);
}
