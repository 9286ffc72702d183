//! Reads the text of `picket.yml` into a [`Config`], collecting every problem. Holds no defaults:
//! what the file does not say stays as [`Config::default`] has it.

mod anomalies;
mod cluster;

use std::path::{Path, PathBuf};

use super::{CLUSTER_SOURCES, Config, Source, SweepConfig};
use crate::alert::{AlertLevel, Level};
use crate::problem::Problem;
use crate::rule::Placeholders;
use crate::rule::yaml::{self, Entry, Node, Value};
use crate::schedule::Schedule;
use crate::store::{Begin, Sources};

const TOP: [&str; 10] = [
    "store",
    "kibana",
    "sources",
    "sweeps",
    "rules",
    "blacklist",
    "modules",
    "placeholders",
    "anomalies",
    "alert_levels",
];

pub(super) fn read(text: &str, path: &Path) -> (Config, Vec<Problem>) {
    let mut reader = Reader {
        path,
        problems: Vec::new(),
    };
    let mut config = Config {
        file: Some(path.to_path_buf()),
        ..Config::default()
    };
    let mut documents = yaml::parse(text).into_iter();
    match documents.next() {
        Some(Ok(root)) => reader.root(&root, &mut config),
        Some(Err(error)) => reader.problem(error.line, error.message, None),
        None => {}
    }
    if let Some(Ok(extra)) = documents.next() {
        reader.problem(
            extra.line,
            "a second YAML document".into(),
            Some("keep everything in one"),
        );
    }
    reader.problems.sort_by_key(|problem| problem.line);
    (config, reader.problems)
}

/// Reads the text of a file of placeholders, whose top is what stands below `placeholders`.
pub(super) fn placeholders(text: &str, path: &Path, into: &mut Placeholders) -> Vec<Problem> {
    let mut reader = Reader {
        path,
        problems: Vec::new(),
    };
    match yaml::parse(text).into_iter().next() {
        Some(Ok(root)) => reader.placeholders(&root, into),
        Some(Err(error)) => reader.problem(error.line, error.message, None),
        None => {}
    }
    reader.problems
}

