//! A folder with a `picket.yml` for a server, and `picket` run in it as a person would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use picket::store::elastic::{Connection, Login};
use tempfile::TempDir;

/// Rules that find `quux --probe` (level 1) and `quux --harvest` (level 2) in process creations.
const RULES: &str = r"
title: Probing
id: 11111111-1111-4111-8111-111111111111
status: test
logsource: { category: process_creation, product: windows }
detection:
  selection: { CommandLine|contains: '--probe' }
  condition: selection
level: medium
---
title: Harvesting
id: 22222222-2222-4222-8222-222222222222
status: test
logsource: { category: process_creation, product: windows }
detection:
  selection: { CommandLine|contains: '--harvest' }
  condition: selection
level: critical
";

pub(crate) struct Home(TempDir);

impl Home {
    /// A sweep of that name over those indices.
    pub(crate) fn new(connection: &Connection, sweep: &str, index: &str) -> Self {
        Self::leasing(connection, sweep, index, Duration::from_secs(60))
    }

    /// The same; what a process leaves is free after that time.
    pub(crate) fn leasing(
        connection: &Connection,
        sweep: &str,
        index: &str,
        lease: Duration,
    ) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.path().join("modules")).unwrap();
        home.write("rules.yml", RULES);
        home.write("blacklist.txt", "# none\n");
        let mut store = format!(
            "url: {:?}, timeout: {}s, lease: {}s",
            connection.urls,
            connection.timeout.as_secs(),
            lease.as_secs()
        );
        if let Login::Basic(user, password) = &connection.login {
            home.write("password", password);
            store += &format!(", username: {user}, password_file: password");
        }
        if let Some(ca) = &connection.ca {
            home.write("ca.crt", std::str::from_utf8(ca).unwrap());
            store += ", ca: ca.crt";
        }
        if let Some(fingerprint) = &connection.fingerprint {
            store += &format!(", fingerprint: {fingerprint:?}");
        }
        home.write(
            "picket.yml",
            &format!(
                "store:\n  elastic: {{ {store} }}\n\
                 sources:\n  - {{ name: all, index: \"{index}\" }}\n\
                 sweeps:\n  - {{ name: {sweep}, schedule: \"0 * * * * *\" }}\n\
                 rules: [rules.yml]\nblacklist: blacklist.txt\nmodules: modules\n"
            ),
        );
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    pub(crate) fn picket(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_picket"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }
}
