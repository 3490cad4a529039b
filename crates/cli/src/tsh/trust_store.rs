//! A trust store for Java: the roots of this machine and a local authority, as a JKS file.
//!
//! Java reads no `AWS_CA_BUNDLE`, and a trust store that is named to it takes the place of its own; so the roots of
//! this machine go in too, for the hosts that are not AWS's. JKS holds trusted certificates in the clear, and every
//! JVM reads it without a password, whatever its default store type is.
//!
//! Source of the format: the description at the head of `sun.security.provider.JavaKeyStore` in OpenJDK.

use std::path::{Path, PathBuf};

use api::files::{self, Mode};
use aws_lc_rs::digest;
use pki::CertPem;

use crate::failure::{Failure, OrFail as _};

/// Only seals the file against accidents: there is nothing secret in it.
const PASSWORD: &str = "changeit";

/// Writes the trust store beside a local authority's certificate and gives its path.
///
/// # Errors
/// When the certificate cannot be read or the store cannot be written.
pub fn write(local_ca: &Path) -> Result<PathBuf, Failure> {
    let text = files::read(local_ca)?;
    let own = CertPem::parse_bundle(&text)
        .or_fail(format!("{} holds no certificate", local_ca.display()))?;
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, cert) in own.iter().enumerate() {
        entries.push((format!("causeway-local-{number}"), cert.leaf().to_vec()));
    }
    for (number, der) in pki::web::system_roots().into_iter().enumerate() {
        entries.push((format!("system-{number}"), der.to_vec()));
    }
    let path = local_ca.with_extension("jks");
    files::write(&path, &jks(&entries), Mode::Private)?;
    Ok(path)
}

/// A JKS store of trusted certificates, by alias.
fn jks(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    const MAGIC: u32 = 0xFEED_FEED;
    const VERSION: u32 = 2;
    const TRUSTED: u32 = 2;
    let mut store = Vec::new();
    for word in [MAGIC, VERSION, length(entries.len())] {
        store.extend(word.to_be_bytes());
    }
    for (alias, der) in entries {
        store.extend(TRUSTED.to_be_bytes());
        text(&mut store, alias);
        // When it was put in, in milliseconds; nothing reads it.
        store.extend(0_u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(length(der.len()).to_be_bytes());
        store.extend(der);
    }
    let mut sealed: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    sealed.extend(b"Mighty Aphrodite");
    sealed.extend(&store);
    store.extend(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &sealed).as_ref());
    store
}

/// `DataOutput.writeUTF` of a text in ASCII.
fn text(store: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or_default();
    store.extend(length.to_be_bytes());
    store.extend(text.bytes().take(length.into()));
}

fn length(length: usize) -> u32 {
    // No certificate and no machine's list of roots comes near.
    u32::try_from(length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_its_head_its_entries_and_its_seal() {
        let store = jks(&[("one".to_owned(), vec![1, 2, 3])]);
        assert_eq!(&store[..12], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(&store[12..21], [0, 0, 0, 2, 0, 3, b'o', b'n', b'e']);
        assert_eq!(store.len(), 12 + 4 + 5 + 8 + 7 + 4 + 3 + 20);
    }
}
