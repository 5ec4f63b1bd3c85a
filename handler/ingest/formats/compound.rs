//! Compound files: the container of Office before 2007, and the wrapper that Office puts around an encrypted document.
//! Bytes come in; what the file holds goes out, judged by the names of its streams.

/// What every compound file begins with.
pub const SIGNATURE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Whether the file is an Office document that was encrypted with a password.
pub fn is_encrypted_office(bytes: &[u8]) -> bool {
    has_stream(bytes, "EncryptedPackage")
}

/// Whether the file is a workbook of Excel 97 to 2003, or of the versions before.
pub fn is_workbook(bytes: &[u8]) -> bool {
    has_stream(bytes, "Workbook") || has_stream(bytes, "Book")
}

/// Whether a compound file has a stream of this name. Its directory is made of entries of 128 bytes that begin with a name
/// in UTF-16 and its length; they are searched for wherever they may stand, so that no chain has to be followed.
fn has_stream(bytes: &[u8], name: &str) -> bool {
    const ENTRY_BYTES: usize = 128;
    const LENGTH_AT: usize = 64;
    if !bytes.starts_with(SIGNATURE) {
        return false;
    }
    let mut wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    wanted.extend([0, 0]);
    let length = [wanted.len() as u8, 0];
    bytes.chunks_exact(ENTRY_BYTES).any(|entry| entry.starts_with(&wanted) && entry[LENGTH_AT..].starts_with(&length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_streams_by_their_names() {
        let mut file = SIGNATURE.to_vec();
        file.resize(1024, 0);
        let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
        file[512..512 + name.len()].copy_from_slice(&name);
        file[512 + 64] = 34;
        assert!(is_encrypted_office(&file));
        assert!(!is_workbook(&file));
        assert!(!is_encrypted_office(&file[8..]));
    }
}
