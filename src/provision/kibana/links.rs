//! Links between dashboards: from hosts and users to all that there is of them, and from each
//! dashboard to the others. Addresses are those that people see in their browser.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Shape;
use super::source::{Sources, View};

/// Where links lead.
pub(super) struct Links {
    /// The dashboard of one host or user.
    story: Option<String>,
    /// The fields that name a `host` or a `user`, of all data views.
    fields: BTreeMap<String, Vec<String>>,
    /// All dashboards, id and title.
    dashboards: Vec<(String, String)>,
}

impl Links {
    pub(super) fn new(sources: &Sources, shapes: &[Shape]) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let of_shapes = shapes.iter().map(|shape| sources.views(Some(*shape)));
        for views in of_shapes.chain([sources.views(None)]) {
            for (field, to) in views.values().flat_map(|view| &view.links) {
                let known = fields.entry(to.clone()).or_default();
                if !known.contains(field) {
                    known.push(field.clone());
                }
            }
        }
        let mut story = None;
        let mut dashboards = Vec::new();
        for source in &sources.dashboards {
            for shape in source.shapes(shapes) {
                dashboards.push((source.id(shape), source.title(shape)));
                if source.name == "host" {
                    story.get_or_insert(source.id(shape));
                }
            }
        }
        Self {
            story,
            fields,
            dashboards,
        }
    }

    /// A text in which `{dashboards}` is a link to each other dashboard.
    pub(super) fn spell(&self, words: &str, own: &str) -> String {
        let others = self.dashboards.iter().filter(|(id, _)| id != own);
        let link = |(id, title): &(String, String)| format!("[{title}](#/view/{id})");
        let links: Vec<String> = others.map(link).collect();
        words.replace("{dashboards}", &links.join(" · "))
    }

    /// How values of a data view's fields are shown, by field.
    pub(super) fn formats(&self, view: &View) -> Value {
        let links = view.links.iter();
        let links = links.filter_map(|(field, to)| Some((field.clone(), self.link(to)?)));
        let plain = json!({ "id": "number", "params": { "pattern": "0" } });
        let plain = view
            .plain
            .iter()
            .map(|field| (field.clone(), plain.clone()));
        Value::Object(links.chain(plain).collect::<Map<_, _>>())
    }

    /// A field whose value is a link to what there is of that host or user. The filter is in the
    /// address, in the notation that all targets have for it (RISON).
    fn link(&self, to: &str) -> Option<Value> {
        let story = self.story.as_ref()?;
        let fields = self.fields.get(to)?.iter();
        // Some write names in capitals.
        let is = "(value:'{{value}}',case_insensitive:!t)";
        let any = fields.map(|field| format!("(term:('{field}':{is}))"));
        let any: Vec<_> = any.collect();
        let filter = format!(
            "('$state':(store:appState),meta:(alias:'{to} {{{{value}}}}',disabled:!f,negate:!f,\
             type:custom),query:(bool:(minimum_should_match:1,should:!({}))))",
            any.join(",")
        );
        let url = format!("../app/dashboards#/view/{story}?_a=(filters:!({filter}))");
        let params = json!({
            "urlTemplate": url, "labelTemplate": "{{value}}", "openLinkInCurrentTab": true,
        });
        Some(json!({ "id": "url", "params": params }))
    }
}
