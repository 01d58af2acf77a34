//! Arrays that stay in the frame until somebody walks them.

use std::fmt;
use std::slice;
use std::vec;

use bytes::{Buf, Bytes};

use super::field::Field;
use super::{DecodeError, Reader};

/// An array of a message: a `Vec` when built to be sent, a checked slice of the frame when received.
///
/// Reading an array walks its elements once, nested ones included, and keeps nothing but the slice and the count. So a
/// received message takes the same few bytes of memory whatever its counts say, and iterating cannot fail: each element
/// is decoded anew when its turn comes. Whoever collects elements decides what that may cost.
#[derive(Clone)]
pub struct Array<T>(Elements<T>);

#[derive(Clone)]
enum Elements<T> {
    Built(Vec<T>),
    Received(Received),
}

/// Elements in the encoding of the wire, known to be well-formed.
#[derive(Clone)]
struct Received {
    bytes: Bytes,
    count: usize,
    version: i16,
    flexible: bool,
}

/// The elements of a borrowed [`Array`].
pub struct Iter<'a, T>(IterElements<'a, T>);

enum IterElements<'a, T> {
    Built(slice::Iter<'a, T>),
    Received { reader: Reader<'a>, left: usize, version: i16 },
}

/// The elements of an owned [`Array`].
pub struct IntoIter<T>(IntoIterElements<T>);

enum IntoIterElements<T> {
    Built(vec::IntoIter<T>),
    Received(Received),
}

const WALKED: &str = "every element was walked when the array was read";

// === impl Array ===

impl<T> Array<T> {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Elements::Built(elements) => elements.len(),
            Elements::Received(received) => received.count,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Field> Array<T> {
    /// The elements, each decoded (or, in a built array, cloned) when its turn comes.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(match &self.0 {
            Elements::Built(elements) => IterElements::Built(elements.iter()),
            Elements::Received(received) => IterElements::Received {
                reader: received.reader(),
                left: received.count,
                version: received.version,
            },
        })
    }

    /// Walks `count` elements and keeps the slice they take.
    pub(super) fn read_elements(
        reader: &mut Reader<'_>,
        count: usize,
        version: i16,
    ) -> Result<Self, DecodeError> {
        let flexible = reader.is_flexible();
        let bytes = reader.share_walked(|reader| Self::skip_elements(reader, count, version))?;
        Ok(Self(Elements::Received(Received { bytes, count, version, flexible })))
    }

    /// Walks `count` elements.
    pub(super) fn skip_elements(
        reader: &mut Reader<'_>,
        count: usize,
        version: i16,
    ) -> Result<(), DecodeError> {
        (0..count).try_for_each(|_| T::skip(reader, version))
    }

    /// Calls `each` for every element, without cloning those of a built array.
    pub(super) fn for_each(&self, mut each: impl FnMut(&T)) {
        match &self.0 {
            Elements::Built(elements) => elements.iter().for_each(each),
            Elements::Received(_) => self.iter().for_each(|element| each(&element)),
        }
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Self(Elements::Built(Vec::new()))
    }
}

impl<T> From<Vec<T>> for Array<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(Elements::Built(elements))
    }
}

impl<T> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::from(Vec::from_iter(elements))
    }
}

impl<'a, T: Field> IntoIterator for &'a Array<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Field> IntoIterator for Array<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(match self.0 {
            Elements::Built(elements) => IntoIterElements::Built(elements.into_iter()),
            Elements::Received(received) => IntoIterElements::Received(received),
        })
    }
}

/// Equal elements make equal arrays, built or received.
impl<T: Field + PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other)
    }
}

impl<T: Field + Eq> Eq for Array<T> {}

impl<T: Field> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

// === impl Received ===

impl Received {
    fn reader(&self) -> Reader<'_> {
        let mut reader = Reader::new(&self.bytes);
        reader.set_flexible(self.flexible);
        reader
    }
}

// === impl Iter ===

impl<T: Field> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            IterElements::Built(elements) => elements.next().cloned(),
            IterElements::Received { reader, left, version } => {
                *left = left.checked_sub(1)?;
                Some(T::read(reader, *version).expect(WALKED))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            IterElements::Built(elements) => elements.len(),
            IterElements::Received { left, .. } => *left,
        };
        (left, Some(left))
    }
}

impl<T: Field> ExactSizeIterator for Iter<'_, T> {}

// === impl IntoIter ===

impl<T: Field> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            IntoIterElements::Built(elements) => elements.next(),
            IntoIterElements::Received(received) => {
                received.count = received.count.checked_sub(1)?;
                let mut reader = received.reader();
                let element = T::read(&mut reader, received.version).expect(WALKED);
                let unread = reader.remaining();
                received.bytes.advance(received.bytes.len() - unread);
                Some(element)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            IntoIterElements::Built(elements) => elements.len(),
            IntoIterElements::Received(received) => received.count,
        };
        (left, Some(left))
    }
}

impl<T: Field> ExactSizeIterator for IntoIter<T> {}
