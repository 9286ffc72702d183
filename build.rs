//! Compiles the rules and the blacklist of `rules/` into the binary, so that it runs from
//! anywhere: writes `bundled.rs` with their paths and texts, in sorted order.
//! Never reads anything else.

#![expect(clippy::unwrap_used, reason = "a build script ends by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const BLACKLIST: &str = "rules/blacklist.txt";

fn main() {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let mut rules = Vec::new();
    collect(&root.join("rules"), &mut rules);
    rules.sort();
    let mut code = String::from("pub(super) static RULES: &[(&str, &str)] = &[\n");
    for rule in &rules {
        let name = rule.strip_prefix(&root).unwrap();
        let name = name.to_str().unwrap().replace('\\', "/");
        writeln!(code, "    ({name:?}, {}),", text_of(&name)).unwrap();
    }
    code.push_str("];\n");
    let text = match root.join(BLACKLIST).is_file() {
        true => text_of(BLACKLIST),
        false => "\"\"".to_owned(),
    };
    writeln!(code, "pub(super) static BLACKLIST: &str = {text};").unwrap();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    fs::write(out.join("bundled.rs"), code).unwrap();
}

/// What includes the text of a file of the checkout, wherever that is by then.
fn text_of(name: &str) -> String {
    let path = format!("/{name}");
    format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))")
}

fn collect(folder: &Path, rules: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, rules);
        } else if path
            .extension()
            .is_some_and(|end| end == "yml" || end == "yaml")
        {
            rules.push(path);
        }
    }
}
