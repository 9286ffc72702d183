//! Makes a component of a core module that carries its WIT in a custom section, as `wit-bindgen`
//! leaves it: `cargo run --example componentize -- CORE.wasm COMPONENT.wasm`. For module authors
//! and `wasm-modules/build.sh`; part of no release.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(core), Some(component)) = (paths.next(), paths.next()) else {
        anyhow::bail!("give a core module and the component to make of it");
    };
    let bytes = std::fs::read(&core).with_context(|| core.display().to_string())?;
    let made = ComponentEncoder::default()
        .module(&bytes)?
        .validate(true)
        .encode()?;
    std::fs::write(&component, made).with_context(|| component.display().to_string())
}
