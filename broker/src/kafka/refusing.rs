//! Which ends and errors of the Kafka port are refusals, and of which class: so that a limit that a client meets is counted and
//! logged with the client, although its answer is a code alone. Between the handlers, which answer, and `refusals`, which counts.
//! Whoever writes a handler: pass an error that a limit caused to `Call::note`, beside its code. Changes no answer.

use crate::context::Context;
use crate::engine::{EngineError, topics};
use crate::log::AppendError;
use crate::record::RecordError;
use crate::refusals::{RefusalClass, Refusals};

/// Why a connection is to end.
#[derive(Debug)]
pub(super) struct Closing {
    /// `None`: it is nobody's fault.
    pub(super) class: Option<RefusalClass>,
    /// For the log.
    pub(super) reason: String,
}

impl Closing {
    /// A refusal of that class.
    pub(super) fn refused(class: RefusalClass, reason: String) -> Closing {
        Closing { class: Some(class), reason }
    }

    /// The broker has its own reasons.
    pub(super) fn ours(reason: impl Into<String>) -> Closing {
        Closing { class: None, reason: reason.into() }
    }
}

/// Who is refused, for as long as an answer takes.
#[derive(Clone, Debug)]
pub(super) struct Refusing {
    refusals: Refusals,
    ctx: Context,
}

impl Refusing {
    pub(super) fn new(refusals: Refusals, ctx: Context) -> Refusing {
        Refusing { refusals, ctx }
    }

    /// Counts and logs an error, if it is a refusal.
    pub(super) fn note(&self, error: &EngineError) {
        if let Some(class) = class(error) {
            self.refusals.note(class, &self.ctx, error);
        }
    }
}

fn class(error: &EngineError) -> Option<RefusalClass> {
    match error {
        EngineError::Record(RecordError::TooLarge { .. })
        | EngineError::Append(AppendError::Record(RecordError::TooLarge { .. })) => Some(RefusalClass::TooLarge),
        EngineError::Append(AppendError::TooManyProducers { .. }) => Some(RefusalClass::Producers),
        EngineError::OverBudget(_) => Some(RefusalClass::MemoryWork),
        EngineError::OverShare(_) => Some(RefusalClass::MemoryState),
        EngineError::Topic(error) => topics::class_of(error),
        // The engine has noted what a group was refused.
        _ => None,
    }
}
