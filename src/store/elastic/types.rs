//! What the mappings of some indices say: which path has which type. Read from the answer of
//! `_field_caps?fields=*`; asks nothing itself.
//!
//! Indices may differ: one path, several types. A [`View`] holds indices that agree on the paths
//! that a request names, so that a request never meets a type that it does not know.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::store::{Sources, StoreError, StoreErrorKind};

/// How values of a type can be asked for; types that are asked in the same way are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Whole values: `keyword`, `wildcard`, `constant_keyword`.
    Keyword,
    /// Words: `text`, `match_only_text`.
    Text,
    /// All numbers.
    Number,
    /// `date`, `date_nanos`.
    Date,
    /// `boolean`.
    Bool,
    /// `ip`.
    Ip,
    /// All leaves below it are whole values: `flattened`, `flat_object`.
    Flattened,
    /// Anything else; asked for leniently.
    Other,
}

impl Kind {
    /// `None`: no leaf.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "object" | "nested" | "passthrough" | "unmapped" => return None,
            "keyword" | "wildcard" | "constant_keyword" => Self::Keyword,
            "text" | "match_only_text" | "annotated_text" | "search_as_you_type" => Self::Text,
            "long" | "integer" | "short" | "byte" | "double" | "float" | "half_float"
            | "scaled_float" | "unsigned_long" => Self::Number,
            "date" | "date_nanos" => Self::Date,
            "boolean" => Self::Bool,
            "ip" => Self::Ip,
            "flattened" | "flat_object" => Self::Flattened,
            _ => Self::Other,
        })
    }
}

/// A path as a mapping writes it, its types, and in which indices (by number; empty: wherever it
/// is mapped) each.
#[derive(Clone, Debug)]
struct Mapped {
    path: String,
    kinds: Vec<(Kind, Vec<usize>)>,
}

impl Mapped {
    fn kind(&self, index: usize) -> Option<Kind> {
        let holds = |(_, indices): &&(Kind, Vec<usize>)| {
            indices.is_empty() || indices.binary_search(&index).is_ok()
        };
        self.kinds.iter().find(holds).map(|(kind, _)| *kind)
    }
}

/// The mappings of some indices.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldTypes {
    indices: Vec<String>,
    /// The indices that cannot order by sequence number.
    unnumbered: BTreeSet<String>,
    /// By path in lower case.
    paths: BTreeMap<String, Vec<Mapped>>,
}

#[derive(Deserialize)]
struct Answer {
    indices: Vec<String>,
    fields: BTreeMap<String, BTreeMap<String, Capability>>,
}

#[derive(Deserialize)]
struct Capability {
    #[serde(default)]
    searchable: bool,
    indices: Option<Vec<String>>,
}

