//! Kafka's four codecs, and how records are compressed: streamed, and never to more than a bound. Opening is `decoder.rs`'s.

use std::io::Write;

use bytes::BufMut;

use super::error::RecordError;

/// What begins the framing of xerial's snappy-java, which Kafka's Java clients write.
pub(super) const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version, lowest compatible version.
pub(super) const XERIAL_HEADER_BYTES: usize = 16;
/// What snappy-java puts in one block.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// Above so many bytes a high zstd level takes hundreds of megabytes of tables, and hardly makes them smaller.
const HIGH_LEVEL_BYTES_MAX: usize = 1024 * 1024;
/// The highest level above that.
const ZSTD_LARGE_LEVEL_MAX: i32 = 9;
/// Tables of zstd at those levels.
const CLOSING_BYTES: usize = 32 * 1024 * 1024;

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
pub(crate) struct Levels {
    /// 1 to 9; -1 is zlib's own choice.
    pub(crate) gzip: i32,
    /// Up to 22; below 0 faster than 1.
    pub(crate) zstd: i32,
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

    /// Compresses with each codec's default level.
    #[cfg(test)]
    pub(super) fn close(self, bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
        let mut closer = Closer::new(self, Levels::default(), Some(bytes.len()), (Vec::new(), usize::MAX))?;
        closer.write(bytes)?;
        closer.finish()
    }
}

/// Memory that compressing `size` bytes takes: what comes out, which ends at `size_max`, and what the libraries allocate, rounded
/// up.
pub(crate) fn closing_bytes(compression: Compression, levels: Levels, (size, size_max): (usize, usize)) -> usize {
    let tables = match compression {
        Compression::None => 0,
        Compression::Gzip | Compression::Snappy => 512 * 1024,
        // Two blocks of the size that the first write chooses.
        Compression::Lz4 => (2 * size).clamp(256 * 1024, 8 * 1024 * 1024),
        // Tables, blocks, and a window that is no larger than what there is.
        Compression::Zstd if levels.zstd <= Levels::default().zstd => 1536 * 1024 + size.min(2 * 1024 * 1024),
        // Larger tables, which the library shortens for few bytes.
        Compression::Zstd => size.saturating_mul(32).saturating_add(1024 * 1024).min(CLOSING_BYTES),
    };
    tables.saturating_add(size.min(size_max))
}

/// Records that are being compressed. Ends with an error where more than a limit comes out.
pub(super) struct Closer {
    codec: Closing,
    size_max: usize,
}

enum Closing {
    Plain(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Snappy { out: Vec<u8>, block: Vec<u8>, encoder: Box<snap::raw::Encoder> },
    // Independent blocks, which Kafka's Java reader insists on, are this encoder's default.
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Closer {
    /// For exactly `size` bytes, where that is known; lz4 and snappy have one level each. What comes out stands behind what is
    /// in `out`, and is never more than `size_max` bytes with it.
    pub(super) fn new(
        compression: Compression,
        levels: Levels,
        size: Option<usize>,
        (mut out, size_max): (Vec<u8>, usize),
    ) -> Result<Closer, RecordError> {
        let codec = match compression {
            Compression::None => Closing::Plain(out),
            Compression::Gzip => Closing::Gzip(flate2::write::GzEncoder::new(out, gzip_level(levels.gzip))),
            Compression::Snappy => {
                out.extend_from_slice(XERIAL_MAGIC);
                out.put_u32(1);
                out.put_u32(1);
                Closing::Snappy { out, block: Vec::new(), encoder: Box::new(snap::raw::Encoder::new()) }
            }
            Compression::Lz4 => Closing::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(out))),
            Compression::Zstd => {
                let high = size.is_none_or(|size| size > HIGH_LEVEL_BYTES_MAX);
                let level = if high { levels.zstd.min(ZSTD_LARGE_LEVEL_MAX) } else { levels.zstd };
                let mut encoder = zstd::stream::write::Encoder::new(out, level).map_err(failed)?;
                // The tables are made for this size.
                encoder.set_pledged_src_size(size.map(|size| size as u64)).map_err(failed)?;
                Closing::Zstd(encoder)
            }
        };
        Ok(Closer { codec, size_max })
    }

