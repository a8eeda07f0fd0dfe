"""Reads the headers of record batches (format v2) out of a `.log` file, to see what a broker really keeps."""

import os
import struct

CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, two timestamps, producer id and epoch,
# base sequence, number of records: the 61 bytes in front of the records.
HEADER = struct.Struct(">qiibIhiqqqhii")


def batches(partition_dir):
    """One dictionary a batch, over all segments in order."""
    for name in sorted(n for n in os.listdir(partition_dir) if n.endswith(".log")):
        with open(os.path.join(partition_dir, name), "rb") as log:
            data = log.read()
        at = 0
        while at + HEADER.size <= len(data):
            fields = HEADER.unpack_from(data, at)
            if fields[1] <= 0:
                break
            yield {
                "base_offset": fields[0],
                "leader_epoch": fields[2],
                "codec": CODECS[fields[5] & 7],
                "last_offset": fields[0] + fields[6],
                "producer_id": fields[9],
                "sequence": fields[11],
                "records": fields[12],
            }
            at += 12 + fields[1]


def codecs(partition_dir):
    """The compressions of a partition's batches."""
    return {batch["codec"] for batch in batches(partition_dir)}
