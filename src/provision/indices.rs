//! What Picket's own indices and the histories of cmd.exe get: templates, a policy, a pipeline, and
//! the roles of who works with them. Nothing here fits an index of Winlogbeat, Logstash or Elastic
//! Agent: their templates stay theirs, and may include `picket-levels`.

use serde_json::{Value, json};

use super::cluster::Offered;
use super::diff::digest;
use super::plan::{Kind, MADE, Piece};
use crate::store::elastic::{Kind as ServerKind, Role, STATE_INDEX, SWEEPS_INDEX, schema};
use crate::store::{FINDINGS_INDEX, HITS_INDEX};

/// What anomaly jobs say.
pub(super) const ANOMALIES_INDEX: &str = "picket-anomalies";
/// Where the histories of cmd.exe are written: an alias in front of indices that are rolled over.
const COMMANDS: &str = "cmdlogs";
/// The policy, the pipeline and the template of these.
const COMMANDS_NAME: &str = "picket-cmdlogs";

/// All of it, in the order in which it is made.
pub(super) fn pieces(offered: &Offered, patterns: &[String]) -> Vec<Piece> {
    let mut pieces = vec![
        component(),
        policy(offered),
        pipeline(offered),
        commands(offered),
    ];
    for (name, pattern, body) in [
        ("picket-findings", FINDINGS_INDEX, schema::findings()),
        ("picket-sweeps", SWEEPS_INDEX, schema::sweeps()),
        ("picket-anomalies", ANOMALIES_INDEX, schema::anomalies()),
        ("picket-state", STATE_INDEX, schema::state()),
        ("picket-hits", HITS_INDEX, schema::hits()),
    ] {
        let body = json!({ "index_patterns": [pattern], "priority": 500, "template": body });
        pieces.push(piece(Kind::IndexTemplate, name, marked(body)));
    }
    if offered.lifecycle {
        let body = json!({ "aliases": { COMMANDS: { "is_write_index": true } } });
        pieces.push(piece(Kind::Index, &format!("{COMMANDS}-000001"), body));
    }
    let roles = [
        ("picket", Role::new(offered.server, patterns).loading()),
        ("picket-analyst", Role::reading(offered.server, patterns)),
    ];
    for (name, role) in roles {
        let mut body = role.body;
        match offered.server {
            ServerKind::Elasticsearch => body["metadata"] = json!({ "managed_by": "picket" }),
            ServerKind::OpenSearch => body["description"] = MADE.into(),
        }
        pieces.push(piece(Kind::Role, name, body));
    }
    pieces
}

fn piece(kind: Kind, name: &str, body: Value) -> Piece {
    Piece {
        kind,
        name: name.to_owned(),
        title: None,
        body,
        forbidden: None,
    }
}

/// The same with Picket's mark.
fn marked(mut body: Value) -> Value {
    let digest = digest(&body);
    let version = env!("CARGO_PKG_VERSION");
    body["_meta"] = json!({ "managed_by": "picket", "version": version, "digest": digest });
    body
}

/// Picket's fields, to be included by whose templates these are.
fn component() -> Piece {
    let mappings = json!({ "properties": schema::levels() });
    let body = json!({ "template": { "mappings": mappings } });
    piece(Kind::ComponentTemplate, "picket-levels", marked(body))
}

fn policy(offered: &Offered) -> Piece {
    let (kind, body) = match offered.server {
        ServerKind::Elasticsearch => (
            Kind::LifecyclePolicy,
            marked(json!({ "phases": { "hot": {
                "min_age": "0ms",
                "actions": {
                    "rollover": { "max_age": "30d", "max_primary_shard_size": "20gb" },
                    "set_priority": { "priority": 100 },
                },
            } } })),
        ),
        ServerKind::OpenSearch => (
            Kind::StatePolicy,
            json!({
                "description": format!("Rolls {COMMANDS} over. {MADE}"),
                "default_state": "hot",
                "states": [{
                    "name": "hot",
                    "actions": [
                        { "rollover": { "min_index_age": "30d", "min_primary_shard_size": "20gb" } },
                    ],
                    "transitions": [],
                }],
                "ism_template": [
                    { "index_patterns": [format!("{COMMANDS}-*")], "priority": 100 },
                ],
            }),
        ),
    };
    let mut piece = piece(kind, COMMANDS_NAME, body);
    if !offered.lifecycle {
        piece.forbidden = Some(format!(
            "this cluster offers none; {COMMANDS} grows until somebody rolls it over"
        ));
    }
    piece
}

