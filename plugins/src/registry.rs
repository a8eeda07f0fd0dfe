//! Which plugins and versions there are, in memory and on disk: `registry.json` and `modules/<sha256>.wasm`. A version is
//! durable before anybody can see it, and its number is never given again, also after its plugin was deleted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::durable;
use crate::error::HostError;
use crate::guest::module::Module;
use crate::stats::Stats;

/// The format of `registry.json`.
const FORMAT: u32 = 1;

/// One immutable version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The plugin's name.
    #[serde(skip)]
    pub name: String,
    /// Its number, from 1.
    pub version: u32,
    /// SHA-256 of the bytes uploaded, in hexadecimal.
    pub sha256: String,
    /// Bytes uploaded.
    pub size: u64,
    /// The world it exports.
    pub world: String,
}

/// A version and, once it was needed, its code.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) info: VersionInfo,
    pub(crate) module: OnceCell<Arc<Module>>,
}

/// A plugin with its versions in order; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) active: u32,
    pub(crate) versions: BTreeMap<u32, Arc<Version>>,
    pub(crate) stats: Arc<Stats>,
}

type Plugins = BTreeMap<String, Plugin>;

/// What is on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OnDisk {
    format: u32,
    /// The highest number ever given, by name; stays when a plugin is deleted.
    newest: BTreeMap<String, u32>,
    plugins: BTreeMap<String, PluginOnDisk>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PluginOnDisk {
    active: u32,
    versions: Vec<VersionInfo>,
}

/// The registry. Changes come one at a time (the host sees to it); readers never wait.
#[derive(Debug)]
pub(crate) struct Registry {
    dir: PathBuf,
    plugins: ArcSwap<Plugins>,
    newest: ArcSwap<BTreeMap<String, u32>>,
    /// Rises with every change, so that bindings can tell cheaply.
    generation: AtomicU64,
}

impl Registry {
    pub(crate) fn open(dir: &Path) -> Result<Registry, HostError> {
        durable::private_dir(dir)?;
        durable::private_dir(&dir.join("modules"))?;
        durable::sweep(dir)?;
        durable::sweep(&dir.join("modules"))?;
        let on_disk = read(&dir.join("registry.json"))?;
        let plugins = on_disk.plugins.into_iter().map(|(name, plugin)| {
            let versions = plugin.versions.into_iter().map(|info| {
                let info = VersionInfo { name: name.clone(), ..info };
                (info.version, Arc::new(Version { info, module: OnceCell::new() }))
            });
            let plugin = Plugin { active: plugin.active, versions: versions.collect(), stats: Arc::default() };
            (name, plugin)
        });
        Ok(Registry {
            dir: dir.to_owned(),
            plugins: ArcSwap::from_pointee(plugins.collect()),
            newest: ArcSwap::from_pointee(on_disk.newest),
            generation: AtomicU64::new(0),
        })
    }

    pub(crate) fn plugins(&self) -> Arc<Plugins> {
        self.plugins.load_full()
    }

    /// Read before what it tells about.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The number that the next version of `name` gets.
    pub(crate) fn next_version(&self, name: &str) -> u32 {
        self.newest.load().get(name).map_or(1, |newest| newest.saturating_add(1))
    }

    /// Makes a new version durable and active.
    pub(crate) fn add(&self, version: Version, wasm: &[u8]) -> Result<VersionInfo, HostError> {
        let info = version.info.clone();
        durable::write(&self.module_path(&info.sha256), &[wasm])?;
        let mut plugins = Plugins::clone(&self.plugins.load());
        let plugin = plugins.entry(info.name.clone()).or_insert_with(|| Plugin {
            active: info.version,
            versions: BTreeMap::new(),
            stats: Arc::default(),
        });
        plugin.active = info.version;
        plugin.versions.insert(info.version, Arc::new(version));
        let mut newest = BTreeMap::clone(&self.newest.load());
        newest.insert(info.name.clone(), info.version);
        self.change(plugins, newest)?;
        Ok(info)
    }

    /// Forgets a plugin. Answers the checksums of modules that nothing refers to any more, whose files are gone.
    pub(crate) fn remove(&self, name: &str) -> Result<Option<Vec<String>>, HostError> {
        let mut plugins = Plugins::clone(&self.plugins.load());
        let Some(removed) = plugins.remove(name) else { return Ok(None) };
        let kept = |sha256: &str| {
            plugins.values().flat_map(|plugin| plugin.versions.values()).any(|version| version.info.sha256 == sha256)
        };
        let mut orphans: Vec<String> = removed.versions.values().map(|version| version.info.sha256.clone()).collect();
        orphans.retain(|sha256| !kept(sha256));
        orphans.sort();
        orphans.dedup();
        self.change(plugins, BTreeMap::clone(&self.newest.load()))?;
        for sha256 in &orphans {
            durable::remove(&self.module_path(sha256))?;
        }
        Ok(Some(orphans))
    }

    /// The bytes of a module as they were uploaded.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn module_bytes(&self, sha256: &str) -> Result<Vec<u8>, String> {
        let path = self.module_path(sha256);
        let bytes = fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        let found = checksum(&bytes);
        if found != sha256 {
            return Err(format!("{}: the checksum is {found}", path.display()));
        }
        Ok(bytes)
    }

    /// Disk first, memory then.
    fn change(&self, plugins: Plugins, newest: BTreeMap<String, u32>) -> Result<(), HostError> {
        let path = self.dir.join("registry.json");
        let on_disk = OnDisk {
            format: FORMAT,
            newest: newest.clone(),
            plugins: plugins.iter().map(|(name, plugin)| (name.clone(), plugin.on_disk())).collect(),
        };
        let text = serde_json::to_vec_pretty(&on_disk).map_err(|cause| HostError::io("writing", &path, cause))?;
        durable::write(&path, &[&text])?;
        self.newest.store(Arc::new(newest));
        self.plugins.store(Arc::new(plugins));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn module_path(&self, sha256: &str) -> PathBuf {
        self.dir.join("modules").join(format!("{sha256}.wasm"))
    }
}

impl Plugin {
    fn on_disk(&self) -> PluginOnDisk {
        let versions = self.versions.values().map(|version| version.info.clone()).collect();
        PluginOnDisk { active: self.active, versions }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(path: &Path) -> Result<OnDisk, HostError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(OnDisk::default()),
        Err(cause) => return Err(HostError::io("reading", path, cause)),
    };
    let on_disk: OnDisk = serde_json::from_slice(&text).map_err(|cause| HostError::io("reading", path, cause))?;
    if on_disk.format != FORMAT {
        let cause = format!("it has format {}, this version reads {FORMAT}", on_disk.format);
        return Err(HostError::io("reading", path, cause));
    }
    Ok(on_disk)
}
