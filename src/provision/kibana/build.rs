//! Saved objects made of the sources: data views, saved searches, visualizations and the dashboard
//! that refers to them, each stamped for its target.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::links::Links;
use super::source::{Dashboard, Panel, Show, Sources, View};
use super::{Object, Shape, Target, stamp, text, vis};

/// The name of the reference to an object's data view.
const VIEW_REFERENCE: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";
/// How many rows lists to choose from need, where they are a panel of their own.
const CONTROLS: u32 = 6;

type Views = BTreeMap<String, View>;

/// Everything for servers whose events have these shapes, what others refer to first.
pub(super) fn all(sources: &Sources, target: Target, shapes: &[Shape]) -> Vec<Object> {
    let links = Links::new(sources, shapes);
    let mut objects = Vec::new();
    for source in &sources.dashboards {
        for shape in source.shapes(shapes) {
            let views = sources.views(shape);
            let made = Making {
                target,
                shape,
                views: &views,
                links: &links,
            };
            objects.extend(made.dashboard(source));
        }
    }
    let rank = |kind: &str| stamp::TYPES.iter().position(|known| *known == kind);
    objects.sort_by_key(|object| rank(object.kind));
    objects
}

struct Making<'m> {
    target: Target,
    shape: Option<Shape>,
    views: &'m Views,
    links: &'m Links,
}

