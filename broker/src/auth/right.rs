//! The rights that verbs need, one type each, after Kafka's `AclOperation`. No values: a right is only a type parameter.

use std::fmt;

/// A right by its name, where a type cannot stand: in errors and for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Records of a topic, membership and commits of a group.
    Read,
    /// Records into a topic.
    Write,
    /// A new topic.
    Create,
    /// A topic, a group, records, offsets.
    Delete,
    /// Partition counts, plugins.
    Alter,
    /// Existence, offsets, members.
    Describe,
    /// Configs changed.
    AlterConfigs,
    /// Configs shown.
    DescribeConfigs,
    /// A producer id for an idempotent producer.
    IdempotentWrite,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Read => "read",
            Operation::Write => "write to",
            Operation::Create => "create",
            Operation::Delete => "delete",
            Operation::Alter => "alter",
            Operation::Describe => "describe",
            Operation::AlterConfigs => "alter the configs of",
            Operation::DescribeConfigs => "describe the configs of",
            Operation::IdempotentWrite => "write idempotently to",
        })
    }
}

/// A right as a type parameter of `Granted`.
pub trait Right: sealed::Sealed {
    /// Its name.
    const OPERATION: Operation;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $right:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $right {}

        impl sealed::Sealed for $right {}

        impl Right for $right {
            const OPERATION: Operation = Operation::$right;
        }
    )*};
}

rights! {
    /// See [`Operation::Read`].
    Read,
    /// See [`Operation::Write`].
    Write,
    /// See [`Operation::Create`].
    Create,
    /// See [`Operation::Delete`].
    Delete,
    /// See [`Operation::Alter`].
    Alter,
    /// See [`Operation::Describe`].
    Describe,
    /// See [`Operation::AlterConfigs`].
    AlterConfigs,
    /// See [`Operation::DescribeConfigs`].
    DescribeConfigs,
    /// See [`Operation::IdempotentWrite`].
    IdempotentWrite,
}

mod sealed {
    /// No right is added elsewhere.
    pub trait Sealed {}
}
