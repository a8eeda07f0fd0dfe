//! Opens compressed records piece by piece: a decoder keeps its window, and nothing of what it has handed on. Stands between
//! the bytes of a batch and `stream.rs`. It must never take memory that `prepare` has not named before, and never believe a
//! length that compressed bytes claim before it is bounded by what they could hold.

use std::io::{BufRead, Chain, Cursor, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::stream::raw::{Decoder as ZstdContext, Operation};

use super::compression::{Compression, XERIAL_HEADER_BYTES, XERIAL_MAGIC, failed, too_much};
use super::error::{RecordError, not_opened};
use crate::limits::DECOMPRESSED_BYTES_MAX;

/// Compressed bytes, from memory or from a file.
pub(crate) type Input = Box<dyn BufRead + Send>;

/// Memory is asked for in steps from this size on.
const FIRST_STEP_BYTES: usize = 16 * 1024;
/// Three bytes of a copy can stand for 64: no snappy block grows more than this.
const SNAPPY_GROWTH_MAX: usize = 22;
/// A varint of 32 bits.
const SNAPPY_LENGTH_BYTES_MAX: usize = 5;
/// Tables and window of inflate.
const GZIP_BYTES: usize = 96 * 1024;
/// What an LZ4 block may refer back to.
const LZ4_WINDOW_BYTES: usize = 64 * 1024;
/// Magic number and the two bytes behind it.
const LZ4_HEAD_BYTES: usize = 7;
const LZ4_LEGACY_MAGIC: u32 = 0x184C_2102;
const LZ4_LEGACY_BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// Tables of a zstd context, a compressed block and the one block by which its ring is longer than the window.
const ZSTD_BYTES: usize = (192 + 128 + 128) * 1024;
/// The largest block (RFC 8878, 3.1.1.2.4).
const ZSTD_BLOCK_BYTES: usize = 128 * 1024;
/// The longest frame header.
const ZSTD_HEAD_BYTES_MAX: usize = 18;
const ZSTD_MAGIC: u32 = 0xFD2F_B528;

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes.
    Bytes(usize),
    /// None yet: `prepare` and read again.
    Again,
    /// No more.
    End,
}

/// Compressed records that are being opened.
pub(super) struct Decoder(Codec);

enum Codec {
    Plain(Input),
    Gzip(Box<MultiGzDecoder<Input>>),
    Snappy(Box<Snappy>),
    Lz4(Box<Lz4>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    /// `len` compressed bytes of `input`.
    pub(super) fn new(compression: Compression, input: Input, len: usize) -> Result<Decoder, RecordError> {
        Ok(Decoder(match compression {
            Compression::None => Codec::Plain(input),
            Compression::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Snappy => Codec::Snappy(Box::new(Snappy::new(input, len))),
            Compression::Lz4 => Codec::Lz4(Box::new(Lz4::new(input, len)?)),
            Compression::Zstd => Codec::Zstd(Box::new(Zstd::new(input)?)),
        }))
    }

    /// The same from memory.
    pub(super) fn of(compression: Compression, bytes: &Bytes) -> Result<Decoder, RecordError> {
        Decoder::new(compression, Box::new(bytes.clone().reader()), bytes.len())
    }

    /// The memory that the decoder holds in all after the next read.
    pub(super) fn prepare(&mut self) -> Result<usize, RecordError> {
        match &mut self.0 {
            Codec::Plain(_) => Ok(0),
            Codec::Gzip(_) => Ok(GZIP_BYTES),
            Codec::Snappy(snappy) => snappy.prepare(),
            Codec::Lz4(lz4) => Ok(lz4.memory),
            Codec::Zstd(zstd) => zstd.prepare(),
        }
    }

    /// Some of what is opened. Behind `prepare`.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<Piece, RecordError> {
        let read = match &mut self.0 {
            Codec::Plain(input) => read_some(input, into),
            Codec::Gzip(decoder) => read_some(decoder, into),
            Codec::Lz4(lz4) => read_some(&mut lz4.decoder, into),
            Codec::Snappy(snappy) => return snappy.read(into),
            Codec::Zstd(zstd) => return zstd.read(into),
        };
        Ok(match read? {
            0 => Piece::End,
            count => Piece::Bytes(count),
        })
    }
}

impl Compression {
    /// Decompresses as a whole, for tools; without a codec the bytes themselves, not copied. A bomb gets an error, not memory.
    pub(super) fn open(self, bytes: &Bytes) -> Result<Bytes, RecordError> {
        self.open_within(bytes, DECOMPRESSED_BYTES_MAX)
    }

