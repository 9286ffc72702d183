//! How fast recordings are judged by Sigma rules, on one thread: `cargo bench --bench scan --
//! [RULES INPUT...]` (without arguments SigmaHQ's rules and the recorded attacks, where they stand
//! beside the repository). Prints events, seconds of CPU for reading and for judging, events a CPU
//! second, peak memory, findings, and allocations a document. Linux only: its figures come from
//! `/proc`. Asserts nothing.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use picket::alert::AlertLevels;
use picket::detect::sigma::SigmaDetector;
use picket::detect::{Detector, Inspection};
use picket::document::Document;
use picket::input::{Inputs, Item, Progress};
use picket::rule::{Placeholders, RuleSet};
use picket::taxonomy::{Event, Fields, Reader, Slots};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts must be one")]
// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Events that are judged together.
const PAGE: usize = 128;

/// Seconds of CPU that this (the only) thread has used.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    first.unwrap_or(0.0) / 1e9
}

/// The most memory that was ever in use, in MB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

#[derive(Default)]
struct Totals {
    events: u64,
    judging: f64,
    findings: u64,
    differs: u64,
    unsupported: u64,
    quiet: u64,
    quiet_allocations: u64,
}

struct Scan {
    reader: Reader,
    slots: Vec<Slots>,
    detector: SigmaDetector,
    totals: Totals,
}

impl Scan {
    fn judge(&mut self, page: &[Document]) {
        use picket::finding::SecondOpinion::{Differs, Unsupported};
        let begin = cpu();
        let allocations = ALLOCATIONS.load(Ordering::Relaxed);
        let mut events = Vec::with_capacity(page.len());
        for (document, slots) in page.iter().zip(&mut self.slots) {
            if self.reader.read(&document.source, slots).is_ok() {
                events.push(Event::new(document, slots));
            }
        }
        let mut found = Inspection::default();
        self.detector.inspect(&events, &mut found);
        self.totals.judging += cpu() - begin;
        if found.findings.is_empty() {
            self.totals.quiet += events.len() as u64;
            self.totals.quiet_allocations += ALLOCATIONS.load(Ordering::Relaxed) - allocations;
        }
        self.totals.events += events.len() as u64;
        self.totals.findings += found.findings.len() as u64;
        for (_, finding) in &found.findings {
            self.totals.differs += u64::from(finding.second_opinion == Some(Differs));
            self.totals.unsupported += u64::from(finding.second_opinion == Some(Unsupported));
            if finding.second_opinion == Some(Differs) && std::env::var_os("DIFFERS").is_some() {
                println!("differs: {} {}", finding.rule_id, finding.rule);
            }
        }
    }
}

fn main() {
    let named: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .map(PathBuf::from)
        .collect();
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("PICKET_TEST_SHARED").map_or(beside, PathBuf::from);
    let (rules, inputs) = match named.split_first() {
        Some((rules, inputs)) => (rules.clone(), inputs.to_vec()),
        None => (shared.join("sigma"), vec![shared.join("attacks")]),
    };
    if !rules.exists() {
        println!("skipped: no {}", rules.display());
        return;
    }
    let begin = cpu();
    let mut fields = Fields::default();
    let (rules, problems) = RuleSet::load(&[rules], &Placeholders::default(), &mut fields);
    let rules = Arc::new(rules);
    let mut scan = Scan {
        reader: Reader::new(&fields),
        slots: vec![Slots::default(); PAGE],
        detector: SigmaDetector::new(rules.clone(), &fields, AlertLevels::default()),
        totals: Totals::default(),
    };
    println!(
        "{} rules ({} problems) loaded and compiled in {:.2} s of CPU",
        rules.rules.len(),
        problems.len(),
        cpu() - begin
    );
    let (inputs, _) = Inputs::find(&inputs);
    let begin = cpu();
    let mut page = Vec::with_capacity(PAGE);
    let _ = inputs.read(&Progress::default(), &mut |item| {
        if let Item::Record(record) = item {
            page.push(Document::loose("scan".into(), "1", record.source));
            if page.len() == PAGE {
                scan.judge(&page);
                page.clear();
            }
        }
        ControlFlow::Continue(())
    });
    scan.judge(&page);
    let all = cpu() - begin;
    let totals = &scan.totals;
    let events = totals.events as f64;
    println!(
        "{} events in {all:.2} s of CPU: {:.0} events a CPU second; judging alone {:.2} s: {:.0}",
        totals.events,
        events / all,
        totals.judging,
        events / totals.judging
    );
    println!(
        "{} findings, sigma-rust differs on {} and cannot judge {}; peak memory {:.0} MB; {:.4} allocations a document in {} documents without findings",
        totals.findings,
        totals.differs,
        totals.unsupported,
        peak(),
        totals.quiet_allocations as f64 / totals.quiet.max(1) as f64,
        totals.quiet
    );
}
