//! Mutation behind the packing. A flipped byte of an archive fails its checksum and never reaches the reader of XML, so
//! one part is unpacked, mutated and put back, with right sizes and checksums. What comes out is an archive again: a finding
//! is a document that can be uploaded as it is.

use std::io::{Cursor, Read, Write};

use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, ZipArchive};

/// Room for a part to grow in.
const MOST_GROWTH_BYTES: usize = 4096;
/// Larger archives are mutated as they lie: unpacking them takes longer than it finds.
const MOST_ENTRIES: usize = 64;
const MOST_PART_BYTES: u64 = 1 << 20;

/// Mutates one part of the archive that the first `size` of `bytes` are; the new size. `None` where they are no small
/// archive, where the result has no room, and for one seed in four, so that the packing itself is mutated too.
pub fn mutate_part(bytes: &mut [u8], size: usize, max_size: usize, seed: u32) -> Option<usize> {
    if !bytes[..size].starts_with(b"PK\x03\x04") || seed % 4 == 0 {
        return None;
    }
    let mut parts = unpack(&bytes[..size])?;
    let at = seed as usize / 4 % parts.len();
    let part = &mut parts[at].1;
    let old = part.len();
    part.resize(old + MOST_GROWTH_BYTES, 0);
    let new = libfuzzer_sys::fuzzer_mutate(part, old, old + MOST_GROWTH_BYTES);
    part.truncate(new);
    let packed = pack(&parts)?;
    if packed.len() > max_size {
        return None;
    }
    bytes[..packed.len()].copy_from_slice(&packed);
    Some(packed.len())
}

fn unpack(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    if archive.is_empty() || archive.len() > MOST_ENTRIES {
        return None;
    }
    let mut parts = Vec::new();
    for index in 0..archive.len() {
        let name = archive.name_for_index(index)?.ok()?.into_owned();
        let mut part = Vec::new();
        archive.by_index(index).ok()?.take(MOST_PART_BYTES).read_to_end(&mut part).ok()?;
        parts.push((name, part));
    }
    Some(parts)
}

/// The parts are stored and not packed: quicker, and the bytes that libFuzzer looks at are those that the reader sees.
fn pack(parts: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in parts {
        writer.start_file(name.as_str(), stored).ok()?;
        writer.write_all(part).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}
