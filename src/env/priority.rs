//! How much of a processor a thread may ask for.

/// By how much work in the background stands back: a third of the weight of other threads when all are busy, and no
/// longer wait for any of them that wakes up.
const BACKGROUND_NICENESS: i32 = 5;

/// Has the calling thread, and no other, stand back behind those that somebody waits for.
pub fn stand_back() {
    // On Linux this is a thread's own; where it cannot be had, the work is done as any other.
    if let Err(error) = rustix::process::setpriority_process(None, BACKGROUND_NICENESS) {
        tracing::debug!(%error, "a thread for work in the background has the priority of all others");
    }
}