    pub(super) fn open_within(self, bytes: &Bytes, limit: usize) -> Result<Bytes, RecordError> {
        if self == Compression::None {
            return Ok(bytes.clone());
        }
        read_bounded(Decoder::of(self, bytes)?, limit).map(Bytes::from)
    }
}

/// Reads to the end, or fails one byte after `limit`. Memory grows with what has been read, by doubling, never past the limit.
pub(super) fn read_bounded(mut decoder: Decoder, limit: usize) -> Result<Vec<u8>, RecordError> {
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
        decoder.prepare()?;
        match decoder.read(&mut out[filled..])? {
            Piece::End => break,
            Piece::Bytes(count) => filled += count,
            Piece::Again => {}
        }
    }
    if filled > limit {
        return Err(too_much(limit));
    }
    out.truncate(filled);
    Ok(out)
}

fn read_some(from: &mut impl Read, into: &mut [u8]) -> Result<usize, RecordError> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read.map_err(not_opened),
        }
    }
}

/// Fills `into` as far as there are bytes.
fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> Result<usize, RecordError> {
    let mut filled = 0;
    while filled < into.len() {
        match read_some(from, &mut into[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// An LZ4 frame, and what its header says that opening it takes.
struct Lz4 {
    decoder: FrameDecoder<Chain<Cursor<Vec<u8>>, Input>>,
    memory: usize,
}

impl Lz4 {
    fn new(mut input: Input, len: usize) -> Result<Lz4, RecordError> {
        let mut head = vec![0; LZ4_HEAD_BYTES];
        let filled = read_up_to(&mut input, &mut head)?;
        head.truncate(filled);
        let memory = lz4_memory(&head, len);
        Ok(Lz4 { decoder: FrameDecoder::new(Read::chain(Cursor::new(head), input)), memory })
    }
}

/// A compressed block, and one opened block or, where blocks refer to each other, two and the window.
fn lz4_memory(head: &[u8], len: usize) -> usize {
    let Some((magic, [flags, sizes, ..])) = head.split_first_chunk::<4>() else { return 0 };
    if u32::from_le_bytes(*magic) == LZ4_LEGACY_MAGIC {
        return 2 * LZ4_LEGACY_BLOCK_BYTES;
    }
    // Block sizes 4 to 7 are 64 KiB, 256 KiB, 1 MiB and 4 MiB; others are refused by the decoder.
    let block = (64 * 1024) << (2 * usize::from((sizes >> 4) & 7).saturating_sub(4));
    let independent = flags & 0x20 != 0;
    block.min(len) + if independent { block } else { 2 * block + LZ4_WINDOW_BYTES }
}

/// Snappy, raw or in xerial's framing: a block is opened as a whole, since it may refer to all of itself.
struct Snappy {
    input: Input,
    /// Compressed bytes that are left.
    left: usize,
    started: bool,
    framed: bool,
    /// The next block: its compressed bytes, the first of which are here, and what it opens to.
    next: Option<(usize, Vec<u8>, usize)>,
    out: Vec<u8>,
    at: usize,
}

impl Snappy {
    fn new(input: Input, left: usize) -> Snappy {
        Snappy { input, left, started: false, framed: false, next: None, out: Vec::new(), at: 0 }
    }

    fn prepare(&mut self) -> Result<usize, RecordError> {
        if self.at < self.out.len() {
            return Ok(self.out.capacity());
        }
        if self.next.is_none() {
            self.next = self.begin_block()?;
        }
        let next = self.next.as_ref().map_or(0, |(length, _, opens_to)| length + opens_to);
        Ok(next.max(self.out.capacity()))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Piece, RecordError> {
        if self.at == self.out.len() {
            let Some((length, mut block, opens_to)) = self.next.take() else { return Ok(Piece::End) };
            let have = block.len();
            block.resize(length, 0);
            let filled = self.take(have, &mut block)?;
            self.out.clear();
            self.out.shrink_to(opens_to);
            self.out.resize(opens_to, 0);
            let written = snap::raw::Decoder::new().decompress(&block[..filled], &mut self.out).map_err(failed)?;
            self.out.truncate(written);
            self.at = 0;
            if written == 0 {
                return Ok(Piece::Again);
            }
        }
        let count = into.len().min(self.out.len() - self.at);
        into[..count].copy_from_slice(&self.out[self.at..][..count]);
        self.at += count;
        Ok(Piece::Bytes(count))
    }

    /// Fills the rest of `into`, of which `have` bytes are there.
    fn take(&mut self, have: usize, into: &mut [u8]) -> Result<usize, RecordError> {
        let want = into.len() - have;
        let filled = read_up_to(&mut self.input, &mut into[have..])?;
        if filled < want {
            return Err(failed("a snappy block is cut short"));
        }
        self.left = self.left.saturating_sub(filled);
        Ok(into.len())
    }

    fn begin_block(&mut self) -> Result<Option<(usize, Vec<u8>, usize)>, RecordError> {
        let mut first = Vec::new();
        // What is raw is one block.
        let more = self.framed || !self.started;
        let Some(length) = more.then(|| self.block_length(&mut first)).transpose()?.flatten() else { return Ok(None) };
        if first.len() < length.min(SNAPPY_LENGTH_BYTES_MAX) {
            let have = first.len();
            first.resize(length.min(SNAPPY_LENGTH_BYTES_MAX), 0);
            self.take(have, &mut first)?;
        }
        let claimed = snap::raw::decompress_len(&first).map_err(failed)?;
        if claimed > length.saturating_mul(SNAPPY_GROWTH_MAX) {
            return Err(failed(format!("a snappy block of {length} bytes claims to hold {claimed}")));
        }
        if claimed > DECOMPRESSED_BYTES_MAX {
            return Err(too_much(DECOMPRESSED_BYTES_MAX));
        }
        Ok(Some((length, first, claimed)))
    }

    /// The length of the next block. The first bytes of a raw one come in `first`.
    fn block_length(&mut self, first: &mut Vec<u8>) -> Result<Option<usize>, RecordError> {
        loop {
            if self.left == 0 && self.started {
                return Ok(None);
            }
            if !self.started {
                self.started = true;
                let whole = self.left;
                first.resize(whole.min(XERIAL_MAGIC.len()), 0);
                self.take(0, first)?;
                if first.as_slice() != XERIAL_MAGIC {
                    return Ok(Some(whole));
                }
                self.framed = true;
                first.clear();
                self.skip(XERIAL_HEADER_BYTES - XERIAL_MAGIC.len())?;
                continue;
            }
            if self.left < 4 {
                return Err(failed("a snappy block's length is cut short"));
            }
            let mut length = [0; 4];
            self.take(0, &mut length)?;
            // Frames may follow one another, as snappy-java's reader allows. No block is as long as the magic number says.
            if length == XERIAL_MAGIC[..4] {
                self.skip(XERIAL_HEADER_BYTES - 4)?;
                continue;
            }
            let length = u32::from_be_bytes(length) as usize;
            if length > self.left {
                return Err(failed("a snappy block is cut short"));
            }
            return Ok(Some(length));
        }
    }

    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        let mut rest = [0; XERIAL_HEADER_BYTES];
        if count > self.left {
            return Err(failed("the snappy header is cut short"));
        }
        self.take(0, &mut rest[..count]).map(drop)
    }
}

/// Zstd, frame by frame, since each says for itself how large its window is.
struct Zstd {
    input: Input,
    /// Bytes that were looked at for a frame's header and are not decoded yet.
    head: Vec<u8>,
    context: ZstdContext<'static>,
    in_frame: bool,
    window: usize,
    /// Of this frame. The window is a ring that is touched only as far as the frame has come.
    opened: usize,
}

impl Zstd {
    fn new(input: Input) -> Result<Zstd, RecordError> {
        let context = ZstdContext::new().map_err(failed)?;
        Ok(Zstd { input, head: Vec::new(), context, in_frame: false, window: 0, opened: 0 })
    }

    fn prepare(&mut self) -> Result<usize, RecordError> {
        if !self.in_frame {
            let have = self.head.len();
            self.head.resize(ZSTD_HEAD_BYTES_MAX, 0);
            let filled = read_up_to(&mut self.input, &mut self.head[have..])?;
            self.head.truncate(have + filled);
            if !self.head.is_empty() {
                self.context.reinit().map_err(failed)?;
                (self.in_frame, self.opened, self.window) = (true, 0, zstd_window(&self.head));
            }
        }
        // A step decodes one block at most.
        Ok(ZSTD_BYTES + self.window.min(self.opened + ZSTD_BLOCK_BYTES))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Piece, RecordError> {
        if !self.in_frame {
            return Ok(Piece::End);
        }
        let from_head = !self.head.is_empty();
        let source = if from_head { &self.head[..] } else { self.input.fill_buf().map_err(not_opened)? };
        let nothing = source.is_empty();
        let step = self.context.run_on_buffers(source, into).map_err(failed)?;
        if from_head {
            self.head.drain(..step.bytes_read);
        } else {
            self.input.consume(step.bytes_read);
        }
        self.opened = self.opened.saturating_add(step.bytes_written);
        self.in_frame = step.remaining != 0;
        match step.bytes_written {
            0 if self.in_frame && nothing => Err(failed("the zstd frame is cut short")),
            0 => Ok(Piece::Again),
            count => Ok(Piece::Bytes(count)),
        }
    }
}

/// The window of the frame that begins with these bytes (RFC 8878, 3.1.1.1), or its content where that is less. 0 for what
/// is no such header: the decoder refuses it, or skips it.
fn zstd_window(head: &[u8]) -> usize {
    let window = || {
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let (descriptor, mut rest) = rest.split_first()?;
        if u32::from_le_bytes(*magic) != ZSTD_MAGIC {
            return None;
        }
        let single_segment = descriptor & 0x20 != 0;
        let mut window = u64::MAX;
        if !single_segment {
            let (byte, behind) = rest.split_first()?;
            let base = 1u64 << (10 + (byte >> 3));
            window = base + base / 8 * u64::from(byte & 7);
            rest = behind;
        }
        rest = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
        let bytes = match descriptor >> 6 {
            0 => usize::from(single_segment),
            flag => 1 << flag,
        };
        let mut content = [0; 8];
        content[..bytes].copy_from_slice(rest.get(..bytes)?);
        let content = u64::from_le_bytes(content) + if bytes == 2 { 256 } else { 0 };
        Some(if bytes == 0 { window } else { window.min(content) })
    };
    window().map_or(0, |window| usize::try_from(window).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens everything; returns it with the most memory that the decoder named.
    fn open(compression: Compression, bytes: &[u8]) -> Result<(Vec<u8>, usize), RecordError> {
        let mut decoder = Decoder::of(compression, &Bytes::copy_from_slice(bytes))?;
        let (mut all, mut memory) = (Vec::new(), 0);
        let mut piece = vec![0; 10_000];
        loop {
            memory = memory.max(decoder.prepare()?);
            match decoder.read(&mut piece)? {
                Piece::Bytes(count) => all.extend_from_slice(&piece[..count]),
                Piece::Again => {}
                Piece::End => return Ok((all, memory)),
            }
        }
    }

    #[test]
    fn a_bomb_is_opened_in_the_memory_of_its_window() {
        let zeros = vec![0; 32 << 20];
        for (compression, most) in [
            (Compression::Gzip, GZIP_BYTES),
            (Compression::Snappy, 64 << 10),
            (Compression::Lz4, 8 << 20),
            (Compression::Zstd, 3 << 20),
        ] {
            let closed = compression.close(&zeros).unwrap();
            let (opened, memory) = open(compression, &closed).unwrap();
            assert!(opened == zeros, "{compression:?}");
            assert!(memory <= most, "{compression:?}: {memory}");
        }
    }

    #[test]
    fn a_large_window_counts_only_as_far_as_the_frame_has_come() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, &vec![7; 1 << 20]).unwrap();
        let closed = encoder.finish().unwrap();
        assert_eq!(zstd_window(&closed), 1 << 27);
        let (opened, memory) = open(Compression::Zstd, &closed).unwrap();
        assert_eq!(opened.len(), 1 << 20);
        assert!((1 << 20..2 << 20).contains(&memory), "{memory}");
    }

    #[test]
    fn the_window_is_never_more_than_the_content_that_the_frame_names() {
        let closed = zstd::bulk::compress(&[1; 5_000], 3).unwrap();
        assert_eq!(zstd_window(&closed), 5_000);
        assert_eq!(zstd_window(&closed[..4]), 0);
        assert_eq!(zstd_window(b"no frame at all"), 0);
    }

    #[test]
    fn frames_may_follow_one_another() {
        let mut frames = zstd::bulk::compress(b"one ", 3).unwrap();
        // A skippable frame of three bytes (RFC 8878, 3.1.2).
        frames.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        frames.extend(zstd::bulk::compress(b"two", 3).unwrap());
        assert_eq!(open(Compression::Zstd, &frames).unwrap().0, b"one two");
        frames.pop();
        assert!(open(Compression::Zstd, &frames).is_err(), "cut short");
        assert_eq!(open(Compression::Zstd, b"").unwrap().0, b"");
    }

    #[test]
    fn a_snappy_block_is_charged_before_it_is_opened() {
        let raw = snap::raw::Encoder::new().compress_vec(&[5; 3 << 20]).unwrap();
        let mut decoder = Decoder::of(Compression::Snappy, &raw.clone().into()).unwrap();
        assert_eq!(decoder.prepare().unwrap(), raw.len() + (3 << 20));
        assert_eq!(open(Compression::Snappy, &raw).unwrap().0.len(), 3 << 20);
    }
}
