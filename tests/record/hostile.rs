//! Decompression bombs, and what they may cost: memory is counted per thread by the allocator of this test.

use bytes::{BufMut, Bytes, BytesMut};
use millrace::record::{
    Batch, BatchBuilder, BatchError, BatchErrorKind, Compression, HEADER_BYTES, ProduceRules,
    validate_produced,
};

use super::counting::peak_bytes_of;

const NOW_MS: i64 = 1_700_000_000_000;

/// What a check may allocate whatever the input: a chunk or a block, the decoders' own state and window.
const CHECK_BYTES: usize = 256 << 10;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// A batch of one record of `value_bytes` zeros.
fn bomb(codec: Compression, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.append(NOW_MS, None, Some(&vec![0; value_bytes]), &[]).unwrap();
    builder.build()
}

/// `records`, compressed somehow, under the header that the checks before decompression accept.
fn forged(codec: Compression, records: &[u8]) -> Bytes {
    let mut checked = BytesMut::new();
    checked.put_i16(codec.code());
    checked.put_i32(0);
    checked.put_i64(NOW_MS);
    checked.put_i64(NOW_MS);
    checked.put_i64(-1);
    checked.put_i16(-1);
    checked.put_i32(-1);
    checked.put_i32(1);
    checked.put_slice(records);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(i32::try_from(checked.len() + 9).unwrap());
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&checked));
    batch.put_slice(&checked);
    batch.freeze()
}

#[test]
fn bombs_of_every_codec_are_refused_at_the_cap_and_cost_a_chunk() {
    let rules =
        ProduceRules { max_message_bytes: 64 << 20, max_decompressed_bytes: 1 << 20, ..Default::default() };
    for codec in CODECS {
        let bytes = bomb(codec, 64 << 20);
        let peak = peak_bytes_of(|| {
            let error = validate_produced(&bytes, &rules, NOW_MS).unwrap_err();
            assert_eq!(error, BatchError::TooLargeDecompressed { compression: codec, limit_bytes: 1 << 20 });
            assert_eq!(error.kind(), BatchErrorKind::TooLarge);
        });
        assert!(peak <= CHECK_BYTES, "{codec}: {peak} bytes");
        // Who wants the records holds what they decompress to, up to the cap.
        let batch = Batch::parse(bytes.clone()).unwrap();
        let peak = peak_bytes_of(|| assert!(batch.records(1 << 20).is_err()));
        // A Vec that grows by doubling may be held twice while it moves.
        assert!(peak <= (4 << 20) + CHECK_BYTES, "{codec}: {peak} bytes");
    }
}

#[test]
fn an_honest_large_batch_is_checked_in_the_memory_of_a_chunk() {
    let rules =
        ProduceRules { max_message_bytes: 64 << 20, max_decompressed_bytes: 65 << 20, ..Default::default() };
    for codec in CODECS {
        let bytes = bomb(codec, 64 << 20);
        let peak = peak_bytes_of(|| {
            validate_produced(&bytes, &rules, NOW_MS).unwrap();
        });
        assert!(peak <= CHECK_BYTES, "{codec}: {peak} bytes");
    }
}

#[test]
fn a_declared_size_costs_nothing() {
    // Raw Snappy of 4 GiB; an LZ4 frame of linked 4 MiB blocks with a block of 4 MiB to come; the same in a frame that
    // is otherwise whole; zstd with a content size and window of 128 MiB.
    let lz4_header = |flags: u8, descriptor: &[u8]| {
        let described = [&[flags, 0x70], descriptor].concat();
        let checksum = twox_hash::XxHash32::oneshot(0, &described).to_le_bytes()[1];
        [&0x184D_2204u32.to_le_bytes(), &described[..], &[checksum]].concat()
    };
    let cases = [
        (Compression::Snappy, vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
        (Compression::Snappy, [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &u32::MAX.to_be_bytes()].concat()),
        (Compression::Lz4, [&lz4_header(0x40, &[])[..], &0x0040_0000u32.to_le_bytes(), b"\0"].concat()),
        (
            Compression::Lz4,
            [&lz4_header(0x40, &[])[..], &2u32.to_le_bytes(), &[0, 0], &0u32.to_le_bytes()].concat(),
        ),
        (Compression::Lz4, [&lz4_header(0x48, &u64::MAX.to_le_bytes())[..], &0u32.to_le_bytes()].concat()),
        (
            Compression::Zstd,
            [&[0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x88][..], &0x0800_0000u32.to_le_bytes(), b"\0\0\0"].concat(),
        ),
        (Compression::Gzip, vec![0x1f, 0x8b, 8, 0x04, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0, 0]),
    ];
    for (codec, records) in cases {
        let bytes = forged(codec, &records);
        assert_eq!(bytes.len(), HEADER_BYTES + records.len());
        let peak = peak_bytes_of(|| {
            let error = validate_produced(&bytes, &ProduceRules::default(), NOW_MS).unwrap_err();
            assert!(
                matches!(error, BatchError::Undecompressable { .. } | BatchError::MalformedRecord { .. }),
                "{error}"
            );
        });
        assert!(peak <= CHECK_BYTES, "{codec} {records:?}: {peak} bytes");
    }
}

#[test]
fn counts_and_lengths_that_records_claim_cost_nothing() {
    // A record that claims 2 GiB of length, of key, of headers.
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let cases = [
        huge.to_vec(),
        [&huge[..], &[0, 0, 0], &huge].concat(),
        [&huge[..], &[0, 0, 0, 1, 1], &huge].concat(),
    ];
    for records in cases {
        for codec in Compression::ALL {
            let bytes = forged(codec, &codec.compress(&records, None));
            let peak = peak_bytes_of(|| {
                let error = validate_produced(&bytes, &ProduceRules::default(), NOW_MS).unwrap_err();
                assert!(matches!(error, BatchError::MalformedRecord { index: 0, .. }), "{codec}: {error}");
                let records = Batch::parse(bytes.clone()).unwrap().records(1 << 20).unwrap();
                assert!(records.size_hint().0 == 0 && records.last().unwrap().is_err());
            });
            assert!(peak <= CHECK_BYTES, "{codec} {records:?}: {peak} bytes");
        }
    }
}
