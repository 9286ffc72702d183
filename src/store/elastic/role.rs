//! The least that Picket must be allowed on a cluster, as the cluster takes it. Asks nothing.
//!
//! Picket never deletes a document of others, so it is not allowed to: on Elasticsearch `index` and
//! `auto_configure` (the mapping of `AlertLevel` and `picket`) stand where `write` would do. Of its
//! own findings it deletes those that turn out to speak of no verdict, of its hits the old ones.

use serde_json::{Value, json};

use super::{Kind, STATE_INDEX, SWEEPS_INDEX};
use crate::store::sources::RESULTS;
use crate::store::{FINDINGS_INDEX, HITS_INDEX};

/// A role: the request that makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Method and path.
    pub request: &'static str,
    /// The body.
    pub body: Value,
}

impl Role {
    /// The role for those index patterns.
    pub fn new(kind: Kind, sources: &[String]) -> Self {
        match kind {
            Kind::Elasticsearch => Self {
                request: "POST _security/role/picket",
                body: elasticsearch(sources),
            },
            Kind::OpenSearch => Self {
                request: "PUT _plugins/_security/api/roles/picket",
                body: opensearch(sources),
            },
        }
    }
}

impl Role {
    /// The same, and what loading files into those indices needs: it makes those that are not there.
    #[must_use]
    pub fn loading(mut self) -> Self {
        let lists = [
            ("/indices/0/privileges", &["create_index"][..]),
            (
                "/index_permissions/0/allowed_actions",
                &["indices:admin/create", "indices:admin/get"],
            ),
        ];
        for (list, more) in lists {
            if let Some(Value::Array(list)) = self.body.pointer_mut(list) {
                list.extend(more.iter().map(|privilege| json!(privilege)));
            }
        }
        self
    }
}

impl Role {
    /// What who reads findings needs: people before dashboards.
    pub fn reading(kind: Kind, sources: &[String]) -> Self {
        let names: Vec<&str> = sources.iter().map(String::as_str).collect();
        let names = [&names[..], &["picket-*"]].concat();
        match kind {
            Kind::Elasticsearch => Self {
                request: "POST _security/role/picket-analyst",
                body: json!({
                    "cluster": [],
                    "indices": [
                        { "names": names, "privileges": ["read", "view_index_metadata"] },
                    ],
                    "applications": [{
                        "application": "kibana-.kibana",
                        "privileges": ["read"],
                        "resources": ["*"],
                    }],
                }),
            },
            Kind::OpenSearch => Self {
                request: "PUT _plugins/_security/api/roles/picket-analyst",
                body: json!({
                    "cluster_permissions": ["cluster_composite_ops_ro"],
                    "index_permissions": [
                        { "index_patterns": names, "allowed_actions": ["read"] },
                    ],
                    "tenant_permissions": [{
                        "tenant_patterns": ["global_tenant"],
                        "allowed_actions": ["kibana_all_read"],
                    }],
                }),
            },
        }
    }

    /// What `picket provision` needs: it makes what outlives it, so give it to a person, not to a
    /// service.
    pub fn provisioning(kind: Kind, sources: &[String]) -> Self {
        let names: Vec<&str> = sources.iter().map(String::as_str).collect();
        let histories = Some("cmdlogs*").filter(|own| !names.contains(own));
        let names: Vec<&str> = names.iter().copied().chain(histories).collect();
        match kind {
            Kind::Elasticsearch => Self {
                request: "POST _security/role/picket-provision",
                body: json!({
                    "cluster": [
                        "monitor", "manage_index_templates", "manage_ilm",
                        "manage_ingest_pipelines", "manage_ml", "manage_transform",
                        "manage_security",
                    ],
                    "indices": [
                        {
                            "names": names,
                            "privileges": ["read", "view_index_metadata", "manage"],
                        },
                        {
                            "names": [STATE_INDEX, "picket-*"],
                            "privileges": ["read", "index", "delete", "manage"],
                        },
                    ],
                    "applications": [{
                        "application": "kibana-.kibana",
                        "privileges": ["all"],
                        "resources": ["*"],
                    }],
                }),
            },
            Kind::OpenSearch => Self {
                request: "PUT _plugins/_security/api/roles/picket-provision",
                body: json!({
                    "cluster_permissions": [
                        "cluster:monitor/main",
                        "cluster:monitor/nodes/info",
                        "cluster:admin/component_template/*",
                        "indices:admin/index_template/*",
                        "cluster:admin/ingest/pipeline/*",
                        "cluster:admin/opendistro/ism/*",
                        "cluster:admin/opendistro/ad/*",
                    ],
                    "index_permissions": [
                        {
                            "index_patterns": names,
                            "allowed_actions": [
                                "indices:admin/create", "indices:admin/aliases*",
                                "indices:admin/get", "indices:admin/mapping/*put",
                                "indices:admin/mappings/*get", "indices:admin/settings/update",
                                "indices:monitor/settings/get", "indices:data/read/*",
                            ],
                        },
                        {
                            "index_patterns": [STATE_INDEX],
                            "allowed_actions": ["crud", "create_index"],
                        },
                    ],
                    "tenant_permissions": [{
                        "tenant_patterns": ["global_tenant"],
                        "allowed_actions": ["kibana_all_write"],
                    }],
                }),
            },
        }
    }
}

