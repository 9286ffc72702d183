//! The sandbox: one wasmtime engine for the process, with limits on time, memory, stack and on
//! what a module may hand back. Never links WASI or any other import, and never keeps an instance
//! from one call to the next, so that no module can remember what it saw.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, ResourceLimiter, Store, Trap, UpdateDeadline};

/// Linear memory of one instance, in bytes, all its memories together.
const MAX_MEMORY: usize = 64 << 20;
/// Elements of one instance's tables together.
const MAX_TABLE: usize = 100_000;
/// Stack of WebAssembly code, in bytes.
const MAX_STACK: usize = 512 << 10;
/// What a call may hand back, in bytes of the host's memory.
const HOSTCALL_FUEL: usize = 8 << 20;
/// How long a call may run, in ticks of [`TICK`].
const DEADLINE: u64 = 50;
/// One epoch of the engine.
const TICK: Duration = Duration::from_millis(1);
/// A call that had to wait for the processor gets so many ticks more,
const EXTENSION: u64 = 10;
/// and that at most so often: a second in all.
const EXTENSIONS: u32 = 95;
/// Core instances, memories and tables of one component.
const MAX_PARTS: usize = 16;

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It ran for too long.
    #[error("ran for more than {DEADLINE} ms and was stopped")]
    Deadline,
    /// It trapped, or handed back what cannot be read.
    #[error("failed: {0}")]
    Trapped(String),
    /// It answered with an error of its own.
    #[error("refused: {0}")]
    Refused(String),
    /// Its answer breaks the contract.
    #[error("answered against the contract: {0}")]
    Invalid(String),
    /// It is not asked any more.
    #[error("is quarantined until Picket is started again: it failed {0} times in a row")]
    Quarantined(u32),
}

impl Failure {
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::Deadline,
            Some(trap) => Self::Trapped(clip(&trap.to_string(), 300)),
            None => Self::Trapped(clip(&one_line(error), 300)),
        }
    }
}

/// An error and its causes, as one line.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most the first `max` bytes, cut between characters.
pub(super) fn clip(text: &str, max: usize) -> String {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
        .to_owned()
}

/// What one instance uses up.
#[derive(Default)]
pub(super) struct Budget {
    memory: usize,
    table: usize,
    /// What the thread had used of the processor when the call began.
    begun: Option<Duration>,
    extensions: u32,
}

/// How long this thread has had a processor. A busy machine must not make a good module look
/// endless. `None` where the system does not say: then the time on the wall counts.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

impl Budget {
    fn may_go_on(&mut self) -> bool {
        let had = processor_time().zip(self.begun);
        let waited = had.is_some_and(|(now, begun)| {
            let deadline = TICK * u32::try_from(DEADLINE).unwrap_or(u32::MAX);
            now.saturating_sub(begun) < deadline
        });
        self.extensions += 1;
        waited && self.extensions <= EXTENSIONS
    }

    fn take(used: &mut usize, current: usize, desired: usize, max: usize) -> bool {
        let wanted = used.saturating_add(desired.saturating_sub(current));
        if wanted <= max {
            *used = wanted;
        }
        wanted <= max
    }
}

impl ResourceLimiter for Budget {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(Self::take(&mut self.memory, current, desired, MAX_MEMORY))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(Self::take(&mut self.table, current, desired, MAX_TABLE))
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

/// The engine, and the clock that stops calls. One for the process: compiled code belongs to its
/// engine.
pub(super) struct Host {
    pub(super) engine: Engine,
    ticker: Arc<Ticker>,
}

/// Advances the engine's epoch while any call runs, and sleeps otherwise.
struct Ticker {
    running: Mutex<usize>,
    wake: Condvar,
}

/// While it lives, time passes for modules.
struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}

impl Ticker {
    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Running<'_> {
        *self.lock() += 1;
        self.wake.notify_one();
        Running(self)
    }

    fn run(&self, engine: &Engine) {
        loop {
            let idle = self.lock();
            let running = self.wake.wait_while(idle, |running| *running == 0);
            drop(running);
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    }
}

impl Host {
    /// The process's host.
    ///
    /// # Errors
    /// This machine cannot run WebAssembly; the sentence says why.
    pub(super) fn get() -> Result<&'static Self, String> {
        static HOST: OnceLock<Result<Host, String>> = OnceLock::new();
        HOST.get_or_init(Self::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, String> {
        let engine = Engine::new(&config()).map_err(|error| one_line(&error))?;
        let ticker = Arc::new(Ticker {
            running: Mutex::new(0),
            wake: Condvar::new(),
        });
        let (clock, ticking) = (engine.clone(), Arc::clone(&ticker));
        std::thread::Builder::new()
            .name("module-clock".to_owned())
            .spawn(move || ticking.run(&clock))
            .map_err(|error| format!("cannot start the modules' clock: {error}"))?;
        Ok(Self { engine, ticker })
    }

    /// Links a component to nothing at all.
    pub(super) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<Budget>> {
        Linker::new(&self.engine).instantiate_pre(component)
    }

    /// Runs `call` in a store of its own, under all limits. Each [`Sandbox::rearm`] gives it
    /// another deadline.
    pub(super) fn run<T>(
        &self,
        call: impl FnOnce(&mut Sandbox) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut store = Store::new(&self.engine, Budget::default());
        store.limiter(|budget| budget);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.epoch_deadline_callback(|mut store| {
            Ok(if store.data_mut().may_go_on() {
                UpdateDeadline::Continue(EXTENSION)
            } else {
                UpdateDeadline::Interrupt
            })
        });
        let _running = self.ticker.start();
        let mut sandbox = Sandbox { store };
        sandbox.rearm();
        call(&mut sandbox)
    }
}

/// A store with its limits set.
pub(super) struct Sandbox {
    pub(super) store: Store<Budget>,
}

impl Sandbox {
    /// The whole deadline anew, for the next call.
    pub(super) fn rearm(&mut self) {
        self.store.data_mut().begun = processor_time();
        self.store.data_mut().extensions = 0;
        self.store.set_epoch_deadline(DEADLINE);
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(MAX_STACK)
        // The same rows give the same hits on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}
