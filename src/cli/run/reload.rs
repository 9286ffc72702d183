//! Loads rules, blacklist and modules again when their files change, while sweeps go on. An edit
//! that breaks a file which could be used keeps everything as it was, and is said once. Never
//! touches what was judged: that is `picket sweep --rejudge`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tracing::{info, warn};
use walkdir::WalkDir;

use crate::cli::arsenal::Arsenal;
use crate::cli::{sweep, text};
use crate::config::Config;
use crate::problem::Problem;
use crate::rule::{Rule, RuleSet};
use crate::sweep::Sweep;

/// How often the files are looked at. A change counts once it looks the same twice.
const EVERY: Duration = Duration::from_secs(2);
/// The most files that are watched; with more, those beyond count for nothing.
const MAX_FILES: usize = 200_000;
/// So many rules and problems are named one by one.
const MAX_NAMED: usize = 10;

/// How each file looked.
type Look = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// What is loaded, and how its files looked then.
pub(super) struct Watched {
    config: Config,
    rules: Arc<RuleSet>,
    problems: Vec<Problem>,
    digest: Arc<str>,
    /// How the files looked when they were loaded.
    look: Look,
    /// How they looked when that was tried last.
    tried: Look,
}

/// What came of loading again.
pub(super) enum Outcome {
    /// There is something else to judge with.
    Changed(Box<Arsenal>, Difference),
    /// What judges is the same; these problems are new.
    Same(Vec<Problem>),
    /// Files that could be used cannot any more, or nothing could be loaded: all stays as it was.
    Broken(Vec<String>),
}

/// What is new among rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    problems: Vec<Problem>,
}

impl Watched {
    /// Watches the files of what was loaded; `None` if all of it is built in.
    pub(super) fn new(config: &Config, arsenal: &Arsenal) -> Option<Self> {
        let is_named =
            !config.rules.is_empty() || config.blacklist.is_some() || config.modules.is_some();
        is_named.then(|| {
            let look = look(config);
            Self {
                config: config.clone(),
                rules: Arc::clone(&arsenal.set),
                problems: arsenal.problems.clone(),
                digest: Arc::clone(arsenal.judge.digest()),
                tried: look.clone(),
                look,
            }
        })
    }

    /// Loads again what looks otherwise now than when that was tried last.
    fn reload(&mut self, now: Look) -> Outcome {
        self.tried.clone_from(&now);
        let arsenal = match Arsenal::load(&self.config) {
            Ok(arsenal) => arsenal,
            Err(failure) => return Outcome::Broken(vec![failure.message]),
        };
        let mut fresh = arsenal.problems.clone();
        fresh.retain(|problem| !self.problems.contains(problem));
        let broken: Vec<String> = fresh
            .iter()
            .filter(|problem| self.could_be_used(&problem.path))
            .map(ToString::to_string)
            .collect();
        if !broken.is_empty() {
            return Outcome::Broken(broken);
        }
        self.look = now;
        self.problems.clone_from(&arsenal.problems);
        let is_same = *self.digest == **arsenal.judge.digest();
        let before = std::mem::replace(&mut self.rules, Arc::clone(&arsenal.set));
        self.digest = Arc::clone(arsenal.judge.digest());
        if is_same {
            return Outcome::Same(fresh);
        }
        let mut difference = difference(&before, &arsenal.set);
        difference.problems = fresh;
        Outcome::Changed(Box::new(arsenal), difference)
    }

    /// Whether a file was there, and without a problem. Problems of modules name their folder.
    fn could_be_used(&self, path: &Path) -> bool {
        let was_there = self.look.keys().any(|known| known.starts_with(path));
        was_there && !self.problems.iter().any(|problem| problem.path == path)
    }
}

/// How the files look now.
fn look(config: &Config) -> Look {
    let mut look = Look::new();
    let roots = config.rules.iter();
    for root in roots.chain(&config.blacklist).chain(&config.modules) {
        let entries = WalkDir::new(root).follow_links(true).into_iter();
        for entry in entries.filter_map(Result::ok).take(MAX_FILES) {
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let seen = (metadata.modified().ok(), metadata.len());
                look.insert(entry.into_path(), seen);
            }
        }
    }
    look
}

fn difference(before: &RuleSet, now: &RuleSet) -> Difference {
    let by_id = |set| -> BTreeMap<&str, &Rule> {
        let rules: &RuleSet = set;
        rules.rules.iter().map(|rule| (&*rule.id, rule)).collect()
    };
    let (old, new) = (by_id(before), by_id(now));
    let ids: BTreeSet<&&str> = old.keys().chain(new.keys()).collect();
    let mut difference = Difference::default();
    for id in ids {
        let (list, rule) = match (old.get(id), new.get(id)) {
            (None, Some(rule)) => (&mut difference.added, rule),
            (Some(rule), None) => (&mut difference.removed, rule),
            (Some(old), Some(rule)) if !same(old, rule) => (&mut difference.changed, rule),
            _ => continue,
        };
        list.push(text::clean(&rule.title).into_owned());
    }
    // What a correlation says, and what its rules say, is in its key.
    let by_id = |set: &RuleSet| -> BTreeMap<String, (String, String)> {
        let all = set.correlations.iter();
        all.map(|c| (c.id.to_string(), (c.key.to_string(), c.title.to_string())))
            .collect()
    };
    let (old, new) = (by_id(before), by_id(now));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for id in ids {
        let (list, title) = match (old.get(id), new.get(id)) {
            (None, Some((_, title))) => (&mut difference.added, title),
            (Some((_, title)), None) => (&mut difference.removed, title),
            (Some((was, _)), Some((is, title))) if was != is => (&mut difference.changed, title),
            _ => continue,
        };
        list.push(text::clean(title).into_owned());
    }
    difference
}

