//! The fence around archives: Office documents, OpenDocument and EPUB are ZIP files. Parts come out one at a time, by name,
//! into memory; bytes are counted as they come out, never as the archive claims. Nothing is written to a disk.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::formats::{ExtractLimits, Fit};

/// What every archive with parts in it begins with.
pub const SIGNATURE: &[u8] = b"PK\x03\x04";

/// What a part may unfold into whatever its packed size: an empty table is a kilobyte and packs to a few bytes.
const FREE_BYTES: u64 = 1 << 20;

/// An archive that is read within limits.
pub struct Package<'b> {
    archive: ZipArchive<Cursor<&'b [u8]>>,
    limits: ExtractLimits,
    unpacked_bytes: u64,
}

impl<'b> Package<'b> {
    /// Opens an archive. Refuses one with too many entries before their names are read.
    pub fn open(bytes: &'b [u8], limits: &ExtractLimits) -> Result<Self> {
        if claimed_entries(bytes) > limits.max_entries as u64 {
            return Err(too_many_entries(limits.max_entries));
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged("its archive").caused_by(error))?;
        if archive.len() > limits.max_entries {
            return Err(too_many_entries(limits.max_entries));
        }
        Ok(Self { archive, limits: limits.clone(), unpacked_bytes: 0 })
    }

    /// The names of all parts, in the order of the archive; names that are no text are left out.
    pub fn names(&self) -> Vec<String> {
        self.archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
    }

    /// The bytes of a part, or `None` where there is no such part. Case does not matter: some writers mix it.
    pub fn part(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(index) = self.find(name) else { return Ok(None) };
        self.unpack(index).map(Some)
    }

    /// The bytes of a part that has to be there.
    pub fn needed(&mut self, name: &str) -> Result<Vec<u8>> {
        self.part(name)?.ok_or_else(|| damaged("a part that it needs"))
    }

