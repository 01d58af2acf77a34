//! Record bytes of a fetch response.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Record batches one after another, in as many parts as the log read them in.
///
/// Never copied on the way out: each part becomes a part of the response. Read from a frame they are one part.
#[derive(Clone, Default)]
pub struct Records(Vec<Bytes>);

impl Records {
    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.0
    }

    /// The bytes in all parts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// All parts joined into one; copies unless there is only one.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match self.0.len() {
            0 => Bytes::new(),
            1 => self.0.swap_remove(0),
            _ => {
                let mut joined = BytesMut::with_capacity(self.size_bytes());
                self.0.iter().for_each(|part| joined.extend_from_slice(part));
                joined.freeze()
            }
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self(vec![bytes])
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(parts: Vec<Bytes>) -> Self {
        Self(parts)
    }
}

/// Equal bytes are equal records, however they are cut into parts.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.size_bytes() == other.size_bytes() && self.0.iter().flatten().eq(other.0.iter().flatten())
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.size_bytes())
    }
}
