//! What the files of both indexes have in common: entries of one size, each above the one before.

/// The longest good prefix of a file's bytes, and whether that is all of it.
pub(super) fn decode<const ENTRY_BYTES: usize, E>(
    bytes: &[u8],
    entry: impl Fn([u8; ENTRY_BYTES]) -> E,
    grows: impl Fn(&E, &E) -> bool,
) -> (Vec<E>, bool) {
    let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    let (whole, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    for &bytes in whole {
        let next = entry(bytes);
        if entries.last().is_some_and(|last| !grows(last, &next)) {
            return (entries, false);
        }
        entries.push(next);
    }
    (entries, rest.is_empty())
}
