//! Power cuts and killed processes.

use super::SimDisk;
use super::state::{Entry, Node, PAGE_BYTES, State};
use crate::testing::Rng;

/// The unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;

// === impl SimDisk ===

impl SimDisk {
    /// Cuts the power: every call fails from now on, until [`SimDisk::restart`].
    pub fn power_cut(&self) {
        self.shared.state.lock().off = true;
        self.shared.resumed.notify_all();
    }

    /// Cuts the power during the I/O call of this number (see [`SimDisk::calls`]): it fails, and whether it had an
    /// effect is the restart's seed's to say.
    pub fn power_cut_at(&self, call: u64) {
        self.shared.state.lock().power_cut_at = Some(call);
    }

    /// Whether the power is cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.shared.state.lock().off
    }

    /// Brings the power back. What was synced is there; of everything else `seed` decides. Open handles, locks,
    /// faults and maps of before are dead.
    pub fn restart(&self, seed: u64) {
        let mut rng = Rng::new(seed);
        let mut state = self.shared.state.lock();
        state.lose_names(&mut rng);
        state.forget_nameless();
        for node in state.nodes.values_mut() {
            node.lose_pages(&mut rng);
        }
        state.begin_boot();
        self.shared.resumed.notify_all();
    }

    /// Ends the process (`kill -9`) and begins a new one: nothing that was written is lost, but handles and locks
    /// are. The page cache stays, also where a failed sync made it lie.
    pub fn kill(&self) {
        self.shared.state.lock().begin_boot();
        self.shared.resumed.notify_all();
    }
}

// === impl State ===

impl State {
    fn begin_boot(&mut self) {
        self.boot += 1;
        self.off = false;
        self.stall = None;
        self.power_cut_at = None;
        self.faults.clear();
        self.locks.clear();
        for node in self.nodes.values_mut() {
            node.sliced_to = 0;
        }
    }

    /// Keeps each unsynced change of names or not.
    fn lose_names(&mut self, rng: &mut Rng) {
        let pending = std::mem::take(&mut self.pending);
        // All, none, or any subset: the extremes are the likely ones on real file systems.
        let mode = rng.below(4);
        for change in pending {
            let kept = match mode {
                0 => true,
                1 => false,
                _ => rng.one_in(2),
            };
            if kept {
                change.apply(&mut self.durable_names);
            }
        }
        // What lies in a directory that is not there is not there either.
        let names = std::mem::take(&mut self.durable_names);
        for (path, entry) in names {
            let parent = path.parent().map(|parent| self.durable_names.get(parent));
            if matches!(parent, None | Some(Some(Entry::Dir))) {
                self.durable_names.insert(path, entry);
            }
        }
        self.names = self.durable_names.clone();
    }

    /// Frees the content of files that no name leads to; dead handles of them may be around.
    fn forget_nameless(&mut self) {
        let named: std::collections::BTreeSet<u64> = self
            .names
            .values()
            .filter_map(|entry| match entry {
                Entry::File(inode) => Some(*inode),
                Entry::Dir => None,
            })
            .collect();
        for (inode, node) in &mut self.nodes {
            if !named.contains(inode) {
                *node = Node::default();
            }
        }
    }
}

// === impl Node ===

impl Node {
    /// Keeps each unsynced page whole, torn or not, and some length.
    fn lose_pages(&mut self, rng: &mut Rng) {
        let (old, new) = (self.durable.len(), self.cached.len());
        let dirty: Vec<usize> = std::mem::take(&mut self.dirty).into_iter().collect();
        let mode = rng.below(4);
        for page in dirty {
            let fate = match mode {
                0 => 0,
                1 => 1,
                _ => rng.below(5),
            };
            match fate {
                // Whole, more often than torn.
                0 | 3 => self.persist_page(page, PAGE_BYTES),
                2 => {
                    let sectors = rng.below((PAGE_BYTES / SECTOR_BYTES) as u64);
                    self.persist_page(page, sectors as usize * SECTOR_BYTES);
                }
                _ => {}
            }
        }
        let length = match rng.below(4) {
            0 => old,
            1 if new > old => old + rng.below((new - old) as u64 + 1) as usize,
            _ => new,
        };
        self.durable.resize(length, 0);
        self.cached = self.durable.clone();
        self.allocated_to = 0;
    }
}
