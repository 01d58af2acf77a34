//! Records out of stdin and files: read by a thread of its own, handed over in blocks of whole records.
//!
//! A block holds all whole records that one read brought, so a typed line is sent at once and a file costs no
//! allocation per record.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::thread;

use tokio::sync::mpsc;

use super::failure::Failure;

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// How many blocks may wait to be sent.
const BLOCKS_AHEAD: usize = 8;

/// How input is cut into records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// After each delimiter; a last record needs none.
    At(Vec<u8>),
    /// Not at all: each input is one record.
    Whole,
}

/// Some whole records of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// For messages: the name of the input.
    pub(crate) input: String,
    /// The number of the first record in its input, from 1.
    pub(crate) first_number: u64,
    /// The records, delimiters between and after them.
    bytes: Vec<u8>,
}

/// Reads `files` in order, or stdin when there are none; `-` is stdin among files.
pub(crate) fn read(files: Vec<PathBuf>, cut: Cut) -> mpsc::Receiver<Result<Block, Failure>> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    thread::spawn(move || {
        let files = if files.is_empty() { vec![PathBuf::from("-")] } else { files };
        for path in files {
            let name = if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() };
            let mut each = |block| sender.blocking_send(Ok(block)).is_ok();
            let result = if path.as_os_str() == "-" {
                read_blocks(&mut io::stdin().lock(), &name, &cut, &mut each)
            } else {
                File::open(&path).and_then(|mut file| read_blocks(&mut file, &name, &cut, &mut each))
            };
            match result {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let _nobody_listens_any_more = sender.blocking_send(Err(Failure::input(&name, &error)));
                    return;
                }
            }
        }
    });
    receiver
}

/// Reads one input to its end. False when `each` wants no more.
fn read_blocks(
    input: &mut impl Read,
    name: &str,
    cut: &Cut,
    each: &mut impl FnMut(Block) -> bool,
) -> io::Result<bool> {
    let mut buffer = Vec::new();
    let mut next_number = 1;
    let Cut::At(delimiter) = cut else {
        input.read_to_end(&mut buffer)?;
        return Ok(each(Block { input: name.to_owned(), first_number: 1, bytes: buffer }));
    };
    loop {
        let before = buffer.len();
        buffer.resize(before + READ_BYTES, 0);
        let count = loop {
            match input.read(&mut buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        buffer.truncate(before + count);
        let is_end = count == 0;
        // A delimiter may straddle two reads.
        let search_from = before.saturating_sub(delimiter.len() - 1);
        let whole = if is_end {
            buffer.len()
        } else {
            match rfind(&buffer[search_from..], delimiter) {
                Some(at) => search_from + at + delimiter.len(),
                None => continue,
            }
        };
        if whole > 0 {
            let rest = buffer.split_off(whole);
            let block = Block { input: name.to_owned(), first_number: next_number, bytes: buffer };
            next_number += block.records(cut).count() as u64;
            buffer = rest;
            if !each(block) {
                return Ok(false);
            }
        }
        if is_end {
            return Ok(true);
        }
    }
}

// === impl Block ===

impl Block {
    /// The records, without their delimiters.
    pub(crate) fn records<'a>(&'a self, cut: &'a Cut) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Some(&self.bytes[..]);
        std::iter::from_fn(move || {
            let bytes = rest.take()?;
            let Cut::At(delimiter) = cut else { return Some(bytes) };
            if bytes.is_empty() {
                return None;
            }
            match find(bytes, delimiter) {
                Some(at) => {
                    rest = Some(&bytes[at + delimiter.len()..]);
                    Some(&bytes[..at])
                }
                None => Some(bytes),
            }
        })
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Where `needle`, which is not empty, begins in `bytes` first.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => bytes.iter().position(|found| found == byte),
        _ => bytes.windows(needle.len()).position(|window| window == needle),
    }
}

/// Where `needle`, which is not empty, begins in `bytes` last.
fn rfind(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => bytes.iter().rposition(|found| found == byte),
        _ => bytes.windows(needle.len()).rposition(|window| window == needle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one by one, as a pipe would.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn cut(pieces: &[&'static [u8]], delimiter: &[u8]) -> Vec<(u64, Vec<String>)> {
        let cut = Cut::At(delimiter.to_vec());
        let mut blocks = Vec::new();
        let done = read_blocks(&mut Pieces(pieces.to_vec()), "x", &cut, &mut |block| {
            let records =
                block.records(&cut).map(|record| String::from_utf8(record.to_vec()).unwrap()).collect();
            blocks.push((block.first_number, records));
            true
        });
        assert!(done.unwrap());
        blocks
    }

    #[test]
    fn each_read_gives_a_block_of_whole_records() {
        let blocks = cut(&[b"a\nbb\nc", b"c\n", b"\n", b"d"], b"\n");
        let expected: [(u64, &[&str]); 4] = [(1, &["a", "bb"]), (3, &["cc"]), (4, &[""]), (5, &["d"])];
        assert_eq!(blocks.len(), expected.len(), "{blocks:?}");
        for (block, expected) in blocks.iter().zip(expected) {
            assert_eq!(
                (block.0, block.1.iter().map(String::as_str).collect::<Vec<_>>()),
                (expected.0, expected.1.to_vec())
            );
        }
    }

    #[test]
    fn a_delimiter_may_come_in_two_reads() {
        let records: Vec<String> =
            cut(&[b"a-", b"-b--", b"c-"], b"--").into_iter().flat_map(|(_, records)| records).collect();
        assert_eq!(records, ["a", "b", "c-"]);
    }

    #[test]
    fn an_empty_input_has_no_record_unless_it_is_taken_whole() {
        assert!(cut(&[], b"\n").is_empty());
        let mut blocks = Vec::new();
        read_blocks(&mut Pieces(vec![b"a\n", b"b"]), "x", &Cut::Whole, &mut |block| {
            blocks.push(block.records(&Cut::Whole).map(<[u8]>::to_vec).collect::<Vec<_>>());
            true
        })
        .unwrap();
        assert_eq!(blocks, [[b"a\nb".to_vec()]]);
    }
}
