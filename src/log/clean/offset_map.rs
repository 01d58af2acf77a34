//! The newest offset of each key, in a fixed piece of memory.
//!
//! An open-addressed table of 24-byte slots: 128 bits of the key's hash and an offset. It never grows; when it is nine
//! tenths full it takes no key that it does not have, and the cleaner makes do with the part of the log that it has seen
//! whole. Two keys with the same hash would be taken for one, and the older one's newest record would go. The hash is 128
//! bits wide and seeded at random for each cleaning: with a thousand million keys that happens once in 10^20 cleanings, and
//! nobody can prepare keys that collide.
//!
//! Source: SipHash-2-4 with 128 bits of output (Aumasson, Bernstein).

use crate::types::Offset;

/// Bytes that a key takes.
const SLOT_BYTES: usize = 24;
/// Slots of the smallest map, so that a map of any budget can do something.
const SLOTS_MIN: usize = 64;

/// The map.
pub(super) struct OffsetMap {
    slots: Box<[Slot]>,
    /// Keys in it.
    count: usize,
    /// At this many it is full.
    count_max: usize,
    seed: [u64; 2],
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: [u64; 2],
    /// [`EMPTY`] where there is no key.
    offset: Offset,
}

const EMPTY: Offset = -1;

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

// === impl OffsetMap ===

impl OffsetMap {
    /// An empty map within `budget_bytes`, and not larger than `keys_max` keys need.
    pub(super) fn new(budget_bytes: usize, keys_max: u64, seed: [u64; 2]) -> Self {
        // One slot in ten stays free: a search ends at one.
        let wanted = usize::try_from(keys_max.saturating_mul(10) / 9 + 10).unwrap_or(usize::MAX);
        let slots = (budget_bytes / SLOT_BYTES).min(wanted).max(SLOTS_MIN);
        let empty = Slot { hash: [0; 2], offset: EMPTY };
        Self { slots: vec![empty; slots].into_boxed_slice(), count: 0, count_max: slots / 10 * 9, seed }
    }

    /// Notes that `key` has a record at `offset`, unless a later one is known; false when there is no room for it.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        debug_assert!(offset >= 0, "the log has no negative offsets");
        let hash = siphash128(self.seed, key);
        let index = self.find(hash);
        let is_new = self.slots[index].offset == EMPTY;
        if is_new && self.count == self.count_max {
            return false;
        }
        self.count += usize::from(is_new);
        let newest = self.slots[index].offset.max(offset);
        self.slots[index] = Slot { hash, offset: newest };
        true
    }

    /// The newest offset known of `key`.
    pub(super) fn newest(&self, key: &[u8]) -> Option<Offset> {
        let offset = self.slots[self.find(siphash128(self.seed, key))].offset;
        (offset != EMPTY).then_some(offset)
    }

    /// The slot of a key, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let slots = self.slots.len();
        // The high half of the product spreads 64 bits over any number of slots.
        let start = (u128::from(hash[0]) * slots as u128) >> 64;
        let mut index = usize::try_from(start).expect("less than the number of slots");
        loop {
            let slot = &self.slots[index];
            if slot.offset == EMPTY || slot.hash == hash {
                return index;
            }
            index = if index + 1 == slots { 0 } else { index + 1 };
        }
    }
}

/// SipHash-2-4 of `bytes`, with 128 bits of output.
fn siphash128(seed: [u64; 2], bytes: &[u8]) -> [u64; 2] {
    let mut v = [
        seed[0] ^ 0x736f_6d65_7073_6575,
        seed[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        seed[0] ^ 0x6c79_6765_6e65_7261,
        seed[1] ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        take(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len().to_le_bytes()[0];
    take(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    (0..4).for_each(|_| round(&mut v));
    let low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    (0..4).for_each(|_| round(&mut v));
    [low, v[0] ^ v[1] ^ v[2] ^ v[3]]
}

fn take(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_siphash_2_4_with_128_bits() {
        // From the authors' test vectors: key 00 to 0f, the empty input and that of the one byte 00.
        let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let hex = |bytes: &[u8]| -> String {
            let words = siphash128(seed, bytes);
            words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(hex(&[]), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(&[0]), "da87c1d86b99af44347659119b22fc45");
    }

    #[test]
    fn the_newest_offset_of_each_key_is_kept() {
        let mut map = OffsetMap::new(1 << 20, 1000, [1, 2]);
        for offset in 0..1000 {
            assert!(map.put(format!("key-{}", offset % 100).as_bytes(), offset));
        }
        assert!(map.put(b"key-7", 3), "an older offset is no news");
        assert_eq!(map.count, 100);
        assert_eq!(map.newest(b"key-7"), Some(907));
        assert_eq!(map.newest(b"key-100"), None);
    }

    #[test]
    fn a_map_has_room_for_as_many_keys_as_it_was_asked_for() {
        for keys in [1, 57, 58, 1000, 1001] {
            let mut map = OffsetMap::new(1 << 20, keys, [3, 4]);
            assert!((0..keys).all(|key| map.put(&key.to_be_bytes(), 1)), "{keys}");
        }
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(0, u64::MAX, [1, 2]);
        let taken = (0..1000).take_while(|offset: &i64| map.put(&offset.to_be_bytes(), *offset)).count();
        assert_eq!(taken, SLOTS_MIN / 10 * 9);
        assert!(map.put(&0i64.to_be_bytes(), 5000));
        assert_eq!(map.newest(&0i64.to_be_bytes()), Some(5000));
        assert_eq!(map.newest(&999i64.to_be_bytes()), None, "a search in a full map ends");
    }
}
