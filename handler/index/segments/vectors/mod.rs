//! The embeddings of a segment as one file that is searched where it lies, mapped into memory.
//!
//! Each vector is made one unit long, rotated ([`rotation`]), and taken relative to the mean of its segment; of what
//! remains three codes are kept: one bit a number, to look at every row; the high byte, to look again at those that may be
//! among the best; the low byte, to put the few that are left in the right order. See [`encode`] for the codes and
//! [`scan`] for the search. The idea of a one-bit code with an error bound is that of RaBitQ (Gao and Long, SIGMOD 2024).
//!
//! Layout, little endian, each section at a multiple of 64 bytes:
//! `header | mean, f32 each | facts, 4 x f32 a row | bits, a word-major block for each 64 rows | high bytes | low bytes`.
//! The header is magic, dimensions (u32), padded length (u32) and rows (u64). A row without embedding is all zero.

pub mod encode;
pub mod kernels;
pub mod rotation;
pub mod scan;

use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use self::rotation::{Rotation, padded};
use super::map;

/// Rows that are looked at together; also the bits of a word.
pub const BLOCK: usize = 64;
const MAGIC: &[u8; 8] = b"KWVECv01";
const HEADER_BYTES: usize = 64;

/// What a row keeps beside its codes, to turn sums over codes into cosines.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Facts {
    /// Product of the mean and the row's remainder.
    pub offset: f32,
    /// What a sum over signs is multiplied by to estimate a product with the remainder.
    pub sign_scale: f32,
    /// Standard error of that estimate for a query of length one.
    pub sign_error: f32,
    /// The size of one step of the two-byte code.
    pub step: f32,
}

/// Where the sections of a file are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Numbers of an embedding.
    pub dimensions: usize,
    /// Numbers of a code.
    pub padded: usize,
    /// Rows, with and without embedding.
    pub rows: usize,
}

/// A file of vectors, mapped into memory.
pub struct Vectors {
    map: Mmap,
    layout: Layout,
    rotation: Rotation,
}

impl Layout {
    /// The layout for `rows` embeddings of `dimensions` numbers.
    pub fn new(dimensions: usize, rows: usize) -> Self {
        Self { dimensions, padded: padded(dimensions), rows }
    }

    fn mean(&self) -> Range<usize> {
        section(HEADER_BYTES, self.padded * 4)
    }

    fn facts(&self) -> Range<usize> {
        section(self.mean().end, self.rows * size_of::<Facts>())
    }

    fn bits(&self) -> Range<usize> {
        section(self.facts().end, self.rows.div_ceil(BLOCK) * BLOCK * self.padded / 8)
    }

    fn high(&self) -> Range<usize> {
        section(self.bits().end, self.rows * self.padded)
    }

    fn low(&self) -> Range<usize> {
        section(self.high().end, self.rows * self.padded)
    }

    /// Length of the whole file.
    pub fn size_bytes(&self) -> usize {
        self.low().end
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&(self.dimensions as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(self.padded as u32).to_le_bytes());
        header[16..24].copy_from_slice(&(self.rows as u64).to_le_bytes());
        header
    }

    /// Reads a header back; `None` when it is not one, or names more than a file of `size_bytes` holds.
    fn of(header: &[u8], size_bytes: usize) -> Option<Self> {
        let number =
            |range: Range<usize>| header.get(range).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let rows = header.get(16..24).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)?;
        let (dimensions, rows) = (number(8..12)? as usize, usize::try_from(rows).ok()?);
        if header.get(..8) != Some(MAGIC) || dimensions > size_bytes || rows > size_bytes {
            return None;
        }
        let enough = rows.checked_mul(padded(dimensions)).is_some_and(|numbers| numbers <= size_bytes);
        let layout = Self::new(dimensions, rows);
        (enough && number(12..16)? as usize == layout.padded && layout.size_bytes() == size_bytes).then_some(layout)
    }
}

/// A section of `length` bytes that starts at the first multiple of 64 from `from` on.
fn section(from: usize, length: usize) -> Range<usize> {
    let start = from.next_multiple_of(64);
    start..start + length
}

impl Vectors {
    /// Maps a file. Fails with `InvalidData` when it is not one of vectors.
    pub fn open(path: &Path) -> io::Result<Self> {
        let map = map(path)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is not one of vectors");
        let layout = Layout::of(&map, map.len()).ok_or_else(damaged)?;
        Ok(Self { rotation: Rotation::new(layout.dimensions), map, layout })
    }

    /// What is where.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The embedding of a row as far as the codes tell, one unit long; `None` for a row without.
    pub fn embedding(&self, row: usize) -> Option<Vec<f32>> {
        let facts = self.facts().get(row).filter(|facts| facts.step > 0.0)?;
        let codes = self.high_codes(row).iter().zip(self.low_codes(row));
        let rotated: Vec<f32> = codes
            .zip(self.mean())
            .map(|((high, low), mean)| mean + facts.step * (f32::from(*high) * 256.0 + f32::from(*low)))
            .collect();
        Some(self.rotation.undo(&rotated, self.layout.dimensions))
    }

    fn mean(&self) -> &[f32] {
        bytemuck::cast_slice(&self.map[self.layout.mean()])
    }

    fn facts(&self) -> &[Facts] {
        bytemuck::cast_slice(&self.map[self.layout.facts()])
    }

    /// The signs of 64 rows: the first word of each of them, then the second of each, and so on.
    fn bits(&self, block: usize) -> &[u64] {
        let bytes = BLOCK * self.layout.padded / 8;
        let start = self.layout.bits().start + block * bytes;
        bytemuck::cast_slice(&self.map[start..start + bytes])
    }

    fn high_codes(&self, row: usize) -> &[i8] {
        self.codes(self.layout.high().start, row)
    }

    fn low_codes(&self, row: usize) -> &[i8] {
        self.codes(self.layout.low().start, row)
    }

    fn codes(&self, section: usize, row: usize) -> &[i8] {
        let start = section + row * self.layout.padded;
        bytemuck::cast_slice(&self.map[start..start + self.layout.padded])
    }
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vectors").field("layout", &self.layout).finish_non_exhaustive()
    }
}