impl FieldTypes {
    /// Reads the answer of `GET INDICES/_field_caps?fields=*`.
    ///
    /// # Errors
    /// It is no such answer.
    pub(super) fn read(answer: &str) -> Result<Self, StoreError> {
        let mut answer: Answer = serde_json::from_str(answer).map_err(|error| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                format!("cannot read what the server says of its fields: {error}"),
            )
        })?;
        answer.indices.sort_unstable();
        let mut types = Self {
            indices: answer.indices,
            unnumbered: BTreeSet::new(),
            paths: BTreeMap::new(),
        };
        for (path, capabilities) in answer.fields {
            // `_id`, `_source` and the like.
            if !path.starts_with('_') {
                types.add(path, capabilities);
            }
        }
        Ok(types)
    }

    /// The same; these indices cannot order by sequence number.
    pub(super) fn without_numbers(mut self, indices: BTreeSet<String>) -> Self {
        self.unnumbered = indices;
        self
    }

    fn add(&mut self, path: String, capabilities: BTreeMap<String, Capability>) {
        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (name, capability) in capabilities {
            let Some(kind) = Kind::of(&name).filter(|_| capability.searchable) else {
                continue;
            };
            let number = |index: &String| self.indices.binary_search(index).ok();
            let indices = capability.indices.iter().flatten().filter_map(number);
            let known = kinds.entry(kind).or_default();
            known.extend(indices);
            known.sort_unstable();
        }
        if !kinds.is_empty() {
            let kinds = kinds.into_iter().collect();
            let mapped = self.paths.entry(path.to_lowercase()).or_default();
            mapped.push(Mapped { path, kinds });
        }
    }

    /// The indices that a search of those sources looks at, in groups that agree on these paths.
    /// The sources' patterns were the server's to expand; only Picket's own indices are left out
    /// here where they are not named, its state always.
    pub(super) fn views(&self, sources: Option<&Sources>, paths: &[String]) -> Vec<View<'_>> {
        let asked: Vec<&Mapped> = paths.iter().flat_map(|path| self.disputed(path)).collect();
        let mut groups: BTreeMap<(bool, Vec<Option<Kind>>), Vec<usize>> = BTreeMap::new();
        for (number, index) in self.indices.iter().enumerate() {
            let meant = sources.is_none_or(|sources| !Sources::is_own(index) || sources.fit(index));
            if meant && !index.starts_with(".picket") {
                let types = asked.iter().map(|mapped| mapped.kind(number)).collect();
                let numbered = !self.unnumbered.contains(index);
                groups.entry((numbered, types)).or_default().push(number);
            }
        }
        let view = |((numbered, _), members)| View {
            types: self,
            members,
            numbered,
        };
        groups.into_iter().map(view).collect()
    }

    /// What is mapped at a path and its sub-fields with several types.
    fn disputed(&self, path: &str) -> impl Iterator<Item = &Mapped> {
        let lower = path.to_lowercase();
        let below = format!("{lower}.");
        let end = format!("{lower}/");
        let here = self.paths.get(&lower).into_iter().flatten();
        let fields = here
            .clone()
            .any(|mapped| mapped.kinds.iter().any(|(kind, _)| *kind == Kind::Text));
        let below = fields.then(|| self.paths.range(below..end));
        let below = below.into_iter().flatten().flat_map(|(_, mapped)| mapped);
        here.chain(below)
            .filter(|mapped| mapped.kinds.iter().any(|(_, indices)| !indices.is_empty()))
    }
}

/// Indices that agree on the types of the paths that a request names.
#[derive(Clone, Debug)]
pub(super) struct View<'t> {
    types: &'t FieldTypes,
    members: Vec<usize>,
    /// Whether they can order by sequence number.
    pub(super) numbered: bool,
}

