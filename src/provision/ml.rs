//! Jobs of Elastic's machine learning: those of CISA's write-up of a hunt with Sysmon and Kibana,
//! made to work, and two that look for what is rare. Makes bodies, asks nothing.
//!
//! The write-up looks at counts of images in buckets of 15 seconds, by, over and partitioned by the
//! modules and registry values that they touch. Its outlier detection is over texts, which
//! Elasticsearch refuses: here a transform makes numbers of what each process did first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kibana::{self, Shape};
use super::plan::{Kind, MADE, Piece};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// A quarter of an hour: what a cluster bears all year.
    #[default]
    Quarter,
    /// 15 seconds, as in the write-up: sixty times the work.
    Seconds,
}

impl Span {
    fn text(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Seconds => "15s",
        }
    }

    /// What ends the name of its jobs.
    fn suffix(self) -> &'static str {
        match self {
            Self::Quarter => "",
            Self::Seconds => "-15s",
        }
    }
}

/// Documents of one kind: where they are, and what their fields are called.
pub(super) struct Data {
    /// What names of jobs begin with.
    pub(super) prefix: String,
    pub(super) indices: Vec<String>,
    pub(super) time: String,
    /// Path by Sysmon's name.
    pub(super) names: BTreeMap<String, String>,
    /// The dashboard that tells the story of a host.
    host: Option<String>,
}

/// A job and what feeds it.
struct Job<'d> {
    data: &'d Data,
    name: &'static str,
    about: &'static str,
    /// Function, field, by, over, partition; empty: none.
    detectors: Vec<[&'static str; 5]>,
    categorises: Option<&'static str>,
    memory: &'static str,
}

/// The histories of cmd.exe.
pub(super) fn commands() -> Data {
    let names = [
        ("Computer", "Hostname.keyword"),
        ("User", "Username.keyword"),
        ("CommandLine", "command.keyword"),
        ("CommandName", "CommandName.keyword"),
        ("Message", "command"),
    ];
    Data {
        prefix: "picket-cmdlogs".into(),
        indices: vec!["cmdlogs*".into()],
        time: "timestamp".into(),
        names: names.map(|(name, path)| (name.into(), path.into())).into(),
        host: None,
    }
}

/// Windows events of that shape.
pub(super) fn events(shape: Shape) -> Option<Data> {
    let events = kibana::events(shape)?;
    Some(Data {
        prefix: format!("picket-{}", shape.name()),
        indices: events.pattern.split(',').map(str::to_owned).collect(),
        time: events.time,
        names: events.names,
        host: Some(format!("picket-host-{}", shape.name())),
    })
}

/// Everything, in the order in which it is made.
pub(super) fn pieces(shapes: &[Shape], span: Span) -> Vec<Piece> {
    let commands = commands();
    let mut pieces = of_commands(&commands, span);
    for data in shapes.iter().filter_map(|shape| events(*shape)) {
        pieces.extend(of_events(&data, span));
        pieces.extend(outliers(&data));
    }
    pieces
}

/// The jobs over the histories of cmd.exe.
pub(super) fn of_commands(data: &Data, span: Span) -> Vec<Piece> {
    let job = |name, about, detectors, categorises, memory| Job {
        data,
        name,
        about,
        detectors,
        categorises,
        memory,
    };
    [
        job(
            "rare-command-by-user",
            "Commands that are rare for their user",
            vec![["rare", "", "CommandName", "", "User"]],
            None,
            "128mb",
        ),
        job(
            "categories",
            "Kinds of command lines that come more or less often than they did",
            vec![["count", "", "mlcategory", "", ""]],
            Some("Message"),
            "128mb",
        ),
    ]
    .iter()
    .flat_map(|job| job.pieces(span))
    .collect()
}