    /// Unpacks all parts that `is_read` names once and drops them, so that a reader which counts for itself may follow.
    pub fn check(&mut self, is_read: fn(&str) -> bool) -> Result<()> {
        for index in 0..self.archive.len() {
            let name = self.archive.name_for_index(index).and_then(|name| Some(name.ok()?.to_ascii_lowercase()));
            if name.is_some_and(|name| is_read(&name)) {
                self.unpack(index)?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.archive.index_for_name(name).or_else(|| {
            let same = |index: &usize| {
                let found = self.archive.name_for_index(*index).and_then(std::result::Result::ok);
                found.is_some_and(|found| found.eq_ignore_ascii_case(name))
            };
            (0..self.archive.len()).find(same)
        })
    }

    fn unpack(&mut self, index: usize) -> Result<Vec<u8>> {
        let left = self.limits.max_unpacked_bytes.saturating_sub(self.unpacked_bytes);
        let part = self.archive.by_index(index).map_err(unreadable)?;
        let by_ratio = FREE_BYTES.saturating_add(part.compressed_size().saturating_mul(self.limits.max_ratio));
        let most = left.min(by_ratio).min(self.limits.max_part_bytes);
        let mut bytes = Vec::new();
        part.take(most + 1).read_to_end(&mut bytes).map_err(|error| damaged("its archive").caused_by(error))?;
        let size = bytes.len() as u64;
        self.unpacked_bytes += size;
        if size <= most {
            return Ok(bytes);
        }
        let limits = &self.limits;
        Err(if most == limits.max_part_bytes {
            over(format!("a part of it unfolds into more than {} bytes", limits.max_part_bytes))
        } else if most == left {
            over(format!("it unfolds into more than {} bytes", limits.max_unpacked_bytes))
        } else {
            over(format!("a part of it unfolds into more than {} times its size", limits.max_ratio))
        })
    }
}

/// How well bytes fit a kind of package: certain where it opens and `is_it` says so of the names of its parts, possible
/// where it is an archive that does not open, so that a cut-off document is called damaged and not unknown.
pub fn fit(bytes: &[u8], is_it: fn(&[String], &[u8]) -> bool) -> Fit {
    if !bytes.starts_with(SIGNATURE) {
        return Fit::No;
    }
    // Wide limits: this only looks at names, and a document over its limits has to be recognised to be told so.
    const MOST_NAMES: usize = 20_000;
    let limits = ExtractLimits { max_entries: MOST_NAMES, ..ExtractLimits::new(0, 0) };
    match Package::open(bytes, &limits) {
        Ok(package) if is_it(&package.names(), bytes) => Fit::Certain,
        Ok(_) => Fit::No,
        Err(_) => Fit::Possible,
    }
}

/// Whether an archive says of itself, in its first entry, that it is of this type, as OpenDocument and EPUB do.
pub fn declares(bytes: &[u8], media_type: &str) -> bool {
    const NAME: &[u8] = b"mimetype";
    const HEADER_BYTES: usize = 30;
    let Some(rest) = bytes.get(HEADER_BYTES..) else { return false };
    let Some(content) = rest.strip_prefix(NAME) else { return false };
    // The name may be followed by extra fields of a few bytes.
    let near = &content[..content.len().min(64 + media_type.len())];
    near.windows(media_type.len()).any(|found| found == media_type.as_bytes())
}

/// The number of entries that the end of an archive claims; where several ends may be meant, the largest.
fn claimed_entries(bytes: &[u8]) -> u64 {
    const LONGEST_END: usize = 66_000;
    let end = &bytes[bytes.len().saturating_sub(LONGEST_END)..];
    let number = |at: usize, size: usize| {
        let digits = end.get(at..at + size).unwrap_or_default();
        digits.iter().rev().fold(0_u64, |number, digit| number << 8 | u64::from(*digit))
    };
    let claims = end.windows(4).enumerate().map(|(at, signature)| match signature {
        b"PK\x05\x06" if number(at + 10, 2) < 0xffff => number(at + 10, 2),
        b"PK\x06\x06" => number(at + 32, 8),
        _ => 0,
    });
    claims.max().unwrap_or(0)
}

fn too_many_entries(most: usize) -> Error {
    over(format!("it has more than {most} parts"))
}

fn unreadable(error: ZipError) -> Error {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => locked(),
        other => damaged("its archive").caused_by(other),
    }
}

/// The refusal of a document that breaks a limit.
pub fn over(what: String) -> Error {
    Error::new(ErrorKind::DocumentOverLimit, format!("the document breaks a limit: {what}"))
}

/// The refusal of a document of which a piece cannot be read.
pub fn damaged(what: &str) -> Error {
    let message = format!("the document is damaged: {what} cannot be read");
    Error::new(ErrorKind::DocumentDamaged, message)
}

/// The refusal of a document that is locked with a password.
pub fn locked() -> Error {
    let message = "the document is encrypted with a password; it can be read once it is saved without one";
    Error::new(ErrorKind::DocumentEncrypted, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in parts {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn limits() -> ExtractLimits {
        ExtractLimits {
            max_unpacked_bytes: 8 << 20,
            max_part_bytes: 4 << 20,
            max_entries: 4,
            ..ExtractLimits::new(1, 1)
        }
    }

    fn refusal(parts: &[(&str, Vec<u8>)], names: &[&str]) -> String {
        let (bytes, limits) = (archive(parts), limits());
        let outcome = Package::open(&bytes, &limits)
            .and_then(|mut package| names.iter().try_for_each(|name| package.part(name).map(|_| ())));
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentOverLimit, "{error}");
        error.message().to_owned()
    }

    /// Bytes that do not pack.
    fn noise(size: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..size).map(next).collect()
    }

    #[test]
    fn hands_out_parts_whatever_their_case() {
        let bytes = archive(&[("Word/Document.xml", b"<a/>".to_vec())]);
        let mut package = Package::open(&bytes, &limits()).unwrap();
        assert_eq!(package.part("word/document.xml").unwrap().as_deref(), Some(b"<a/>".as_slice()));
        assert!(package.part("word/styles.xml").unwrap().is_none());
    }

    #[test]
    fn names_the_limit_that_is_broken() {
        assert!(refusal(&[("a", vec![0; 3 << 20])], &["a"]).contains("200 times"));
        assert!(refusal(&[("a", noise(5 << 20))], &["a"]).contains("4194304 bytes"));
        let three = [("a", noise(3 << 20)), ("b", noise(3 << 20)), ("c", noise(3 << 20))];
        assert!(refusal(&three, &["a", "b", "c"]).contains("8388608 bytes"));
        assert!(refusal(&["a", "b", "c", "d", "e"].map(|name| (name, Vec::new())), &[]).contains("4 parts"));
    }

    #[test]
    fn calls_a_cut_archive_damaged() {
        let bytes = archive(&[("a", noise(1000))]);
        let error = Package::open(&bytes[..600], &limits()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DocumentDamaged);
        assert_eq!(fit(&bytes[..600], |_, _| true), Fit::Possible);
    }
}
