//! Checks files against their ETags: the hub uses the SHA-256 of large files and, as git does, the
//! SHA-1 of `blob <length>\0` and the bytes of small ones. SHA-1 detects damage here, not forgery.

use super::HubError;
use maana_files::hex;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// Returns whether an ETag has the form of a checksum.
pub(super) fn is_checksum(etag: &str) -> bool {
    matches!(etag.len(), 40 | 64) && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks a file against its ETag, if the ETag is a checksum.
pub(super) fn check(path: &Path, etag: &str) -> Result<(), HubError> {
    let found = match etag.len() {
        _ if !is_checksum(etag) => return Ok(()),
        64 => sha256(path)?,
        _ => {
            let bytes = maana_files::read(path).map_err(HubError::io(path))?;
            // Some mirrors use the SHA-1 of the bytes only.
            let plain = sha1(&[&bytes]);
            if etag.eq_ignore_ascii_case(&plain) { plain } else { git_blob(&bytes) }
        }
    };
    if etag.eq_ignore_ascii_case(&found) {
        return Ok(());
    }
    Err(HubError::Checksum { path: path.into(), found, expected: etag.into() })
}

/// Returns the name of a file's blob: its ETag, as in Python. An ETag that is not a checksum may be
/// shared by files, so the name then includes a hash of the file name.
pub(super) fn blob_name(etag: &str, file: &str) -> String {
    if is_checksum(etag) { etag.to_owned() } else { format!("{etag}-{}", sha1(&[file.as_bytes()])) }
}

/// Returns the name that git gives to a file with these bytes.
pub(super) fn git_blob(bytes: &[u8]) -> String {
    sha1(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes])
}

/// Returns the SHA-256 of a file in hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String, HubError> {
    let mut file = maana_files::open(path).map_err(HubError::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = file.read(&mut buffer).map_err(HubError::io(path))?;
        if length == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..length]);
    }
}

/// Returns the SHA-1 of the concatenated parts in hexadecimal (FIPS 180-4, section 6.1).
fn sha1(parts: &[&[u8]]) -> String {
    let mut bytes = parts.concat();
    let bits = 8 * bytes.len() as u64;
    bytes.push(0x80);
    bytes.resize((bytes.len() + 8).next_multiple_of(64), 0);
    let end = bytes.len();
    bytes[end - 8..].copy_from_slice(&bits.to_be_bytes());

    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in bytes.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for t in 16..80 {
            words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in words.into_iter().enumerate() {
            let (f, constant) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_matches_the_standard_and_other_programs() {
        assert_eq!(sha1(&[b"abc"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sha1(&[]), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(sha1(&[two_blocks]), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        // `head -c N /dev/zero | tr '\0' a | sha1sum`, around the length at which the padding needs
        // a block of its own.
        for (length, expected) in [
            (55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
            (63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"),
            (64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
            (119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"),
            (120, "f34c1488385346a55709ba056ddd08280dd4c6d6"),
        ] {
            assert_eq!(sha1(&[&vec![b'a'; length]]), expected, "{length}");
        }
    }

    #[test]
    fn files_are_checked_by_sha1_and_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object`, `sha1sum` and `sha256sum` of the same file.
        check(&path, "ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        check(&path, "f572d396fae9206628714fb2ce00f72e94f2258f").unwrap();
        check(&path, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").unwrap();
        check(&path, "some-mirror-1234").unwrap();
        for wrong in ["ce013625030ba8dba906f756967f9e9ca394464b", &"0".repeat(64)] {
            let error = check(&path, wrong).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("damaged"), "{error}");
        }
    }
}
