//! Plugins, as the door shows them.

/// Bytes of the largest upload that is taken.
pub const UPLOAD_BYTES_MAX: usize = sluice_plugins::UPLOAD_BYTES_MAX;

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// The version that bindings without a number use.
    pub active: u32,
    /// All versions, oldest first.
    pub versions: Vec<PluginVersionInfo>,
    /// Calls since the broker's start.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// A binding of it is paused because it failed too often.
    pub quarantined: bool,
}

/// A version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersionInfo {
    /// The plugin's name.
    pub name: String,
    /// Its number, from 1.
    pub version: u32,
    /// SHA-256 of the bytes uploaded, in hexadecimal.
    pub sha256: String,
    /// Bytes uploaded.
    pub bytes: u64,
    /// The world that it exports.
    pub world: String,
}
