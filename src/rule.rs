//! Sigma rules: a folder tree of YAML (or what is compiled into the binary) becomes a [`RuleSet`]
//! with a digest. A rule that cannot be used is a [`Problem`] and stops nothing. Reads files while
//! loading and at no other time; never looks at a document.

mod chain;
pub mod coding;
pub mod condition;
pub mod correlation;
pub mod detection;
pub mod expression;
pub mod filter;
pub mod header;
pub mod lint;
mod loader;
pub mod modifier;
pub mod outline;
pub mod pattern;
pub mod placeholder;
pub mod predicate;
pub mod tree;
pub mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::alert::Level;
use crate::problem::Problem;
use crate::taxonomy::{Fields, LogSource};
use coding::Codings;
use correlation::Correlation;
use loader::Loader;
use predicate::Atom;
use tree::{Selection, Tree};

pub use loader::files;
pub use placeholder::Placeholders;

mod bundled {
    include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
}

/// A Sigma rule, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its `id`; one made of the detection where it has none.
    pub id: Arc<str>,
    /// Its `name`, which filters and correlations may call it by.
    pub name: Option<Arc<str>>,
    /// Its `title`.
    pub title: Arc<str>,
    /// Its `status`, if it has one.
    pub status: Option<Box<str>>,
    /// Its `level`; medium where it has none.
    pub level: Level,
    /// Which documents it is for.
    pub log_source: LogSource,
    /// The ATT&CK techniques among its `tags`, such as `T1021.002`.
    pub techniques: Arc<[String]>,
    /// The file that it stands in.
    pub path: Arc<Path>,
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// The selections that `condition` names, those of its filters included.
    pub selections: Vec<Selection>,
    /// What must hold, its filters included.
    pub condition: Tree,
    /// What became of its values in those of its atoms that say something else.
    pub codings: Codings,
    /// Its `detection` as JSON, in its own order: every scalar a string or null.
    pub detection: Box<str>,
    /// It makes no findings of its own: only correlations speak of it.
    pub silent: bool,
    /// The filters that were added to it, each as a detection in the same JSON.
    pub filters: Vec<Arc<str>>,
}

/// All rules that were loaded.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// The rules, in the order of their files.
    pub rules: Vec<Rule>,
    /// The correlations over them, each behind those that it builds on.
    pub correlations: Vec<Correlation>,
    /// What they ask, by number.
    pub atoms: Vec<Atom>,
    digest: String,
}

impl RuleSet {
    /// Loads the rules of those files and folders (`.yml` and `.yaml`, in sorted order), with the
    /// filters among them. The fields that they ask for are added to `fields`.
    pub fn load(
        paths: &[PathBuf],
        placeholders: &Placeholders,
        fields: &mut Fields,
    ) -> (Self, Vec<Problem>) {
        let mut loader = Loader::new(placeholders, fields);
        for path in paths {
            loader.tree(path);
        }
        loader.finish()
    }

    /// Loads the rules that are compiled into the binary.
    pub fn bundled(fields: &mut Fields) -> (Self, Vec<Problem>) {
        let placeholders = Placeholders::default();
        let mut loader = Loader::new(&placeholders, fields);
        for (path, text) in bundled::RULES {
            loader.text(Path::new(path), text);
        }
        loader.finish()
    }

    /// Loads the rules of one text; `path` is what problems name.
    pub fn parse(
        path: &Path,
        text: &str,
        placeholders: &Placeholders,
        fields: &mut Fields,
    ) -> (Self, Vec<Problem>) {
        let mut loader = Loader::new(placeholders, fields);
        loader.text(path, text);
        loader.finish()
    }

    /// SHA-256 of all that the rules say, in hexadecimal: independent of files and their order.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// The blacklist that is compiled into the binary: its path in the repository, and its text.
pub fn bundled_blacklist() -> (&'static str, &'static str) {
    ("rules/blacklist.txt", bundled::BLACKLIST)
}

/// The name that was probably meant, if one is near.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .min_by(|a, b| b.0.total_cmp(&a.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "title: T\nid: one\nlevel: high\nlogsource: {product: windows, category: process_creation}\ntags: [attack.execution, attack.t1021.002]\ndetection:\n  selection:\n    Image|endswith: '\\a.exe'\n  condition: selection\n";

    fn load(text: &str) -> (RuleSet, Vec<String>) {
        let (rules, problems) = RuleSet::parse(
            Path::new("r.yml"),
            text,
            &Placeholders::default(),
            &mut Fields::default(),
        );
        (rules, problems.iter().map(ToString::to_string).collect())
    }

    /// A rule whose selection has these lines, which begin on line 4.
    fn problem_of(selection: &str) -> String {
        let text = format!("title: T\ndetection:\n  sel:\n{selection}\n  condition: sel\n");
        let (rules, problems) = load(&text);
        assert_eq!(
            (rules.rules.len(), problems.len()),
            (0, 1),
            "{selection} {problems:?}"
        );
        problems[0].clone()
    }