struct Reader<'a> {
    path: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, message: String, help: Option<&str>) {
        let mut problem = Problem::new(self.path, message).at(line);
        problem.help = help.map(Into::into);
        self.problems.push(problem);
    }

    /// The entries of a map with those keys; others are problems that name the nearest.
    fn map<'n>(&mut self, node: &'n Node, what: &str, keys: &[&str]) -> Vec<&'n Entry> {
        if !matches!(node.value, Value::Map(_)) {
            if !matches!(node.value, Value::Null) {
                self.problem(node.line, format!("`{what}` must be a map"), None);
            }
            return Vec::new();
        }
        let mut known = Vec::new();
        for entry in node.entries() {
            if keys.contains(&entry.key.as_str()) {
                known.push(entry);
            } else {
                let help = nearest(&entry.key, keys);
                self.problem(
                    entry.line,
                    format!("unknown key `{}` in {what}", entry.key),
                    Some(&help),
                );
            }
        }
        known
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.problem(node.line, format!("`{what}` must be a text"), None);
                None
            }
        }
    }

    fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        let text = self.text(node, what)?;
        Some(self.path.parent().unwrap_or(Path::new("")).join(text))
    }

    fn root(&mut self, root: &Node, config: &mut Config) {
        let (mut sources, mut sweeps) = (None, None);
        for entry in self.map(root, "the configuration", &TOP) {
            let node = &entry.value;
            match entry.key.as_str() {
                "store" => self.store(node, config),
                "kibana" => config.kibana = cluster::kibana(self, node),
                "sources" => sources = Some(self.sources(node)),
                "sweeps" => sweeps = Some(node),
                "rules" => {
                    config.rules = node
                        .items()
                        .iter()
                        .filter_map(|item| self.path(item, "rules"))
                        .collect();
                }
                "blacklist" => config.blacklist = self.path(node, "blacklist"),
                "placeholders" => self.placeholders(node, &mut config.placeholders),
                "anomalies" => anomalies::read(self, node, &mut config.anomalies),
                "modules" => config.modules = self.path(node, "modules"),
                _ => self.alert_levels(node, config),
            }
        }
        match sources {
            Some(sources) => config.sources = sources,
            None if config.cluster.is_some() => {
                let patterns = CLUSTER_SOURCES.map(str::to_owned).to_vec();
                for source in &mut config.sources {
                    source.index = Sources(patterns.clone());
                }
            }
            None => {}
        }
        match sweeps {
            Some(node) => config.sweeps = self.sweeps(node, &config.sources),
            None => {
                let all: Vec<&Source> = config.sources.iter().collect();
                for sweep in &mut config.sweeps {
                    (sweep.sources, sweep.begin) = all_of(&all);
                }
            }
        }
    }

    fn placeholders(&mut self, node: &Node, into: &mut Placeholders) {
        let (placeholders, wrong) = Placeholders::read(node);
        into.extend(placeholders);
        for error in wrong {
            self.problem(error.line, error.message, error.help.as_deref());
        }
    }

    fn store(&mut self, node: &Node, config: &mut Config) {
        for entry in self.map(node, "store", &["embedded", "elastic"]) {
            if entry.key == "elastic" {
                config.cluster = cluster::read(self, &entry.value);
                continue;
            }
            for entry in self.map(&entry.value, "store.embedded", &["path"]) {
                if let Some(path) = self.path(&entry.value, "store.embedded.path") {
                    config.data = path;
                }
            }
        }
    }

    fn sources(&mut self, node: &Node) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for item in node.items() {
            let (mut name, mut index, mut from) = (None, None, Begin::default());
            for entry in self.map(item, "sources", &["name", "index", "from"]) {
                match entry.key.as_str() {
                    "name" => name = self.text(&entry.value, "name"),
                    "index" => index = self.patterns(&entry.value),
                    _ => from = self.from(&entry.value).unwrap_or_default(),
                }
            }
            match (name, index) {
                (Some(name), Some(_)) if sources.iter().any(|s| s.name == name) => {
                    self.problem(item.line, format!("there are two sources `{name}`"), None);
                }
                (Some(name), Some(index)) => sources.push(Source { name, index, from }),
                _ if item.get("name").is_some() && item.get("index").is_some() => {}
                _ => self.problem(
                    item.line,
                    "a source needs a `name` and an `index`".into(),
                    Some("such as `{ name: cmd, index: \"cmdlogs*\" }`"),
                ),
            }
        }
        sources
    }

    /// `now`, `beginning`, or a span such as `7d`.
    fn from(&mut self, node: &Node) -> Option<Begin> {
        let text = self.text(node, "from")?;
        match text.as_str() {
            "beginning" => Some(Begin::Beginning),
            "now" => Some(Begin::Now),
            span => match super::span(span) {
                Some(span) => Some(Begin::Ago(span)),
                None => {
                    let message = format!("`{text}` is no place to begin");
                    let help = "`now`, `beginning`, or a span such as `7d` or `12h`";
                    self.problem(node.line, message, Some(help));
                    None
                }
            },
        }
    }

    /// `a-*,b` or a list of such.
    fn patterns(&mut self, node: &Node) -> Option<Sources> {
        let mut patterns = Vec::new();
        for item in node.items() {
            let text = self.text(item, "index")?;
            for pattern in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
                if Sources::is_own(pattern) {
                    let message =
                        format!("`{pattern}` is never swept: such names are Picket's own");
                    let help = "leave it out, or give the indices another name";
                    self.problem(item.line, message, Some(help));
                }
                patterns.push(pattern.to_owned());
            }
        }
        (!patterns.is_empty()).then_some(Sources(patterns))
    }

    fn sweeps(&mut self, node: &Node, sources: &[Source]) -> Vec<SweepConfig> {
        let mut sweeps: Vec<SweepConfig> = Vec::new();
        for item in node.items() {
            let all: Vec<&Source> = sources.iter().collect();
            let (mut name, mut schedule, mut swept) = (None, None, all);
            for entry in self.map(item, "sweeps", &["name", "schedule", "sources"]) {
                match entry.key.as_str() {
                    "name" => name = self.text(&entry.value, "name"),
                    "schedule" => schedule = self.schedule(&entry.value),
                    _ => swept = self.swept(&entry.value, sources),
                }
            }
            match (name, schedule) {
                (Some(name), Some(_)) if sweeps.iter().any(|s| s.name == name) => {
                    let help = "each keeps its checkpoint under its name";
                    self.problem(
                        item.line,
                        format!("there are two sweeps `{name}`"),
                        Some(help),
                    );
                }
                (Some(name), Some(schedule)) => sweeps.push(SweepConfig {
                    name,
                    schedule,
                    sources: all_of(&swept).0,
                    begin: all_of(&swept).1,
                }),
                _ if item.get("name").is_some() && item.get("schedule").is_some() => {}
                _ => self.problem(
                    item.line,
                    "a sweep needs a `name` and a `schedule`".into(),
                    Some("such as `{ name: default, schedule: \"0 */15 * * * *\" }`"),
                ),
            }
        }
        sweeps
    }

    fn schedule(&mut self, node: &Node) -> Option<Schedule> {
        match self.text(node, "schedule")?.parse() {
            Ok(schedule) => Some(schedule),
            Err(message) => {
                self.problem(node.line, message, None);
                None
            }
        }
    }

    fn swept<'s>(&mut self, node: &Node, sources: &'s [Source]) -> Vec<&'s Source> {
        let mut swept = Vec::new();
        for item in node.items() {
            let Some(name) = self.text(item, "sources") else {
                continue;
            };
            match sources.iter().find(|source| source.name == name) {
                Some(source) => swept.push(source),
                None => {
                    let names: Vec<&str> = sources.iter().map(|s| s.name.as_str()).collect();
                    let help = nearest(&name, &names);
                    let message = format!("there is no source `{name}`");
                    self.problem(item.line, message, Some(&help));
                }
            }
        }
        swept
    }

    fn alert_levels(&mut self, node: &Node, config: &mut Config) {
        let names: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
        for entry in self.map(node, "alert_levels", &names) {
            let number = match &entry.value.value {
                Value::Number(text) => text.parse::<u8>().ok(),
                _ => None,
            };
            match (
                Level::parse(&entry.key),
                number.and_then(|n| AlertLevel::try_from(n).ok()),
            ) {
                (Some(level), Some(alert)) => config.alert_levels.set(level, alert),
                _ => self.problem(
                    entry.value.line,
                    format!("`{}` must be 0, 1 or 2", entry.key),
                    None,
                ),
            }
        }
    }
}