impl Making<'_> {
    fn dashboard(&self, source: &Dashboard) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut panels = Vec::new();
        let mut references = Vec::new();
        let mut used = Vec::new();
        let own_controls = self.target != Target::Kibana88 && !source.head.controls.is_empty();
        let down = if own_controls { CONTROLS } else { 0 };
        let id = source.id(self.shape);
        if own_controls {
            let object = self.controls(source, &id);
            self.place(&object, [0, 0, 48, CONTROLS], &mut panels, &mut references);
            objects.push(object);
        }
        for panel in &source.panels {
            let Some(view) = self.view(panel.view.as_ref().unwrap_or(&source.head.view)) else {
                continue;
            };
            if !matches!(panel.show, Show::Text(_)) {
                used.push(view);
            }
            let own = panel.id.clone();
            let own = own.unwrap_or_else(|| format!("{id}-{}", slug(&panel.title)));
            let object = self.panel(panel, &own, view, &id);
            let [x, y, w, h] = panel.at;
            self.place(&object, [x, y + down, w, h], &mut panels, &mut references);
            objects.push(object);
        }
        let main = self.view(&source.head.view);
        used.extend(main.filter(|_| !source.head.controls.is_empty()));
        let mut made: Vec<Object> = used.iter().map(|view| self.data_view(view)).collect();
        made.append(&mut objects);
        made.push(self.board(source, &id, &panels, references));
        made
    }

    fn view(&self, name: &str) -> Option<&View> {
        self.views.get(name)
    }

    fn place(
        &self,
        object: &Object,
        [x, y, w, h]: [u32; 4],
        panels: &mut Vec<Value>,
        references: &mut Vec<Value>,
    ) {
        let index = (panels.len() + 1).to_string();
        let name = format!("panel_{index}");
        let mut panel = json!({
            "version": stamp::panel(self.target), "panelIndex": index, "panelRefName": name,
            "gridData": { "x": x, "y": y, "w": w, "h": h, "i": index },
            "embeddableConfig": {},
        });
        let mut reference = name;
        if self.target != Target::OpenSearchDashboards {
            panel["type"] = json!(object.kind);
            panel["embeddableConfig"] = json!({ "enhancements": {} });
            reference = format!("{index}:{reference}");
        }
        panels.push(panel);
        references.push(json!({ "name": reference, "type": object.kind, "id": object.id }));
    }

    fn panel(&self, panel: &Panel, id: &str, view: &View, board: &str) -> Object {
        let query = view.spell(&panel.query);
        let reference = json!({ "name": VIEW_REFERENCE, "type": "index-pattern", "id": view.id });
        let kql = json!({ "query": query, "language": "kuery" });
        let searched = json!({ "query": kql, "filter": [], "indexRefName": VIEW_REFERENCE });
        let title = &panel.title;
        let show = match &panel.show {
            Show::Text(words) => &Show::Text(self.links.spell(words, board)),
            show => show,
        };
        let Some((state, looks)) = vis::state(title, show, view) else {
            return self.search(panel, id, view, searched, reference);
        };
        let (searched, references) = match panel.show {
            Show::Text(_) => (json!({ "query": kql, "filter": [] }), Vec::new()),
            _ => (searched, vec![reference]),
        };
        self.visualization(id, title, &state, &looks, &searched, references)
    }

    fn visualization(
        &self,
        id: &str,
        title: &str,
        state: &Value,
        looks: &Value,
        searched: &Value,
        references: Vec<Value>,
    ) -> Object {
        let attributes = json!({
            "title": title, "description": "", "version": 1,
            "visState": text(state), "uiStateJSON": text(looks),
            "kibanaSavedObjectMeta": { "searchSourceJSON": text(searched) },
        });
        stamp::object(self.target, "visualization", id, attributes, references)
    }

    fn search(
        &self,
        panel: &Panel,
        id: &str,
        view: &View,
        mut searched: Value,
        reference: Value,
    ) -> Object {
        let (columns, sort) = match &panel.show {
            Show::Events { columns, sort } => (columns.as_slice(), sort.as_ref()),
            _ => (&[][..], None),
        };
        searched["highlightAll"] = json!(true);
        searched["version"] = json!(true);
        let columns: Vec<String> = columns.iter().map(|column| view.spell(column)).collect();
        let sort = sort.or(view.time.as_ref()).map(|field| view.spell(field));
        let sort: Vec<_> = sort.iter().map(|field| json!([field, "desc"])).collect();
        let attributes = json!({
            "title": panel.title, "description": "", "hits": 0, "version": 1,
            "columns": columns, "sort": sort,
            "kibanaSavedObjectMeta": { "searchSourceJSON": text(&searched) },
        });
        stamp::object(self.target, "search", id, attributes, vec![reference])
    }

    fn controls(&self, source: &Dashboard, id: &str) -> Object {
        let view = self.view(&source.head.view);
        let controls = source.head.controls.iter();
        let spelt = |field: &str| view.map_or_else(|| field.to_owned(), |view| view.spell(field));
        let controls: Vec<_> = controls
            .map(|c| (c.title.clone(), spelt(&c.field)))
            .collect();
        let reference = |n: usize| {
            let view = view.map(|view| view.id.as_str());
            json!({ "name": format!("control_{n}_index_pattern"), "type": "index-pattern", "id": view })
        };
        let references = (0..controls.len()).map(reference).collect();
        let title = "Choose";
        let state = vis::controls(title, &controls);
        let none = json!({});
        self.visualization(
            &format!("{id}-choose"),
            title,
            &state,
            &none,
            &none,
            references,
        )
    }

    fn board(
        &self,
        source: &Dashboard,
        id: &str,
        panels: &[Value],
        mut references: Vec<Value>,
    ) -> Object {
        let head = &source.head;
        let title = source.title(self.shape);
        let none = json!({ "query": { "query": "", "language": "kuery" }, "filter": [] });
        let mut attributes = json!({
            "title": title, "description": head.description, "hits": 0, "version": 1,
            "timeRestore": true, "timeFrom": head.time, "timeTo": "now",
            "refreshInterval": { "pause": true, "value": 0 },
            "panelsJSON": text(&json!(panels)),
            "optionsJSON": text(&json!({ "useMargins": true, "hidePanelTitles": false })),
            "kibanaSavedObjectMeta": { "searchSourceJSON": text(&none) },
        });
        let view = self
            .view(&head.view)
            .filter(|_| self.target == Target::Kibana88);
        if let Some(view) = view.filter(|_| !head.controls.is_empty()) {
            let mut lists = Map::new();
            for (order, control) in head.controls.iter().enumerate() {
                let id = format!("control-{order}");
                let input = json!({
                    "id": id, "fieldName": view.spell(&control.field), "title": control.title,
                    "enhancements": {},
                });
                let list = json!({
                    "type": "optionsListControl", "order": order, "grow": true, "width": "medium",
                    "explicitInput": input,
                });
                let name = format!("controlGroup_{id}:optionsListDataView");
                references.push(json!({ "name": name, "type": "index-pattern", "id": view.id }));
                lists.insert(id, list);
            }
            let heeded = json!({
                "ignoreFilters": false, "ignoreQuery": false,
                "ignoreTimerange": false, "ignoreValidations": false,
            });
            attributes["controlGroupInput"] = json!({
                "controlStyle": "oneLine", "chainingSystem": "HIERARCHICAL",
                "panelsJSON": text(&Value::Object(lists)), "ignoreParentSettingsJSON": text(&heeded),
            });
        }
        stamp::object(self.target, "dashboard", id, attributes, references)
    }

    fn data_view(&self, view: &View) -> Object {
        let mut attributes = json!({ "title": view.pattern, "fields": "[]" });
        if let Some(time) = &view.time {
            attributes["timeFieldName"] = json!(time);
        }
        attributes["fieldFormatMap"] = text(&self.links.formats(view));
        if self.target == Target::Kibana88 {
            attributes["name"] = json!(view.title);
        }
        let mut object = stamp::object(self.target, "index-pattern", &view.id, attributes, vec![]);
        object.title.clone_from(&view.title);
        object
    }
}

/// A title as a part of an id.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("-")
}
