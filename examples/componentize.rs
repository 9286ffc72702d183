//! Makes a component of a core module that carries its WIT in a custom section, as `wit-bindgen`
//! leaves it: `cargo run --example componentize -- CORE.wasm COMPONENT.wasm`. For module authors
//! and `wasm-modules/build.sh`; part of no release.

use std::path::PathBuf;

use std::error::Error;
use wit_component::ComponentEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(core), Some(component)) = (paths.next(), paths.next()) else {
        return Err("give a core module and the component to make of it".into());
    };
    let bytes = std::fs::read(&core)?;
    let made = ComponentEncoder::default()
        .module(&bytes)?
        .validate(true)
        .encode()?;
    std::fs::write(&component, made)?;
    Ok(())
}
