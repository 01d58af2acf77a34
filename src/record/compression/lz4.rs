//! The LZ4 frame format over lz4_flex's block codec.
//!
//! Written here rather than taken from `lz4_flex::frame`, whose reader allocates the block size that a header declares
//! (up to 12 MiB for 11 bytes), takes an end of input between blocks as the end of the frame, and asserts when frames of
//! different block sizes follow one another. This one allocates what the compressed bytes can fill and refuses the rest.
//!
//! ```text
//! magic u32 | FLG u8 | BD u8 | content size u64? | header checksum u8 |
//! (block length u32, top bit: stored | block | block checksum u32?)* | 0 u32 | content checksum u32?
//! ```
//!
//! Little endian. Source: the LZ4 frame format description, version 1.6. Frames with a dictionary id and skippable or
//! legacy frames are refused, as Kafka's own clients refuse them.

use std::hash::Hasher as _;
use std::io::Write as _;

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::decoder::DecodeError;

const MAGIC: u32 = 0x184D_2204;

/// How far back a match may reach.
const WINDOW_BYTES: usize = 64 << 10;

/// A block decompresses to at most this many times its size: a length grows by 255 with each byte.
const MOST_EXPANSION: usize = 255;

const STORED_BIT: u32 = 1 << 31;

/// The blocks of the frames of an input.
pub(super) struct Lz4Frames<'a> {
    rest: &'a [u8],
    frame: Option<Frame>,
    /// Whether frames of linked blocks are refused.
    only_independent: bool,
}

/// The frame being read.
struct Frame {
    block_max_bytes: usize,
    has_block_checksums: bool,
    content_size: Option<u64>,
    content_checksum: Option<XxHash32>,
    content_bytes: u64,
    /// What linked blocks may refer to: the end of what was decompressed. None when blocks are independent.
    window: Option<Vec<u8>>,
}

/// Appends `bytes` to `out` as one frame of independent 64 KiB blocks, all that Java's client reads.
pub(super) fn compress_into(out: &mut Vec<u8>, bytes: &[u8]) {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(bytes).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write");
}

// === impl Lz4Frames ===

impl<'a> Lz4Frames<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, frame: None, only_independent: false }
    }

    /// Refuses frames whose blocks refer to those before them, which Kafka's Java client cannot read.
    pub(super) fn only_independent(&mut self) {
        self.only_independent = true;
    }

    /// Decompresses the next block with content to the front of `out` and returns its size; 0 at the end.
    pub(super) fn next_block(&mut self, out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                if self.rest.is_empty() {
                    return Ok(0);
                }
                self.frame = Some(self.read_header()?);
                continue;
            };
            let length = self.take_u32()?;
            if length == 0 {
                self.finish(frame)?;
                continue;
            }
            let size = self.read_block(&mut frame, length, out)?;
            self.frame = Some(frame);
            if size > 0 {
                return Ok(size);
            }
        }
    }

    fn read_header(&mut self) -> Result<Frame, DecodeError> {
        if self.take_u32()? != MAGIC {
            return Err(DecodeError::broken("not an LZ4 frame"));
        }
        let descriptor = self.rest;
        let [flags, block] = self.take()?;
        let is_set = |bit: u32| flags >> bit & 1 == 1;
        if flags >> 6 != 1 || is_set(1) || is_set(0) || block & 0x8f != 0 {
            return Err(DecodeError::broken("unsupported LZ4 frame flags"));
        }
        if self.only_independent && !is_set(5) {
            return Err(DecodeError::broken(
                "the LZ4 frame has linked blocks, which not every client can read",
            ));
        }
        let block_max_bytes = match block >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return Err(DecodeError::broken("unsupported LZ4 block size")),
        };
        let content_size = if is_set(3) { Some(u64::from_le_bytes(self.take()?)) } else { None };
        let described = descriptor.len() - self.rest.len();
        let [checksum] = self.take()?;
        let expected = xxh32(descriptor.get(..described).unwrap_or_default()).to_le_bytes();
        if checksum != expected[1] {
            return Err(DecodeError::broken("the LZ4 frame header's checksum is wrong"));
        }
        Ok(Frame {
            block_max_bytes,
            has_block_checksums: is_set(4),
            content_size,
            content_checksum: is_set(2).then(|| XxHash32::with_seed(0)),
            content_bytes: 0,
            window: (!is_set(5)).then(Vec::new),
        })
    }

    fn read_block(
        &mut self,
        frame: &mut Frame,
        length: u32,
        out: &mut Vec<u8>,
    ) -> Result<usize, DecodeError> {
        let is_stored = length & STORED_BIT != 0;
        let length = usize::try_from(length & !STORED_BIT).map_err(DecodeError::broken)?;
        if length > frame.block_max_bytes {
            return Err(DecodeError::broken("an LZ4 block is larger than its frame allows"));
        }
        let (block, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        if frame.has_block_checksums && self.take_u32()? != xxh32(block) {
            return Err(DecodeError::broken("an LZ4 block's checksum is wrong"));
        }
        let most = if is_stored { length } else { length * MOST_EXPANSION }.min(frame.block_max_bytes);
        if out.len() < most {
            out.resize(most, 0);
        }
        let target = out.get_mut(..most).unwrap_or_default();
        let size = match &frame.window {
            _ if is_stored => {
                target.copy_from_slice(block);
                length
            }
            Some(window) => decompress_into_with_dict(block, target, window).map_err(DecodeError::broken)?,
            None => decompress_into(block, target).map_err(DecodeError::broken)?,
        };
        frame.account(out.get(..size).unwrap_or_default());
        Ok(size)
    }

    /// Checks the end of `frame`.
    fn finish(&mut self, frame: Frame) -> Result<(), DecodeError> {
        if frame.content_size.is_some_and(|size| size != frame.content_bytes) {
            return Err(DecodeError::broken("the LZ4 frame has not the size it declares"));
        }
        if let Some(hasher) = frame.content_checksum
            && u64::from(self.take_u32()?) != hasher.finish()
        {
            return Err(DecodeError::broken("the LZ4 frame's checksum is wrong"));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take_u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.take()?))
    }
}

// === impl Frame ===

impl Frame {
    /// Notes a block's content for the frame's end and for the blocks that refer to it.
    fn account(&mut self, content: &[u8]) {
        self.content_bytes += content.len() as u64;
        if let Some(hasher) = &mut self.content_checksum {
            hasher.write(content);
        }
        if let Some(window) = &mut self.window {
            let fresh = content.get(content.len().saturating_sub(WINDOW_BYTES)..).unwrap_or_default();
            let stale = (window.len() + fresh.len()).saturating_sub(WINDOW_BYTES);
            window.drain(..stale);
            window.extend_from_slice(fresh);
        }
    }
}

fn xxh32(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn truncated() -> DecodeError {
    DecodeError::broken("the LZ4 frame ends too early")
}
