//! Kafka's four codecs. Opening is bounded by `limits::DECOMPRESSED_BYTES_MAX`: a bomb gets an error, not memory, and no
//! length that compressed bytes claim is allocated before it is bounded by what they could hold.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes};

use super::error::RecordError;
use crate::limits::DECOMPRESSED_BYTES_MAX;

/// What begins the framing of xerial's snappy-java, which Kafka's Java clients write.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version, lowest compatible version.
const XERIAL_HEADER_BYTES: usize = 16;
/// What snappy-java puts in one block.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// Three bytes of a copy can stand for 64: no snappy block grows more than this.
const SNAPPY_GROWTH_MAX: usize = 22;
/// Memory is asked for in steps from this size on.
const FIRST_STEP_BYTES: usize = 16 * 1024;

/// How the records of a batch are compressed (its attribute bits 0 to 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Raw, or in xerial's framing.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

/// How hard the codecs that have a choice work (`compression.gzip.level`, `compression.zstd.level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// 1 to 9; -1 is zlib's own choice.
    pub gzip: i32,
    /// Up to 22; below 0 faster than 1.
    pub zstd: i32,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels { gzip: -1, zstd: zstd::DEFAULT_COMPRESSION_LEVEL }
    }
}

impl Compression {
    /// From attribute bits 0 to 2 (Kafka's `CompressionType.id`).
    pub(super) fn from_bits(bits: u16) -> Result<Compression, RecordError> {
        match bits {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            _ => Err(failed(format!("there is no codec {bits}"))),
        }
    }

    /// From the attributes of a batch or message of any format.
    ///
    /// # Errors
    /// `Compression` when there is no such codec.
    pub(crate) fn from_attributes(attributes: u16) -> Result<Compression, RecordError> {
        Compression::from_bits(attributes & 0x07)
    }

    /// Attribute bits 0 to 2.
    pub(super) fn bits(self) -> u16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// Decompresses; without a codec the bytes themselves, not copied.
    pub(super) fn open(self, bytes: &Bytes) -> Result<Bytes, RecordError> {
        self.open_within(bytes, DECOMPRESSED_BYTES_MAX)
    }

    fn open_within(self, bytes: &Bytes, limit: usize) -> Result<Bytes, RecordError> {
        let opened = match self {
            Compression::None => return Ok(bytes.clone()),
            Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(&bytes[..]), limit),
            Compression::Snappy => open_snappy(bytes, limit),
            Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(&bytes[..]), limit),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&bytes[..]).map_err(failed)?;
                read_bounded(decoder, limit)
            }
        };
        opened.map(Bytes::from)
    }

    /// Compresses, in the form that every Kafka client reads, with each codec's default level.
    pub(super) fn close(self, bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
        self.close_at(bytes, Levels::default())
    }

    /// The same with these levels; lz4 and snappy have one each.
    pub(super) fn close_at(self, bytes: &[u8], levels: Levels) -> Result<Vec<u8>, RecordError> {
        match self {
            Compression::None => Ok(bytes.to_vec()),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), gzip_level(levels.gzip));
                encoder.write_all(bytes).map_err(failed)?;
                encoder.finish().map_err(failed)
            }
            Compression::Snappy => close_snappy(bytes),
            Compression::Lz4 => {
                // Independent blocks, which Kafka's Java reader insists on, are this encoder's default.
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).map_err(failed)?;
                encoder.finish().map_err(failed)
            }
            Compression::Zstd => zstd::stream::encode_all(bytes, levels.zstd).map_err(failed),
        }
    }
}

fn gzip_level(level: i32) -> flate2::Compression {
    u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new)
}

/// Reads to the end, or fails one byte after `limit`. Memory grows with what has been read, by doubling, never past the limit.
fn read_bounded(mut reader: impl Read, limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out: Vec<u8> = Vec::new();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            if filled > limit {
                return Err(too_much(limit));
            }
            let grown = (filled * 2).clamp(FIRST_STEP_BYTES, limit.saturating_add(1).max(FIRST_STEP_BYTES));
            out.reserve_exact(grown - filled);
            out.resize(grown, 0);
        }
        match reader.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if filled > limit {
        return Err(too_much(limit));
    }
    out.truncate(filled);
    Ok(out)
}

