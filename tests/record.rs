//! Record batches against other implementations, and against hostile ones with an eye on memory.

// `cfg(test)` tells clippy that the helpers are tests too.
#[cfg(test)]
mod record {
    #[path = "../wire/counting.rs"]
    mod counting;
    mod golden;
    mod hostile;
    mod oracle;
}
