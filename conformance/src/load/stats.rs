//! Percentiles of measured durations.

use std::time::Duration;

use serde::Serialize;

/// What a set of durations looks like, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The middle one.
    pub p50_ms: f64,
    /// The one that 99 in 100 do not exceed.
    pub p99_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// Summarises durations; all zero for none.
pub fn summary(mut durations: Vec<Duration>) -> Summary {
    durations.sort_unstable();
    let at = |percent: usize| {
        let rank = (durations.len() * percent).div_ceil(100).saturating_sub(1);
        durations
            .get(rank)
            .map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
    };
    Summary {
        count: durations.len(),
        p50_ms: at(50),
        p99_ms: at(99),
        min_ms: at(0),
        max_ms: at(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let found = summary((1..=200).rev().map(Duration::from_millis).collect());
        let whole = |ms: f64| format!("{ms:.0}");
        assert_eq!(found.count, 200);
        assert_eq!(
            [found.min_ms, found.p50_ms, found.p99_ms, found.max_ms].map(whole),
            ["1", "100", "198", "200"]
        );
        assert_eq!(summary(Vec::new()).count, 0);
    }
}
