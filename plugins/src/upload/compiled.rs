//! The cache of compiled code: one file a module and engine, named after the module's SHA-256 and the engine's
//! compatibility. The only place that hands bytes to wasmtime as code that it trusts, and so the only unsafe one.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::durable;
use crate::error::HostError;

/// A file is this checksum of the rest, and the rest.
const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";

/// The folder of compiled code.
pub(crate) struct CodeCache {
    dir: PathBuf,
    engine: Engine,
    /// The engine's compatibility as part of file names.
    suffix: String,
}

impl CodeCache {
    /// Opens the folder, and removes what other engines left there.
    pub(crate) fn open(dir: PathBuf, engine: Engine) -> Result<CodeCache, HostError> {
        durable::private_dir(&dir)?;
        durable::sweep(&dir)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let suffix = format!("{:016x}.{EXTENSION}", hasher.finish());
        let cache = CodeCache { dir, engine, suffix };
        cache.drop_foreign()?;
        Ok(cache)
    }

    /// The compiled component, if it is here and whole. Anything else is a reason to compile again.
    pub(crate) fn load(&self, sha256: &str) -> Option<Component> {
        let path = self.path(sha256);
        let bytes = fs::read(&path).ok()?;
        let (checksum, code) = bytes.split_at_checked(CHECKSUM_BYTES)?;
        if Sha256::digest(code).as_slice() != checksum {
            tracing::warn!(path = %path.display(), "compiled code is damaged and is made again");
            return None;
        }
        self.trust(code).inspect_err(|cause| tracing::warn!(path = %path.display(), %cause, "made again")).ok()
    }

    /// Keeps what the compiler made, and loads it.
    pub(crate) fn keep(&self, sha256: &str, code: &[u8]) -> Result<Component, HostError> {
        let path = self.path(sha256);
        durable::write(&path, &[Sha256::digest(code).as_slice(), code])?;
        self.trust(code).map_err(|cause| HostError::Engine { cause: format!("{cause:#}") })
    }

    pub(crate) fn remove(&self, sha256: &str) -> Result<(), HostError> {
        durable::remove(&self.path(sha256))
    }

    #[allow(unsafe_code)]
    fn trust(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize` needs bytes that `precompile_component` or `serialize` made. These come either straight
        // from our own compiler (`keep`) or from a file in a folder of mode 0700 that only this process's user can write,
        // which was written by `keep` and whose checksum holds, so that neither an upload (`form` refuses compiled code)
        // nor a bit that fell over on disk gets here. wasmtime itself checks version, target and settings.
        unsafe { Component::deserialize(&self.engine, code) }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}-{}", self.suffix))
    }

    fn drop_foreign(&self) -> Result<(), HostError> {
        let failed = |cause| HostError::io("reading the folder", &self.dir, cause);
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if is_code(&path) && !path.to_string_lossy().ends_with(&self.suffix) {
                durable::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn is_code(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == EXTENSION)
}