fn commands(offered: &Offered) -> Piece {
    let mut template = schema::commands();
    let index = &mut template["settings"]["index"];
    if lacks(offered).is_none() {
        index["default_pipeline"] = COMMANDS_NAME.into();
    }
    if offered.lifecycle {
        match offered.server {
            ServerKind::Elasticsearch => {
                index["lifecycle"] = json!({ "name": COMMANDS_NAME, "rollover_alias": COMMANDS });
            }
            ServerKind::OpenSearch => {
                index["plugins"] =
                    json!({ "index_state_management": { "rollover_alias": COMMANDS } });
            }
        }
    }
    let body = json!({
        "index_patterns": [COMMANDS, format!("{COMMANDS}-*")],
        "priority": 150,
        "composed_of": ["picket-levels"],
        "template": template,
    });
    piece(Kind::IndexTemplate, COMMANDS_NAME, marked(body))
}

/// Gives each of four values one name, whatever a raw document calls it; a name with a point is that
/// of a value inside an object, which keeps it. A time as cmd.exe writes it (`2026-11-20  3:22:33,79`)
/// is brought to two digits and a point.
const NAMES: &str = "\
for (def target : params.names.entrySet()) {
  for (String name : target.getValue()) {
    if (ctx[target.getKey()] != null) { break; }
    int point = name.indexOf('.');
    if (point < 0) {
      if (ctx[name] != null && !(ctx[name] instanceof Map)) { ctx[target.getKey()] = ctx.remove(name); }
    } else if (ctx[name.substring(0, point)] instanceof Map) {
      ctx[target.getKey()] = ctx[name.substring(0, point)][name.substring(point + 1)];
    }
  }
}
if (ctx['timestamp'] == null && ctx['@timestamp'] != null) { ctx['timestamp'] = ctx['@timestamp']; }
if (ctx['timestamp'] instanceof String) {
  ctx['timestamp'] = ctx['timestamp'].trim().replace('  ', ' 0').replace(',', '.');
}";

/// How the word is found that a command begins with: in quotes, or up to what ends it.
const COMMAND_NAMES: [&str; 2] = [
    r#"^\s*@?"(?:[^"]*\\)?(?<CommandName>[^"\\]+?)(?:\.(?i:exe|com|bat|cmd|ps1|vbs))?""#,
    r#"^\s*@?(?:[^"\s]*\\)?(?<CommandName>[^"\\/\s<>|&]+?)(?:\.(?i:exe|com|bat|cmd|ps1|vbs))?(?=[\s/"<>|&]|$)"#,
];

