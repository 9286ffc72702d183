//! Which version each type of saved object is stamped with for each target, and the newest that
//! each server knows. A stamp says as what an object was written; a server brings older ones up to
//! its own by itself, so objects are stamped as old as what they use allows.

use serde_json::{Value, json};

use super::{Object, Target};

/// The types of saved objects that are written here.
pub(super) const TYPES: [&str; 4] = ["index-pattern", "search", "visualization", "dashboard"];

/// What objects of that type are stamped with.
pub(super) fn stamp(target: Target, kind: &str) -> &'static str {
    match (target, kind) {
        (Target::OpenSearchDashboards, "index-pattern") => "7.6.0",
        (_, "index-pattern") => "7.11.0",
        (Target::OpenSearchDashboards, "dashboard") => "7.9.3",
        // Panels' references are named after the panel, since 7.11.
        (Target::Kibana717, "dashboard") => "7.14.0",
        // Controls that belong to the dashboard, since 8.7.
        (Target::Kibana88, "dashboard") => "8.7.0",
        (_, "search") => "7.9.3",
        // Written as 7.10 does, which all of them know.
        _ => "7.10.0",
    }
}

/// The newest stamp of that type that the oldest server of a target knows; a newer one is refused
/// as one that "belongs to a more recent version".
pub(super) fn newest(target: Target, kind: &str) -> Option<&'static str> {
    Some(match (target, kind) {
        (Target::OpenSearchDashboards, "index-pattern") => "7.6.0",
        (Target::Kibana717, "index-pattern") => "7.11.0",
        (Target::Kibana88, "index-pattern" | "search") => "8.0.0",
        (_, "search") => "7.9.3",
        (Target::OpenSearchDashboards, "visualization") => "7.10.0",
        (Target::Kibana717, "visualization") => "7.17.0",
        (Target::Kibana88, "visualization") => "8.5.0",
        (Target::OpenSearchDashboards, "dashboard") => "7.9.3",
        (Target::Kibana717, "dashboard") => "7.16.0",
        (Target::Kibana88, "dashboard") => "8.7.0",
        _ => return None,
    })
}

/// The version that panels say they were written by.
pub(super) fn panel(target: Target) -> &'static str {
    match target {
        Target::OpenSearchDashboards => "7.10.0",
        Target::Kibana717 => "7.17.0",
        Target::Kibana88 => "8.8.0",
    }
}

/// An object with its stamp.
pub(super) fn object(
    target: Target,
    kind: &'static str,
    id: &str,
    attributes: Value,
    references: Vec<Value>,
) -> Object {
    let title = attributes["title"].as_str().unwrap_or_default().to_owned();
    let version = stamp(target, kind);
    let mut json =
        json!({ "id": id, "type": kind, "attributes": attributes, "references": references });
    match target {
        Target::OpenSearchDashboards => json["migrationVersion"] = json!({ kind: version }),
        Target::Kibana717 => {
            json["coreMigrationVersion"] = json!("7.17.0");
            json["migrationVersion"] = json!({ kind: version });
        }
        Target::Kibana88 => {
            json["coreMigrationVersion"] = json!("8.8.0");
            json["typeMigrationVersion"] = json!(version);
            json["managed"] = json!(false);
        }
    }
    Object {
        kind,
        id: id.to_owned(),
        title,
        json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stamped_newer_than_its_servers() {
        let number = |version: &str| {
            let parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
            parts.collect::<Vec<_>>()
        };
        for target in Target::ALL {
            for kind in TYPES {
                let newest = newest(target, kind).unwrap();
                assert!(number(stamp(target, kind)) <= number(newest), "{kind}");
            }
        }
    }
}
