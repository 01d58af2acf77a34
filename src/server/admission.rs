//! How many connections there may be, in total and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets connections in; shared by all listeners.
#[derive(Debug)]
pub struct Admission {
    total: Arc<Semaphore>,
    per_address_max: usize,
    per_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Room for one connection, not yet taken by any address.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

/// An admitted connection; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    _room: Room,
}

// === impl Admission ===

impl Admission {
    /// Admits `total_max` connections, of which `per_address_max` from one address.
    #[must_use]
    pub fn new(total_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            total: Arc::new(Semaphore::new(total_max.min(Semaphore::MAX_PERMITS))),
            per_address_max,
            per_address: Mutex::default(),
        })
    }

    /// Waits until there is room for one more connection.
    pub async fn room(&self) -> Room {
        let permit = Arc::clone(&self.total).acquire_owned().await;
        Room { _permit: permit.expect("the semaphore is never closed") }
    }

    /// Takes the room for a connection from `address`; None when that address has its share.
    #[must_use]
    pub fn admit(self: &Arc<Self>, room: Room, address: IpAddr) -> Option<Admitted> {
        let address = address.to_canonical();
        let mut per_address = self.per_address.lock();
        let count = per_address.entry(address).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(Admitted { admission: Arc::clone(self), address, _room: room })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut per_address = self.admission.per_address.lock();
        if let Some(count) = per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                per_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_its_share_and_the_total_holds() {
        let admission = Admission::new(3, 2);
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let first = admission.admit(admission.room().await, address(1)).unwrap();
        let _second = admission.admit(admission.room().await, address(1)).unwrap();
        assert!(admission.admit(admission.room().await, address(1)).is_none());
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(
            admission.admit(admission.room().await, mapped).is_none(),
            "the same address in another dress"
        );
        let _third = admission.admit(admission.room().await, address(2)).unwrap();

        assert!(admission.total.try_acquire().is_err(), "there is room beyond the total");
        drop(first);
        assert!(admission.admit(admission.room().await, address(1)).is_some());
        assert_eq!(admission.per_address.lock().len(), 2);
    }
}
