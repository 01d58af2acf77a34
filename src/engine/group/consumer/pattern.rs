//! Patterns of topic names, as members subscribe with them.
//!
//! RE2's language, which the `regex` crate's descends from: no backtracking, so a pattern costs time in proportion to the
//! name it is tried on. A pattern has to match a name whole. Compiled patterns are bounded in size and not kept.

use regex::{Regex, RegexBuilder};

use crate::engine::group::GroupError;

/// What a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// What matching may take beside.
const CACHE_BYTES_MAX: usize = 1 << 20;
const PATTERN_BYTES_MAX: usize = 4096;

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

// === impl Pattern ===

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `InvalidPattern` when it is none, or one that takes too much memory.
    pub(super) fn compile(text: &str) -> Result<Self, GroupError> {
        if text.len() > PATTERN_BYTES_MAX {
            let why = format!("it has {} bytes; {PATTERN_BYTES_MAX} are the most", text.len());
            return Err(GroupError::InvalidPattern { why });
        }
        let text = without_quotes(text);
        // By itself first: `a)|(b` is no pattern, but becomes one when it is put in parentheses.
        build(&text)?;
        build(&format!(r"\A(?:{text})\z")).map(Self)
    }

    /// Whether it matches the whole name.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

fn build(text: &str) -> Result<Regex, GroupError> {
    let built = RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(CACHE_BYTES_MAX)
        .nest_limit(100)
        .build();
    built.map_err(|error| GroupError::InvalidPattern { why: error.to_string() })
}

/// RE2 takes what stands between `\Q` and `\E` as it is; this language has no such quotes.
fn without_quotes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        if let Some(quoted) = escape.strip_prefix("\\Q") {
            let (quoted, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(quoted));
            rest = after;
        } else {
            // An escaped backslash does not begin a quote.
            let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
            plain.push_str(&escape[..length]);
            rest = &escape[length..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = Pattern::compile(pattern).unwrap();
        assert!(yes.iter().all(|name| pattern.matches(name)), "{pattern:?} {yes:?}");
        assert!(!no.iter().any(|name| pattern.matches(name)), "{pattern:?} {no:?}");
    }

    #[test]
    fn a_pattern_matches_names_whole() {
        check("orders", &["orders"], &["orders-1", "my-orders"]);
        check("orders-.*", &["orders-", "orders-eu"], &["orders", "x-orders-eu"]);
        check("a|b", &["a", "b"], &["ab", "ax", "xb"]);
        check("^a$", &["a"], &["aa"]);
        check("(?i)ORDERS", &["orders"], &["order"]);
        check("", &[""], &["a"]);
        check(r"\pL+\d", &["ab1"], &["1"]);
    }

    #[test]
    fn what_is_quoted_is_taken_as_it_is() {
        check(r"\Qa.b\E.*", &["a.b", "a.bc"], &["axb"]);
        check(r"\Qa.b", &["a.b"], &["axb"]);
        check(r"a\\Q", &[r"a\Q"], &["aQ"]);
    }

    #[test]
    fn what_is_no_pattern_or_too_large_a_one_is_refused() {
        for text in
            ["(", "a)|(b", "[", "*", r"\", "(?x)a # b", r"(?=a)", r"(a)\1", "((((a{100}){100}){100}){100})"]
        {
            let outcome = Pattern::compile(text);
            assert!(matches!(outcome, Err(GroupError::InvalidPattern { .. })), "{text}");
        }
        assert!(Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }
}
