//! [`Sources`]: which indices a feed, a search or a window means, and which never belong to a feed.

use serde::{Deserialize, Serialize};

/// Results of Elastic's anomaly jobs, of OpenSearch's detectors, and of Picket's outlier jobs.
pub(super) const RESULTS: [&str; 4] = [
    ".ml-anomalies-*",
    ".opendistro-anomaly-results*",
    "opensearch-ad-plugin-result-*",
    "picket-*-outliers",
];

/// Index patterns such as `winlogbeat-*`; `*` stands for any text. A document belongs to a feed if
/// one of them fits its index. Findings and Picket's own state never belong to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources(pub Vec<String>);

impl Sources {
    /// Everything that is not Picket's own.
    pub fn all() -> Self {
        Self(vec!["*".into()])
    }

    /// Where anomaly and outlier jobs leave what they found.
    pub fn results() -> Self {
        Self(RESULTS.map(str::to_owned).to_vec())
    }

    /// Whether one of the patterns fits that index. Picket's own indices fit only a pattern that
    /// names them, such as `picket-*`; a feed never holds them.
    pub fn fit(&self, index: &str) -> bool {
        self.0
            .iter()
            .filter(|pattern| !Self::is_own(index) || Self::is_own(pattern))
            .any(|pattern| wildcard(pattern, index))
    }

    /// Whether that index never belongs to a feed of these sources, whatever pattern, alias or data
    /// stream led to it: it is Picket's own, or a system's that nobody named.
    pub fn never_feed(&self, index: &str) -> bool {
        let system = index.starts_with('.') && !index.starts_with(".ds-");
        self.is_kept_out(index) || system && !self.0.iter().any(|pattern| pattern.starts_with('.'))
    }

    /// Whether documents of that index belong to these sources' feed.
    pub fn feed(&self, index: &str) -> bool {
        !self.is_kept_out(index) && self.fit(index)
    }

    /// Whether an index is Picket's own and these do not name it as one of results.
    fn is_kept_out(&self, index: &str) -> bool {
        let results = || is_outliers(index) && self.0.iter().any(|pattern| is_outliers(pattern));
        Self::is_own(index) && !results()
    }

    /// Whether an index is Picket's own, or a pattern fits only such.
    pub fn is_own(name: &str) -> bool {
        name.starts_with("picket-") || name.starts_with(".picket")
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    fits(pattern.as_bytes(), text.as_bytes())
}

/// Whether results of outlier jobs are kept under that name. It is Picket's, and yet read.
fn is_outliers(name: &str) -> bool {
    name.starts_with("picket-") && name.ends_with("-outliers")
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.iter().position(|byte| *byte == b'*') {
        None => pattern == text,
        Some(star) => {
            let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
            text.starts_with(head) && (head.len()..=text.len()).any(|at| fits(tail, &text[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FINDINGS_INDEX;

    #[test]
    fn sources_fit_by_wildcards_and_never_fit_our_own() {
        let sources = Sources(vec!["winlogbeat-*".into(), "cmdlogs".into()]);
        assert!(sources.fit("winlogbeat-8.19.1-2026.11.22"));
        assert!(sources.fit("cmdlogs") && !sources.fit("cmdlogs-1"));
        let rows = "picket-flat-process-outliers";
        assert!(Sources::results().feed(rows) && !Sources::results().never_feed(rows));
        assert!(!Sources::all().feed(rows) && Sources::all().never_feed(rows));
        assert!(!Sources::results().feed(FINDINGS_INDEX));
        assert!(!Sources::all().fit(FINDINGS_INDEX) && !Sources::all().fit(".picket-state"));
    }
}
