//! Loads all that judges: rules, blacklist, modules. The composition root of detection; what is
//! bad comes back as problems beside what is good.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::{Failure, text};
use crate::config::Config;
use crate::detect::blacklist::{Blacklist, BlacklistDetector};
use crate::detect::sigma::SigmaDetector;
use crate::detect::{Detector, Detectors, Judge};
use crate::hex::hex;
use crate::module::{Cache, Modules};
use crate::problem::Problem;
use crate::rule::RuleSet;
use crate::taxonomy::{Fields, log_source};

/// All that judges.
pub struct Arsenal {
    /// Ready to be forked for each thread.
    pub judge: Judge,
    /// The rules that are used.
    pub set: Arc<RuleSet>,
    /// What could not be used.
    pub problems: Vec<Problem>,
    /// How many rules are used.
    pub rules: usize,
    /// How many of them name a log source that no document can have.
    pub unroutable: usize,
    /// How many blacklist lines are used.
    pub blacklist: usize,
    /// How many modules are used.
    pub modules: usize,
    /// How long loading took, in milliseconds.
    pub took: u128,
}

impl Arsenal {
    /// Loads what the configuration names, or what is built in.
    ///
    /// # Errors
    /// A folder or file that the configuration names is not there.
    pub fn load(config: &Config) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut fields = Fields::default();
        let mut problems = Vec::new();
        let rules = Arc::new(rules(config, &mut fields, &mut problems)?);
        let blacklist = blacklist(config, &mut problems)?;
        let modules = modules(config, &mut problems)?;
        let mut hash = Sha256::new();
        for part in [rules.digest(), &blacklist.digest(), &modules.digest()] {
            hash.update(part);
        }
        hash.update(format!("{:?}", config.alert_levels));
        let digest = hex(&hash.finalize()[..8]);
        let unroutable = rules
            .rules
            .iter()
            .filter(|rule| !log_source::known(&rule.log_source))
            .count();
        let counts = (
            rules.rules.len() + rules.correlations.len(),
            unroutable,
            blacklist.len(),
            modules.len(),
        );
        // Last to ask for fields: the rules' tables are made for all of them.
        let module_detectors = crate::detect::module::detectors(&modules, &mut fields);
        let sigma = SigmaDetector::new(Arc::clone(&rules), &fields, config.alert_levels);
        let correlator = sigma.correlator();
        let mut set: Vec<Box<dyn Detector>> =
            vec![Box::new(sigma), Box::new(BlacklistDetector::new(blacklist))];
        set.extend(module_detectors);
        let detectors = Detectors {
            set,
            fields: Arc::new(fields),
            digest: digest.into(),
        };
        Ok(Self {
            judge: Judge::new(detectors).correlating(correlator),
            set: rules,
            problems,
            rules: counts.0,
            unroutable: counts.1,
            blacklist: counts.2,
            modules: counts.3,
            took: begun.elapsed().as_millis(),
        })
    }

    /// `61 rules, 12 blacklist lines and 1 module`.
    pub fn describe(&self) -> String {
        format!(
            "{}, {} and {}",
            text::count(self.rules as u64, "rule"),
            text::count(self.blacklist as u64, "blacklist line"),
            text::count(self.modules as u64, "module")
        )
    }

    /// Prints the problems to standard error, at most `most` of them.
    pub fn warn(&self, most: usize) {
        for problem in self.problems.iter().take(most) {
            anstream::eprintln!(
                "{} {}",
                super::finding::warning(),
                text::clean(&problem.to_string())
            );
        }
        if self.problems.len() > most {
            let rest = self.problems.len() - most;
            anstream::eprintln!(
                "{} {rest} more; see them all with `picket check`",
                super::finding::warning()
            );
        }
    }
}

/// Takes in the placeholders of those files.
///
/// # Errors
/// One of them cannot be used as it is.
pub fn placeholders(config: &mut Config, files: &[std::path::PathBuf]) -> Result<(), Failure> {
    let problems = config
        .more_placeholders(files)
        .map_err(|problem| Failure::input(problem.to_string()))?;
    super::exit::refuse(&problems)
}

fn exists(path: &Path, what: &str) -> Result<(), Failure> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::input(format!(
            "there is no {} for `{what}`",
            path.display()
        ))),
        Err(error) => Err(Failure::input(format!(
            "cannot look at {}: {error}",
            path.display()
        ))),
    }
}

/// The rules that the configuration names, or those built in.
///
/// # Errors
/// A file or folder that it names is not there.
pub fn rules(
    config: &Config,
    fields: &mut Fields,
    problems: &mut Vec<Problem>,
) -> Result<RuleSet, Failure> {
    let (rules, bad) = if config.rules.is_empty() {
        RuleSet::bundled(fields)
    } else {
        config
            .rules
            .iter()
            .try_for_each(|path| exists(path, "rules"))?;
        RuleSet::load(&config.rules, &config.placeholders, fields)
    };
    problems.extend(bad);
    Ok(rules)
}

fn blacklist(config: &Config, problems: &mut Vec<Problem>) -> Result<Blacklist, Failure> {
    let (blacklist, bad) = match &config.blacklist {
        None => {
            let (path, text) = crate::rule::bundled_blacklist();
            Blacklist::load(text, path)
        }
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::input(format!("cannot read {}: {error}", path.display()))
            })?;
            Blacklist::load(&text, path)
        }
    };
    problems.extend(bad);
    Ok(blacklist)
}

fn modules(config: &Config, problems: &mut Vec<Problem>) -> Result<Modules, Failure> {
    let cache = Cache::of_the_user();
    let (modules, bad) = match &config.modules {
        None => Modules::bundled(cache.as_ref()),
        Some(path) => {
            exists(path, "modules")?;
            Modules::load(path, cache.as_ref())
        }
    };
    problems.extend(bad);
    Ok(modules)
}