impl<'t> View<'t> {
    /// The indices.
    pub(super) fn indices(&self) -> impl Iterator<Item = &'t str> {
        let types = self.types;
        let name = |number: &usize| types.indices.get(*number).map(String::as_str);
        self.members.iter().filter_map(name)
    }

    /// How many paths are mapped.
    pub(super) fn len(&self) -> usize {
        self.types.paths.len()
    }

    /// All paths that are mapped, with their types.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'t str, Kind)> {
        let first = self.members.first().copied().unwrap_or(0);
        let mapped = self.types.paths.values().flatten();
        mapped.filter_map(move |mapped| Some((mapped.path.as_str(), mapped.kind(first)?)))
    }

    /// The path as the mappings write it, and its type; several where names differ only by case.
    pub(super) fn at(&self, path: &str) -> Vec<(String, Kind)> {
        let lower = path.to_lowercase();
        let first = self.members.first().copied().unwrap_or(0);
        if let Some(mapped) = self.types.paths.get(&lower) {
            let typed = |mapped: &Mapped| Some((mapped.path.clone(), mapped.kind(first)?));
            return mapped.iter().filter_map(typed).collect();
        }
        let above = lower.match_indices('.').map(|(dot, _)| &lower[..dot]);
        let mut above = above
            .filter_map(|path| self.types.paths.get(path))
            .flatten();
        let flat = above.any(|mapped| mapped.kind(first) == Some(Kind::Flattened));
        let flat = flat.then(|| (path.to_owned(), Kind::Flattened));
        flat.into_iter().collect()
    }

    /// The sub-field of a text that holds whole values, such as `command.keyword`.
    pub(super) fn exact(&self, path: &str) -> Option<String> {
        let lower = path.to_lowercase();
        let first = self.members.first().copied().unwrap_or(0);
        let range = self
            .types
            .paths
            .range(format!("{lower}.")..format!("{lower}/"));
        let whole = range
            .flat_map(|(_, mapped)| mapped)
            .filter(|mapped| mapped.kind(first) == Some(Kind::Keyword));
        // A sub-field of another name may hold something else; `keyword` is what it is called.
        whole
            .min_by_key(|mapped| !mapped.path.ends_with(".keyword"))
            .map(|mapped| mapped.path.clone())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `["logs", "cmdlogs"]` as Elasticsearch maps the contract's documents by itself, and
    /// `winlogbeat` as its template does.
    pub(in crate::store::elastic) fn sample() -> FieldTypes {
        FieldTypes::read(
            r#"{"indices":["logs","cmdlogs","winlogbeat","picket-findings",".picket-state"],"fields":{
            "_id":{"_id":{"type":"_id","metadata_field":true,"searchable":true}},
            "@timestamp":{"date":{"searchable":true}},
            "timestamp":{"date":{"searchable":true,"indices":["logs"]},"text":{"searchable":true,"indices":["cmdlogs"]}},
            "timestamp.keyword":{"keyword":{"searchable":true}},
            "time":{"long":{"searchable":true}},
            "command":{"text":{"searchable":true}},
            "command.keyword":{"keyword":{"searchable":true}},
            "EventID":{"long":{"searchable":true}},
            "winlog":{"object":{"searchable":false}},
            "winlog.event_id":{"keyword":{"searchable":true}},
            "host":{"object":{"searchable":false,"indices":["winlogbeat"]},"text":{"searchable":true,"indices":["picket-findings"]}},
            "host.keyword":{"keyword":{"searchable":true}},
            "host.name":{"keyword":{"searchable":true}},
            "user.name":{"keyword":{"searchable":true}},
            "user.domain":{"keyword":{"searchable":true}},
            "message":{"text":{"searchable":true}},
            "source.ip":{"ip":{"searchable":true}},
            "flat":{"flattened":{"searchable":true}},
            "hidden":{"keyword":{"searchable":false}}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn indices_that_disagree_are_asked_apart() {
        let types = sample();
        let sources = Sources::all();
        let groups = |paths: &[&str]| -> Vec<Vec<String>> {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            let views = types.views(Some(&sources), &paths);
            let names = |view: &View<'_>| view.indices().map(str::to_owned).collect();
            views.iter().map(names).collect()
        };
        assert_eq!(groups(&["command"]), [["cmdlogs", "logs", "winlogbeat"]]);
        let mut apart = groups(&["timestamp"]);
        apart.sort();
        assert_eq!(apart, [vec!["cmdlogs"], vec!["logs"], vec!["winlogbeat"]]);
        assert_eq!(types.views(None, &[])[0].indices().count(), 4);
        let types = types.clone().without_numbers(["cmdlogs".to_owned()].into());
        let apart: Vec<_> = types
            .views(Some(&sources), &[])
            .iter()
            .map(|view| (view.numbered, view.indices().count()))
            .collect();
        assert_eq!(apart, [(false, 1), (true, 2)]);
    }

    #[test]
    fn paths_are_found_without_case_and_with_their_sub_fields() {
        let types = sample();
        let view = &types.views(None, &[])[0];
        assert_eq!(view.at("eventid"), [("EventID".to_owned(), Kind::Number)]);
        assert_eq!(view.exact("Command").as_deref(), Some("command.keyword"));
        assert_eq!(view.at("flat.a.b")[0].1, Kind::Flattened);
        assert!(view.at("winlog").is_empty() && view.at("hidden").is_empty());
    }
}
