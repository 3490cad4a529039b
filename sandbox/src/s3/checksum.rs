//! The checksums that clients put on S3 uploads.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A kind of checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CRC-32 as zlib has it.
    Crc32,
    /// CRC-32 with Castagnoli's polynomial.
    Crc32c,
    /// CRC-64 as NVMe has it.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Its name as errors have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }
}

/// A checksum in the making.
pub struct Running {
    /// Its kind.
    pub kind: Kind,
    sum: Sum,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({:?})", self.kind)
    }
}

enum Sum {
    Zlib(crc32fast::Hasher),
    Table(&'static Tables, u64),
    Digest(digest::Context),
}

impl Running {
    /// A checksum of nothing yet.
    pub fn new(kind: Kind) -> Self {
        let sum = match kind {
            Kind::Crc32 => Sum::Zlib(crc32fast::Hasher::new()),
            Kind::Crc32c => Sum::Table(&CASTAGNOLI, 0xffff_ffff),
            Kind::Crc64Nvme => Sum::Table(&NVME, u64::MAX),
            Kind::Sha1 => Sum::Digest(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
            Kind::Sha256 => Sum::Digest(digest::Context::new(&digest::SHA256)),
        };
        Self { kind, sum }
    }

    /// Adds data.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.sum {
            Sum::Zlib(hasher) => hasher.update(data),
            Sum::Table(tables, state) => *state = tables.run(*state, data),
            Sum::Digest(context) => context.update(data),
        }
    }

    /// The checksum in base64, as headers carry it.
    pub fn finish(self) -> String {
        match self.sum {
            Sum::Zlib(hasher) => STANDARD.encode(hasher.finalize().to_be_bytes()),
            Sum::Table(_, state) if self.kind == Kind::Crc32c => {
                let value = u32::try_from(state & 0xffff_ffff).unwrap_or_default() ^ u32::MAX;
                STANDARD.encode(value.to_be_bytes())
            }
            Sum::Table(_, state) => STANDARD.encode((state ^ u64::MAX).to_be_bytes()),
            Sum::Digest(context) => STANDARD.encode(context.finish()),
        }
    }
}

static CASTAGNOLI: Tables = Tables::new(0x82f6_3b78);
static NVME: Tables = Tables::new(0x9a6c_9329_ac4b_c9b5);

/// Eight tables, for eight bytes at a time, of a reflected CRC of up to 64 bits.
struct Tables([[u64; 256]; 8]);

impl Tables {
    #[expect(
        clippy::indexing_slicing,
        reason = "computed by the compiler, which checks the bounds"
    )]
    const fn new(polynomial: u64) -> Self {
        let mut tables = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut value = byte as u64;
            let mut bit = 0;
            while bit < 8 {
                value = (value >> 1) ^ (polynomial * (value & 1));
                bit += 1;
            }
            tables[0][byte] = value;
            byte += 1;
        }
        let mut table = 1;
        while table < 8 {
            let mut byte = 0;
            while byte < 256 {
                let before: u64 = tables[table - 1][byte];
                tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                byte += 1;
            }
            table += 1;
        }
        Self(tables)
    }

    fn at(&self, table: usize, value: u64) -> u64 {
        let row = self
            .0
            .get(table)
            .and_then(|row| row.get(usize::try_from(value & 0xff).unwrap_or_default()));
        row.copied().unwrap_or_default()
    }

    fn run(&self, mut state: u64, data: &[u8]) -> u64 {
        let (eights, rest) = data.as_chunks::<8>();
        for eight in eights {
            let word = state ^ u64::from_le_bytes(*eight);
            state = (0..8).fold(0, |sum, index| sum ^ self.at(7 - index, word >> (8 * index)));
        }
        for byte in rest {
            state = (state >> 8) ^ self.at(0, state ^ u64::from(*byte));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, data: &[u8]) -> String {
        let mut running = Running::new(kind);
        for piece in data.chunks(5) {
            running.update(piece);
        }
        let mut whole = Running::new(kind);
        whole.update(data);
        let text = running.finish();
        assert_eq!(text, whole.finish());
        hex::encode(STANDARD.decode(text).unwrap())
    }

    #[test]
    fn check_values_of_the_catalogue() {
        let text = b"123456789";
        assert_eq!(of(Kind::Crc32, text), "cbf43926");
        assert_eq!(of(Kind::Crc32c, text), "e3069283");
        assert_eq!(of(Kind::Crc64Nvme, text), "ae8b14860a799888");
        assert_eq!(of(Kind::Sha1, text), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    }

    #[test]
    fn long_texts_agree_however_they_are_cut() {
        let text: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        for kind in Kind::ALL {
            of(kind, &text);
        }
    }
}
