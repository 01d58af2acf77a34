//! How many bytes of requests and answers the broker holds in memory at once.
//!
//! One [`ByteBudget`] is shared by all connections. A connection asks before its read buffer grows beyond a
//! small allowance of its own; at the budget its socket is simply not read any more, so that the sender's own
//! flow control does the rest. What always holds: bytes are charged as they arrive, never as a length field
//! announces them, so that a client that promises a large frame and dribbles holds only what it sent. Since all
//! of the budget could then lie in half-received frames, one connection at a time may overdraw it to finish its
//! frame: progress is certain and the overdraft is one frame at most. Deliberately absent: record bytes of fetch
//! responses, which are slices of file maps and belong to the page cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::buffers::BufferPool;

/// The bytes all connections together may hold.
#[derive(Debug)]
pub struct ByteBudget {
    /// Negative when answers were charged that nobody could foresee.
    available_bytes: AtomicI64,
    /// Woken when bytes come back after none were left.
    returned: Notify,
    /// Held by the one connection that may go beyond the budget.
    overdraft: Arc<Semaphore>,
    /// What is not held, kept for the next who needs some.
    buffers: Arc<BufferPool>,
}

/// At most this much memory, or an eighth of the budget if that is less, is kept at rest for the next requests. One client
/// at full speed has 20 MB on the way, which come back together when a commit ends: what has no place is found anew.
const POOL_BYTES_MAX: usize = 32 << 20;

/// Bytes taken from the budget; they go back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<ByteBudget>,
    size_bytes: i64,
    /// Held while this connection finishes a frame beyond the budget.
    overdraft: Option<OwnedSemaphorePermit>,
}

// === impl ByteBudget ===

impl ByteBudget {
    /// A budget of `size_bytes`.
    #[must_use]
    pub fn new(size_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            available_bytes: AtomicI64::new(to_signed(size_bytes)),
            returned: Notify::new(),
            overdraft: Arc::new(Semaphore::new(1)),
            buffers: BufferPool::new(POOL_BYTES_MAX.min(size_bytes / 8)),
        })
    }

    /// Memory to read requests into.
    #[must_use]
    pub fn buffers(&self) -> &Arc<BufferPool> {
        &self.buffers
    }

    /// A charge of nothing, to be grown.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> Charge {
        Charge { budget: Arc::clone(self), size_bytes: 0, overdraft: None }
    }

    /// Bytes that can still be charged; not positive at the budget.
    #[must_use]
    pub fn available_bytes(&self) -> i64 {
        self.available_bytes.load(Ordering::Acquire)
    }

    /// Takes `size_bytes` if anything at all is left: the last one in may go a little beyond.
    fn try_take(&self, size_bytes: i64) -> bool {
        let take = |available: i64| (available > 0).then_some(available - size_bytes);
        self.available_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    fn give_back(&self, size_bytes: i64) {
        let before = self.available_bytes.fetch_add(size_bytes, Ordering::AcqRel);
        if before <= 0 && before + size_bytes > 0 {
            self.returned.notify_one();
        }
    }
}

// === impl Charge ===

impl Charge {
    /// Takes `size_bytes` more, or reports that the budget is used up.
    pub fn try_grow(&mut self, size_bytes: usize) -> bool {
        let size_bytes = to_signed(size_bytes);
        if size_bytes == 0 {
            return true;
        }
        if self.overdraft.is_some() {
            self.budget.available_bytes.fetch_sub(size_bytes, Ordering::AcqRel);
        } else if !self.budget.try_take(size_bytes) {
            return false;
        }
        self.size_bytes += size_bytes;
        true
    }

    /// Takes `size_bytes` more, waiting until some of the budget, or the overdraft, is free. Cancel-safe.
    pub async fn grow(&mut self, size_bytes: usize) {
        let mut waited = false;
        while !self.try_grow(size_bytes) {
            waited = true;
            tokio::select! {
                () = self.budget.returned.notified() => {}
                permit = Arc::clone(&self.budget.overdraft).acquire_owned() => {
                    self.overdraft = Some(permit.expect("the overdraft is never closed"));
                }
            }
        }
        // One return of bytes wakes one waiter; what it leaves may be enough for the next.
        if waited && self.budget.available_bytes() > 0 {
            self.budget.returned.notify_one();
        }
    }

    /// Charges bytes that are already in memory, whatever is left.
    pub fn add(&mut self, size_bytes: usize) {
        let size_bytes = to_signed(size_bytes);
        self.budget.available_bytes.fetch_sub(size_bytes, Ordering::AcqRel);
        self.size_bytes += size_bytes;
    }

    /// Splits off everything charged so far, leaving a charge of nothing.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, self.budget.open())
    }

    /// How many bytes are charged.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        usize::try_from(self.size_bytes).expect("charges only grow")
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.size_bytes > 0 {
            self.budget.give_back(self.size_bytes);
        }
    }
}

/// Sizes are of things in memory, far below the end of `i64`.
fn to_signed(size_bytes: usize) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn bytes_come_back_when_a_charge_is_dropped() {
        let budget = ByteBudget::new(100);
        let mut charge = budget.open();
        assert!(charge.try_grow(60));
        assert_eq!(budget.available_bytes(), 40);
        drop(charge);
        assert_eq!(budget.available_bytes(), 100);
    }

    #[test]
    fn one_connection_at_a_time_may_overdraw() {
        let budget = ByteBudget::new(100);
        let mut full = budget.open();
        assert!(full.try_grow(100));
        let (mut first, mut second) = (budget.open(), budget.open());
        assert!(!first.try_grow(10));
        assert!(is_ready(first.grow(10)), "the overdraft was free");
        assert!(is_ready(first.grow(1000)), "the overdraft lasts for the whole frame");
        assert!(!is_ready(second.grow(10)), "the overdraft was taken twice");
        drop(first);
        assert!(is_ready(second.grow(10)));
    }

    #[tokio::test]
    async fn waiting_connections_go_on_when_bytes_return() {
        let budget = ByteBudget::new(10);
        let mut full = budget.open();
        full.add(25);
        let mut overdrawn = budget.open();
        overdrawn.grow(1).await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let mut charge = budget.open();
                tokio::spawn(async move {
                    charge.grow(1).await;
                    charge
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(full);
        for task in waiting {
            assert_eq!(task.await.unwrap().size_bytes(), 1);
        }
    }

    #[test]
    fn what_a_request_holds_moves_with_it() {
        let budget = ByteBudget::new(100);
        let mut reading = budget.open();
        assert!(reading.try_grow(30));
        let request = reading.take();
        assert_eq!((reading.size_bytes(), request.size_bytes()), (0, 30));
        drop(request);
        assert_eq!(budget.available_bytes(), 100);
    }
}
