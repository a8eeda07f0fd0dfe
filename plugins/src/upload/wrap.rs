//! Makes a component of the core module that a plain compiler leaves. The interface is in a custom section where the SDK
//! put it there; where there is none, the exports tell the world and the interface is embedded here.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::UploadError;

/// The contract, as guests are built against it.
const WIT: &str = include_str!("../../../sdk-wasm/wit/plugin.wit");
/// The custom section in which tool chains leave the interface (a prefix of its name).
const INTERFACE_SECTION: &str = "component-type";

/// Finds the world of a core module by the names of its exports.
pub(crate) type WorldOf = fn(&[String]) -> Result<&'static str, UploadError>;

/// The component around `module`.
pub(crate) fn wrap(module: &[u8], world_of: WorldOf) -> Result<Vec<u8>, UploadError> {
    let mut module = module.to_vec();
    let shape = shape(&module)?;
    if !shape.has_interface {
        let world = world_of(&shape.exports)?;
        embed(&mut module, world).map_err(|reason| UploadError::Malformed { reason })?;
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|cause| UploadError::Malformed { reason: format!("{cause:#}") })
}

struct Shape {
    has_interface: bool,
    exports: Vec<String>,
}

fn shape(module: &[u8]) -> Result<Shape, UploadError> {
    let malformed = |cause: wasmparser::BinaryReaderError| UploadError::Malformed { reason: cause.to_string() };
    let mut shape = Shape { has_interface: false, exports: Vec::new() };
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(malformed)? {
            Payload::CustomSection(section) if section.name().starts_with(INTERFACE_SECTION) => {
                shape.has_interface = true;
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    shape.exports.push(export.map_err(malformed)?.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(shape)
}

fn embed(module: &mut Vec<u8>, world: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("plugin.wit", WIT).map_err(|cause| format!("{cause:#}"))?;
    let world = resolve.select_world(&[package], Some(world)).map_err(|cause| format!("{cause:#}"))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).map_err(|cause| format!("{cause:#}"))
}
