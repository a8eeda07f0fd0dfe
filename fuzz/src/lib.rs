//! What the fuzz targets share: input made passable, so that they reach what stands behind a checksum.

/// The bytes with the CRC-32C of their first batch made right, where there is a header.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 61 {
        return bytes;
    }
    let length = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
    let end = length.saturating_add(12).clamp(61, bytes.len());
    let crc = crc32c::crc32c(&bytes[21..end]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}
