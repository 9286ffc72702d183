//! Saved objects of Kibana and OpenSearch Dashboards: made here from one source per dashboard,
//! never edited by hand. Asks no server.

use serde_json::Value;

/// For which servers saved objects are stamped. A server takes what is stamped as old as itself or
/// older, never newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// OpenSearch Dashboards 1 to 3.
    OpenSearchDashboards,
    /// Kibana 7.17 to 8.7.
    Kibana717,
    /// Kibana 8.8 and later.
    Kibana88,
}

/// One saved object, as a line of an import file.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `index-pattern`, `search`, `visualization`, `lens`, `dashboard`.
    pub kind: &'static str,
    /// Its id, the same for every target.
    pub id: String,
    /// What a person sees.
    pub title: String,
    /// The whole line.
    pub json: Value,
}
