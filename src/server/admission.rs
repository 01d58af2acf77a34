//! How many connections there may be, in total and from one address.
//!
//! The limits are asked for each connection, since they can be changed while the broker runs. A smaller one closes nobody:
//! those there are stay, and nobody comes before enough of them have gone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is allowed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub total: usize,
    /// Connections at once from one address.
    pub per_address: usize,
}

/// Lets connections in; shared by all listeners.
pub struct Admission {
    limits: Box<dyn Fn() -> Limits + Send + Sync>,
    taken: Mutex<Taken>,
    /// Told of each connection that has ended.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
}

/// Room for one connection, not yet taken by any address; free again when this is dropped.
pub struct Room {
    admission: Arc<Admission>,
}

/// An admitted connection; its place is free again when this is dropped.
pub struct Admitted {
    address: IpAddr,
    room: Room,
}

/// A larger limit that was given meanwhile is noticed after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

// === impl Admission ===

impl Admission {
    /// Admits as many connections as `limits` says at each moment.
    #[must_use]
    pub fn new(limits: impl Fn() -> Limits + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { limits: Box::new(limits), taken: Mutex::default(), freed: Notify::new() })
    }

    /// Waits until there is room for one more connection.
    pub async fn room(self: &Arc<Self>) -> Room {
        loop {
            if let Some(room) = self.try_room() {
                return room;
            }
            let mut freed = pin!(self.freed.notified());
            // From here on an end is heard of, and one that came before is seen.
            freed.as_mut().enable();
            if let Some(room) = self.try_room() {
                return room;
            }
            // An end, or only time: in either case it looks again.
            let _ = tokio::time::timeout(LOOK_AGAIN, freed).await;
        }
    }

    fn try_room(self: &Arc<Self>) -> Option<Room> {
        let total_max = (self.limits)().total;
        let mut taken = self.taken.lock();
        if taken.total >= total_max {
            return None;
        }
        taken.total += 1;
        Some(Room { admission: Arc::clone(self) })
    }

    /// Takes the room for a connection from `address`; None when that address has its share.
    #[must_use]
    pub fn admit(&self, room: Room, address: IpAddr) -> Option<Admitted> {
        let address = address.to_canonical();
        let per_address_max = (self.limits)().per_address;
        let mut taken = self.taken.lock();
        let count = taken.per_address.get(&address).copied().unwrap_or(0);
        if count >= per_address_max {
            drop(taken);
            return None;
        }
        taken.per_address.insert(address, count + 1);
        drop(taken);
        Some(Admitted { address, room })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.admission.taken.lock().total -= 1;
        self.admission.freed.notify_one();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut taken = self.room.admission.taken.lock();
        if let Some(count) = taken.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.per_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_the_total_holds() {
        let admission = Admission::new(|| Limits { total: 3, per_address: 2 });
        let first = admission.admit(admission.room().await, address(1)).unwrap();
        let _second = admission.admit(admission.room().await, address(1)).unwrap();
        assert!(admission.admit(admission.room().await, address(1)).is_none());
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(
            admission.admit(admission.room().await, mapped).is_none(),
            "the same address in another dress"
        );
        let _third = admission.admit(admission.room().await, address(2)).unwrap();

        assert!(admission.try_room().is_none(), "there is room beyond the total");
        drop(first);
        assert!(admission.admit(admission.room().await, address(1)).is_some());
        assert_eq!(admission.taken.lock().per_address.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_are_changed_count_for_those_who_come_then() {
        let total = Arc::new(AtomicUsize::new(2));
        let asked = Arc::clone(&total);
        let admission =
            Admission::new(move || Limits { total: asked.load(Ordering::Relaxed), per_address: 9 });
        let first = admission.room().await;
        let second = admission.room().await;
        // Somebody waits, and is let in when there may be more.
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        total.store(3, Ordering::Relaxed);
        let third = waiting.await.unwrap();
        // Nobody has to go when there may be fewer.
        total.store(1, Ordering::Relaxed);
        drop((first, second));
        assert!(admission.try_room().is_none());
        drop(third);
        assert!(admission.try_room().is_some());
    }
}
