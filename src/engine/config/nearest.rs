//! The nearest right name for a wrong one.

/// The candidate that takes the fewest edits to reach, if that is few enough to be a slip.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) =
        candidates.into_iter().map(|candidate| (distance(wrong, candidate), candidate)).min()?;
    (distance <= 2 + wrong.len() / 6).then_some(best)
}

/// Levenshtein's distance. A wrong name may come from a network: only its start is compared.
fn distance(a: &str, b: &str) -> usize {
    const COMPARED: usize = 80;
    let b: Vec<char> = b.chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(COMPARED).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