/// The jobs over Windows events: six of the write-up, and what is rare on a host.
pub(super) fn of_events(data: &Data, span: Span) -> Vec<Piece> {
    let job = |name, about, detectors, memory| Job {
        data,
        name,
        about,
        detectors,
        categorises: None,
        memory,
    };
    let mut jobs = [
        job(
            "population",
            "Images that do more, or touch more registry values, than images do",
            vec![
                ["count", "", "", "Image", ""],
                ["distinct_count", "TargetObject", "", "Image", ""],
            ],
            "128mb",
        ),
        job(
            "event-rate",
            "More or fewer events than usual",
            vec![["count", "", "", "", ""]],
            "32mb",
        ),
        job(
            "image-by-module",
            "Images that load a module more or less often than others",
            vec![["count", "", "Image", "ImageLoaded", ""]],
            "128mb",
        ),
        job(
            "image-by-registry",
            "Images that touch a registry value more or less often than they did",
            vec![["count", "", "Image", "", "TargetObject"]],
            "256mb",
        ),
        job(
            "image-information",
            "Modules that are loaded by images of which there is more to say than usual",
            vec![["info_content", "Image", "", "ImageLoaded", ""]],
            "128mb",
        ),
        job(
            "categories",
            "Kinds of messages that come more or less often than they did",
            vec![["count", "", "mlcategory", "", ""]],
            "128mb",
        ),
        job(
            "rare-process-by-host",
            "Images that are rare on their host",
            vec![["rare", "", "Image", "", "Computer"]],
            "128mb",
        ),
    ];
    for job in jobs.iter_mut().filter(|job| job.name == "categories") {
        job.categorises = Some("Message");
    }
    jobs.iter().flat_map(|job| job.pieces(span)).collect()
}

impl Data {
    /// What a field is called there.
    fn path(&self, name: &str) -> String {
        self.names
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    /// Documents that have those fields, and that nobody said to ignore.
    fn query(&self, names: &[&str]) -> Value {
        let has = |name: &&str| json!({ "exists": { "field": self.path(name) } });
        let filter: Vec<Value> = names.iter().map(has).collect();
        json!({ "bool": { "filter": filter, "must_not": [{ "term": { "Ignore": 1 } }] } })
    }
}

impl Job<'_> {
    fn id(&self, span: Span) -> String {
        format!("{}-{}{}", self.data.prefix, self.name, span.suffix())
    }

    fn pieces(&self, span: Span) -> [Piece; 2] {
        let id = self.id(span);
        [
            piece(Kind::Job, id.clone(), self.body(span)),
            piece(Kind::Datafeed, format!("datafeed-{id}"), self.datafeed(&id)),
        ]
    }

    fn body(&self, span: Span) -> Value {
        let detectors: Vec<Value> = self.detectors.iter().map(|d| self.detector(d)).collect();
        let mut analysis = json!({
            "bucket_span": span.text(),
            "detectors": detectors,
            "influencers": self.influencers(),
        });
        if let Some(field) = self.categorises {
            analysis["categorization_field_name"] = self.data.path(field).into();
        }
        let mut settings = json!({ "created_by": "picket" });
        if let Some(dashboard) = &self.data.host {
            settings["custom_urls"] = json!([story(dashboard, &self.data.path("Computer"))]);
        }
        json!({
            "description": format!("{}. {MADE}", self.about),
            "groups": ["picket", self.data.prefix],
            "analysis_config": analysis,
            "analysis_limits": {
                "model_memory_limit": self.memory, "categorization_examples_limit": 4,
            },
            "data_description": { "time_field": self.data.time, "time_format": "epoch_ms" },
            "model_plot_config": { "enabled": false },
            "allow_lazy_open": true,
            "custom_settings": settings,
        })
    }

    fn detector(&self, [function, field, by, over, partition]: &[&str; 5]) -> Value {
        let mut detector = json!({ "function": function });
        let mut told = (*function).to_owned();
        for (key, word, name) in [
            ("field_name", "", field),
            ("by_field_name", " by ", by),
            ("over_field_name", " over ", over),
            ("partition_field_name", " partitionfield=", partition),
        ] {
            if !name.is_empty() {
                let path = self.data.path(name);
                told += &match word {
                    "" => format!("(\"{path}\")"),
                    word => format!("{word}\"{path}\""),
                };
                detector[key] = path.into();
            }
        }
        detector["detector_description"] = told.into();
        detector
    }

    /// What may be to blame, of what there is.
    fn influencers(&self) -> Vec<String> {
        ["Computer", "Image", "TargetObject", "User", "CommandName"]
            .iter()
            .filter_map(|name| self.data.names.get(*name).cloned())
            .collect()
    }

