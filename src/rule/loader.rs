//! Reads rules, filters and correlations into a [`RuleSet`]: rules as they come, what speaks of
//! other rules once all are known. Whatever cannot be used is a [`Problem`] and stops nothing else.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::chain::Chain;
use super::correlation::read::Pending;
use super::detection::{Compiler, Unusable};
use super::filter::Filter;
use super::header::{self, Header};
use super::placeholder::Placeholders;
use super::tree::Atoms;
use super::yaml::{self, Node, YamlError};
use super::{Rule, RuleSet};
use crate::hex::hex;
use crate::problem::Problem;
use crate::taxonomy::Fields;

/// Enters into each digest: to be raised when the same rule text comes to mean something else, so
/// that documents are judged again.
const MEANING: &str = "picket sigma 1";

/// So many files are handed over at a time, so that threads need not wake one another for each.
const AT_A_TIME: usize = 64;

/// The files of rules below a folder, sorted, or the file itself.
pub fn files(root: &Path) -> impl Iterator<Item = walkdir::Result<PathBuf>> + use<> {
    let is_yaml = |path: &Path| {
        path.extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("yml") || end.eq_ignore_ascii_case("yaml"))
    };
    let is_rule = move |entry: &walkdir::DirEntry| {
        entry.file_type().is_file() && (is_yaml(entry.path()) || entry.depth() == 0)
    };
    // Loops of symbolic links are errors of the walk.
    WalkDir::new(root)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter(move |entry| entry.as_ref().map_or(true, is_rule))
        .map(|entry| entry.map(walkdir::DirEntry::into_path))
}

/// Most files are not longer, and read in one go.
const USUAL: usize = 8 << 10;

/// The documents of a file.
fn read(path: &Path) -> io::Result<Vec<Result<Node, YamlError>>> {
    // One byte more than the parser takes: it says what is too large.
    let mut text = String::with_capacity(USUAL);
    fs::File::open(path)?
        .take(yaml::MAX_TEXT as u64 + 1)
        .read_to_string(&mut text)?;
    Ok(yaml::parse(&text))
}

/// A rule set that is being loaded.
pub(super) struct Loader<'f> {
    placeholders: &'f Placeholders,
    fields: &'f mut Fields,
    atoms: Atoms,
    rules: Vec<Rule>,
    hashes: Vec<[u8; 32]>,
    /// Where each id was seen first.
    ids: FxHashMap<Arc<str>, usize>,
    /// Filters and correlations, which wait until all rules are known.
    filters: Vec<(Arc<Path>, Filter)>,
    correlations: Vec<Pending>,
    problems: Vec<Problem>,
}