/// Whether both say the same, wherever they stand.
fn same(a: &Rule, b: &Rule) -> bool {
    a.title == b.title
        && a.level == b.level
        && a.log_source == b.log_source
        && a.techniques == b.techniques
        && a.detection == b.detection
        && a.filters == b.filters
}

fn few(names: &[String]) -> String {
    let mut shown = names
        .iter()
        .take(MAX_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MAX_NAMED {
        shown += &format!(" and {} more", names.len() - MAX_NAMED);
    }
    shown
}

/// Watches until told to stop; sweeps go on with what is new from their next page on.
pub(super) async fn run(
    mut watched: Watched,
    sweeps: Vec<Arc<Sweep>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut last = watched.tried.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = stop.changed() => if changed.is_err() || *stop.borrow() { return; },
        }
        let config = watched.config.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || look(&config)).await else {
            continue;
        };
        // Somebody may still be writing.
        let is_settled = std::mem::replace(&mut last, now.clone()) == now;
        if !is_settled || now == watched.tried {
            continue;
        }
        let loading = tokio::task::spawn_blocking(move || {
            let outcome = watched.reload(now);
            (watched, outcome)
        });
        let Ok((after, outcome)) = loading.await else {
            warn!("loading rules again broke down; they stay as they are until a restart");
            return;
        };
        watched = after;
        tell(outcome, &sweeps);
    }
}

fn tell(outcome: Outcome, sweeps: &[Arc<Sweep>]) {
    let problems = match outcome {
        Outcome::Broken(problems) => {
            for problem in problems.iter().take(MAX_NAMED) {
                warn!("{}", text::clean(problem));
            }
            warn!(
                problems = problems.len(),
                "rules, blacklist and modules stay as they were until this is mended"
            );
            return;
        }
        Outcome::Same(problems) => problems,
        Outcome::Changed(arsenal, difference) => {
            for sweep in sweeps {
                sweep.rearm(&arsenal.judge, sweep::threads());
            }
            info!(
                rules = arsenal.rules,
                blacklist = arsenal.blacklist,
                modules = arsenal.modules,
                added = difference.added.len(),
                changed = difference.changed.len(),
                removed = difference.removed.len(),
                took_ms = arsenal.took as u64,
                "judging with what changed from the next page on"
            );
            for (what, names) in [
                ("added", &difference.added),
                ("changed", &difference.changed),
                ("removed", &difference.removed),
            ] {
                if !names.is_empty() {
                    info!("{what}: {}", few(names));
                }
            }
            difference.problems
        }
    };
    for problem in problems.iter().take(MAX_NAMED) {
        warn!("{}", text::clean(&problem.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str =
        "title: T\nid: one\nlogsource: {product: windows}\ndetection: {s: {A: 1}, condition: s}\n";

    fn outcome(watched: &mut Watched) -> Outcome {
        let now = look(&watched.config);
        assert!(now != watched.tried, "the change is seen");
        watched.reload(now)
    }

    #[test]
    fn what_changed_is_told_and_a_broken_edit_keeps_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("one.yml", RULE);
        file("bad.yml", "title: never good");
        let config = Config {
            rules: vec![folder.path().to_path_buf()],
            ..Config::default()
        };
        let arsenal = Arsenal::load(&config).unwrap();
        let mut watched = Watched::new(&config, &arsenal).unwrap();
        assert!(Watched::new(&Config::default(), &arsenal).is_none());
        // A file that was never good keeps nothing back.
        file(
            "two.yml",
            &RULE.replace("one", "two").replace("title: T", "title: Two"),
        );
        file("bad.yml", "title: still not good");
        let Outcome::Changed(arsenal, difference) = outcome(&mut watched) else {
            panic!("a rule was added");
        };
        assert_eq!(
            (arsenal.rules, &*difference.added),
            (2, &["Two".to_owned()][..])
        );
        assert_eq!(difference.problems, []);
        // Another file that is bad from the start is told, and keeps nothing back either.
        file("worse.yml", "- no rule\n- at all");
        let Outcome::Same(problems) = outcome(&mut watched) else {
            panic!("what judges is the same");
        };
        assert_eq!(problems.len(), 1, "{problems:?}");
        // One that was good does.
        file(
            "one.yml",
            &RULE.replace("condition: s", "condition: selection"),
        );
        let Outcome::Broken(problems) = outcome(&mut watched) else {
            panic!("a good rule was broken");
        };
        assert!(problems[0].contains("one.yml:"), "{problems:?}");
        assert_eq!(watched.rules.rules.len(), 2);
        // Mended, and something else with it.
        file("one.yml", &RULE.replace("A: 1", "A: 22"));
        std::fs::remove_file(folder.path().join("two.yml")).unwrap();
        let Outcome::Changed(arsenal, difference) = outcome(&mut watched) else {
            panic!("two rules changed");
        };
        assert_eq!(arsenal.rules, 1);
        assert_eq!(difference.changed, ["T"]);
        assert_eq!(difference.removed, ["Two"]);
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(matches!(outcome(&mut watched), Outcome::Broken(_)));
    }
}
