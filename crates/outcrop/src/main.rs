//! The `outcrop` binary.

mod cli;
mod config;

fn main() {
    let environment = config::Environment::of_process();
    let flags = config::Flags::default();
    println!(
        "{:?}",
        config::load(&flags, &environment, std::path::Path::new("."))
    );
    println!("{:?}", config::misspelt_variables(&environment));
}
