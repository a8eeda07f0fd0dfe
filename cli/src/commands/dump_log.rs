//! `sluice dump-log`: shows files of partitions. The broker library writes the lines.

use std::io::{BufWriter, ErrorKind, stderr, stdout};

use sluice_broker::log::dump::{DumpError, DumpOptions, dump};
use sluice_broker::log::io::BufferedDisk;

use crate::args::DumpLogArgs;

/// Bytes written to standard output at once.
const OUT_BYTES: usize = 64 * 1_024;

/// Shows every file, or stops at the first that cannot be read to its end. A closed pipe is not a failure.
pub(crate) fn run(args: DumpLogArgs) -> Result<(), DumpError> {
    let options = DumpOptions {
        deep: args.deep_iteration || args.print_data_log,
        contents: args.print_data_log,
        skip_metadata: args.skip_record_metadata,
        verify_only: args.verify_index_only,
        sanity_only: args.index_sanity_check,
        message_bytes_max: args.max_message_size,
        bytes_max: args.max_bytes,
    };
    let files = [args.files, args.list].concat();
    let mut out = BufWriter::with_capacity(OUT_BYTES, stdout().lock());
    match dump(&files, options, &BufferedDisk::open_to_read, &mut out, &mut stderr()) {
        Err(DumpError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}
