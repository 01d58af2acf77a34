//! Why bytes are not a message.

use super::ApiKey;

/// Bytes that are not the message they should be: what is wrong, and in which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// The innermost struct and field being read; `None` while a header is read.
    pub at: Option<(&'static str, &'static str)>,
    /// What is wrong.
    pub fault: DecodeFault,
}

/// What can be wrong with the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The bytes end inside a value.
    #[error("{needed} bytes needed, {remaining} remain")]
    UnexpectedEnd {
        /// How many bytes the value takes.
        needed: usize,
        /// How many there are.
        remaining: usize,
    },
    /// An array announces more elements than bytes follow.
    #[error("an array of {count} elements in {remaining} bytes")]
    CountBeyondEnd {
        /// The announced count.
        count: usize,
        /// How many bytes follow it.
        remaining: usize,
    },
    /// A length or count below -1.
    #[error("negative length {length}")]
    NegativeLength {
        /// The length read.
        length: i32,
    },
    /// A null where this version has none.
    #[error("null in a field that may not be null")]
    UnexpectedNull,
    /// A variable-length integer beyond 32 bits.
    #[error("a variable-length integer of more than 32 bits")]
    VarintTooLong,
    /// A string longer than Kafka's limit of 32,767 bytes.
    #[error("a string of {length} bytes; 32767 is the most")]
    StringTooLong {
        /// The announced length in bytes.
        length: usize,
    },
    /// A string that is not UTF-8.
    #[error("not UTF-8 from byte {valid_up_to} on")]
    NotUtf8 {
        /// How many bytes are well-formed.
        valid_up_to: usize,
    },
    /// A tagged field whose value does not fill the size it announces.
    #[error("tagged field {tag} announces {size} bytes and uses {used}")]
    TaggedFieldSize {
        /// The tag.
        tag: u32,
        /// The announced size in bytes.
        size: usize,
        /// The bytes its value takes.
        used: usize,
    },
    /// A version outside of the message's table.
    #[error("{api} has no version {version}")]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// An API key without a message table.
    #[error("no messages for API key {api_key}")]
    UnsupportedApi {
        /// The key read.
        api_key: i16,
    },
}

// === impl DecodeError ===

impl DecodeError {
    /// Names the field, unless a field inside of it is named already.
    pub(super) fn within(mut self, message: &'static str, field: &'static str) -> Self {
        self.at.get_or_insert((message, field));
        self
    }
}

impl From<DecodeFault> for DecodeError {
    fn from(fault: DecodeFault) -> Self {
        Self { at: None, fault }
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((message, field)) = self.at {
            write!(f, "{message}.{field}: ")?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}