fn elasticsearch(sources: &[String]) -> Value {
    json!({
        "cluster": ["monitor"],
        "indices": [
            {
                "names": sources,
                "privileges": [
                    "read", "view_index_metadata", "monitor", "maintenance", "index",
                    "auto_configure",
                ],
            },
            {
                "names": [FINDINGS_INDEX, STATE_INDEX, HITS_INDEX, SWEEPS_INDEX],
                "privileges": [
                    "read", "view_index_metadata", "monitor", "maintenance", "index", "delete",
                    "create_index",
                ],
            },
            {
                "names": RESULTS,
                "privileges": ["read", "view_index_metadata", "monitor", "maintenance"],
            },
        ],
    })
}

fn opensearch(sources: &[String]) -> Value {
    let both = [
        "indices:data/read/*",
        "indices:data/write/bulk*",
        "indices:data/write/index",
        "indices:data/write/update",
        "indices:admin/mapping/*put",
        "indices:admin/refresh*",
        "indices:monitor/stats",
        "indices:monitor/settings/get",
    ];
    let own = [
        "indices:admin/create",
        "indices:data/write/delete",
        "indices:data/write/delete/byquery",
    ];
    let own = [&both[..], &own].concat();
    json!({
        // Requests that name several indices are allowed as such first.
        "cluster_permissions": [
            "cluster:monitor/main",
            "indices:data/read/mget",
            "indices:data/read/msearch",
            "indices:data/write/bulk",
        ],
        "index_permissions": [
            { "index_patterns": sources, "allowed_actions": both },
            {
                "index_patterns": [FINDINGS_INDEX, STATE_INDEX, HITS_INDEX, SWEEPS_INDEX],
                "allowed_actions": own,
            },
            {
                "index_patterns": RESULTS,
                "allowed_actions": [
                    "indices:data/read/*", "indices:admin/refresh*", "indices:monitor/stats",
                    "indices:monitor/settings/get",
                ],
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_never_delete_what_is_not_their_own() {
        for kind in [Kind::Elasticsearch, Kind::OpenSearch] {
            let role = Role::new(kind, &["winlogbeat-*".into()]);
            let text = role.body.to_string();
            for never in [
                "\"write\"",
                "\"all\"",
                "\"manage\"",
                "write/*",
                "admin/delete",
            ] {
                assert!(!text.contains(never), "{kind:?} {never}");
            }
            let of_others = ["/indices/0", "/index_permissions/0"];
            let of_others = of_others
                .iter()
                .find_map(|at| role.body.pointer(at))
                .unwrap();
            assert!(!of_others.to_string().contains("delete"), "{kind:?}");
            let own = [FINDINGS_INDEX, STATE_INDEX, HITS_INDEX, SWEEPS_INDEX];
            for named in ["winlogbeat-*"].into_iter().chain(own) {
                assert!(text.contains(named), "{kind:?} {named}");
            }
        }
    }

    #[test]
    fn only_who_loads_makes_indices_of_events() {
        for kind in [Kind::Elasticsearch, Kind::OpenSearch] {
            let role = Role::new(kind, &["events".into()]);
            let of_events = |role: &Role| {
                let places = ["/indices/0", "/index_permissions/0"];
                let found = places.iter().find_map(|at| role.body.pointer(at));
                found.unwrap().to_string()
            };
            let makes = |text: &str| text.contains("create_index") || text.contains("admin/create");
            assert!(!makes(&of_events(&role)), "{kind:?}");
            assert!(makes(&of_events(&role.loading())), "{kind:?}");
        }
    }
}
