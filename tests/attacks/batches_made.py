"""Record batches (format v2) as an attacker makes them: small as they are sent, large when they are opened, and always with
a header that is right, so that only what is inside can be refused."""

import os
import struct
import zlib

import zstandard
from kafka.record.util import calc_crc32c

NO_PRODUCER = (-1, -1, -1)
CODECS = {"none": 0, "gzip": 1, "zstd": 4}
CHUNK = bytes(1 << 20)
# How a tiny record begins, by the bytes of its offset.
LENGTHS = {size: bytes([(5 + size) << 1, 0, 0]) for size in range(1, 6)}


def varint(number):
    """Zigzag, as records have it."""
    number = (number << 1) ^ (number >> 63)
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def record(offset, key=b"k", value=b"v", headers=b"\0"):
    """One record; `headers` is their count and what follows it."""
    inner = b"\0\0" + varint(offset)
    for part in (key, value):
        inner += varint(-1) if part is None else varint(len(part)) + part
    inner += headers
    return varint(len(inner)) + inner


def batch(records, count, codec="none", producer=NO_PRODUCER, time_ms=1_700_000_000_000):
    """The batch of these encoded (and, for a codec, already compressed) records."""
    body = struct.pack(
        ">hiqqqhii", CODECS[codec], count - 1, time_ms, time_ms, producer[0], producer[1], producer[2], count,
    ) + records
    crc = calc_crc32c(body)
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, crc) + body


def plain(values, producer=NO_PRODUCER):
    """A batch of small records, as a friendly client makes it."""
    return batch(b"".join(record(n, value=value) for n, value in enumerate(values)), len(values), producer=producer)


class Compressor:
    """Takes pieces, so that what opens to gigabytes is never in memory here either."""

    def __init__(self, codec):
        self.codec = codec
        self.stream = zstandard.ZstdCompressor(level=3).compressobj() if codec == "zstd" else zlib.compressobj(6, zlib.DEFLATED, 31)
        self.out = bytearray()

    def write(self, data):
        self.out += self.stream.compress(data)

    def zeros(self, count):
        while count > 0:
            piece = min(count, len(CHUNK))
            self.write(CHUNK[:piece])
            count -= piece

    def finish(self):
        return bytes(self.out + self.stream.flush())


def large_record(offset, value_bytes):
    """The bytes in front of a value of so many zeros, and behind it."""
    inner_front = b"\0\0" + varint(offset) + varint(1) + b"k" + varint(value_bytes)
    return varint(len(inner_front) + value_bytes + 1) + inner_front, b"\0"


def zeros(records, value_bytes, codec="zstd", noise_bytes=0):
    """`records` records of zeros; one more of noise makes the batch as large as a producer may send."""
    stream = Compressor(codec)
    for offset in range(records):
        front, behind = large_record(offset, value_bytes)
        stream.write(front)
        stream.zeros(value_bytes)
        stream.write(behind)
    if noise_bytes:
        stream.write(record(records, value=os.urandom(noise_bytes)))
        records += 1
    return batch(stream.finish(), records, codec)


def empty_headers(records, headers, codec="zstd"):
    """Records with so many headers, each an empty key and an empty value: two bytes."""
    stream = Compressor(codec)
    for offset in range(records):
        stream.write(record(offset, headers=varint(headers) + bytes(2 * headers)))
    return batch(stream.finish(), records, codec)


def tiny_records(count, codec="zstd"):
    """As many records as fit: without key, value and headers."""
    stream = Compressor(codec)
    # Length, attributes, time; the offset; no key, no value, no headers. `record` would take half a minute for millions.
    for start in range(0, count, 100_000):
        offsets = map(varint, range(start, min(count, start + 100_000)))
        stream.write(b"".join([LENGTHS[len(offset)] + offset + b"\1\1\0" for offset in offsets]))
    return batch(stream.finish(), count, codec)