fn open_snappy(bytes: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    if !bytes.starts_with(XERIAL_MAGIC) {
        open_snappy_block(bytes, &mut out, limit)?;
        return Ok(out);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        // Frames may follow one another, as snappy-java's reader allows.
        if rest.starts_with(XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or_else(|| failed("the snappy header is cut short"))?;
            continue;
        }
        if rest.len() < 4 {
            return Err(failed("a snappy block's length is cut short"));
        }
        let length = rest.get_u32() as usize;
        let block = rest.get(..length).ok_or_else(|| failed("a snappy block is cut short"))?;
        open_snappy_block(block, &mut out, limit)?;
        rest = &rest[length..];
    }
    Ok(out)
}

/// Appends one raw block.
fn open_snappy_block(block: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), RecordError> {
    let claimed = snap::raw::decompress_len(block).map_err(failed)?;
    if claimed > block.len().saturating_mul(SNAPPY_GROWTH_MAX) {
        return Err(failed(format!("a snappy block of {} bytes claims to hold {claimed}", block.len())));
    }
    let start = out.len();
    if claimed > limit.saturating_sub(start) {
        return Err(too_much(limit));
    }
    out.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(failed)?;
    out.truncate(start + written);
    Ok(())
}

fn close_snappy(bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    out.extend_from_slice(XERIAL_MAGIC);
    out.put_u32(1);
    out.put_u32(1);
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(failed)?;
        // A block of 32 KiB stays far below 4 GiB.
        out.put_u32(packed.len() as u32);
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

fn failed(reason: impl ToString) -> RecordError {
    RecordError::Compression { reason: reason.to_string() }
}

fn too_much(limit: usize) -> RecordError {
    failed(format!("they grow beyond {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let texts = [Vec::new(), b"x".to_vec(), (0..200_000u32).flat_map(|n| (n % 977).to_be_bytes()).collect()];
        for codec in CODECS {
            for text in &texts {
                let closed = Bytes::from(codec.close(text).unwrap());
                assert_eq!(codec.open(&closed).unwrap(), text, "{codec:?} {}", text.len());
            }
        }
    }

    #[test]
    fn a_bomb_gets_an_error_and_no_memory() {
        let zeros = vec![0u8; 4 << 20];
        for codec in CODECS {
            let bomb = Bytes::from(codec.close(&zeros).unwrap());
            assert!(bomb.len() < zeros.len() / 15, "{codec:?}: {}", bomb.len());
            assert!(codec.open_within(&bomb, zeros.len()).is_ok(), "{codec:?}: the limit itself is allowed");
            for limit in [1, 10_000, 100_000, zeros.len() - 1] {
                let refused = codec.open_within(&bomb, limit);
                assert_eq!(refused, Err(too_much(limit)), "{codec:?}");
            }
        }
    }

    #[test]
    fn memory_for_reading_never_passes_the_limit() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                assert!(into.len() <= 1 << 20);
                Ok(into.len())
            }
        }
        assert_eq!(read_bounded(Endless, 1 << 20), Err(too_much(1 << 20)));
    }

    #[test]
    fn snappy_is_read_raw_and_framed() {
        let raw = snap::raw::Encoder::new().compress_vec(b"raw as librdkafka writes it").unwrap();
        assert_eq!(Compression::Snappy.open(&raw.into()).unwrap(), "raw as librdkafka writes it");
        let mut twice = close_snappy(b"one ").unwrap();
        twice.extend(close_snappy(b"two").unwrap());
        assert_eq!(Compression::Snappy.open(&twice.into()).unwrap(), "one two");
    }

    #[test]
    fn a_snappy_block_that_claims_more_than_it_can_hold_is_refused_before_memory_is_taken() {
        // A varint of 2^31 and nothing behind it.
        let raw = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x08, 0x00]);
        assert!(matches!(Compression::Snappy.open(&raw), Err(RecordError::Compression { .. })));
        let mut framed = close_snappy(b"").unwrap();
        framed.put_u32(u32::MAX);
        assert!(matches!(Compression::Snappy.open(&framed.into()), Err(RecordError::Compression { .. })));
    }

    #[test]
    fn cut_and_damaged_bytes_never_panic() {
        let text: Vec<u8> = (0..5_000u32).flat_map(u32::to_le_bytes).collect();
        for codec in CODECS {
            let whole = codec.close(&text).unwrap();
            for cut in (0..whole.len()).step_by(97) {
                drop(codec.open(&Bytes::copy_from_slice(&whole[..cut])));
                let mut damaged = whole.clone();
                damaged[cut] ^= 0x5a;
                drop(codec.open_within(&damaged.into(), 1 << 20));
            }
        }
    }
}
