//! Files of the repository that are written from the source.

use std::path::Path;

/// Asserts that the file at `path`, from the package's root, is `text`; writes it when `UPDATE_DOCS` is set.
#[expect(clippy::disallowed_methods, reason = "a file of the repository, written by a developer's wish")]
pub fn holds(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file has a directory"))
            .expect("the directory is made");
        std::fs::write(&file, text).expect("the file is written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some((number, (old, new))) =
        found.lines().zip(text.lines()).enumerate().find(|(_, (found, expected))| found != expected)
    {
        panic!("{path}, line {}: {old:?} should be {new:?}; rerun with UPDATE_DOCS=1", number + 1);
    }
    assert_eq!(found.len(), text.len(), "{path} has another length; rerun with UPDATE_DOCS=1");
}
