//! The version of the data folder: one number for the format of everything in it. Read before anything is touched. A version
//! that this program does not know is refused: a newer program wrote what this one would take for damage. An older folder
//! gets the new number only once all of it has been opened, so that a crash on the way begins again.

use std::path::Path;

use crate::log::error::LogError;
use crate::log::io::Disk;
use crate::log::layout::{CURRENT_VERSION, DATA_VERSION};
use crate::log::sync::checkpoint;

/// Folders without the file. Their formats are those of version 1.
const BEFORE_THE_FILE: u32 = 0;

/// The folder's version.
///
/// # Errors
/// `NewerVersion`, and `BadVersion` where the file does not hold a number; `Io`.
pub(in crate::log) fn read(disk: &dyn Disk, dir: &Path) -> Result<u32, LogError> {
    let path = dir.join(DATA_VERSION);
    let Some(text) = checkpoint::read_text(disk, &path)? else { return Ok(BEFORE_THE_FILE) };
    let digits = text.trim_end_matches('\n');
    let number = digits.parse::<u32>().ok().filter(|number| number.to_string() == digits);
    match number {
        None => Err(LogError::BadVersion { path }),
        Some(found) if found > CURRENT_VERSION => Err(LogError::NewerVersion { path, found }),
        Some(found) => Ok(found),
    }
}

/// Writes this program's version, durably.
///
/// # Errors
/// `Io`.
pub(in crate::log) fn write(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    checkpoint::replace_durably(disk, dir, DATA_VERSION, &format!("{CURRENT_VERSION}\n"))
}
