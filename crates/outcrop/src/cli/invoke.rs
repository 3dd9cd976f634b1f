//! `outcrop invoke`.

mod event;
mod line;
mod render;

#[cfg(test)]
mod tests;
