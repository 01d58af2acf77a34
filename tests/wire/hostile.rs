//! Bytes that nobody means well with: no panic, and no memory beyond what they take themselves.

use bytes::Bytes;
use millrace::wire::messages::{walk_request, walk_response};
use millrace::wire::{DecodeError, DecodeFault, RequestHeader, Writer};

use super::counting::peak_bytes_of;
use super::generate::{Fill, Generated, Random, generate, unsigned_varint};
use super::schema::{Schema, schemas};

/// What is put where a length or count belongs, and anywhere else.
const LENGTHS: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x00, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x7f, 0xff],
    &[0xff, 0xfe],
    &[0x00],
];

/// Which message the hostile bytes claim to be. Says so when it comes to a panic.
struct Target<'a> {
    schema: &'a Schema,
    version: i16,
    seed: u64,
}

#[test]
fn cut_messages_are_errors_and_take_no_memory() {
    let mut refused = 0;
    for_each_message(|target, made, _| {
        for size in 0..made.bytes.len() {
            let cut = made.bytes.get(..size).unwrap();
            // A cut that leaves a whole message is none: a struct may end in nothing but absent tagged fields.
            refused += usize::from(target.feed(cut).is_err());
        }
        assert_eq!(target.feed(&made.bytes), Ok(()));
    });
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn lengths_and_counts_are_believed_only_as_far_as_there_are_bytes() {
    for_each_message(|target, made, random| {
        let anywhere = (0..8).map(|_| random.below(made.bytes.len().max(1)));
        for position in made.lengths.iter().map(|length| length.position).chain(anywhere) {
            for length in LENGTHS {
                let mut bytes = made.bytes.clone();
                bytes.truncate(position);
                bytes.extend(*length);
                let _ = target.feed(&bytes);
                bytes.extend(made.bytes.iter().skip(position + length.len()));
                let _ = target.feed(&bytes);
            }
        }
    });
}

#[test]
fn a_null_where_kafka_has_none_is_refused() {
    for_each_message(|target, made, _| {
        for length in &made.lengths {
            let Some(null) = length.forbidden_null else { continue };
            let mut bytes = made.bytes.clone();
            bytes.truncate(length.position);
            bytes.extend(null);
            bytes.extend([0; 64]);
            let fault = target.feed(&bytes).map_err(|error| error.fault);
            assert_eq!(fault, Err(DecodeFault::UnexpectedNull), "{} v{}", target.schema.api, target.version);
        }
    });
}

#[test]
fn as_many_elements_as_the_bytes_allow_take_no_more_memory_than_one() {
    const ZEROS: usize = 4096;
    // The count that makes a frame shareable is all there is.
    const OVERHEAD_BYTES: usize = 64;
    for_each_message(|target, made, _| {
        for length in &made.lengths {
            let mut bytes = made.bytes.clone();
            bytes.truncate(length.position);
            if target.schema.flexible {
                unsigned_varint(&mut bytes, ZEROS / 2);
            } else {
                bytes.extend((ZEROS as u32 / 4).to_be_bytes());
            }
            bytes.resize(bytes.len() + ZEROS, 0);
            let frame = target.frame(&bytes);
            let overhead_bytes = peak_bytes_of(|| {
                let _ = target.walk(&frame);
            });
            assert!(overhead_bytes <= OVERHEAD_BYTES, "{overhead_bytes} bytes beyond the frame");
        }
    });
}

#[test]
fn noise_is_survived() {
    for_each_message(|target, _, random| {
        for byte in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
            for size in [1, 2, 3, 4, 5, 8, 13, 64, 1 << 16] {
                let _ = target.feed(&vec![byte; size]);
            }
        }
        for round in 0..40 {
            let size = if round == 0 { 1 << 16 } else { random.below(200) };
            let noise: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
            let _ = target.feed(&noise);
        }
    });
}

#[test]
fn a_header_of_noise_is_survived() {
    let mut random = Random(1);
    for size in (0..40).flat_map(|size| std::iter::repeat_n(size, 500)) {
        let mut noise: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
        // A key that exists, more often than not.
        if let Some(high) = noise.first_mut() {
            *high = 0;
        }
        let _ = feed(&Bytes::from(noise), walk_request);
    }
}

/// Calls `attack` with random messages of every API, side and version.
fn for_each_message(mut attack: impl FnMut(&Target<'_>, &Generated, &mut Random)) {
    for schema in schemas() {
        for version in schema.versions.clone() {
            for seed in 0..3 {
                let mut random = Random(seed);
                let fill = if seed == 0 { Fill::Full } else { Fill::Random };
                let made = generate(&schema, fill, &mut random);
                attack(&Target { schema: &schema, version, seed }, &made, &mut random);
            }
        }
    }
}

impl Target<'_> {
    /// A frame with `body`: behind a header if it is a request.
    fn frame(&self, body: &[u8]) -> Bytes {
        let mut writer = Writer::new();
        if self.schema.is_request {
            let client_id = Some("hostile".into());
            let header = RequestHeader {
                api_key: self.schema.api,
                api_version: self.version,
                correlation_id: 7,
                client_id,
            };
            header.write(&mut writer);
        }
        writer.put(body);
        writer.finish().into_bytes()
    }

    fn walk(&self, frame: &Bytes) -> Result<(), DecodeError> {
        if self.schema.is_request {
            walk_request(frame)
        } else {
            walk_response(self.schema.api, self.version, frame)
        }
    }

    fn feed(&self, body: &[u8]) -> Result<(), DecodeError> {
        let frame = self.frame(body);
        feed(&frame, |frame| self.walk(frame))
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { schema: Schema { api, is_request, .. }, version, seed } = self;
            println!("attacking {api} v{version}, request: {is_request}, seed {seed}");
        }
    }
}

/// Holds the promise of the codec: at most twice the input and 64 KiB, the input included.
fn feed(frame: &Bytes, walk: impl FnOnce(&Bytes) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
    let mut outcome = Ok(());
    let peak_bytes = peak_bytes_of(|| outcome = walk(&Bytes::copy_from_slice(frame)));
    let limit_bytes = 2 * frame.len() + 64 * 1024;
    assert!(peak_bytes <= limit_bytes, "{peak_bytes} bytes for an input of {}: {outcome:?}", frame.len());
    outcome
}
