//! What a confined child can and cannot do, tried by children.

#![cfg(target_os = "linux")]

mod files;
mod lifetime;
mod network;
mod support;
mod system;
