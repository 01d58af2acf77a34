//! Random messages, made straight from the schemas: neither codec under test has a part in them.

use super::schema::{FieldSpec, Schema, Shape};

/// SplitMix64: small, and good enough to choose test values with.
pub(crate) struct Random(pub(crate) u64);

/// The bytes of a message.
pub(crate) struct Generated {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<Length>,
}

/// Where a length or count stands.
pub(crate) struct Length {
    pub(crate) position: usize,
    /// How null would look here, where null must not be.
    pub(crate) forbidden_null: Option<&'static [u8]>,
}

/// How to fill a message.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fill {
    /// Any values: nulls, empty arrays, tagged fields now and then.
    Random,
    /// Every field has a value, every array one element, every tagged field is there.
    Full,
}

struct Generator<'a> {
    random: &'a mut Random,
    flexible: bool,
    fill: Fill,
    out: Generated,
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Makes a message in the encoding of its versions.
pub(crate) fn generate(schema: &Schema, fill: Fill, random: &mut Random) -> Generated {
    let out = Generated { bytes: Vec::new(), lengths: Vec::new() };
    let mut generator = Generator { random, flexible: schema.flexible, fill, out };
    generator.fields(&schema.fields);
    generator.out
}

pub(crate) fn unsigned_varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Generator<'_> {
    fn fields(&mut self, fields: &[FieldSpec]) {
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            self.field(field, false);
        }
        if !self.flexible {
            return;
        }
        let mut tagged: Vec<&FieldSpec> = fields.iter().filter(|field| field.tag.is_some()).collect();
        tagged.sort_by_key(|field| field.tag);
        tagged.retain(|_| self.fill == Fill::Full || self.random.below(2) == 0);
        unsigned_varint(&mut self.out.bytes, tagged.len());
        for field in tagged {
            self.out.bytes.push(field.tag.unwrap());
            // The size stands in front: the value is made first, then moved behind it.
            let start = self.out.bytes.len();
            self.field(field, true);
            let value = self.out.bytes.split_off(start);
            self.out.lengths.retain(|length| length.position < start);
            self.out.lengths.push(Length { position: start, forbidden_null: None });
            unsigned_varint(&mut self.out.bytes, value.len());
            self.out.bytes.extend(value);
        }
    }

    /// `distinct` demands a value that is nobody's default: a tagged field with its default is not written.
    fn field(&mut self, field: &FieldSpec, distinct: bool) {
        if field.nullable && !distinct && self.fill == Fill::Random && self.random.below(4) == 0 {
            self.null(&field.shape);
            return;
        }
        if field.nullable && matches!(field.shape, Shape::Struct(_)) {
            self.out.bytes.push(1);
        }
        self.shape(&field.shape, field.nullable, distinct);
    }

    fn null(&mut self, shape: &Shape) {
        let classic: &[u8] = match shape {
            Shape::Struct(_) => return self.out.bytes.push(0xff),
            Shape::String => &[0xff; 2],
            _ => &[0xff; 4],
        };
        self.out.bytes.extend(if self.flexible { &[0] } else { classic });
    }

    fn shape(&mut self, shape: &Shape, nullable: bool, distinct: bool) {
        match shape {
            Shape::Bool => {
                let value = u8::from(distinct || self.random.below(2) == 1);
                self.out.bytes.push(value);
            }
            Shape::Int(size) => {
                let value = self.random.next().to_be_bytes();
                let start = self.out.bytes.len();
                self.out.bytes.extend(&value[8 - size..]);
                if distinct {
                    // Neither 0 nor -1 nor an extreme, whatever the width.
                    self.out.bytes[start] = 0x11;
                }
            }
            Shape::Uuid => {
                let value = [self.random.next(), self.random.next() | 1];
                self.out.bytes.extend(value.iter().flat_map(|half| half.to_be_bytes()));
            }
            Shape::String => {
                let count = if self.fill == Fill::Full || distinct { 1 } else { self.random.below(12) };
                let letters =
                    if self.fill == Fill::Full { ['a'; 6] } else { ['a', '-', '9', 'ß', '語', '🦀'] };
                let text: String = (0..count).map(|_| letters[self.random.below(6)]).collect();
                self.length(text.len(), 2, nullable);
                self.out.bytes.extend(text.as_bytes());
            }
            Shape::Bytes => {
                // At times long enough to be spliced rather than copied.
                let end = if self.random.below(4) == 0 { 2000 } else { 20 };
                let size = self.random.below(end);
                self.length(size, 4, nullable);
                for _ in 0..size {
                    let byte = self.random.below(256) as u8;
                    self.out.bytes.push(byte);
                }
            }
            Shape::Array(element) => {
                let count = if self.fill == Fill::Full || distinct { 1 } else { self.random.below(4) };
                self.length(count, 4, nullable);
                for _ in 0..count {
                    self.shape(element, false, false);
                }
            }
            Shape::Struct(fields) => {
                for field in fields.iter().filter(|field| field.tag.is_none()) {
                    self.field(field, distinct);
                }
                if distinct {
                    unsigned_varint(&mut self.out.bytes, 0);
                } else {
                    self.tags_of(fields);
                }
            }
        }
    }

    fn tags_of(&mut self, fields: &[FieldSpec]) {
        let tagged: Vec<FieldSpec> = fields.iter().filter(|field| field.tag.is_some()).cloned().collect();
        self.fields(&tagged);
    }

    fn length(&mut self, length: usize, classic_width: usize, nullable: bool) {
        let null: &[u8] = match classic_width {
            _ if self.flexible => &[0],
            2 => &[0xff; 2],
            _ => &[0xff; 4],
        };
        let forbidden_null = Some(null).filter(|_| !nullable);
        self.out.lengths.push(Length { position: self.out.bytes.len(), forbidden_null });
        if self.flexible {
            unsigned_varint(&mut self.out.bytes, length + 1);
        } else {
            self.out.bytes.extend(&(length as u64).to_be_bytes()[8 - classic_width..]);
        }
    }
}