fn all_of(sources: &[&Source]) -> (Sources, Vec<(Sources, Begin)>) {
    let patterns = sources
        .iter()
        .flat_map(|source| source.index.0.iter().cloned());
    let begin = sources
        .iter()
        .map(|source| (source.index.clone(), source.from));
    (Sources(patterns.collect()), begin.collect())
}

/// What may have been meant, or what there is.
fn nearest(word: &str, known: &[&str]) -> String {
    match crate::rule::nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = read(text, Path::new("picket.yml"));
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let (config, problems) = read("", Path::new("picket.yml"));
        assert_eq!(problems, []);
        assert_eq!(config.data, PathBuf::from("picket-data"));
        assert_eq!(config.sweeps[0].sources, Sources::all());
    }

    #[test]
    fn the_whole_shape_is_understood() {
        let text = r#"
store:
  embedded: { path: store }
sources:
  - { name: sysmon, index: "winlogbeat-*, logstash-*" }
  - { name: cmd, index: "cmdlogs*" }
sweeps:
  - { name: fast, schedule: "0 * * * * *", sources: [cmd] }
  - { name: slow, schedule: "0 0 * * * *" }
rules: [rules/, more.yml]
blacklist: blacklist.txt
modules: modules/
placeholders: { Admins: [alice, "bob*"], Dc: 10.0.0.1 }
alert_levels: { low: 1, critical: 1 }
"#;
        let (config, problems) = read(text, Path::new("/etc/picket/picket.yml"));
        assert_eq!(problems, []);
        assert_eq!(config.data, PathBuf::from("/etc/picket/store"));
        assert_eq!(config.sweeps[0].sources, Sources(vec!["cmdlogs*".into()]));
        assert_eq!(config.sweeps[1].sources.0.len(), 3);
        assert_eq!(config.rules[1], PathBuf::from("/etc/picket/more.yml"));
        assert_eq!(
            config.alert_levels.of(Level::Critical),
            AlertLevel::Suspicious
        );
        assert_eq!(config.alert_levels.of(Level::High), AlertLevel::Suspicious);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        insta::assert_snapshot!(
            problems(
                r#"
ruels: [rules/]
sources:
  - { name: cmd }
  - { name: sysmon, index: "winlogbeat-*" }
sweeps:
  - { name: a, schedule: "*/15 * * * *", sources: [sysmon] }
  - { name: b, schedule: "0 0 * * * *", sources: [sysmno] }
alert_levels: { hihg: 1, low: 7 }
"#
            )
            .join("\n")
        );
    }

    #[test]
    fn a_source_says_where_to_begin() {
        let read = |from: &str| {
            let text = format!("sources: [{{ name: cmd, index: cmdlogs{from} }}]");
            let (config, problems) = read(&text, Path::new("picket.yml"));
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            (config, problems)
        };
        let hours = |hours: u64| Begin::Ago(std::time::Duration::from_secs(hours * 3600));
        for (from, expected) in [
            ("", Begin::Beginning),
            (", from: beginning", Begin::Beginning),
            (", from: now", Begin::Now),
            (", from: 12h", hours(12)),
            (", from: 7d", hours(7 * 24)),
        ] {
            let (config, problems) = read(from);
            assert_eq!(problems, [""; 0]);
            assert_eq!(config.sources[0].from, expected);
            let begin = (Sources(vec!["cmdlogs".into()]), expected);
            assert_eq!(config.sweeps[0].begin, [begin]);
        }
        for from in ["yesterday", "7 days", "-1d", "7w", "d"] {
            let (_, problems) = read(&format!(", from: {from:?}"));
            let expected = format!(
                "picket.yml:1: `{from}` is no place to begin; `now`, `beginning`, or a span such \
                 as `7d` or `12h`"
            );
            assert_eq!(problems, [expected]);
        }
    }

    #[test]
    fn a_pattern_that_is_never_swept_is_said() {
        let text = "sources: [{ name: a, index: \"logs-*, picket-logs*\" }]";
        let expected = "picket.yml:1: `picket-logs*` is never swept: such names are Picket's own; \
                        leave it out, or give the indices another name";
        assert_eq!(problems(text), [expected]);
        assert_eq!(
            problems("sources: [{ name: a, index: \"pick*\" }]"),
            [""; 0]
        );
    }

    #[test]
    fn text_that_is_no_yaml_is_one_problem_with_a_line() {
        let problems = problems("rules: [a\nblacklist: {");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("picket.yml:"), "{problems:?}");
    }
}
