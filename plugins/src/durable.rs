//! Files that are whole and on disk, or not there: written beside, synced, renamed, and the folder synced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::HostError;

/// How the unfinished file is called; such files are removed at the next start.
const UNFINISHED: &str = "unfinished";

/// A folder that only this user may enter, made if it is missing.
pub(crate) fn private_dir(path: &Path) -> Result<(), HostError> {
    let failed = |cause| HostError::io("making the folder", path, cause);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Writes a file, durably, in place of the one there was.
pub(crate) fn write(path: &Path, parts: &[&[u8]]) -> Result<(), HostError> {
    let unfinished = path.with_added_extension(UNFINISHED);
    let failed = |cause| HostError::io("writing", path, cause);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished).map_err(failed)?;
    for part in parts {
        file.write_all(part).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)?;
    sync_dir(path)
}

/// Removes a file, durably; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), HostError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(path),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(HostError::io("removing", path, cause)),
    }
}

/// Removes what a crash left half written in a folder.
pub(crate) fn sweep(dir: &Path) -> Result<(), HostError> {
    let failed = |cause| HostError::io("reading the folder", dir, cause);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn sync_dir(of: &Path) -> Result<(), HostError> {
    let dir = of.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|cause| HostError::io("syncing the folder", dir, cause))
}
