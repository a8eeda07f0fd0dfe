//! Permissions. A caller asks here first and hands the answer to the verb of the engine. Rank 0, beneath the engine and every
//! door. It knows names and ids only; it never looks anything up and never carries anything out.
//!
//! A [`Granted`] stands where the name of a resource would stand in the arguments of a verb, so a verb cannot be called
//! without asking (linkerd's inbound policy, its module `policy::http`, hands out permits in the same way). Today everything is
//! granted: there are no identities yet. When they come, only this folder changes.
//!
//! A permit cannot be made elsewhere:
//! ```compile_fail
//! use sluice_broker::auth::{Granted, Write};
//! use sluice_broker::ids::TopicRef;
//! let forged: Granted<Write, TopicRef> = Granted { resource: TopicRef::name("orders"), right: Default::default() };
//! ```
//! A permit for one right is not a permit for another:
//! ```compile_fail
//! use sluice_broker::auth::{Authorizer, Delete, Read};
//! use sluice_broker::context::Context;
//! use sluice_broker::ids::TopicRef;
//! let granted = Authorizer::granting_everything().ask::<Read, _>(&Context::internal("doc"), TopicRef::name("orders"));
//! let other: sluice_broker::auth::Granted<Delete, TopicRef> = granted.unwrap();
//! ```

mod resource;
mod right;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::context::{Context, Principal};

pub(crate) use resource::Cluster;
pub use resource::{Group, Resource, ResourceKind};
pub use right::{
    Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Operation, Read, Right, Write,
};

/// The caller may do `R` to this resource. Only [`Authorizer::ask`] makes one.
pub struct Granted<R, T> {
    resource: T,
    right: PhantomData<fn() -> R>,
}

impl<R, T> Granted<R, T> {
    /// The resource that the permit is for.
    #[must_use]
    pub(crate) fn resource(&self) -> &T {
        &self.resource
    }

    /// Uses the permit up.
    #[must_use]
    pub(crate) fn into_resource(self) -> T {
        self.resource
    }
}

impl<R, T: Clone> Clone for Granted<R, T> {
    fn clone(&self) -> Granted<R, T> {
        Granted { resource: self.resource.clone(), right: PhantomData }
    }
}

impl<R: Right, T: fmt::Debug> fmt::Debug for Granted<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted({:?}, {:?})", R::OPERATION, self.resource)
    }
}

/// What is asked: may this caller do that?
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The caller.
    pub ctx: &'a Context,
    /// The right that the verb needs.
    pub operation: Operation,
    /// The kind of resource.
    pub kind: ResourceKind,
    /// Its name or id.
    pub resource: &'a dyn fmt::Display,
}

/// The caller may not do that. `kafka/errors.rs` and the gateway say it in their own way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not {operation} {kind} '{resource}'")]
pub struct Denied {
    /// The caller.
    pub(crate) principal: Principal,
    /// The right that is missing.
    pub(crate) operation: Operation,
    /// The kind of resource.
    pub(crate) kind: ResourceKind,
    /// Its name or id.
    pub(crate) resource: String,
}

/// Decides. One is made with the engine and shared by every door.
#[derive(Clone, Default)]
pub struct Authorizer {
    policy: Option<Arc<Policy>>,
}

/// `true` grants.
type Policy = dyn Fn(Question<'_>) -> bool + Send + Sync;

impl Authorizer {
    /// The one in force until there are identities.
    #[must_use]
    pub fn granting_everything() -> Authorizer {
        Authorizer { policy: None }
    }

    /// Decides by `policy`, which must be quick: it is asked for every topic of every request.
    #[must_use]
    pub fn with_policy(policy: impl Fn(Question<'_>) -> bool + Send + Sync + 'static) -> Authorizer {
        Authorizer { policy: Some(Arc::new(policy)) }
    }

    /// May this caller do `R` to `resource`? The answer is the argument of the verb.
    ///
    /// # Errors
    /// `Denied`.
    pub fn ask<R: Right, T: Resource>(&self, ctx: &Context, resource: T) -> Result<Granted<R, T>, Denied> {
        let question = Question { ctx, operation: R::OPERATION, kind: T::KIND, resource: &resource };
        if self.policy.as_deref().is_none_or(|policy| policy(question)) {
            return Ok(Granted { resource, right: PhantomData });
        }
        Err(Denied {
            principal: ctx.principal().clone(),
            operation: R::OPERATION,
            kind: T::KIND,
            resource: resource.to_string(),
        })
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.policy.is_some() { "Authorizer(policy)" } else { "Authorizer(grants everything)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TopicRef;

    #[test]
    fn a_permit_carries_the_resource_that_was_asked_about() {
        let all = Authorizer::granting_everything();
        let granted = all.ask::<Write, _>(&Context::http("test", None), TopicRef::name("orders")).unwrap();
        assert_eq!(granted.resource(), &TopicRef::name("orders"));
        assert_eq!(granted.into_resource(), TopicRef::name("orders"));
    }

    #[test]
    fn a_policy_sees_right_kind_and_name_and_its_refusal_says_all_of_them() {
        let policy = |question: Question<'_>| {
            question.operation != Operation::Delete || question.resource.to_string() != "orders"
        };
        let (some, ctx) = (Authorizer::with_policy(policy), Context::http("test", None));
        assert!(some.ask::<Read, _>(&ctx, TopicRef::name("orders")).is_ok());
        assert!(some.ask::<Delete, _>(&ctx, TopicRef::name("other")).is_ok());
        let denied = some.ask::<Delete, _>(&ctx, TopicRef::name("orders")).unwrap_err();
        assert_eq!((denied.operation, denied.kind), (Operation::Delete, ResourceKind::Topic));
        assert_eq!(denied.to_string(), "User:ANONYMOUS may not delete topic 'orders'");
        let group = some.ask::<Delete, _>(&ctx, Group::named("orders")).unwrap_err();
        assert_eq!(group.kind, ResourceKind::Group);
    }
}
