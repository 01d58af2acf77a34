//! Patterns of topic names.

use std::fmt;

/// A regular expression that a topic's whole name has to match.
#[derive(Clone)]
pub(super) struct Pattern {
    text: String,
    /// `None` where the broker looks for topics: it has its own syntax.
    whole: Option<regex::Regex>,
}

// === impl Pattern ===

impl Pattern {
    /// A pattern that this client looks for.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let whole = regex::Regex::new(&format!("^(?:{text})$"))
            .map_err(|error| format!("{text:?} is not a regular expression: {error}"))?;
        Ok(Self { text: text.to_owned(), whole: Some(whole) })
    }

    /// A pattern that the broker looks for.
    pub(super) fn of_broker(text: &str) -> Self {
        Self { text: text.to_owned(), whole: None }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, topic: &str) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.is_match(topic))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let pattern = Pattern::compile("orders|pay.*s").unwrap();
        for (name, fits) in [("orders", true), ("payments", true), ("orders-eu", false), ("my-orders", false)]
        {
            assert_eq!(pattern.matches(name), fits, "{name}");
        }
        assert!(Pattern::compile("(").is_err());
    }
}
