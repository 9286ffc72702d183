//! [`Sources`]: which indices a feed, a search or a window means, and which never belong to a feed.

use serde::{Deserialize, Serialize};

/// Index patterns such as `winlogbeat-*`; `*` stands for any text. A document belongs to a feed if
/// one of them fits its index. Findings and Picket's own state never belong to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources(pub Vec<String>);

impl Sources {
    /// Everything that is not Picket's own.
    pub fn all() -> Self {
        Self(vec!["*".into()])
    }

    /// Whether one of the patterns fits that index. Picket's own indices fit only a pattern that
    /// names them, such as `picket-*`; a feed never holds them.
    pub fn fit(&self, index: &str) -> bool {
        self.0
            .iter()
            .filter(|pattern| !Self::is_own(index) || Self::is_own(pattern))
            .any(|pattern| wildcard(pattern.as_bytes(), index.as_bytes()))
    }

    /// Whether that index never belongs to a feed of these sources, whatever pattern, alias or data
    /// stream led to it: it is Picket's own, or a system's that nobody named.
    pub fn never_feed(&self, index: &str) -> bool {
        let system = index.starts_with('.') && !index.starts_with(".ds-");
        Self::is_own(index) || system && !self.0.iter().any(|pattern| pattern.starts_with('.'))
    }

    /// Whether documents of that index belong to these sources' feed.
    pub fn feed(&self, index: &str) -> bool {
        !Self::is_own(index) && self.fit(index)
    }

    /// Whether an index is Picket's own, or a pattern fits only such.
    pub fn is_own(name: &str) -> bool {
        name.starts_with("picket-") || name.starts_with(".picket")
    }
}

fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.iter().position(|byte| *byte == b'*') {
        None => pattern == text,
        Some(star) => {
            let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
            text.starts_with(head)
                && (head.len()..=text.len()).any(|at| wildcard(tail, &text[at..]))
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
        assert!(!Sources::all().fit(FINDINGS_INDEX) && !Sources::all().fit(".picket-state"));
    }
}
