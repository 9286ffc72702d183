//! Figures of the bundled module, printed: compiling it, loading it from the cache, and what a
//! window of so many rows costs. `cargo bench --bench modules`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints and may fail"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use picket::module::abi::Row;
use picket::module::{Cache, Module};

const NAME: &str = "lateral-commands";
const ROUNDS: u32 = 7;

/// The best of some rounds of `runs`, each.
fn best(runs: u32, mut run: impl FnMut()) -> Duration {
    run();
    let rounds = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        (0..runs).for_each(|_| run());
        begun.elapsed() / runs
    });
    rounds.min().unwrap()
}

fn main() {
    let bytes = include_bytes!("../wasm-modules/lateral-commands/lateral-commands.wasm");
    let load =
        |cache: Option<&Cache>| Module::from_bytes(NAME, Path::new(NAME), bytes, cache).unwrap();
    println!("compile and try: {:.1?}", best(1, || drop(load(None))));
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    load(cache.as_ref());
    println!(
        "load from the cache and try: {:.1?}",
        best(10, || drop(load(cache.as_ref())))
    );
    let module = load(cache.as_ref());
    let lines = [
        "ipconfig /all",
        "dir C:\\Users",
        "cmd /c whoami /all",
        "net view /domain:corp",
        "notepad.exe C:\\Users\\bob\\Desktop\\notes from the meeting.txt",
        "\"C:\\Windows\\System32\\net.exe\" user administrator /domain",
        "systeminfo",
        "tasklist /v",
    ];
    let values: Vec<[Option<&str>; 1]> = (0..2048).map(|n| [Some(lines[n % 8])]).collect();
    for count in [0, 1, 10, 100, 1000, 2048] {
        let rows: Vec<Row<'_>> = values
            .iter()
            .take(count)
            .map(|values| Row { time: None, values })
            .collect();
        let runs = if count > 100 { 20 } else { 200 };
        let time = best(runs, || {
            black_box(module.score("host", &rows).unwrap());
        });
        println!(
            "window of {count} rows: {time:.1?}, {:.2} us a row",
            time.as_secs_f64() * 1e6 / count.max(1) as f64
        );
    }
}
