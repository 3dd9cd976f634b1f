//! `Debug` that keeps what the service models call sensitive out of logs.
//!
//! Only for the generated shapes. A hidden member prints `***`, an absent one still `None`, so that
//! a log tells whether it was there. Nothing but `Debug` is concerned: JSON carries everything.

use std::fmt;

/// Prints as `***`.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether a member holds anything; lets hidden optional members show their absence.
pub(crate) trait Presence {
    fn is_absent(&self) -> bool {
        false
    }
}

impl<T> Presence for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl Presence for String {}
impl Presence for bool {}
impl Presence for i32 {}
impl Presence for i64 {}
impl Presence for f32 {}
impl Presence for f64 {}
impl<T> Presence for Vec<T> {}
impl<T> Presence for Box<T> {}
impl<K, V> Presence for std::collections::BTreeMap<K, V> {}
impl Presence for crate::blob::Blob {}
impl Presence for crate::timestamp::Timestamp {}
impl Presence for serde_json::Value {}

pub(crate) fn hide(member: &impl Presence) -> &'static dyn fmt::Debug {
    if member.is_absent() {
        &None::<()>
    } else {
        &Redacted
    }
}

/// Implements `Debug` for a type all of which is sensitive, or for a structure some members of
/// which are: `redacted_debug!(Name)`, `redacted_debug!(Name { shown_member: shown, other: hidden })`.
macro_rules! redacted_debug {
    ($name:ident) => {
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
    ($name:ident { $($member:ident: $how:ident),* $(,)? }) => {
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($member), redacted_debug!(@ self.$member, $how)))*
                    .finish()
            }
        }
    };
    (@ $value:expr, shown) => { &$value };
    (@ $value:expr, hidden) => { $crate::sensitive::hide(&$value) };
}

pub(crate) use redacted_debug;

#[cfg(test)]
mod tests {
    struct Prompt {
        name: String,
        text: Option<String>,
        note: Option<String>,
    }
    redacted_debug!(Prompt {
        name: shown,
        text: hidden,
        note: hidden
    });

    struct Secret;
    redacted_debug!(Secret);

    #[test]
    fn hides_the_value_but_not_its_absence() {
        let prompt = Prompt {
            name: "a".to_owned(),
            text: Some("never in a log".to_owned()),
            note: None,
        };
        assert_eq!(
            format!("{prompt:?} {Secret:?}"),
            r#"Prompt { name: "a", text: ***, note: None } Secret(***)"#
        );
    }
}
