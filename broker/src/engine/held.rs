//! What one piece of work holds of WORK while it opens batches: it grows as memory is taken, at once or not at all, and is given
//! back as a whole. Never waits.

use super::EngineError;
use crate::context::Source;
use crate::memory::{Budget, OverBudget, WorkPermit};
use crate::record::Stop;

/// A share of WORK that grows.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    source: Source,
    what: &'static str,
    permit: Option<WorkPermit>,
    refused: Option<OverBudget>,
}

impl Held {
    /// Nothing yet, of the door that the caller came through. `what` it is for is part of a refusal.
    pub(crate) fn new(budget: &Budget, source: Source, what: &'static str) -> Held {
        Held { budget: budget.clone(), source, what, permit: None, refused: None }
    }

    /// So many bytes more; `false`: they are not free.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let grown = match &mut self.permit {
            Some(permit) => permit.resize(permit.bytes().saturating_add(bytes)),
            None => self.budget.work(self.source, self.what, bytes).map(|permit| self.permit = Some(permit)),
        };
        self.refused = grown.err();
        self.refused.is_none()
    }

    /// Gives so many bytes back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            // Where the smaller class has no room just now, more is held than is needed.
            let _ = permit.resize(permit.bytes().saturating_sub(bytes));
        }
    }

    /// Whether the last refusal would be the same while nobody else holds anything.
    pub(crate) fn never(&self) -> bool {
        self.refused.as_ref().is_some_and(OverBudget::forever)
    }

    /// Why the work ended.
    pub(crate) fn refusal(&self, stop: Stop) -> EngineError {
        match (stop, &self.refused) {
            (Stop::NoMemory(_), Some(over)) => over.clone().into(),
            (stop, _) => stop.into_record().into(),
        }
    }
}
