//! Modules, most of them hostile: whatever a module does, Picket goes on within a bounded time and
//! says which module it was. The guests are written as text here, so that no toolchain is needed.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot make fails the test"
)]

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use picket::module::abi::Row;
use picket::module::{Cache, Failure, Module, Modules};

use self::guest::{Guest, HITS, MODULE, TEXTS, component, data, hit};

mod detector;
mod guest;

/// Generous, because the machine may be busy; every limit is far below.
const SOON: Duration = Duration::from_secs(10);

fn load(name: &str, bytes: &[u8]) -> Result<Module, String> {
    Module::from_bytes(name, Path::new("guest.wasm"), bytes, None)
        .map_err(|problem| problem.to_string())
}

fn load_guest(guest: &Guest) -> Result<Module, String> {
    load("guest", &guest.bytes())
}

fn row() -> Row<'static> {
    Row {
        time: Some(0),
        values: &[Some("whoami /all")],
    }
}

#[test]
fn a_good_module_answers() {
    let reason = data(TEXTS + 2048, b"because");
    let mut guest = Guest::answering(1, &[hit(1, 0.75, (TEXTS + 2048, 7), (0, 0))]);
    guest.extra += &reason;
    let module = load_guest(&guest).unwrap();
    let hits = module.score("", &[row(), row()]).unwrap();
    assert_eq!((hits.len(), hits[0].index, hits[0].score), (1, 1, 0.75));
    assert_eq!(hits[0].reason, "because");
    assert_eq!(module.description().fields, ["CommandLine"]);
    assert!(module.score("", &[]).unwrap().is_empty());
    let window = Guest {
        scope: 1,
        span: 3600,
        ..Guest::default()
    };
    let window = load_guest(&window).unwrap();
    assert!(window.score("ws01", &[row()]).unwrap().is_empty());
}

#[test]
fn whatever_a_module_does_ends_soon_and_with_a_reason() {
    let recursion = Guest {
        extra: "(func $r (param i32) (result i32)
            (i32.add (call $r (i32.add (local.get 0) (i32.const 1))) (local.get 0)))"
            .to_owned(),
        ..Guest::with_body("(call $r (i32.const 1))")
    };
    let bad_text = |bytes: &[u8], length| {
        let mut guest = Guest::answering(1, &[hit(0, 0.5, (TEXTS + 2048, length), (0, 0))]);
        guest.extra += &data(TEXTS + 2048, bytes);
        guest
    };
    let endless = "ran for more than 50 ms";
    let cases: Vec<(&str, Guest, &str)> = vec![
        ("loop", Guest::with_body("(loop $l (br $l)) unreachable"), endless),
        ("growing", Guest::with_body("(loop $l (drop (memory.grow (i32.const 16))) (br $l)) unreachable"), endless),
        ("memory bomb", Guest::with_body("(loop $l (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))
            (memory.fill (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4096)) (i32.const 7) (i32.const 4096))
            (br $l)) unreachable"), "unreachable"),
        ("bulk fill", Guest::with_body("(drop (memory.grow (i32.const 900))) (loop $l
            (memory.fill (i32.const 131072) (i32.const 1) (i32.const 58000000)) (br $l)) unreachable"), endless),
        ("deep recursion", recursion, "call stack exhausted"),
        ("trap", Guest::with_body("unreachable"), "unreachable"),
        ("answer outside of memory", Guest::with_body("(i32.const 0x7ffffff0)"), "out of bounds"),
        ("unaligned answer", Guest::with_body("(i32.const 513)"), "not aligned"),
        ("list outside of memory", Guest::answering(0x0100_0000, &[]), "out of"),
        ("huge list", Guest { extra: Guest::answering(1_500_000, &[]).extra,
            ..Guest::with_body("(drop (memory.grow (i32.const 1000))) (i32.const 528)") }, "fuel"),
        ("huge text", Guest { extra: Guest::answering(1, &[hit(0, 0.5, (0, 50_000_000), (0, 0))]).extra,
            ..Guest::with_body("(drop (memory.grow (i32.const 1000))) (i32.const 528)") }, "fuel"),
        ("no number", Guest::answering(1, &[hit(0, f64::NAN, (0, 0), (0, 0))]), "score of NaN"),
        ("score 7", Guest::answering(1, &[hit(0, 7.0, (0, 0), (0, 0))]), "score of 7"),
        ("too many hits", Guest::answering(2, &[hit(0, 0.5, (0, 0), (0, 0)), hit(1, 0.5, (0, 0), (0, 0))]), "2 hits on 1 rows"),
        ("no such row", Guest::answering(1, &[hit(1, 0.5, (0, 0), (0, 0))]), "a hit on row 1 of 1"),
        ("giant reason", bad_text(&[b'a'; 2000], 2000), "reason of 2000 bytes"),
        ("bad UTF-8", bad_text(&[0xff, 0xfe], 2), "utf-8"),
        ("no such level", Guest { extra: Guest::answering(1, &[hit(0, 0.5, (0, 0), (0, 0))]).extra + &data(HITS + 16, &[9]),
            ..Guest::with_body("(i32.const 528)") }, "discriminant"),
        ("evidence elsewhere", Guest { extra: Guest::answering(1, &[hit(0, 0.5, (0, 0), (3072, 1))]).extra
            + &data(3072, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0]),
            ..Guest::with_body("(i32.const 528)") }, "where nothing is"),
        ("error of its own", Guest { extra: data(528, &[1, 0, 0, 0, 0, 16, 0, 0, 5, 0, 0, 0]),
            ..Guest::with_body("(i32.const 528)") }, "refused: guest"),
    ];
    for (name, guest, reason) in cases {
        let module = load_guest(&guest).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let begun = Instant::now();
        let failure = module.score("", &[row()]).unwrap_err().to_string();
        assert!(begun.elapsed() < SOON, "{name}: {:?}", begun.elapsed());
        assert!(failure.contains(reason), "{name}: {failure}");
        // A failed instance is gone; the module still answers what it can.
        assert!(module.score("", &[]).is_ok(), "{name}");
    }
}

