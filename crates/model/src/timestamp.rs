//! Points in time, in nanoseconds, and the forms AWS writes them in.
//!
//! [`Timestamp`] by itself serialises without loss (as many fractional digits as it has), which is
//! what documents of our own want. The generated shapes choose a form per service with
//! `#[serde(with = …)]`: [`micros`] in the control plane (`2025-03-14T09:26:53.589793Z`), [`nanos`]
//! in the runtime (`2025-05-30T17:28:09.251741423Z`), [`epoch_seconds`] where the model says so
//! (behaviour.md 0.1). Reading accepts any ISO-8601 instant with an offset, whatever the precision.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Nanoseconds since the Unix epoch; from 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text or number that is no instant, or lies outside the years 1677 to 2262.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp(String);

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a timestamp: {}", self.0)
    }
}

impl std::error::Error for InvalidTimestamp {}

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the Unix epoch, clamped to what fits.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded towards the past.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the Unix epoch, rounded towards the past.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// This plus a duration, clamped to what fits.
    #[must_use]
    pub fn saturating_add(self, duration: std::time::Duration) -> Self {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The time since `earlier`; zero if that is later.
    pub fn saturating_since(self, earlier: Self) -> std::time::Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }

    /// ISO-8601 in UTC with six fractional digits, the control plane's form.
    pub fn to_iso6(self) -> String {
        format!("{:.6}", self.jiff())
    }

    /// ISO-8601 in UTC with nine fractional digits, the form of runtime traces.
    pub fn to_iso9(self) -> String {
        format!("{:.9}", self.jiff())
    }

    /// Reads an ISO-8601 instant.
    ///
    /// # Errors
    /// When `text` is none, has no offset, or is out of range.
    pub fn parse_iso(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .and_then(|instant| i64::try_from(instant.as_nanosecond()).ok())
            .map(Self)
            .ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }

    /// From seconds since the epoch, to the microsecond (what a double can hold today).
    ///
    /// # Errors
    /// When the number is not finite or out of range.
    pub fn from_epoch_seconds(seconds: f64) -> Result<Self, InvalidTimestamp> {
        let micros = (seconds * 1e6).round();
        // 2^53 microseconds end in the year 2255, inside the range of nanoseconds in an i64.
        if micros.is_finite() && micros.abs() < 9_007_199_254_740_992.0 {
            #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
            let micros = micros as i64;
            Ok(Self(micros * 1_000))
        } else {
            Err(InvalidTimestamp(seconds.to_string()))
        }
    }

    /// Seconds since the epoch, to the microsecond.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a double is what the wire carries"
    )]
    pub fn to_epoch_seconds(self) -> f64 {
        self.0.div_euclid(1_000) as f64 / 1e6
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .expect("every i64 of nanoseconds lies within jiff's range of years")
    }
}

impl fmt::Display for Timestamp {
    /// ISO-8601 in UTC with as many fractional digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.jiff(), f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_iso(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Iso;

        impl serde::de::Visitor<'_> for Iso {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ISO-8601 timestamp")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse_iso(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Iso)
    }
}

/// A `with` module of serde for required members and, under `option`, for optional ones.
macro_rules! serde_form {
    ($(#[$meta:meta])* $name:ident, $write:expr, $read:ident) => {
        $(#[$meta])*
        pub mod $name {
            use super::Timestamp;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            /// Writes a timestamp in this form.
            pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
                $write(*time).serialize(serializer)
            }

            /// Reads a timestamp.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
                super::$read::deserialize(deserializer).map(Timestamp::from)
            }

            /// The same for an `Option`.
            pub mod option {
                use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

                /// Writes a timestamp in this form.
                pub fn serialize<S: Serializer>(
                    time: &Option<Timestamp>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    time.map($write).serialize(serializer)
                }

                /// Reads a timestamp.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<Timestamp>, D::Error> {
                    let read = Option::<super::super::$read>::deserialize(deserializer)?;
                    Ok(read.map(Timestamp::from))
                }
            }
        }
    };
}

serde_form!(
    /// ISO-8601 with six fractional digits.
    micros, Timestamp::to_iso6, Timestamp
);
serde_form!(
    /// ISO-8601 with nine fractional digits.
    nanos, Timestamp::to_iso9, Timestamp
);
serde_form!(
    /// Seconds since the epoch as a number.
    epoch_seconds, Timestamp::to_epoch_seconds, EpochSeconds
);

struct EpochSeconds(Timestamp);

impl From<EpochSeconds> for Timestamp {
    fn from(read: EpochSeconds) -> Self {
        read.0
    }
}

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Timestamp::from_epoch_seconds(seconds)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_forms_seen_on_the_wire() {
        let time = Timestamp::from_nanos(1_748_626_089_251_741_423);
        assert_eq!(time.to_iso9(), "2025-05-30T17:28:09.251741423Z");
        assert_eq!(time.to_iso6(), "2025-05-30T17:28:09.251741Z");
        assert_eq!(time.to_string(), "2025-05-30T17:28:09.251741423Z");
        let whole = Timestamp::from_nanos(1_748_626_089 * NANOS_PER_SECOND);
        assert_eq!(whole.to_iso9(), "2025-05-30T17:28:09.000000000Z");
        assert_eq!(whole.to_iso6(), "2025-05-30T17:28:09.000000Z");
        assert_eq!(whole.to_string(), "2025-05-30T17:28:09Z");
    }

    #[test]
    fn reads_any_precision_and_offset() {
        let expected = Timestamp::from_nanos(1_741_944_413_589_793_000);
        for text in [
            "2025-03-14T09:26:53.589793Z",
            "2025-03-14T10:26:53.589793+01:00",
            "2025-03-14T09:26:53.589793000Z",
        ] {
            assert_eq!(Timestamp::parse_iso(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2025-03-14",
            "2025-03-14T09:26:53",
            "9999-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse_iso(text).is_err(), "{text}");
        }
    }

    #[test]
    fn epoch_seconds_keep_microseconds() {
        let time = Timestamp::from_epoch_seconds(1_741_944_413.589_793).unwrap();
        assert_eq!(time.as_nanos(), 1_741_944_413_589_793_000);
        assert!((time.to_epoch_seconds() - 1_741_944_413.589_793).abs() < 1e-9);
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(Timestamp::from_epoch_seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn by_itself_loses_nothing() {
        for nanos in [0, 1, -1, i64::MAX, i64::MIN, 1_748_626_089_251_741_423] {
            let time = Timestamp::from_nanos(nanos);
            let json = serde_json::to_string(&time).unwrap();
            assert_eq!(
                serde_json::from_str::<Timestamp>(&json).unwrap(),
                time,
                "{json}"
            );
        }
    }

    #[test]
    fn forms_apply_to_optional_members_too() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Both {
            #[serde(with = "nanos")]
            at: Timestamp,
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                with = "epoch_seconds::option"
            )]
            until: Option<Timestamp>,
        }
        let both = Both {
            at: Timestamp::from_millis(1_500),
            until: Some(Timestamp::from_millis(2_500)),
        };
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(
            json,
            r#"{"at":"1970-01-01T00:00:01.500000000Z","until":2.5}"#
        );
        assert_eq!(serde_json::from_str::<Both>(&json).unwrap(), both);
        let absent: Both = serde_json::from_str(r#"{"at":"1970-01-01T00:00:01Z"}"#).unwrap();
        assert_eq!(absent.until, None);
    }
}