impl<'f> Loader<'f> {
    pub(super) fn new(placeholders: &'f Placeholders, fields: &'f mut Fields) -> Self {
        Self {
            placeholders,
            fields,
            atoms: Atoms::default(),
            rules: Vec::new(),
            hashes: Vec::new(),
            ids: FxHashMap::default(),
            filters: Vec::new(),
            correlations: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> (RuleSet, Vec<Problem>) {
        for (path, filter) in std::mem::take(&mut self.filters) {
            self.hashes.push(filter.hash());
            for error in filter.apply(&mut self.rules) {
                self.problem(&path, error);
            }
        }
        let pending = std::mem::take(&mut self.correlations);
        let chain = Chain::new(&mut self.rules, pending, self.fields);
        let correlations = chain.correlations;
        self.hashes.extend(chain.hashes);
        for (path, error) in chain.errors {
            self.problem(&path, error);
        }
        self.problems
            .sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        self.hashes.sort_unstable();
        let mut hasher = Sha256::new_with_prefix(MEANING);
        for hash in &self.hashes {
            hasher.update(hash);
        }
        let set = RuleSet {
            rules: self.rules,
            correlations,
            atoms: self.atoms.into_vec(),
            digest: hex(&hasher.finalize()),
        };
        (set, self.problems)
    }

    /// All rules below a folder, or of one file. Another thread reads ahead.
    pub(super) fn tree(&mut self, root: &Path) {
        let mut found = 0;
        std::thread::scope(|scope| {
            let (sender, ahead) = sync_channel(1);
            scope.spawn(move || {
                let mut all = files(root).map(|path| path.map(|path| (read(&path), path)));
                loop {
                    let some: Vec<_> = all.by_ref().take(AT_A_TIME).collect();
                    // Nobody takes them only if loading broke down.
                    if some.is_empty() || sender.send(some).is_err() {
                        break;
                    }
                }
            });
            for file in ahead.into_iter().flatten() {
                match file {
                    Ok((Ok(documents), path)) => {
                        found += 1;
                        self.documents(&path, documents);
                    }
                    Ok((Err(error), path)) => {
                        found += 1;
                        let message = format!("cannot be read: {error}");
                        self.problems.push(Problem::new(path, message));
                    }
                    Err(error) => {
                        let path = error.path().unwrap_or(root).to_path_buf();
                        let message = error.io_error().map_or_else(
                            || "a loop of symbolic links".to_owned(),
                            |error| format!("cannot be read: {error}"),
                        );
                        self.problems.push(Problem::new(path, message));
                    }
                }
            }
        });
        if found == 0 && root.is_dir() {
            let problem = Problem::new(root, "the folder holds no rules");
            self.problems
                .push(problem.help("files that end in .yml and .yaml are read"));
        }
    }

    pub(super) fn text(&mut self, path: &Path, text: &str) {
        self.documents(path, yaml::parse(text));
    }

    fn documents(&mut self, path: &Path, documents: Vec<Result<Node, YamlError>>) {
        let path: Arc<Path> = path.into();
        if documents.is_empty() {
            self.problems
                .push(Problem::new(&path, "no rule in this file"));
        }
        for document in documents {
            let read = document
                .map_err(|error| Unusable::new(error.line, error.message))
                .and_then(|node| self.document(&path, &node));
            if let Err(error) = read {
                self.problem(&path, error);
            }
        }
    }

    fn problem(&mut self, path: &Path, error: Unusable) {
        self.problems.push(Problem {
            path: path.to_path_buf(),
            line: Some(error.line),
            message: error.message,
            help: error.help,
        });
    }

    /// A rule, or what speaks of rules.
    fn document(&mut self, path: &Arc<Path>, node: &Node) -> Result<(), Unusable> {
        let header = header::read(node)?;
        let mut compiler = Compiler::new(self.fields, &mut self.atoms);
        if let Some(body) = node.get("filter") {
            let filter = Filter::read(header, body, self.placeholders, &mut compiler)?;
            self.filters.push((path.clone(), filter));
            return Ok(());
        }
        if let Some(body) = node.get("correlation") {
            let correlation = Pending::read(path, header, node, body)?;
            self.correlations.push(correlation);
            return Ok(());
        }
        self.rule(path, node, header)
    }

    fn rule(&mut self, path: &Arc<Path>, node: &Node, header: Header) -> Result<(), Unusable> {
        let detection = node
            .get("detection")
            .ok_or_else(|| Unusable::new(node.line, "no `detection`: this is no Sigma rule"))?;
        let detection = &*self.placeholders.fill(detection)?;
        let json = header::canonical(detection);
        let id: Arc<str> = match &header.id {
            Some(id) => id.as_str().into(),
            None => {
                let hash = Sha256::digest(json.as_bytes());
                format!("no-id-{}", hex(&hash[..8])).into()
            }
        };
        if let Some(first) = self.ids.get(&id).and_then(|at| self.rules.get(*at)) {
            let place = format!("{}:{}", first.path.display(), first.line);
            return Err(Unusable::new(
                node.line,
                format!("the id `{id}` is that of another rule, {place}"),
            )
            .help("the first one counts; give this one an id of its own"));
        }
        let mut compiler = Compiler::new(self.fields, &mut self.atoms);
        let (selections, condition) = compiler.detection(detection)?;
        let codings = compiler.codings();
        self.hashes.push(header.hash(&id, &json));
        self.ids.insert(id.clone(), self.rules.len());
        self.rules.push(Rule {
            id,
            name: header.name.map(Into::into),
            title: header.title.into(),
            status: header.status.map(Into::into),
            level: header.level,
            log_source: header.log_source,
            techniques: header.techniques.into(),
            path: path.clone(),
            line: node.line,
            selections,
            condition,
            codings,
            detection: header::as_written(detection).into(),
            silent: false,
            filters: Vec::new(),
        });
        Ok(())
    }
}
