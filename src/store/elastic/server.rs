//! What answers at an address: its kind, its version, and what Picket cannot do with it.

use serde::Deserialize;

use super::client::{Answer, bad, unavailable};
use crate::store::StoreError;

/// The kind of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Elasticsearch, 7.10 or later.
    #[default]
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
}

/// A server's kind and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Its version as it says it; empty if it does not let us ask.
    pub version: String,
}

#[derive(Deserialize)]
struct Root {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    #[serde(default)]
    distribution: String,
    #[serde(default)]
    build_flavor: String,
}

impl Server {
    /// Whether it may have indices without sequence numbers: Elasticsearch since 9, or one that does
    /// not say its version.
    pub(super) fn may_lack_numbers(&self) -> bool {
        let major = self.version.split('.').next().unwrap_or_default();
        self.kind == Kind::Elasticsearch && major.parse().is_ok_and(|n: u32| n >= 9)
            || self.version.is_empty()
    }

    /// Reads the answer to `GET /`.
    ///
    /// # Errors
    /// `Unauthorized`; `BadRequest`: it is nothing that Picket can work with.
    pub(super) fn read(answer: Answer, address: &str) -> Result<Self, StoreError> {
        if answer.status == 403 {
            // A role without `monitor` may still do all the rest.
            return Ok(Self::default());
        }
        if answer.status == 401 || answer.status >= 500 {
            return Err(answer.error(address));
        }
        let root = match serde_json::from_slice::<Root>(&answer.body) {
            Ok(root) if (200..300).contains(&answer.status) => root,
            Err(error) if error.is_eof() && !answer.body.is_empty() => {
                return Err(unavailable(format!(
                    "{address} gave an answer that ends early; try again"
                )));
            }
            _ => {
                return Err(bad(format!(
                    "what answers at {address} is neither Elasticsearch nor OpenSearch"
                )));
            }
        };
        let Version {
            number,
            distribution,
            build_flavor,
        } = root.version;
        let kind = if distribution == "opensearch" {
            Kind::OpenSearch
        } else {
            Kind::Elasticsearch
        };
        let mut parts = number
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if kind == Kind::Elasticsearch && (major, minor) < (7, 10) {
            return Err(bad(format!(
                "Elasticsearch {number} at {address} is too old; Picket needs 7.10 or later"
            )));
        }
        if build_flavor == "serverless" {
            return Err(bad(format!(
                "{address} is Elasticsearch Serverless, which shows no sequence numbers of its \
                 shards; Picket cannot prove there that it misses nothing"
            )));
        }
        Ok(Self {
            kind,
            version: number,
        })
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Elasticsearch => "Elasticsearch",
            Kind::OpenSearch => "OpenSearch",
        };
        write!(f, "{kind} {}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Server, String> {
        let answer = Answer {
            status: 200,
            body: body.as_bytes().to_vec(),
            repeated: false,
        };
        Server::read(answer, "http://h").map_err(|error| error.message)
    }

    #[test]
    fn servers_are_told_apart() {
        let elastic = read(r#"{"version":{"number":"8.19.8","build_flavor":"default"}}"#).unwrap();
        assert_eq!(elastic.to_string(), "Elasticsearch 8.19.8");
        assert!(!elastic.may_lack_numbers() && Server::default().may_lack_numbers());
        let nine = read(r#"{"version":{"number":"9.4.3"}}"#).unwrap();
        assert!(nine.may_lack_numbers());
        let open = read(r#"{"version":{"number":"2.19.4","distribution":"opensearch"}}"#).unwrap();
        assert_eq!(open.to_string(), "OpenSearch 2.19.4");
        assert!(!open.may_lack_numbers());
        assert!(
            read(r#"{"version":{"number":"6.8.0"}}"#)
                .unwrap_err()
                .contains("too old")
        );
        for strange in ["<html>", "", "{}"] {
            assert!(read(strange).unwrap_err().contains("neither"));
        }
        let early = read(r#"{"version":{"number":"2.19"#);
        assert!(early.unwrap_err().contains("ends early"));
    }
}