#[test]
fn what_is_no_module_is_refused_by_name() {
    let other_types = "package picket:scoring@1.0.0;
        interface module { describe: func() -> u32; configure: func(o: string) -> result<_, string>; }
        world w { export module; }";
    let wrong_type = format!(
        r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "{MODULE}#describe") (result i32) (i32.const 0))
        (func (export "{MODULE}#configure") (param i32 i32) (result i32) (i32.const 0)))"#
    );
    let exec =
        "package acme:x; world w { import exec: func(cmd: u32) -> u32; export run: func(); }";
    let exec_core =
        r#"(module (import "$root" "exec" (func (param i32) (result i32))) (func (export "run")))"#;
    let run = "package acme:x; world w { export run: func(); }";
    let run_core = r#"(module (func (export "run")))"#;
    let endless_start = Guest {
        extra: "(func $s (loop $l (br $l))) (start $s)".to_owned(),
        ..Guest::default()
    };
    let too_much_memory = Guest {
        extra: "(func $s (if (i32.eq (memory.grow (i32.const 2000)) (i32.const -1)) (then unreachable))) (start $s)".to_owned(),
        ..Guest::default()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "start loop",
            endless_start.bytes(),
            "ran for more than 50 ms",
        ),
        ("memory at start", too_much_memory.bytes(), "unreachable"),
        (
            "wrong type",
            component(other_types, "w", &wrong_type),
            "type",
        ),
        (
            "missing export",
            component(run, "w", run_core),
            "does not export `describe`",
        ),
        (
            "forbidden import",
            component(exec, "w", exec_core),
            "imports `exec`",
        ),
        (
            "core module",
            wat::parse_str("(module)").unwrap(),
            "is a core module",
        ),
        (
            "garbage",
            b"MZ not wasm at all".to_vec(),
            "is no WebAssembly component",
        ),
        ("empty", Vec::new(), "is no WebAssembly component"),
        (
            "header only",
            b"\0asm\x0d\0\x01\0".to_vec(),
            "does not export",
        ),
        (
            "broken",
            b"\0asm\x0d\0\x01\0\x01\xff\xff\xff".to_vec(),
            "cannot be compiled",
        ),
        (
            "other contract",
            Guest {
                abi: 2,
                ..Guest::default()
            }
            .bytes(),
            "version 2 of the contract",
        ),
        (
            "other name",
            Guest {
                name: "other",
                ..Guest::default()
            }
            .bytes(),
            "calls itself `other`",
        ),
        (
            "no version",
            Guest {
                version: "",
                ..Guest::default()
            }
            .bytes(),
            "no usable version",
        ),
        (
            "window without span",
            Guest {
                scope: 1,
                ..Guest::default()
            }
            .bytes(),
            "window of 0 s",
        ),
        (
            "events with span",
            Guest {
                span: 5,
                ..Guest::default()
            }
            .bytes(),
            "window of 5 s",
        ),
        (
            "no field",
            Guest {
                field: "",
                ..Guest::default()
            }
            .bytes(),
            "has a field that is empty",
        ),
        (
            "no technique",
            Guest {
                technique: "T1",
                ..Guest::default()
            }
            .bytes(),
            "no ATT&CK technique",
        ),
    ];
    for (name, bytes, reason) in cases {
        let begun = Instant::now();
        let problem = load("guest", &bytes).unwrap_err();
        assert!(begun.elapsed() < SOON, "{name}: {:?}", begun.elapsed());
        assert!(problem.contains(reason), "{name}: {problem}");
        assert!(problem.starts_with("guest.wasm:"), "{name}: {problem}");
    }
}

