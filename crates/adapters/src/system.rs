//! Time, identifiers and chance from the operating system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{Clock, Ids};
use outcrop_model::timestamp::Timestamp;
use uuid::Uuid;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Identifiers from the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

/// Characters of AWS's generated ids (behaviour.md 0.4).
const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Their length.
const RESOURCE_ID_CHARS: usize = 10;

impl Ids for RandomIds {
    fn uuid(&self) -> String {
        Uuid::new_v4().to_string()
    }

    fn resource_id(&self) -> String {
        // 36^10 is far below 2^122, so the digits of one UUID are as good as uniform.
        let mut number = Uuid::new_v4().as_u128() >> 6;
        let mut id = String::with_capacity(RESOURCE_ID_CHARS);
        for _ in 0..RESOURCE_ID_CHARS {
            let digit = usize::try_from(number % 36).expect("a remainder of 36 fits any integer");
            id.push(char::from(ALPHABET[digit]));
            number /= 36;
        }
        id
    }

    fn fraction(&self) -> f64 {
        let bits = u32::try_from(Uuid::new_v4().as_u128() & u128::from(u32::MAX))
            .expect("masked to 32 bits");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_awss_form_and_differ() {
        let (one, other) = (RandomIds.resource_id(), RandomIds.resource_id());
        assert_ne!(one, other);
        assert!(one.len() == 10 && one.bytes().all(|byte| ALPHABET.contains(&byte)));
        let fraction = RandomIds.fraction();
        assert!((0.0..1.0).contains(&fraction));
    }
}
