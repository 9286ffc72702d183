//! Scoring modules: WebAssembly components that judge events, or the last hours of a host or user,
//! in a sandbox. `wit/scoring.wit` is the contract. A module gets no rights, has its time, memory
//! and stack bounded, and is not believed: what it answers is checked. A module that fails is a
//! [`Problem`] or a [`Failure`], never silence, and never stops another.

pub mod abi;
mod cache;
mod cases;
mod check;
mod host;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use self::abi::{Description, Hit, Row, Scope};
use self::host::{Budget, Host, Sandbox, one_line};
use crate::hex::hex;
use crate::problem::Problem;

pub use self::cache::Cache;
pub use self::host::Failure;

/// Of a module's file, in bytes.
const MAX_FILE: u64 = 20 << 20;
/// How long a module may take to compile. The largest that are allowed take some 15 s.
const MAX_COMPILE: Duration = Duration::from_secs(60);
/// After so many failures in a row a module is not asked any more: more than one event can cause,
/// however it is searched for (see `detect::module`).
const MAX_FAILURES: u32 = 16;

/// A module that is ready to be asked, by any number of threads.
pub struct Module {
    host: &'static Host,
    pre: InstancePre<Budget>,
    configure: ComponentExportIndex,
    score: ComponentExportIndex,
    description: Description,
    digest: String,
    path: PathBuf,
    failures: AtomicU32,
}

/// All modules that were loaded.
#[derive(Default)]
pub struct Modules {
    all: Vec<Arc<Module>>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("description", &self.description)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The modules that Picket brings along: name and component.
const BUNDLED: [(&str, &[u8]); 1] = [(
    "lateral-commands",
    include_bytes!("../wasm-modules/lateral-commands/lateral-commands.wasm"),
)];

impl Modules {
    /// The modules that Picket brings along. Blocks while they compile.
    pub fn bundled(cache: Option<&Cache>) -> (Self, Vec<Problem>) {
        let (mut modules, mut problems) = (Self::default(), Vec::new());
        for (name, bytes) in BUNDLED {
            let path = Path::new("bundled").join(name);
            match Module::from_bytes(name, &path, bytes, cache) {
                Ok(module) => modules.all.push(Arc::new(module)),
                Err(problem) => problems.push(*problem),
            }
        }
        (modules, problems)
    }

    /// Loads each `NAME/NAME.wasm` of a folder, with the cases that stand beside it. What cannot
    /// be used is a problem and is left out. Blocks while modules compile.
    pub fn load(folder: &Path, cache: Option<&Cache>) -> (Self, Vec<Problem>) {
        let (mut modules, mut problems) = (Self::default(), Vec::new());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(
                    Problem::new(folder, format!("cannot be read: {error}"))
                        .help("name a folder that holds NAME/NAME.wasm"),
                );
                return (modules, problems);
            }
        };
        let mut folders: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        for folder in folders {
            let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
                problems.push(Problem::new(&folder, "the folder's name is no plain text"));
                continue;
            };
            let path = folder.join(format!("{name}.wasm"));
            if path.exists() {
                match Module::read(&path, name, cache) {
                    Ok(module) => modules.all.push(Arc::new(module)),
                    Err(problem) => problems.push(*problem),
                }
            }
        }
        (modules, problems)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Module>> {
        self.all.iter()
    }

    /// Digest of all their code, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for module in &self.all {
            hasher.update(&module.digest);
        }
        hex(&hasher.finalize())
    }
}

