//! Reads Rust source just far enough to know which modules it names.
//!
//! Comments, strings and lifetimes are dropped, the rest becomes words and marks with their lines. A path that
//! starts at `crate`, `self` or `super` is resolved to its place below the crate's root, through `{…}` groups and
//! inline modules. Deliberately absent: name resolution of anything else; a path that goes through a re-export
//! counts for the module it names.

/// A word or a mark of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path below the crate's root that the source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// From the root: `["engine", "api", "Request"]`.
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// Named by test code: a `tests` module or file.
    pub(crate) in_test: bool,
}

/// Splits source into tokens. `::` is one token, every other mark one character.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, out: Vec::new() };
    lexer.run();
    lexer.out
}

/// Every path from `crate`, `self` or `super` that a file names, resolved from the root.
///
/// `module` is the module that the file is: `["kafka", "handlers", "produce"]`, empty for `lib.rs`.
pub(crate) fn references(module: &[String], tokens: &[Token]) -> Vec<Reference> {
    let mut walker =
        Walker { tokens, module: module.to_vec(), inline: Vec::new(), depth: 0, out: Vec::new() };
    walker.run();
    walker.out
}

/// Whether a file declares a module in a file of its own: `mod name;`, or by a macro that says `mod $x;` and is
/// given the name.
pub(crate) fn declares_module(tokens: &[Token], name: &str) -> bool {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let by_macro =
        (0..tokens.len()).any(|at| text(at) == "mod" && text(at + 1) == "$" && text(at + 3) == ";");
    (0..tokens.len())
        .any(|at| text(at) == name && (by_macro || (at > 0 && text(at - 1) == "mod" && text(at + 1) == ";")))
}

/// Whether a module path belongs to test code.
pub(crate) fn is_test(module: &[String]) -> bool {
    module.iter().any(|name| name == "tests" || name == "testing")
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Vec<Token>,
}

struct Walker<'a> {
    tokens: &'a [Token],
    module: Vec<String>,
    /// Inline modules that are open, with the brace depth they opened at.
    inline: Vec<(String, usize)>,
    depth: usize,
    out: Vec<Reference>,
}

// === impl Lexer ===

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn run(&mut self) {
        while self.at < self.chars.len() {
            let here = self.peek(0);
            match here {
                '/' if self.peek(1) == '/' => self.skip_while(|c| c != '\n'),
                '/' if self.peek(1) == '*' => self.block_comment(),
                '"' => self.string(),
                '\'' => self.quote(),
                _ if here.is_alphabetic() || here == '_' => self.word(),
                _ if here.is_ascii_digit() => {
                    self.skip_while(|c| c.is_alphanumeric() || c == '_');
                }
                ':' if self.peek(1) == ':' => {
                    self.push("::".to_owned());
                    self.at += 2;
                }
                _ => {
                    if !here.is_whitespace() {
                        self.push(here.to_string());
                    }
                    self.step();
                }
            }
        }
    }

    fn push(&mut self, text: String) {
        self.out.push(Token { text, line: self.line });
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.at < self.chars.len() && keep(self.peek(0)) {
            self.step();
        }
    }

    fn block_comment(&mut self) {
        let mut open = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    open += 1;
                    self.at += 2;
                }
                ('*', '/') => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return;
                    }
                }
                _ => self.step(),
            }
        }
    }

    fn string(&mut self) {
        self.step();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.step();
            }
            self.step();
        }
        self.step();
    }

    /// A character (`'x'`, `'\n'`) or a lifetime (`'a`), told apart by the closing quote.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            self.at += 3;
            self.skip_while(|c| c != '\'');
            self.step();
        } else if self.peek(2) == '\'' {
            self.step();
            self.step();
            self.step();
        } else {
            self.step();
            self.skip_while(|c| c.is_alphanumeric() || c == '_');
        }
    }

    fn word(&mut self) {
        let start = self.at;
        let line = self.line;
        self.skip_while(|c| c.is_alphanumeric() || c == '_');
        let text: String = self.chars[start..self.at].iter().collect();
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        if matches!(text.as_str(), "r" | "br" | "cr") && self.peek(hashes) == '"' {
            self.raw_string(hashes);
        } else if text == "r" && hashes == 1 {
            self.at += 1; // A raw identifier: the word that follows is the token.
        } else {
            self.out.push(Token { text, line });
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes + 1;
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#');
            self.step();
            if closes {
                self.at += hashes;
                return;
            }
        }
    }
}

// === impl Walker ===

impl Walker<'_> {
    fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text.as_str())
    }

    fn run(&mut self) {
        for index in 0..self.tokens.len() {
            match self.text(index) {
                "{" => {
                    self.depth += 1;
                    if index >= 2 && self.text(index - 2) == "mod" {
                        self.inline.push((self.text(index - 1).to_owned(), self.depth));
                    }
                }
                "}" => {
                    if self.inline.last().is_some_and(|(_, depth)| *depth == self.depth) {
                        self.inline.pop();
                    }
                    self.depth = self.depth.saturating_sub(1);
                }
                "crate" | "self" | "super"
                    if self.text(index + 1) == "::" && (index == 0 || self.text(index - 1) != "::") =>
                {
                    self.path(index);
                }
                _ => {}
            }
        }
    }

    fn path(&mut self, start: usize) {
        let mut here = self.module.clone();
        here.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let in_test = is_test(&here);
        let mut index = start;
        let mut prefix = if self.text(start) == "crate" { Vec::new() } else { here };
        if self.text(start) == "super" {
            prefix.pop();
        }
        index += 2;
        while self.text(index) == "super" && self.text(index + 1) == "::" {
            prefix.pop();
            index += 2;
        }
        self.tree(index, prefix, in_test);
    }

    /// One branch of a use tree, or the path of an expression; returns the index after it.
    fn tree(&mut self, mut index: usize, mut prefix: Vec<String>, in_test: bool) -> usize {
        let line = self.tokens.get(index).map_or(0, |token| token.line);
        loop {
            if self.text(index) == "{" {
                index += 1;
                while !matches!(self.text(index), "}" | "") {
                    let after = self.tree(index, prefix.clone(), in_test);
                    index = after.max(index + 1);
                }
                return index + 1;
            }
            let word = self.text(index);
            if word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                prefix.push(word.to_owned());
                index += 1;
            }
            if self.text(index) != "::" {
                self.out.push(Reference { path: prefix, line, in_test });
                while self.text(index) == "as" || self.text(index) == "*" {
                    index += if self.text(index) == "as" { 2 } else { 1 };
                }
                return if self.text(index) == "," { index + 1 } else { index };
            }
            index += 1;
        }
    }
}
