//! What an upload must look like before anything expensive is done with it: one pass over the bytes, nothing is compiled.
//! Refuses what is not binary WebAssembly, imports that plugins do not get, and bodies too large for the compiler.

use wasmparser::{Encoding, Parser, Payload};

use crate::error::UploadError;
use crate::guest::engine::HOST_INTERFACE;
use crate::limits::{DEPTH_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, MODULES_MAX, UPLOAD_BYTES_MAX};

/// The interface that carries types only.
const TYPES_INTERFACE: &str = "sluice:plugin/types@0.1.0";

/// What kind of binary an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A component, as componentizing tool chains leave it.
    Component,
    /// A core module, as a plain compiler leaves it.
    Module,
}

/// Checks the form; does not validate the code.
pub(crate) fn check(wasm: &[u8]) -> Result<Form, UploadError> {
    if wasm.len() > UPLOAD_BYTES_MAX {
        return Err(UploadError::TooLarge { size: wasm.len(), limit: UPLOAD_BYTES_MAX });
    }
    if let Some(reason) = foreign(wasm) {
        return Err(UploadError::Malformed { reason: reason.into() });
    }
    let mut walk = Walk { form: None, depth: 0, modules: 0, functions: 0 };
    for payload in Parser::new(0).parse_all(wasm) {
        walk.visit(&payload.map_err(malformed)?)?;
    }
    walk.form.ok_or_else(|| UploadError::Malformed { reason: "it is empty".into() })
}

/// A name for what people send by mistake.
fn foreign(wasm: &[u8]) -> Option<&'static str> {
    if wasm.starts_with(b"\0asm") {
        return None;
    }
    if wasm.starts_with(b"\x7fELF") {
        return Some("it is native code; compiled code is never accepted, send the .wasm file");
    }
    let text = wasm.trim_ascii_start();
    if text.starts_with(b"(") || text.starts_with(b";;") {
        return Some("it is WebAssembly text; send the binary that wat2wasm or wasm-tools makes of it");
    }
    Some("it does not start as WebAssembly does (\\0asm)")
}

fn malformed(cause: wasmparser::BinaryReaderError) -> UploadError {
    UploadError::Malformed { reason: cause.to_string() }
}

struct Walk {
    form: Option<Form>,
    depth: u32,
    modules: u32,
    functions: u32,
}

impl Walk {
    fn visit(&mut self, payload: &Payload<'_>) -> Result<(), UploadError> {
        match payload {
            Payload::Version { encoding, .. } => {
                let form = if *encoding == Encoding::Component { Form::Component } else { Form::Module };
                self.form.get_or_insert(form);
                self.modules += 1;
                bound(self.modules, MODULES_MAX, "modules and components inside of it")
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.depth += 1;
                bound(self.depth, DEPTH_MAX, "levels of components")
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(*count);
                bound(self.functions, FUNCTIONS_MAX, "functions")
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = u32::try_from(body.range().len()).unwrap_or(u32::MAX);
                let limit = u32::try_from(FUNCTION_BYTES_MAX).unwrap_or(u32::MAX);
                bound(bytes, limit, "bytes in one function")
            }
            Payload::ImportSection(imports) if self.top() == Some(Form::Module) => {
                for import in imports.clone().into_imports() {
                    let import = import.map_err(malformed)?;
                    if import.module != HOST_INTERFACE {
                        let import = format!("{}.{}", import.module, import.name);
                        return Err(UploadError::ForbiddenImport { import });
                    }
                }
                Ok(())
            }
            Payload::ComponentImportSection(imports) if self.top() == Some(Form::Component) => {
                for import in imports.clone() {
                    let import = import.map_err(malformed)?;
                    let is_type = matches!(import.ty, wasmparser::ComponentTypeRef::Type(_));
                    let name = import.name.name;
                    if !is_type && name != HOST_INTERFACE && name != TYPES_INTERFACE {
                        return Err(UploadError::ForbiddenImport { import: name.into() });
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The form, when the walk is at the outermost level.
    fn top(&self) -> Option<Form> {
        self.form.filter(|_| self.depth == 0)
    }
}

fn bound(count: u32, limit: u32, what: &str) -> Result<(), UploadError> {
    if count > limit {
        return Err(UploadError::Compile { reason: format!("it has {count} {what}, at most {limit} are taken") });
    }
    Ok(())
}
