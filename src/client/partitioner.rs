//! Which partition a record goes to when its sender does not say.
//!
//! Records with a key follow Java's default partitioner bit for bit, so that equal keys land in the same partition
//! whichever client wrote them. Records without a key stick to one partition until a batch's worth of bytes went
//! there, then move on to another: full batches instead of many small ones.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// The hash that Java's producer takes of keys.
///
/// Source: MurmurHash2, 32 bits, seed 0x9747b28c, little-endian words; Kafka's `DefaultPartitioner`.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;

    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = SEED ^ length;
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MIX);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MIX) ^ mixed.wrapping_mul(MIX);
    }
    if !tail.is_empty() {
        let rest = tail.iter().rev().fold(0, |rest, &byte| rest << 8 | u32::from(byte));
        hash = (hash ^ rest).wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ hash >> 15
}

/// The partition of a record with this key, of `partition_count` (at least 1).
#[must_use]
pub fn partition_for_key(key: &[u8], partition_count: usize) -> usize {
    let positive = murmur2(key) & 0x7fff_ffff;
    positive as usize % partition_count.max(1)
}

/// The partition that records without a key go to for now. One per topic, shared by all senders.
#[derive(Debug, Default)]
pub(crate) struct StickyPartition {
    current: AtomicUsize,
    bytes: AtomicUsize,
    step: AtomicU32,
}

// === impl StickyPartition ===

impl StickyPartition {
    /// Starts at a partition that `seed` picks, so that many producers do not all start at the same one.
    pub(crate) fn new(seed: u32) -> Self {
        Self {
            current: AtomicUsize::new(seed as usize),
            bytes: AtomicUsize::new(0),
            step: AtomicU32::new(seed | 1),
        }
    }

    /// The partition for the next `size_bytes` of records; moves on after `switch_bytes`.
    ///
    /// Two senders at once may both see the old partition: the sizes of the shares are a matter of taste, not of
    /// correctness.
    pub(crate) fn pick(&self, size_bytes: usize, switch_bytes: usize, partition_count: usize) -> usize {
        let partition_count = partition_count.max(1);
        if partition_count > 1 && self.bytes.fetch_add(size_bytes, Relaxed) >= switch_bytes {
            self.bytes.store(0, Relaxed);
            // A linear congruential step: cheap, and it visits all partitions equally often in the long run.
            let step = self.step.load(Relaxed).wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.step.store(step, Relaxed);
            let away = 1 + (step >> 16) as usize % (partition_count - 1);
            let next = self.current.load(Relaxed) % partition_count + away;
            self.current.store(next % partition_count, Relaxed);
        }
        self.current.load(Relaxed) % partition_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_java() {
        // Computed with Kafka's own `Utils.murmur2`.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash.cast_unsigned(), "{key}");
        }
    }

    #[test]
    fn a_key_maps_to_a_partition_in_range() {
        for count in 1..20 {
            for key in 0..200_u32 {
                assert!(partition_for_key(&key.to_le_bytes(), count) < count);
            }
        }
        assert_eq!(partition_for_key(b"foobar", 10), (-790_332_482_i32 & 0x7fff_ffff) as usize % 10);
    }

    #[test]
    fn the_sticky_partition_stays_for_a_batch_and_then_moves() {
        let sticky = StickyPartition::new(7);
        let first = sticky.pick(100, 1000, 8);
        for _ in 0..9 {
            assert_eq!(sticky.pick(100, 1000, 8), first);
        }
        assert_ne!(sticky.pick(100, 1000, 8), first);
    }

    #[test]
    fn the_sticky_partition_visits_every_partition() {
        let sticky = StickyPartition::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[sticky.pick(10, 10, 5)] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    }
}
