//! A hashed timer wheel: deadlines in ticks of four milliseconds, a ring of slots, several turns sharing a slot.
//!
//! Adding and removing cost a look-up in one slot, whatever the number of timers. A slot may hold timers of later
//! turns, so the wheel can ask to be looked at before anything is due; a turn takes over a minute, longer than nearly
//! everything that waits, so that an idle broker with ten thousand parked requests still sleeps.

use std::collections::BTreeMap;
use std::time::Duration;

/// How late an operation may expire.
const TICK_MS: u64 = 4;
/// The ring's length in ticks.
const SLOTS: u64 = 16_384;
const WORDS: usize = (SLOTS / 64) as usize;

/// Timers by slot.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slots: Vec<BTreeMap<u64, (u64, T)>>,
    /// One bit a slot: whether it holds a timer.
    occupied: [u64; WORDS],
    /// All ticks up to here were handled.
    handled: u64,
}

/// The first tick that is not before `time`.
pub(super) fn tick_at_or_after(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(u128::from(TICK_MS) * 1000)).unwrap_or(u64::MAX)
}

/// The last tick that is not after `time`.
pub(super) fn tick_at_or_before(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / u128::from(TICK_MS)).unwrap_or(u64::MAX)
}

/// When a tick is.
pub(super) fn time_of(tick: u64) -> Duration {
    Duration::from_millis(tick.saturating_mul(TICK_MS))
}

fn slot_of(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).expect("below the number of slots")
}

// === impl Wheel ===

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| BTreeMap::new()).collect(), occupied: [0; WORDS], handled: 0 }
    }

    /// Adds a timer; whether the wheel now has to be looked at earlier than before.
    pub(super) fn insert(&mut self, tick: u64, id: u64, timer: T) -> bool {
        // What is overdue already is handled with the very next tick.
        let tick = tick.max(self.handled + 1);
        let before = self.next_tick();
        let slot = slot_of(tick);
        self.slots[slot].insert(id, (tick, timer));
        self.occupied[slot / 64] |= 1 << (slot % 64);
        before.is_none_or(|before| tick < before)
    }

    /// Takes a timer out, if it is still there.
    pub(super) fn remove(&mut self, tick: u64, id: u64) {
        // An overdue timer stands in a later slot than its own tick's; it is found when that slot is handled.
        self.take_from(slot_of(tick), |_, other| other == id);
    }

    /// Takes out all timers up to and with `tick`, earliest first.
    pub(super) fn take_due(&mut self, tick: u64) -> Vec<T> {
        let mut due: Vec<(u64, T)> = Vec::new();
        if tick <= self.handled {
            return Vec::new();
        }
        // After a whole turn every slot was looked at.
        let last = tick.min(self.handled.saturating_add(SLOTS));
        while let Some(step) = self.next_tick().filter(|step| *step <= last) {
            due.extend(self.take_from(slot_of(step), |at, _| at <= tick));
            self.handled = step;
        }
        self.handled = tick;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, timer)| timer).collect()
    }

    /// The first tick whose slot holds a timer, of this turn or a later one.
    pub(super) fn next_tick(&self) -> Option<u64> {
        let start = slot_of(self.handled + 1);
        // One more word than there are: the first is looked at twice, its high part first and its low part last.
        for step in 0..=WORDS {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            }
            if bits != 0 {
                let slot = word as u64 * 64 + u64::from(bits.trailing_zeros());
                let distance = (slot + SLOTS - start as u64) % SLOTS;
                return Some(self.handled + 1 + distance);
            }
        }
        None
    }

    fn take_from(&mut self, slot: usize, wanted: impl Fn(u64, u64) -> bool) -> Vec<(u64, T)> {
        let timers = &mut self.slots[slot];
        let taken =
            timers.extract_if(.., |id, (tick, _)| wanted(*tick, *id)).map(|(_, timer)| timer).collect();
        if timers.is_empty() {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
        taken
    }
}
