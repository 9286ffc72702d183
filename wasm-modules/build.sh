#!/usr/bin/env bash
# Builds the bundled modules anew from their sources. Needs the pinned Rust toolchain with the
# target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`); the same toolchain
# gives the same bytes wherever the checkout stands.
# Debian without rustup: `apt install rustc-web libstd-rust-web-dev` has the target too, with
# another compiler and so other bytes.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/modules

for guest in */guest; do
  name=${guest%/guest}
  # No path of this machine in the module.
  RUSTFLAGS="--remap-path-prefix=$root=/picket --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    cargo build --locked --release --target wasm32-unknown-unknown \
    --manifest-path "$guest/Cargo.toml" --target-dir "$target"
  (cd "$root" && cargo run --quiet --example componentize -- \
    "$target/wasm32-unknown-unknown/release/${name//-/_}.wasm" "wasm-modules/$name/$name.wasm")
  printf '%s: %s bytes\n' "$name" "$(wc -c <"$name/$name.wasm")"
done
