//! docs/RELIABILITY.md names tests; each of them exists, and each row of faults that must be shown has one.

use std::collections::BTreeSet;
use std::path::Path;

/// The rows that must have a test of their name.
const ROWS: [&str; 30] = [
    "f01", "f02", "f03", "f04", "f05", "f06", "f07", "f08", "f09", "f10", "f11", "f12", "f13", "f14", "f15",
    "f16", "f17", "f18", "f19", "f20", "f21", "f22", "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f31",
];

#[test]
fn every_test_that_the_promises_name_exists_and_every_row_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = std::fs::read_to_string(root.join("docs/RELIABILITY.md")).unwrap();
    let named: BTreeSet<&str> = told.split('`').filter(|word| is_row_test(word)).collect();
    let mut there = String::new();
    for folder in ["src", "tests"] {
        collect(&root.join(folder), &mut there);
    }
    for name in &named {
        let exists = [format!("fn {name}("), format!("def {name}(")].iter().any(|line| there.contains(line));
        assert!(exists, "docs/RELIABILITY.md names {name}, which is no test");
    }
    for row in ROWS {
        assert!(named.iter().any(|name| name.starts_with(row)), "no test of docs/RELIABILITY.md shows {row}");
    }
}

fn is_row_test(word: &str) -> bool {
    let digits = word.as_bytes().get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    word.starts_with('f') && digits && word.as_bytes().get(3) == Some(&b'_') && !word.contains(' ')
}

fn collect(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
