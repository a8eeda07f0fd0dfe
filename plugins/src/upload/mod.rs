//! From uploaded bytes to code that can run: check the form, wrap a core module, compile, keep the compiled code, and try
//! it out. Nothing here runs in a request that carries records.

pub(crate) mod compile;
pub(crate) mod compiled;
pub(crate) mod form;
pub(crate) mod trial;
pub(crate) mod wrap;
