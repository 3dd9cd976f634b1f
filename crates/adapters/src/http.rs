//! The shared HTTP client of the adapters.