fn pipeline(offered: &Offered) -> Piece {
    let text = |field: &str| format!("ctx['{field}'] instanceof String");
    let names = json!({
        "timestamp": ["Timestamp", "time", "date", "datetime"],
        "Hostname": ["hostname", "host", "host.name", "computer", "Computer", "ComputerName"],
        "Username": ["username", "user", "user.name", "User"],
        "command": ["Command", "CommandLine", "commandline", "cmd"],
    });
    let mut steps = vec![json!({ "script": {
        "lang": "painless", "source": NAMES, "params": { "names": names },
    } })];
    // Digits alone are seconds or, if there are many, milliseconds since 1970.
    let digits = "ctx['timestamp'] != null && ctx['timestamp'].toString().chars().allMatch(Character::isDigit)";
    let long = "ctx['timestamp'].toString().length() > 11";
    let words = format!("ctx['timestamp'] != null && !({digits})");
    for (when, formats) in [
        (format!("{digits} && {long}"), json!(["UNIX_MS"])),
        (format!("{digits} && !({long})"), json!(["UNIX"])),
        (
            words,
            json!([
                "yyyy-MM-dd HH:mm:ss[.SSS][.SS][.S]",
                "yyyy/MM/dd HH:mm:ss[.SSS][.SS][.S]",
                "ISO8601",
            ]),
        ),
    ] {
        steps.push(json!({ "date": {
            "if": when, "field": "timestamp", "target_field": "timestamp", "formats": formats,
            "on_failure": [failed()],
        } }));
    }
    for field in ["Hostname", "Username", "command"] {
        steps.push(json!({ "trim": { "if": text(field), "field": field } }));
    }
    // Windows does not tell them apart; a count by host would.
    steps.push(json!({ "uppercase": { "if": text("Hostname"), "field": "Hostname" } }));
    steps.push(json!({ "grok": {
        "if": format!("{} && ctx['CommandName'] == null", text("command")),
        "field": "command", "patterns": COMMAND_NAMES, "ignore_failure": true,
    } }));
    steps.push(json!({ "lowercase": { "if": text("CommandName"), "field": "CommandName" } }));
    for field in ["AlertLevel", "Ignore"] {
        steps.push(json!({ "set": { "field": field, "value": 0, "override": false } }));
    }
    let mut body = json!({
        "description": format!("Time, host and command of raw histories of cmd.exe, whatever they are called. {MADE}"),
        "processors": steps,
        // A document is never lost for what it says.
        "on_failure": [
            failed(),
        ],
    });
    if offered.server == ServerKind::Elasticsearch {
        body = marked(body);
    }
    let mut piece = piece(Kind::Pipeline, COMMANDS_NAME, body);
    piece.forbidden = lacks(offered).map(|processor| {
        format!(
            "this cluster has no ingest processor `{processor}`; what writes to {COMMANDS} must \
             write timestamp, Hostname and command itself"
        )
    });
    piece
}

/// What is done to a document that cannot be normalised.
fn failed() -> Value {
    json!({ "append": { "field": "tags", "value": ["picket-cmdlogs-failed"] } })
}

/// The first processor that the pipeline needs and the cluster does not have.
fn lacks(offered: &Offered) -> Option<&'static str> {
    let there = offered.processors.as_ref()?;
    [
        "append",
        "date",
        "grok",
        "lowercase",
        "rename",
        "set",
        "trim",
        "uppercase",
    ]
    .into_iter()
    .find(|processor| !there.contains(*processor))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(server: ServerKind) -> Vec<Piece> {
        pieces(&Offered::all(server), &["winlogbeat-*".into()])
    }

    #[test]
    fn no_template_fits_what_others_write() {
        for server in [ServerKind::Elasticsearch, ServerKind::OpenSearch] {
            let mut seen = 0;
            for piece in all(server).iter().filter(|p| p.kind == Kind::IndexTemplate) {
                for pattern in piece.body["index_patterns"].as_array().unwrap() {
                    let pattern = pattern.as_str().unwrap();
                    let own = ["picket-", ".picket-", "cmdlogs"];
                    assert!(own.iter().any(|o| pattern.starts_with(o)), "{pattern}");
                    seen += 1;
                }
            }
            assert_eq!(seen, 7);
        }
    }

    #[test]
    fn what_a_cluster_does_not_offer_is_not_asked_of_it() {
        let offered = Offered {
            lifecycle: false,
            processors: Some(BTreeSet::new()),
            ..Offered::all(ServerKind::Elasticsearch)
        };
        let pieces = pieces(&offered, &[]);
        let of = |kind: Kind| pieces.iter().find(|piece| piece.kind == kind);
        assert!(of(Kind::LifecyclePolicy).unwrap().forbidden.is_some());
        assert!(of(Kind::Pipeline).unwrap().forbidden.is_some());
        assert!(of(Kind::Index).is_none());
        let template = of(Kind::IndexTemplate).unwrap().body.to_string();
        assert!(!template.contains("lifecycle") && !template.contains("default_pipeline"));
        let offering = commands(&Offered::all(ServerKind::Elasticsearch))
            .body
            .to_string();
        assert!(offering.contains("lifecycle") && offering.contains("default_pipeline"));
    }

    #[test]
    fn everything_says_who_made_it() {
        for server in [ServerKind::Elasticsearch, ServerKind::OpenSearch] {
            for piece in all(server).iter().filter(|piece| piece.kind.is_recorded()) {
                let text = piece.body.to_string();
                let mark = text.contains(r#""managed_by":"picket""#) || text.contains(MADE);
                assert!(mark, "{} {}", piece.kind.name(), piece.name);
            }
        }
    }
}