    #[test]
    fn a_rule_says_what_it_is() {
        let (rules, problems) = load(GOOD);
        assert_eq!(problems, [""; 0]);
        let rule = &rules.rules[0];
        assert_eq!(
            (&*rule.id, &*rule.title, rule.level),
            ("one", "T", Level::High)
        );
        assert_eq!(*rule.techniques, ["T1021.002".to_owned()]);
        assert_eq!(
            rule.log_source.category.as_deref(),
            Some("process_creation")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_help() {
        for (selection, expected) in [
            (
                "    Image|contians: a",
                "r.yml:4: unknown modifier `contians`; did you mean `contains`?",
            ),
            (
                "    Image|re: '('",
                "r.yml:4: bad regex `(`: unclosed group; look-around and back-references are not supported",
            ),
            (
                "    a: b\n    Image|expand: '%x%'",
                "r.yml:5: nothing is known for the placeholder `%x%`; give its values in picket.yml, such as `placeholders: { x: [a, b] }`, or in the file of --placeholders",
            ),
            (
                "    Ip|cidr: 10.0.0.0/40",
                "r.yml:4: `10.0.0.0/40` is no network; such as `10.0.0.0/8`",
            ),
            ("    A|gt: many", "r.yml:4: `many` is no number"),
            (
                "    A|contains|startswith: x",
                "r.yml:4: `contains`, `startswith` and `endswith` exclude each other",
            ),
            (
                "    A|wide|contains: x",
                "r.yml:4: `wide` and `utf16` go with `base64` or `base64offset` only; such as `CommandLine|wide|base64offset|contains`",
            ),
            (
                "    A|base64: 'x*'",
                "r.yml:4: `x*` cannot be encoded in base64; write a text without `*` and `?`, or put a backslash before them",
            ),
            (
                "    A: []",
                "r.yml:4: `A` has an empty list; leave the field out, or name a value",
            ),
            (
                "    A|contains: null",
                "r.yml:4: a value is null; a value is text, a number, true, false, or (without modifiers) null",
            ),
            (
                "    A: {b: c}",
                "r.yml:4: a value is a map; a value is text, a number, true, false, or (without modifiers) null",
            ),
            (
                "    A|exists: maybe",
                "r.yml:4: `exists` is not true or false",
            ),
            ("    A|i: x", "r.yml:4: `i`, `m` and `s` go with `re` only"),
            (
                "    A|hour: 24",
                "r.yml:4: `24` is no hour; a whole number from 0 to 23",
            ),
            (
                "    A|hour|contains: 2",
                "r.yml:4: parts of a time go with `gt`, `gte`, `lt`, `lte` and `neq` only",
            ),
            (
                "    A|hour|minute: 2",
                "r.yml:4: `minute`, `hour`, `day`, `week`, `month` and `year` exclude each other; give each a selection of its own",
            ),
            (
                "    A|week: null",
                "r.yml:4: a value is null; a value is text, a number, true, false, or (without modifiers) null",
            ),
            (
                "    A: 1\n    A: 2",
                "r.yml:5: the key `A` stands twice in the same map",
            ),
        ] {
            assert_eq!(problem_of(selection), expected);
        }
    }

    #[test]
    fn one_bad_rule_stops_no_other() {
        let text = format!(
            "title: bad\n---\n{GOOD}---\ncorrelation: {{type: event_count}}\ntitle: C\n---\n{GOOD}---\n- x\n---\na: [\n"
        );
        let (rules, problems) = load(&text);
        assert_eq!(rules.rules.len(), 1);
        assert_eq!(
            problems,
            [
                "r.yml:1: no `detection`: this is no Sigma rule",
                "r.yml:13: `rules` names 0 rules; 1 to 100 ids or names",
                "r.yml:16: the id `one` is that of another rule, r.yml:3; the first one counts; give this one an id of its own",
                "r.yml:26: this is a list, no Sigma rule",
                "r.yml:29: not YAML: while parsing a node, did not find expected node content",
            ]
        );
    }

    #[test]
    fn the_digest_is_that_of_what_the_rules_say() {
        let other = GOOD.replace("one", "two");
        let digest = |text: &str| load(text).0.digest().to_owned();
        let both = digest(&format!("{GOOD}---\n{other}"));
        assert_eq!(both, digest(&format!("# moved\n{other}\n---\n\n{GOOD}")));
        assert_ne!(both, digest(GOOD));
        assert_ne!(digest(GOOD), digest(&GOOD.replace("a.exe", "b.exe")));
        assert_ne!(digest(GOOD), digest(&GOOD.replace("high", "low")));
        assert_eq!(
            digest(GOOD),
            digest(&GOOD.replace("attack.execution", "attack.impact"))
        );
        assert_eq!(digest(GOOD).len(), 64);
    }

    #[test]
    fn folders_are_walked_in_order_and_loops_end() {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("sub");
        fs::create_dir(&sub).unwrap();
        fs::write(sub.join("b.yaml"), GOOD).unwrap();
        fs::write(folder.path().join("a.yml"), GOOD.replace("one", "two")).unwrap();
        fs::write(folder.path().join("blacklist.txt"), "no rule").unwrap();
        fs::write(folder.path().join("binary.yml"), [0xff, 0xfe]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), sub.join("loop")).unwrap();
        fs::write(
            folder.path().join("large.yml"),
            "#".repeat(yaml::MAX_TEXT + 1),
        )
        .unwrap();
        let empty = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let paths = [
            folder.path().to_path_buf(),
            missing.clone(),
            empty.path().to_path_buf(),
        ];
        let (rules, problems) =
            RuleSet::load(&paths, &Placeholders::default(), &mut Fields::default());
        let ids: Vec<&str> = rules.rules.iter().map(|rule| &*rule.id).collect();
        assert_eq!(ids, ["two", "one"]);
        assert!(problems.iter().any(|p| p.path == missing));
        assert!(problems.iter().any(|p| p.path == empty.path()));
        assert!(
            problems
                .iter()
                .any(|p| p.message.contains("larger than 1 MB"))
        );
        assert_eq!(problems.len(), 4 + usize::from(cfg!(unix)), "{problems:?}");
    }
}
