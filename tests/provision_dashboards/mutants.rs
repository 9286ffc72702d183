//! What is wrong in a saved object is noticed, and said: each mutation of a good file must be caught,
//! by the sentence that speaks of it, for every target.

use picket::provision::kibana::{Shape, Target, check, dashboards, ndjson};
use serde_json::{Value, json};

type Lines = Vec<Value>;
/// Its name, what it does, and what must be said of it.
type Mutant = (&'static str, fn(&mut Lines), &'static str);

const BOARD: &str = "327c0c60-32fb-11e7-9bd5-a3815fb7533d";
const BARS: &str = "79f771a0-32f7-11e7-8d51-59c6c567aead";
const DONUT: &str = "9afb7a20-3303-11e7-9bd5-a3815fb7533d";
const LOG: &str = "e7917660-3311-11e7-9bd5-a3815fb7533d";
const TABLE: &str = "picket-overview-top-hosts";
const VIEW: &str = "picket-cmdlogs";

fn line<'l>(lines: &'l mut Lines, id: &str) -> &'l mut Value {
    lines.iter_mut().find(|line| line["id"] == id).unwrap()
}

/// Changes a text that is JSON.
fn inside(text: &mut Value, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut value);
    *text = json!(value.to_string());
}

fn state(lines: &mut Lines, id: &str, change: impl FnOnce(&mut Value)) {
    inside(&mut line(lines, id)["attributes"]["visState"], change);
}

fn searched(lines: &mut Lines, id: &str, change: impl FnOnce(&mut Value)) {
    let meta = &mut line(lines, id)["attributes"]["kibanaSavedObjectMeta"];
    inside(&mut meta["searchSourceJSON"], change);
}

fn panels(lines: &mut Lines, change: impl FnOnce(&mut Value)) {
    inside(&mut line(lines, BOARD)["attributes"]["panelsJSON"], change);
}

fn stamp(lines: &mut Lines, id: &str, version: &str) {
    let line = line(lines, id);
    let kind = line["type"].as_str().unwrap().to_owned();
    match line.get_mut("typeMigrationVersion") {
        Some(stamp) => *stamp = json!(version),
        None => line["migrationVersion"][kind] = json!(version),
    }
}

