//! Compiled modules, kept so that a start need not compile them again. Loading machine code is
//! trusting it, so only what this program wrote itself is read back: the folder and each file
//! belong to our user, nobody else may write to them, and neither is a symbolic link. A user's
//! precompiled file is never taken.
//!
//! There is no signature, on purpose: its key could lie only where our user can read it, and
//! whoever can write as our user can replace Picket itself. The digest in front of each file is
//! against torn and rotten files only. Where the folder is not ours alone, or on a system without
//! Unix permissions, modules are compiled each time.

use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use rustc_hash::FxHasher;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const DIGEST: usize = 32;

/// A folder of compiled modules.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in that folder, which is made if need be. `None` if it is not ours alone.
    pub fn at(folder: impl Into<PathBuf>) -> Option<Self> {
        let folder = folder.into();
        make(&folder).ok()?;
        is_private(&folder).then_some(Self { folder })
    }

    /// The cache in the user's cache folder (`$XDG_CACHE_HOME`, or else `~/.cache`).
    pub fn of_the_user() -> Option<Self> {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Self::at(base.join("picket").join("modules"))
    }

    /// The file for a module with that digest: another engine, or another setting of it, has
    /// another file.
    fn file(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = FxHasher::default();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        self.folder
            .join(format!("{digest}-{:016x}.bin", hasher.finish()))
    }

    /// The compiled module with that digest, if it is here and whole.
    #[expect(unsafe_code, reason = "machine code can be loaded in no other way")]
    pub(super) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.file(engine, digest);
        if !is_private(&self.folder) || !is_private(&path) {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        let (kept, code) = bytes.split_at_checked(DIGEST)?;
        if Sha256::digest(code)[..] != *kept {
            return None;
        }
        // SAFETY: the bytes came from `Component::serialize`: only `Cache::store` writes such
        // files, folder and file belong to our user and nobody else may write to them, and the
        // digest shows that they are whole. Wasmtime itself refuses those of another engine.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a compiled module. A full disk or a lost race is no error: it is compiled again.
    pub(super) fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let Ok(code) = component.serialize() else {
            return;
        };
        let path = self.file(engine, digest);
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let mut bytes = Sha256::digest(&code).to_vec();
        bytes.extend_from_slice(&code);
        if write(&part, &bytes)
            .and_then(|()| fs::rename(&part, &path))
            .is_err()
        {
            // Best effort: a part that stays is overwritten by the next process with our number.
            let _ = fs::remove_file(&part);
        }
    }
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn make(_folder: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn write(_path: &Path, _bytes: &[u8]) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Whether only our user can have written it.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = fs::symlink_metadata(path) else {
        return false;
    };
    // A process's own entry there belongs to the user that it runs as.
    let Ok(own) = fs::metadata("/proc/self").or_else(|_| own_file(path)) else {
        return false;
    };
    !found.is_symlink() && found.uid() == own.uid() && found.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_private(_path: &Path) -> bool {
    false
}

/// A file that we have just made belongs to the user that we run as.
#[cfg(unix)]
fn own_file(beside: &Path) -> std::io::Result<fs::Metadata> {
    let folder = if beside.is_dir() {
        Some(beside)
    } else {
        beside.parent()
    };
    let probe = folder
        .unwrap_or(Path::new("."))
        .join(format!("owner.{}.part", std::process::id()));
    write(&probe, &[])?;
    let found = fs::symlink_metadata(&probe);
    fs::remove_file(&probe)?;
    found
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_to_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Cache::at(folder.path().join("a/b")).is_some());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::at(folder.path()).is_none());
    }

    #[test]
    fn a_linked_folder_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Cache::at(link).is_none());
    }

    #[test]
    fn a_rotten_file_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("c")).unwrap();
        let engine = &crate::module::host::Host::get().unwrap().engine;
        let component = Component::new(engine, wat::parse_str("(component)").unwrap()).unwrap();
        assert!(cache.load(engine, "d").is_none());
        cache.store(engine, "d", &component);
        assert!(cache.load(engine, "d").is_some());
        let path = cache.file(engine, "d");
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(cache.load(engine, "d").is_none());
        fs::write(&path, b"short").unwrap();
        assert!(cache.load(engine, "d").is_none());
    }
}
