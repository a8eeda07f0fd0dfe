//! What one store carries besides the guest: its memory account, its log lines, the clock it is shown.

use wasmtime::{ResourceLimiter, Result};

use crate::clock::GuestClock;
use crate::guest::guest_log::GuestLog;
use crate::limits::{STORE_ITEMS_MAX, TABLE_ELEMENT_BYTES};

/// The state behind one guest instance.
pub(crate) struct Sandbox {
    pub(crate) memory: MemoryAccount,
    pub(crate) log: GuestLog,
    pub(crate) clock: GuestClock,
}

/// Counts linear memories and tables of one store together against one limit.
pub(crate) struct MemoryAccount {
    used: u64,
    limit: u64,
    /// Growth was refused since this was last cleared; a trap that follows is put down to it.
    refused: bool,
}

impl MemoryAccount {
    pub(crate) fn new(limit: u64) -> MemoryAccount {
        MemoryAccount { used: 0, limit, refused: false }
    }

    /// Bytes that memories and tables have now.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether growth was refused since the last call of this.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        match self.used.checked_add(more) {
            Some(total) if total <= self.limit => {
                self.used = total;
                true
            }
            _ => {
                self.refused = true;
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryAccount {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        STORE_ITEMS_MAX
    }

    fn tables(&self) -> usize {
        STORE_ITEMS_MAX
    }

    fn memories(&self) -> usize {
        STORE_ITEMS_MAX
    }
}
