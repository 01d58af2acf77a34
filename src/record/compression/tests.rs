//! The codecs: what they take, what they refuse, and that a cap holds.

#![expect(clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::io::Write as _;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// 300 KB that compress somewhat, over several blocks of every codec.
fn text() -> Vec<u8> {
    (0..20_000u32).flat_map(|n| format!("{} and {n}, ", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

fn lz4_frame(content: &[u8], info: FrameInfo) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn check_reads(codec: Compression, compressed: Vec<u8>, content: &[u8]) {
    let compressed = Bytes::from(compressed);
    let read = codec.decompress(&compressed, content.len()).unwrap();
    assert!(read == content, "{codec}: {} bytes instead of {}", read.len(), content.len());
    if !content.is_empty() {
        let limit_bytes = content.len() - 1;
        let refused = codec.decompress(&compressed, limit_bytes);
        assert_eq!(refused, Err(BatchError::TooLargeDecompressed { compression: codec, limit_bytes }));
    }
}

proptest! {
    #[test]
    fn what_was_compressed_decompresses(
        content in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..5000),
            (any::<u8>(), 0usize..300_000).prop_map(|(byte, count)| vec![byte; count]),
        ],
        level in prop::option::of(any::<i32>()),
    ) {
        for codec in CODECS {
            check_reads(codec, codec.compress(&content, level), &content);
        }
    }

    #[test]
    fn garbage_never_panics(
        codec in prop::sample::select(&CODECS[..]),
        start in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut compressed = codec.compress(b"some content, some content, some content", None);
        compressed.truncate(start.index(compressed.len() + 1));
        compressed.extend_from_slice(&garbage);
        let _ = codec.decompress(&compressed.into(), 10_000);
    }
}

#[test]
fn streams_one_after_another_read_as_one() {
    let content = text();
    let (first, second) = content.split_at(100_000);
    for codec in CODECS {
        let joined =
            [codec.compress(first, None), codec.compress(b"", None), codec.compress(second, None)].concat();
        check_reads(codec, joined, &content);
    }
}

#[test]
fn whatever_follows_the_data_is_refused() {
    for codec in CODECS {
        for trailing in [&b"x"[..], b"\0\0\0\0", b"garbage after the data"] {
            let compressed = [&codec.compress(&text(), None)[..], trailing].concat();
            let refused = codec.decompress(&compressed.into(), 1 << 20);
            assert!(
                matches!(refused, Err(BatchError::Undecompressable { .. })),
                "{codec} {trailing:?}: {refused:?}"
            );
        }
    }
}

#[test]
fn a_cut_stream_never_reads_as_whole() {
    let content = &text()[..70_000];
    for codec in CODECS {
        let compressed = Bytes::from(codec.compress(content, None));
        for length in (0..compressed.len()).rev().step_by(7) {
            match codec.decompress(&compressed.slice(..length), 1 << 20) {
                // Snappy's framing has no end: cut between two blocks it is a shorter stream.
                Ok(read) => {
                    assert!(read.len() < content.len() && (codec == Compression::Snappy || length == 0));
                }
                Err(error) => assert!(matches!(error, BatchError::Undecompressable { .. })),
            }
        }
    }
}

#[test]
fn raw_snappy_reads_too() {
    let content = text();
    check_reads(Compression::Snappy, snap::raw::Encoder::new().compress_vec(&content).unwrap(), &content);
}

#[test]
fn snappy_that_declares_more_than_it_can_hold_is_refused_before_allocating() {
    // 4 GiB - 1 in five bytes of varint, then nothing.
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    let refused = Compression::Snappy.decompress(&lie, usize::MAX);
    assert!(matches!(refused, Err(BatchError::Undecompressable { .. })));
}

#[test]
fn every_kind_of_lz4_frame_reads() {
    let content = text();
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for checks in 0..8u32 {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(size)
                    .block_checksums(checks & 1 != 0)
                    .content_checksum(checks & 2 != 0)
                    .content_size((checks & 4 != 0).then_some(content.len() as u64));
                check_reads(Compression::Lz4, lz4_frame(&content, info), &content);
            }
        }
    }
}

#[test]
fn a_damaged_lz4_checksum_or_header_is_refused() {
    let info = FrameInfo::new().block_checksums(true).content_checksum(true);
    let good = lz4_frame(&text()[..1000], info);
    // The header, the first block's length and checksum, the end mark and the content's checksum.
    let length = good.len();
    for at in (0..11).chain(length - 12..length) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let refused = Compression::Lz4.decompress(&bad.into(), 1 << 20);
        assert!(matches!(refused, Err(BatchError::Undecompressable { .. })), "byte {at}: {refused:?}");
    }
}

#[test]
fn codecs_are_known_by_code_and_name() {
    for codec in Compression::ALL {
        assert_eq!(Compression::from_code(codec.code()), Ok(codec));
        assert_eq!(codec.name().parse(), Ok(codec));
    }
    assert_eq!(Compression::from_code(5), Err(BatchError::UnsupportedCompression { code: 5 }));
    assert_eq!(Compression::from_code(-1), Err(BatchError::UnsupportedCompression { code: -1 }));
    let error = "lz5".parse::<Compression>().unwrap_err();
    assert_eq!(error.to_string(), "not a codec: \"lz5\"; one of none, gzip, snappy, lz4, zstd");
}