const MUTANTS: &[Mutant] = &[
    (
        "a later version of a dashboard",
        |l| stamp(l, BOARD, "10.3.0"),
        "more recent version",
    ),
    (
        "a later version of a visualization",
        |l| stamp(l, BARS, "8.6.0"),
        "more recent version",
    ),
    (
        "a later version of a search",
        |l| stamp(l, LOG, "8.0.1"),
        "more recent version",
    ),
    (
        "a later version of a data view",
        |l| stamp(l, VIEW, "8.1.0"),
        "more recent version",
    ),
    (
        "a version that is none",
        |l| stamp(l, BARS, "new"),
        "no version of its type",
    ),
    (
        "no version",
        |l| {
            let line = line(l, BARS).as_object_mut().unwrap();
            line.remove("migrationVersion");
            line.remove("typeMigrationVersion");
        },
        "no version of its type",
    ),
    (
        "two versions",
        |l| {
            let line = line(l, BARS);
            line["migrationVersion"] = json!({ "visualization": "7.10.0" });
            line["typeMigrationVersion"] = json!("7.10.0");
        },
        "has two versions",
    ),
    (
        "a later core",
        |l| line(l, BARS)["coreMigrationVersion"] = json!("9.0.0"),
        "coreMigrationVersion",
    ),
    (
        "an unknown key",
        |l| line(l, BARS)["colour"] = json!(1),
        "unknown key `colour`",
    ),
    ("no id", |l| line(l, BARS)["id"] = json!(""), "has no id"),
    (
        "the same twice",
        |l| l.push(l[0].clone()),
        "stands there twice",
    ),
    (
        "an unknown type",
        |l| line(l, BARS)["type"] = json!("lens"),
        "not written here",
    ),
    (
        "an unknown attribute",
        |l| line(l, BARS)["attributes"]["color"] = json!("red"),
        "color is not known",
    ),
    (
        "an attribute of another type",
        |l| line(l, BARS)["attributes"]["title"] = json!(1),
        "of another type",
    ),
    (
        "no title",
        |l| {
            _ = line(l, LOG)["attributes"]
                .as_object_mut()
                .unwrap()
                .remove("title")
        },
        "title is missing",
    ),
    (
        "an empty title",
        |l| line(l, BOARD)["attributes"]["title"] = json!(""),
        "title is empty",
    ),
    (
        "no state",
        |l| {
            _ = line(l, BARS)["attributes"]
                .as_object_mut()
                .unwrap()
                .remove("visState")
        },
        "visState is missing",
    ),
    (
        "a broken state",
        |l| line(l, BARS)["attributes"]["visState"] = json!("{"),
        "visState is not JSON",
    ),
    (
        "broken panels",
        |l| line(l, BOARD)["attributes"]["panelsJSON"] = json!("[{]"),
        "panelsJSON is not JSON",
    ),
    (
        "broken options",
        |l| line(l, BOARD)["attributes"]["optionsJSON"] = json!(""),
        "optionsJSON is not JSON",
    ),
    (
        "a broken search source",
        |l| line(l, LOG)["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"] = json!("}"),
        "searchSourceJSON is not JSON",
    ),
    (
        "more beside the search source",
        |l| line(l, LOG)["attributes"]["kibanaSavedObjectMeta"]["x"] = json!(1),
        "more or less than searchSourceJSON",
    ),
    (
        "no attributes",
        |l| line(l, BARS)["attributes"] = json!([]),
        "attributes must be an object",
    ),
    (
        "no references",
        |l| line(l, BARS)["references"] = json!({}),
        "references must be a list",
    ),
    (
        "a reference with more",
        |l| line(l, BARS)["references"][0]["x"] = json!(1),
        "a reference is not",
    ),
    (
        "a reference twice",
        |l| {
            let line = line(l, BARS);
            let first = line["references"][0].clone();
            line["references"].as_array_mut().unwrap().push(first);
        },
        "a reference is not",
    ),
    (
        "a reference that leads nowhere",
        |l| line(l, BARS)["references"][0]["id"] = json!("nothing"),
        "which is not there",
    ),
    (
        "a reference that is not used",
        |l| {
            let more = json!({ "name": "more", "type": "index-pattern", "id": VIEW });
            line(l, BARS)["references"]
                .as_array_mut()
                .unwrap()
                .push(more);
        },
        "more is listed and not used",
    ),
    (
        "a reference that is not listed",
        |l| line(l, BARS)["references"] = json!([]),
        "is used and not listed",
    ),
    (
        "a panel's reference that is not listed",
        |l| {
            _ = line(l, BOARD)["references"]
                .as_array_mut()
                .unwrap()
                .remove(0)
        },
        "is used and not listed",
    ),
    (
        "a data view that is a search",
        |l| {
            line(l, BARS)["references"][0]["type"] = json!("search");
            line(l, BARS)["references"][0]["id"] = json!(LOG);
        },
        "leads to a search",
    ),
    (
        "a bare data view",
        |l| searched(l, BARS, |s| s["index"] = json!(VIEW)),
        "bare id of a data view",
    ),
    (
        "no data view",
        |l| {
            searched(l, LOG, |s| {
                _ = s.as_object_mut().unwrap().remove("indexRefName")
            })
        },
        "names no data view",
    ),
    (
        "a filter with a bare data view",
        |l| {
            searched(l, BARS, |s| {
                s["filter"] = json!([{ "meta": { "index": VIEW } }])
            })
        },
        "a filter has a bare id",
    ),
    (
        "a query in another language",
        |l| searched(l, BARS, |s| s["query"]["language"] = json!("sql")),
        "a query in",
    ),
    (
        "a broken query",
        |l| searched(l, BARS, |s| s["query"]["query"] = json!("AlertLevel: (2")),
        "a parenthesis is open",
    ),
    (
        "a query of no field",
        |l| searched(l, BARS, |s| s["query"]["query"] = json!("Alertlevel: 2")),
        "Alertlevel is in no index",
    ),
    (
        "another title inside",
        |l| state(l, BARS, |s| s["title"] = json!("x")),
        "another title",
    ),
    (
        "an unknown chart",
        |l| state(l, BARS, |s| s["type"] = json!("tsvb")),
        "a chart of type",
    ),
    (
        "nothing measured",
        |l| state(l, BARS, |s| _ = s["aggs"].as_array_mut().unwrap().remove(0)),
        "measures nothing",
    ),
    (
        "an aggregation out of place",
        |l| state(l, BARS, |s| s["aggs"][1]["schema"] = json!("bucket")),
        "an aggregation for",
    ),
    (
        "a sum of no field",
        |l| state(l, BARS, |s| s["aggs"][0]["type"] = json!("sum")),
        "an aggregation \"sum\"",
    ),
    (
        "a sum of texts",
        |l| {
            state(
                l,
                BARS,
                |s| s["aggs"][0] = json!({ "id": "1", "type": "sum", "schema": "metric", "params": { "field": "Hostname.keyword" } }),
            )
        },
        "sum cannot be asked of",
    ),
    (
        "values of words",
        |l| {
            state(l, TABLE, |s| {
                s["aggs"][2]["params"]["field"] = json!("hostname")
            })
        },
        "hostname is in no index",
    ),
    (
        "the old search in an aggregation",
        |l| state(l, BARS, |s| s["aggs"][0]["params"]["json"] = json!("{}")),
        "JSON hides",
    ),
    (
        "two of one id",
        |l| state(l, BARS, |s| s["aggs"][1]["id"] = json!("1")),
        "same id",
    ),
    (
        "a series of nothing",
        |l| {
            state(l, BARS, |s| {
                s["params"]["seriesParams"][0]["data"]["id"] = json!("9")
            })
        },
        "a series of no aggregation",
    ),
    (
        "an order by nothing",
        |l| state(l, TABLE, |s| s["aggs"][2]["params"]["orderBy"] = json!("9")),
        "ordered by no aggregation",
    ),
    (
        "bars over a number",
        |l| {
            state(l, BARS, |s| {
                s["aggs"][1]["params"]["field"] = json!("AlertLevel")
            })
        },
        "date_histogram cannot be asked of",
    ),
    (
        "steps of nothing",
        |l| state(l, DONUT, |s| s["aggs"][1]["params"]["interval"] = json!(0)),
        "histogram without a size",
    ),
    (
        "no end of values",
        |l| {
            state(l, TABLE, |s| {
                s["aggs"][2]["params"]["size"] = json!(100_000)
            })
        },
        "terms without a size",
    ),
    (
        "a column of no field",
        |l| line(l, LOG)["attributes"]["columns"][1] = json!("HostName"),
        "HostName is in no index",
    ),
    (
        "an order that is none",
        |l| line(l, LOG)["attributes"]["sort"] = json!(["timestamp", "desc"]),
        "sort must be",
    ),
    (
        "an order by words",
        |l| line(l, LOG)["attributes"]["sort"] = json!([["command", "asc"]]),
        "sort cannot be asked of command",
    ),
    (
        "a time that is none",
        |l| line(l, VIEW)["attributes"]["timeFieldName"] = json!("Hostname"),
        "date_histogram cannot be asked of Hostname",
    ),
    (
        "a link to nowhere",
        |l| {
            let map = &mut line(l, VIEW)["attributes"]["fieldFormatMap"];
            let text = map
                .as_str()
                .unwrap()
                .replace("picket-host-flat", "picket-host-other");
            *map = json!(text);
        },
        "links to a dashboard that is not there",
    ),
    (
        "a text's link to nowhere",
        |l| {
            let id = format!("{BOARD}-nothing-here");
            state(l, &id, |s| {
                let words = &mut s["params"]["markdown"];
                *words = json!(
                    words
                        .as_str()
                        .unwrap()
                        .replace("view/picket-host", "view/host")
                );
            });
        },
        "its text links to",
    ),
    (
        "a format that nobody knows",
        |l| {
            let map = &mut line(l, "picket-events-flat")["attributes"]["fieldFormatMap"];
            *map = json!(map.as_str().unwrap().replace("\"number\"", "\"html\""));
        },
        "is shown as",
    ),
    (
        "panels that lie on each other",
        |l| panels(l, |p| p[2]["gridData"]["y"] = json!(0)),
        "lies on another",
    ),
    (
        "a panel outside",
        |l| panels(l, |p| p[1]["gridData"]["x"] = json!(40)),
        "outside of the grid",
    ),
    (
        "a panel of no width",
        |l| panels(l, |p| p[1]["gridData"]["w"] = json!(0)),
        "outside of the grid",
    ),
    (
        "a place that is none",
        |l| panels(l, |p| p[1]["gridData"]["x"] = json!(-1)),
        "has no place",
    ),
    (
        "another's place",
        |l| panels(l, |p| p[1]["gridData"]["i"] = json!("77")),
        "belongs to another",
    ),
    (
        "two panels of one name",
        |l| panels(l, |p| p[1]["panelIndex"] = p[0]["panelIndex"].clone()),
        "must be a text of its own",
    ),
    (
        "a panel of nothing",
        |l| {
            panels(l, |p| {
                _ = p[1].as_object_mut().unwrap().remove("panelRefName")
            })
        },
        "refers to nothing",
    ),
    (
        "a panel of no version",
        |l| panels(l, |p| p[1]["version"] = json!("newest")),
        "says no version",
    ),
    (
        "no panels",
        |l| panels(l, |p| *p = json!([])),
        "has no panels",
    ),
    (
        "a time that is not named",
        |l| {
            _ = line(l, BOARD)["attributes"]
                .as_object_mut()
                .unwrap()
                .remove("timeFrom")
        },
        "does not name",
    ),
    (
        "a text that says nothing",
        |l| {
            state(l, &format!("{BOARD}-nothing-here"), |s| {
                s["params"]["markdown"] = json!("")
            })
        },
        "says nothing",
    ),
    (
        "lists of no field",
        |l| {
            let id = format!("{BOARD}-choose");
            if l.iter().any(|line| line["id"] == *id) {
                state(l, &id, |s| {
                    s["params"]["controls"][0]["fieldName"] = json!("host")
                });
            } else {
                let group = &mut line(l, BOARD)["attributes"]["controlGroupInput"];
                inside(&mut group["panelsJSON"], |g| {
                    g["control-0"]["explicitInput"]["fieldName"] = json!("host")
                });
            }
        },
        "host is in no index",
    ),
];

