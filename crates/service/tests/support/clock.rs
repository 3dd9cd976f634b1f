//! A clock that stands still.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::port::Clock;
use outcrop_model::timestamp::Timestamp;

/// Waits as long as this, or longer, never end: deadlines, and looks at what others do. Waits between
/// attempts are shorter, and over at once.
const ENDLESS: Duration = Duration::from_secs(25);

/// Goes on by a microsecond whenever it is asked, so that no two times are the same.
pub(crate) struct StillClock(pub(crate) AtomicI64);

impl Default for StillClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000_000_000))
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.fetch_add(1_000, Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration >= ENDLESS {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    }
}