    /// The next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let written = match &mut self.codec {
            Closing::Plain(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Closing::Gzip(encoder) => encoder.write_all(bytes),
            Closing::Lz4(encoder) => encoder.write_all(bytes),
            Closing::Zstd(encoder) => encoder.write_all(bytes),
            Closing::Snappy { out, block, encoder } => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rest.len().min(XERIAL_BLOCK_BYTES - block.len()));
                    block.extend_from_slice(now);
                    rest = later;
                    if block.len() == XERIAL_BLOCK_BYTES {
                        close_snappy_block(out, block, encoder)?;
                    }
                }
                Ok(())
            }
        };
        written.map_err(failed)?;
        self.within(self.so_far())
    }

    /// All that came out.
    pub(super) fn finish(self) -> Result<Vec<u8>, RecordError> {
        let size_max = self.size_max;
        let out = match self.codec {
            Closing::Plain(out) => out,
            Closing::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Closing::Lz4(encoder) => encoder.finish().map_err(failed)?,
            Closing::Zstd(encoder) => encoder.finish().map_err(failed)?,
            Closing::Snappy { mut out, mut block, mut encoder } => {
                if !block.is_empty() {
                    close_snappy_block(&mut out, &mut block, &mut encoder)?;
                }
                out
            }
        };
        if out.len() > size_max {
            return Err(RecordError::TooLarge { size: out.len(), limit: size_max });
        }
        Ok(out)
    }

    fn so_far(&self) -> usize {
        match &self.codec {
            Closing::Plain(out) | Closing::Snappy { out, .. } => out.len(),
            Closing::Gzip(encoder) => encoder.get_ref().len(),
            Closing::Lz4(encoder) => encoder.get_ref().len(),
            Closing::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    fn within(&self, size: usize) -> Result<(), RecordError> {
        if size > self.size_max {
            return Err(RecordError::TooLarge { size, limit: self.size_max });
        }
        Ok(())
    }
}

fn gzip_level(level: i32) -> flate2::Compression {
    u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new)
}

fn close_snappy_block(
    out: &mut Vec<u8>,
    block: &mut Vec<u8>,
    encoder: &mut snap::raw::Encoder,
) -> Result<(), RecordError> {
    let packed = encoder.compress_vec(block).map_err(failed)?;
    // A block of 32 KiB stays far below 4 GiB.
    out.put_u32(packed.len() as u32);
    out.extend_from_slice(&packed);
    block.clear();
    Ok(())
}

pub(super) fn failed(reason: impl ToString) -> RecordError {
    RecordError::Compression { reason: reason.to_string() }
}

pub(super) fn too_much(limit: usize) -> RecordError {
    failed(format!("they grow beyond {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::decoder::{Decoder, read_bounded};

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
        impl std::io::Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                assert!(into.len() <= 1 << 20);
                Ok(into.len())
            }
        }
        impl std::io::BufRead for Endless {
            fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
                Ok(&[0; 9])
            }
            fn consume(&mut self, _: usize) {}
        }
        let endless = Decoder::new(Compression::None, Box::new(Endless), 5).unwrap();
        assert_eq!(read_bounded(endless, 1 << 20), Err(too_much(1 << 20)));
    }

    #[test]
    fn what_is_compressed_ends_with_an_error_where_too_much_comes_out() {
        let noise: Vec<u8> = (0..500_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for codec in [CODECS.as_slice(), &[Compression::None]].concat() {
            let mut closer = Closer::new(codec, Levels::default(), Some(noise.len()), (Vec::new(), 100_000)).unwrap();
            let written = noise.chunks(50_000).try_for_each(|piece| closer.write(piece));
            let refused = written.and_then(|()| closer.finish().map(drop));
            assert!(matches!(refused, Err(RecordError::TooLarge { limit: 100_000, .. })), "{codec:?} {refused:?}");
        }
    }

    #[test]
    fn snappy_is_read_raw_and_framed() {
        let raw = snap::raw::Encoder::new().compress_vec(b"raw as librdkafka writes it").unwrap();
        assert_eq!(Compression::Snappy.open(&raw.into()).unwrap(), "raw as librdkafka writes it");
        let mut twice = Compression::Snappy.close(b"one ").unwrap();
        twice.extend(Compression::Snappy.close(b"two").unwrap());
        assert_eq!(Compression::Snappy.open(&twice.into()).unwrap(), "one two");
    }

    #[test]
    fn a_snappy_block_that_claims_more_than_it_can_hold_is_refused_before_memory_is_taken() {
        // A varint of 2^31 and nothing behind it.
        let raw = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x08, 0x00]);
        assert!(matches!(Compression::Snappy.open(&raw), Err(RecordError::Compression { .. })));
        let mut framed = Compression::Snappy.close(b"").unwrap();
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