#[test]
fn a_module_that_is_hard_to_compile_is_bounded() {
    let mut body = String::from("(func (export \"f\") (param i32) (result i32)");
    body += &"(local i32)".repeat(500);
    for i in 0..20_000 {
        write!(
            body,
            "local.get {} local.get 0 i32.add local.set {} ",
            i % 500,
            (i * 7) % 500
        )
        .unwrap();
        if i % 300 == 0 {
            body += "local.get 0 (if (then nop)) ";
        }
    }
    let guest = Guest {
        extra: body + "local.get 1)",
        ..Guest::default()
    };
    let bytes = guest.bytes();
    let begun = Instant::now();
    // The outcome is the compiler's affair, the time is ours.
    let _ = load("guest", &bytes);
    assert!(begun.elapsed() < Duration::from_secs(70));
}

#[test]
fn a_module_that_only_fails_is_quarantined() {
    let module = load_guest(&Guest::with_body("unreachable")).unwrap();
    for _ in 0..16 {
        assert!(matches!(
            module.score("", &[row()]),
            Err(Failure::Trapped(_))
        ));
    }
    let failure = module.score("", &[row()]).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "is quarantined until Picket is started again: it failed 16 times in a row"
    );
    assert!(module.is_quarantined());
}

#[test]
fn one_bad_module_of_a_folder_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join(format!("{name}.wasm")), bytes).unwrap();
    };
    let good = Guest {
        name: "good",
        ..Guest::default()
    };
    put("bad", b"garbage");
    put("good", &good.bytes());
    put("large", &vec![0; 21 << 20]);
    put("wrong", &Guest::default().bytes());
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (modules, problems) = Modules::load(folder.path(), None);
    let names: Vec<&str> = modules
        .iter()
        .map(|module| module.description().name.as_str())
        .collect();
    assert_eq!(names, ["good"]);
    let problems: Vec<String> = problems
        .iter()
        .map(|problem| {
            problem
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        })
        .collect();
    insta::assert_snapshot!(problems.join("\n"), @"
    bad/bad.wasm: is no WebAssembly component
    large/large.wasm: is too large: 22020096 bytes; modules may have at most 20 MB
    wrong/wrong.wasm: calls itself `guest`, but stands in the folder `wrong`
    ");
    let (none, problems) = Modules::load(&folder.path().join("nowhere"), None);
    assert!(none.is_empty());
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_module_must_pass_the_cases_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let guest = folder.path().join("guest");
    std::fs::create_dir_all(guest.join("cases")).unwrap();
    let bytes = Guest::answering(1, &[hit(0, 0.75, (0, 0), (0, 0))]).bytes();
    std::fs::write(guest.join("guest.wasm"), bytes).unwrap();
    let case = |text: &str| {
        std::fs::write(guest.join("cases/a.json"), text).unwrap();
        let (modules, problems) = Modules::load(folder.path(), None);
        assert_eq!(modules.len() + problems.len(), 1);
        problems.first().map(|problem| problem.message.clone())
    };
    let rows = r#""rows": [{"time": 1, "CommandLine": "x"}]"#;
    let good = format!(r#"{{ {rows}, "hits": [{{"index": 0, "score": [0.7, 0.8]}}] }}"#);
    assert_eq!(case(&good), None);
    let wrong = format!(r#"{{ {rows}, "hits": [] }}"#);
    assert_eq!(
        case(&wrong).unwrap(),
        "expects other hits; the module hits row 0 with 0.750"
    );
    let unknown = r#"{ "rows": [{"Image": "x"}], "hits": [] }"#;
    assert!(case(unknown).unwrap().contains("`Image`"));
    assert!(case("{").unwrap().starts_with("is no case"));
}

#[test]
fn a_cached_module_is_the_same_module() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cache) = Cache::at(folder.path().join("cache")) else {
        println!("skipped: no cache on this system");
        return;
    };
    let bytes = Guest::answering(1, &[hit(0, 0.75, (0, 0), (0, 0))]).bytes();
    let load = || Module::from_bytes("guest", Path::new("g"), &bytes, Some(&cache)).unwrap();
    let compiled = load();
    assert_eq!(
        std::fs::read_dir(folder.path().join("cache"))
            .unwrap()
            .count(),
        1
    );
    let cached = load();
    assert_eq!(compiled.digest(), cached.digest());
    assert_eq!(
        compiled.score("", &[row()]).unwrap(),
        cached.score("", &[row()]).unwrap()
    );
}