    fn datafeed(&self, id: &str) -> Value {
        let fields = self.detectors.iter().flat_map(|d| &d[1..]).copied();
        let mut needed: Vec<&str> = fields
            .filter(|f| !matches!(*f, "" | "mlcategory"))
            .collect();
        needed.extend(self.categorises);
        // A population is of all that has its member, whatever else is counted of it.
        if self.detectors.len() > 1 {
            needed.retain(|field| self.detectors.iter().all(|d| d.contains(field)));
        }
        needed.dedup();
        json!({
            "job_id": id,
            "indices": self.data.indices,
            "query": self.data.query(&needed),
            "query_delay": "60s",
            "frequency": "60s",
            "scroll_size": 1000,
            "indices_options": {
                "ignore_unavailable": true, "allow_no_indices": true, "expand_wildcards": ["open"],
            },
        })
    }
}

/// From an anomaly to the story of its host.
fn story(dashboard: &str, host: &str) -> Value {
    let time = "time:(from:'$earliest$',mode:absolute,to:'$latest$')";
    let query = format!("query:(language:kuery,query:'{host}:\"${host}$\"')");
    json!({
        "url_name": "Host",
        "url_value": format!("dashboards#/view/{dashboard}?_g=(filters:!(),{time})&_a=({query})"),
        "time_range": "1h",
    })
}

/// What the features of a process are: how much of what it did.
const FEATURES: [(&str, &str); 8] = [
    ("users", "User"),
    ("command_lines", "CommandLine"),
    ("parents", "ParentImage"),
    ("modules", "ImageLoaded"),
    ("registry_values", "TargetObject"),
    ("files", "TargetFilename"),
    ("addresses", "DestinationIp"),
    ("ports", "DestinationPort"),
];

/// Features of each process of a host, and which of them lie apart.
fn outliers(data: &Data) -> [Piece; 3] {
    let features = format!("{}-process-features", data.prefix);
    let mut aggregations = json!({ "events": { "value_count": { "field": data.path("Image") } } });
    let mut properties = json!({
        "host": { "type": "keyword" },
        "image": { "type": "keyword" },
        "events": { "type": "long" },
    });
    let mut numbers = vec!["events"];
    for (feature, name) in FEATURES {
        aggregations[feature] = json!({ "cardinality": { "field": data.path(name) } });
        properties[feature] = json!({ "type": "long" });
        numbers.push(feature);
    }
    let transform = json!({
        "description": format!("What each process of each host did, in numbers. {MADE}"),
        "source": { "index": data.indices, "query": data.query(&["Computer", "Image"]) },
        "dest": { "index": features },
        "frequency": "5m",
        "sync": { "time": { "field": data.time, "delay": "60s" } },
        "pivot": {
            "group_by": {
                "host": { "terms": { "field": data.path("Computer") } },
                "image": { "terms": { "field": data.path("Image") } },
            },
            "aggregations": aggregations,
        },
    });
    let job = json!({
        "description": format!("Processes that are unlike the others in what they did. {MADE}"),
        "source": { "index": [features] },
        "dest": { "index": format!("{}-process-outliers", data.prefix), "results_field": "ml" },
        "analysis": { "outlier_detection": {
            "compute_feature_influence": true,
            "feature_influence_threshold": 0.1,
            "outlier_fraction": 0.05,
            "standardization_enabled": true,
        } },
        "analyzed_fields": { "includes": numbers, "excludes": [] },
        "model_memory_limit": "64mb",
        "max_num_threads": 1,
        "allow_lazy_start": true,
    });
    let index = json!({
        "settings": { "index": { "number_of_shards": 1, "auto_expand_replicas": "0-1" } },
        "mappings": { "dynamic": false, "properties": properties },
    });
    [
        // A job over an index that is not there is refused.
        piece(Kind::Index, features.clone(), index),
        piece(Kind::Transform, features, transform),
        piece(
            Kind::Outliers,
            format!("{}-process-outliers", data.prefix),
            job,
        ),
    ]
}

fn piece(kind: Kind, name: String, body: Value) -> Piece {
    Piece {
        kind,
        name,
        title: None,
        body,
        forbidden: None,
    }
}

