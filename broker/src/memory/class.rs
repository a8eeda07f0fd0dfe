//! How large a request is: the three classes that queue apart from each other.

/// Up to so many bytes a request is small, and needs no second step.
pub(super) const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Up to so many bytes it is of the middle class.
pub(super) const MIDDLE_BYTES_MAX: usize = 1024 * 1024;
/// Classes.
pub(super) const CLASSES: usize = 3;

/// How large a request is. Nobody small waits behind somebody large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Up to `SMALL_BYTES_MAX`.
    Small,
    /// Up to `MIDDLE_BYTES_MAX`.
    Middle,
    /// More.
    Large,
}

impl Class {
    pub(super) const ALL: [Class; CLASSES] = [Class::Small, Class::Middle, Class::Large];

    pub(super) fn of(bytes: usize) -> Class {
        match bytes {
            _ if bytes <= SMALL_BYTES_MAX => Class::Small,
            _ if bytes <= MIDDLE_BYTES_MAX => Class::Middle,
            _ => Class::Large,
        }
    }
}