#[test]
fn every_mutant_is_caught() {
    let fields = check::fields();
    let mut missed = Vec::new();
    for target in Target::ALL {
        let objects = dashboards(target, &[Shape::Flat]).unwrap();
        let good: Lines = objects.into_iter().map(|object| object.json).collect();
        for (name, mutate, said) in MUTANTS {
            let mut lines = good.clone();
            mutate(&mut lines);
            assert_ne!(lines, good, "{name} changes nothing");
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let wrong = check::file(target, &text, &fields);
            if !wrong.iter().any(|wrong| wrong.contains(said)) {
                missed.push(format!("{} {name}: {wrong:?}", target.name()));
            }
        }
    }
    assert!(MUTANTS.len() >= 60 && missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_belongs_to_one_target_is_refused_by_the_others() {
    let fields = check::fields();
    for made_for in Target::ALL {
        let text = ndjson(&dashboards(made_for, &[Shape::Flat]).unwrap());
        for target in Target::ALL {
            let wrong = check::file(target, &text, &fields);
            // What is older is taken by what is newer, but for the lists that newer ones have lost.
            let lists = "such controls are gone";
            let fits = wrong
                .iter()
                .all(|w| target == Target::Kibana88 && w.contains(lists));
            let names = target == Target::OpenSearchDashboards && made_for != target;
            assert_eq!(
                fits && !names,
                made_for <= target,
                "{} for {}: {wrong:#?}",
                made_for.name(),
                target.name()
            );
        }
    }
    let wrong = check::file(Target::Kibana88, "{\n\n[1]", &fields);
    assert!(
        wrong[0].contains("line 1: not JSON") && wrong[1].contains("line 2"),
        "{wrong:?}"
    );
}

/// Every place in an object, by its JSON pointer.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{key}"), into)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(n, value)| places(value, &format!("{at}/{n}"), into)),
        _ => {}
    }
}

