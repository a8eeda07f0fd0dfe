//! The hash that Java's producer chooses partitions by, bit for bit (`Utils.murmur2`), so that a key lands in the same
//! partition whoever sends it.

use crate::ids::PartitionId;

/// Kafka's `Utils.murmur2`: a variant of MurmurHash2 with a fixed seed, signed as Java has it.
#[must_use]
pub(crate) fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // A Java array's length is an int: longer keys cannot reach Kafka at all.
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)).cast_signed()
}

/// The partition of a key among `count` (a topic has at least one): Java's `BuiltInPartitioner.partitionForKey`.
#[must_use]
pub fn partition_for_key(key: &[u8], count: i32) -> PartitionId {
    PartitionId((murmur2(key) & i32::MAX) % count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_own_test_vectors() {
        // Kafka's UtilsTest.testMurmur2.
        let table: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in table {
            assert_eq!(murmur2(key), hash, "{key:?}");
        }
    }

    #[test]
    fn a_partition_is_the_positive_hash_modulo_the_count() {
        // -790332482 with the sign bit cleared is 1357151166.
        assert_eq!(partition_for_key(b"foobar", 10), PartitionId(6));
        assert_eq!(partition_for_key(b"abc", 1), PartitionId(0));
    }
}
