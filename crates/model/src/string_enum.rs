//! One macro for the string enums of the service models.
//!
//! They are closed on input: an unknown value is an error, which `wire` reports in AWS's words
//! before deserialisation is ever tried. They are `#[non_exhaustive]`, since AWS adds values.

use std::fmt;

/// A string that is not a value of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownValue {
    /// The enum.
    pub shape: &'static str,
    /// The string.
    pub value: String,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a value of {}", self.value, self.shape)
    }
}

impl std::error::Error for UnknownValue {}

/// Defines a string enum: `string_enum!(Name { Variant = "WIRE_VALUE", … });`.
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $value:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $value, "`.")] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const VALUES: &'static [Self] = &[$(Self::$variant),*];

            /// The value on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)*
                }
            }
        }

        impl $crate::sensitive::Presence for $name {}

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::string_enum::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($value => Ok(Self::$variant),)*
                    _ => Err($crate::string_enum::UnknownValue {
                        shape: stringify!($name),
                        value: text.to_owned(),
                    }),
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::string_enum::EnumVisitor::<Self>::NEW)
            }
        }
    };
}

pub(crate) use string_enum;

/// Reads a string enum without allocating.
pub(crate) struct EnumVisitor<T>(std::marker::PhantomData<T>);

impl<T> EnumVisitor<T> {
    pub(crate) const NEW: Self = Self(std::marker::PhantomData);
}

impl<T: std::str::FromStr<Err = UnknownValue>> serde::de::Visitor<'_> for EnumVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public enums")]
mod tests {
    string_enum!(
        /// A test's enum.
        Mode { ReturnControl = "RETURN_CONTROL", AmazonUserInput = "AMAZON.UserInput" }
    );

    #[test]
    fn round_trips_by_wire_value() {
        for mode in Mode::VALUES {
            let json = serde_json::to_string(mode).unwrap();
            assert_eq!(json, format!("\"{mode}\""));
            assert_eq!(serde_json::from_str::<Mode>(&json).unwrap(), *mode);
        }
        let error = serde_json::from_str::<Mode>("\"nope\"").unwrap_err();
        assert!(error.to_string().contains("`nope` is not a value of Mode"));
    }
}
