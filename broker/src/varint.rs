//! Varints as Kafka's `ByteUtils` writes them: zigzag in record batches, unsigned in flexible messages. Everything that
//! holds varints reads and writes them here. Rank 0. Reading never goes past the bytes given.

use bytes::BufMut;

/// Reads a 32-bit varint at `at` and moves `at` behind it. `None` when the bytes end first or it is longer than five bytes.
pub(crate) fn read_i32(bytes: &[u8], at: &mut usize) -> Option<i32> {
    let raw = read_raw(bytes, at, 5)?;
    // Kafka drops what a fifth byte has above bit 31.
    let raw = (raw & u64::from(u32::MAX)) as u32;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a 64-bit varint at `at` and moves `at` behind it. `None` when the bytes end first or it is longer than ten bytes.
pub(crate) fn read_i64(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let raw = read_raw(bytes, at, 10)?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Takes an unsigned varint of at most `length_max` bytes from the front. `None` when the bytes end first, it is longer or
/// more than 64 bits.
pub(crate) fn take_unsigned(from: &mut &[u8], length_max: usize) -> Option<u64> {
    let mut at = 0;
    let value = read_raw(from, &mut at, length_max)?;
    // The tenth byte has room for one bit.
    if at == 10 && from[9] > 1 {
        return None;
    }
    *from = &from[at..];
    Some(value)
}

fn read_raw(bytes: &[u8], at: &mut usize, length_max: usize) -> Option<u64> {
    let mut raw = 0u64;
    for index in 0..length_max {
        let byte = *bytes.get(*at)?;
        *at += 1;
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(raw);
        }
    }
    None
}

/// Appends a varint; 32-bit and 64-bit values have the same form.
pub(crate) fn write(out: &mut impl BufMut, value: i64) {
    write_unsigned(out, zigzag(value));
}

/// Appends an unsigned varint.
pub(crate) fn write_unsigned(out: &mut impl BufMut, mut raw: u64) {
    while raw >= 0x80 {
        out.put_u8((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// Bytes that `write` appends: 1 to 10.
pub(crate) fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_have_kafkas_bytes() {
        // From Kafka's ByteUtilsTest.
        let table: [(i64, &[u8]); 8] = [
            (0, &[0x00]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in table {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(size(value), bytes.len(), "{value}");
            let (mut at32, mut at64) = (0, 0);
            assert_eq!(read_i32(bytes, &mut at32).map(i64::from), Some(value));
            assert_eq!(read_i64(bytes, &mut at64), Some(value));
            assert_eq!((at32, at64), (bytes.len(), bytes.len()));
        }
        for value in [i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!((out.len(), size(value)), (10, 10));
            assert_eq!(read_i64(&out, &mut 0), Some(value));
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert_eq!(read_i32(&[0x80], &mut 0), None);
        assert_eq!(read_i32(&[0xff; 6], &mut 0), None);
        assert_eq!(read_i64(&[0xff; 11], &mut 0), None);
        assert_eq!(read_i32(&[], &mut 0), None);
    }

    #[test]
    fn unsigned_varints_are_taken_from_the_front_and_never_more_than_64_bits() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            write_unsigned(&mut out, value);
            out.push(9);
            let mut rest = &out[..];
            assert_eq!((take_unsigned(&mut rest, 10), rest), (Some(value), &[9][..]));
        }
        assert_eq!(take_unsigned(&mut &[0x80; 10][..], 10), None);
        assert_eq!(take_unsigned(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..], 10), None);
        assert_eq!(take_unsigned(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..], 5), None);
    }
}