impl Module {
    fn read(path: &Path, name: &str, cache: Option<&Cache>) -> Result<Self, Box<Problem>> {
        let wrong = |message: String| Box::new(Problem::new(path, message));
        let size = std::fs::metadata(path)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?
            .len();
        if size > MAX_FILE {
            let help = format!("modules may have at most {} MB", MAX_FILE >> 20);
            return Err(Box::new(
                Problem::new(path, format!("is too large: {size} bytes")).help(help),
            ));
        }
        let bytes =
            std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let module = Self::from_bytes(name, path, &bytes, cache)?;
        for case in cases_beside(path) {
            cases::Case::read(&case)
                .and_then(|case| case.try_on(&module))
                .map_err(|message| {
                    let help = "the module is not used until it passes its own cases";
                    Box::new(Problem::new(&case, message).help(help))
                })?;
        }
        Ok(module)
    }

    /// Makes a module of a component's bytes: compiles it, links it to nothing, tries it once.
    ///
    /// # Errors
    /// It cannot be used; the problem, at `path`, says why.
    pub fn from_bytes(
        name: &str,
        path: &Path,
        bytes: &[u8],
        cache: Option<&Cache>,
    ) -> Result<Self, Box<Problem>> {
        let wrong = |message: String| Box::new(Problem::new(path, message));
        let host = Host::get().map_err(wrong)?;
        is_component(path, bytes)?;
        let digest = hex(&Sha256::digest(bytes));
        let component = match cache.and_then(|cache| cache.load(&host.engine, &digest)) {
            Some(component) => component,
            None => {
                let component = compile(host, bytes).map_err(wrong)?;
                if let Some(cache) = cache {
                    cache.store(&host.engine, &digest, &component);
                }
                component
            }
        };
        refuse_imports(host, path, &component)?;
        let pre = host
            .link(&component)
            .map_err(|error| wrong(one_line(&error)))?;
        let describe = export(&component, abi::MODULE, "describe").map_err(wrong)?;
        let configure = export(&component, abi::MODULE, "configure").map_err(wrong)?;
        let description = host
            .run(|sandbox| sandbox.describe(&pre, &describe))
            .map_err(|failure| wrong(format!("`describe` {failure}")))?;
        check::description(name, &description).map_err(wrong)?;
        let (interface, function) = match description.scope {
            Scope::Events => (abi::EVENTS, "score"),
            Scope::Host | Scope::User => (abi::WINDOW, "score-window"),
        };
        let module = Self {
            host,
            score: export(&component, interface, function).map_err(wrong)?,
            pre,
            configure,
            description,
            digest,
            path: path.to_path_buf(),
            failures: AtomicU32::new(0),
        };
        let tried = module.ask("", &[]);
        tried.map_err(|failure| wrong(format!("`{function}` of no rows {failure}")))?;
        Ok(module)
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// SHA-256 of its file, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is not asked any more.
    pub fn is_quarantined(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MAX_FAILURES
    }

    /// Puts rows to it: those of a window's `entity`, or some events, where `entity` is ignored.
    ///
    /// # Errors
    /// It gave no answer that can be used.
    pub fn score(&self, entity: &str, rows: &[Row<'_>]) -> Result<Vec<Hit>, Failure> {
        if self.is_quarantined() {
            return Err(Failure::Quarantined(MAX_FAILURES));
        }
        let answer = self.ask(entity, rows);
        match &answer {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        answer
    }

    fn ask(&self, entity: &str, rows: &[Row<'_>]) -> Result<Vec<Hit>, Failure> {
        let hits = self
            .host
            .run(|sandbox| sandbox.score(self, entity, rows))?
            .map_err(|said| Failure::Refused(host::clip(&said.escape_debug().to_string(), 300)))?;
        check::hits(rows, &hits).map_err(Failure::Invalid)?;
        Ok(hits)
    }
}

impl Sandbox {
    fn describe(
        &mut self,
        pre: &InstancePre<Budget>,
        describe: &ComponentExportIndex,
    ) -> Result<Description, Failure> {
        let mut run = || -> wasmtime::Result<Description> {
            let instance = pre.instantiate(&mut self.store)?;
            let describe =
                instance.get_typed_func::<(), (Description,)>(&mut self.store, describe)?;
            self.rearm();
            Ok(describe.call(&mut self.store, ())?.0)
        };
        run().map_err(|error| Failure::of(&error))
    }

    /// A new instance for each call: it costs some 20 us and nothing can be carried over.
    fn score(
        &mut self,
        module: &Module,
        entity: &str,
        rows: &[Row<'_>],
    ) -> Result<Result<Vec<Hit>, String>, Failure> {
        type Scored = (Result<Vec<Hit>, String>,);
        let mut run = || -> wasmtime::Result<Result<Vec<Hit>, String>> {
            let instance = module.pre.instantiate(&mut self.store)?;
            let configure = instance.get_typed_func::<(&str,), (Result<(), String>,)>(
                &mut self.store,
                &module.configure,
            )?;
            self.rearm();
            if let (Err(said),) = configure.call(&mut self.store, ("{}",))? {
                return Ok(Err(said));
            }
            self.rearm();
            Ok(if module.description.scope == Scope::Events {
                let score = instance
                    .get_typed_func::<(&[Row<'_>],), Scored>(&mut self.store, &module.score)?;
                score.call(&mut self.store, (rows,))?.0
            } else {
                let score = instance
                    .get_typed_func::<(&str, &[Row<'_>]), Scored>(&mut self.store, &module.score)?;
                score.call(&mut self.store, (entity, rows))?.0
            })
        };
        run().map_err(|error| Failure::of(&error))
    }
}

/// Tells a component from everything else that a file may hold.
fn is_component(path: &Path, bytes: &[u8]) -> Result<(), Box<Problem>> {
    let problem = match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => return Ok(()),
        Some(b"\0asm\x01\0\0\0") => Problem::new(path, "is a core module, not a component")
            .help("make a component of it with `wasm-tools component new`"),
        _ => Problem::new(path, "is no WebAssembly component"),
    };
    Err(Box::new(problem))
}

/// Compiles on a thread of its own, which cannot be stopped but need not be waited for.
fn compile(host: &'static Host, bytes: &[u8]) -> Result<Component, String> {
    let (sender, receiver) = mpsc::channel();
    let bytes = bytes.to_vec();
    std::thread::Builder::new()
        .name("module-compile".to_owned())
        // A component may nest deeply.
        .stack_size(16 << 20)
        .spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = sender.send(Component::from_binary(&host.engine, &bytes));
        })
        .map_err(|error| format!("cannot be compiled: {error}"))?;
    match receiver.recv_timeout(MAX_COMPILE) {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(host::clip(
            &format!("cannot be compiled: {}", one_line(&error)),
            500,
        )),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!(
            "takes more than {} s to compile",
            MAX_COMPILE.as_secs()
        )),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err("cannot be compiled: the compiler failed".to_owned())
        }
    }
}

/// A module may import the types of its own contract, and nothing else.
fn refuse_imports(host: &Host, path: &Path, component: &Component) -> Result<(), Box<Problem>> {
    let types = component.component_type();
    match types
        .imports(&host.engine)
        .find(|(name, _)| !name.starts_with("picket:"))
    {
        None => Ok(()),
        Some((name, _)) => {
            let shown: String = name.escape_debug().take(100).collect();
            let message = format!("imports `{shown}`, which is not given to modules");
            let help =
                "build it without WASI: modules have no files, network, clock or random numbers";
            Err(Box::new(Problem::new(path, message).help(help)))
        }
    }
}

fn export(
    component: &Component,
    interface: &str,
    function: &str,
) -> Result<ComponentExportIndex, String> {
    component
        .get_export_index(None, interface)
        .and_then(|index| component.get_export_index(Some(&index), function))
        .ok_or_else(|| format!("does not export `{function}` of `{interface}`"))
}

/// The cases of a module, in the order of their names.
fn cases_beside(path: &Path) -> Vec<PathBuf> {
    let Some(folder) = path.parent() else {
        return Vec::new();
    };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder.join("cases"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    cases.sort();
    cases
}