/// The jobs as Kibana exports and imports them.
pub(super) fn import_file(pieces: &[Piece]) -> Value {
    let with = |body: &Value, key: &str, id: &str| {
        let mut body = body.clone();
        body[key] = id.into();
        body
    };
    let of = |kind: Kind| pieces.iter().filter(move |piece| piece.kind == kind);
    let jobs = of(Kind::Job).zip(of(Kind::Datafeed));
    let jobs = jobs.map(|(job, feed)| {
        json!({
            "job": with(&job.body, "job_id", &job.name),
            "datafeed": with(&feed.body, "datafeed_id", &feed.name),
        })
    });
    jobs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_such_as_elasticsearch_takes_and_each_is_there_once() {
        let mut known = std::collections::BTreeSet::new();
        for span in [Span::Quarter, Span::Seconds] {
            for piece in pieces(&Shape::ALL, span) {
                let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                assert!(
                    piece.name.chars().all(fits) && piece.name.len() <= 64,
                    "{}",
                    piece.name
                );
                let new = known.insert((piece.kind, piece.name.clone()));
                let of_both = matches!(piece.kind, Kind::Index | Kind::Transform | Kind::Outliers);
                assert!(new || of_both, "{}", piece.name);
            }
        }
        assert_eq!(
            known.iter().filter(|(kind, _)| *kind == Kind::Job).count(),
            2 * (2 + 4 * 7)
        );
    }

    #[test]
    fn a_job_says_what_the_write_up_says() {
        let all = pieces(&[Shape::Flat], Span::Seconds);
        let of = |kind: Kind, name: &str| {
            let found = all
                .iter()
                .find(|piece| piece.kind == kind && piece.name.contains(name));
            found.unwrap().body.clone()
        };
        let job = of(Kind::Job, "image-by-module");
        assert_eq!(
            job["analysis_config"]["detectors"][0],
            json!({
                "function": "count", "by_field_name": "Image.keyword",
                "over_field_name": "ImageLoaded.keyword",
                "detector_description": "count by \"Image.keyword\" over \"ImageLoaded.keyword\"",
            })
        );
        assert_eq!(job["analysis_config"]["bucket_span"], "15s");
        let influencers = job["analysis_config"]["influencers"].as_array().unwrap();
        for field in ["Image.keyword", "TargetObject.keyword", "User.keyword"] {
            assert!(influencers.contains(&json!(field)), "{field}");
        }
        let feed = of(Kind::Datafeed, "image-by-module");
        assert_eq!(feed["indices"], json!(["logstash-*", "events"]));
        assert_eq!(
            (&feed["query_delay"], &feed["frequency"]),
            (&json!("60s"), &json!("60s"))
        );
        let url = job["custom_settings"]["custom_urls"][0]["url_value"]
            .as_str()
            .unwrap();
        assert!(
            url.contains("/picket-host-flat?") && url.contains("$Hostname.keyword$"),
            "{url}"
        );
        let entropy = of(Kind::Job, "image-information");
        let detector = &entropy["analysis_config"]["detectors"][0]["detector_description"];
        assert_eq!(
            detector,
            "info_content(\"Image.keyword\") over \"ImageLoaded.keyword\""
        );
        // What the population counts is no condition for being counted.
        let population = of(Kind::Datafeed, "population");
        assert!(
            !population["query"].to_string().contains("TargetObject"),
            "{population}"
        );
    }

    #[test]
    fn outliers_are_looked_for_in_numbers() {
        let all = pieces(&[Shape::Winlogbeat], Span::Quarter);
        let of = |kind: Kind| all.iter().find(|piece| piece.kind == kind).unwrap();
        let includes = of(Kind::Outliers).body["analyzed_fields"]["includes"].clone();
        let made = &of(Kind::Transform).body["pivot"]["aggregations"];
        let typed = &all
            .iter()
            .find(|piece| piece.kind == Kind::Index)
            .unwrap()
            .body["mappings"]["properties"];
        for field in includes.as_array().unwrap() {
            let field = field.as_str().unwrap();
            assert!(made.get(field).is_some(), "{field}");
            assert_eq!(typed[field]["type"], "long");
        }
        assert_eq!(
            of(Kind::Outliers).body["source"]["index"][0],
            of(Kind::Transform).body["dest"]["index"]
        );
    }
}