/// Whatever stands anywhere, the check ends. Texts that are JSON are looked into.
#[test]
fn no_value_anywhere_breaks_the_check() {
    let fields = check::fields();
    let objects = dashboards(Target::Kibana88, &[]).unwrap();
    let few = [BOARD, BARS, LOG, VIEW, TABLE];
    let few = objects
        .into_iter()
        .filter(|object| few.contains(&object.id.as_str()));
    let odd = [
        json!(null),
        json!(u64::MAX),
        json!("\u{0}{é"),
        json!([[{}]]),
        json!({ "a": [] }),
    ];
    let mut tried = 0;
    for line in few.map(|object| object.json) {
        let mut places_of_it = Vec::new();
        places(&line, "", &mut places_of_it);
        for place in &places_of_it {
            for value in &odd {
                let mut line = line.clone();
                *line.pointer_mut(place).unwrap() = value.clone();
                let _ = check::file(Target::Kibana88, &line.to_string(), &fields);
                tried += 1;
            }
            let inner = line.pointer(place).and_then(Value::as_str);
            let inner = inner.and_then(|text| serde_json::from_str::<Value>(text).ok());
            let Some(inner) = inner.filter(|inner| inner.is_object() || inner.is_array()) else {
                continue;
            };
            let mut places_in_it = Vec::new();
            places(&inner, "", &mut places_in_it);
            for (number, inside) in places_in_it.iter().enumerate() {
                let mut inner = inner.clone();
                *inner.pointer_mut(inside).unwrap() = odd[number % odd.len()].clone();
                let mut line = line.clone();
                *line.pointer_mut(place).unwrap() = json!(inner.to_string());
                let _ = check::file(Target::Kibana88, &line.to_string(), &fields);
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}
