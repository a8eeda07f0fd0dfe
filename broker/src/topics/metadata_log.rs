//! STUB to be replaced. The broker's own log of what exists.
