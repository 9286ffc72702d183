//! What a page held, in numbers. Counts only.

/// What a page held, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Documents read.
    pub documents: u64,
    /// Those with `Ignore` 1.
    pub ignored: u64,
    /// Those that the same rules, blacklist and modules have judged before.
    pub judged_before: u64,
    /// Those in no shape that is known: only rules without a log source see them.
    pub unrecognised: u64,
    /// Those that are no JSON object.
    pub unreadable: u64,
}

impl Counts {
    /// Documents that were put before the detectors.
    pub fn judged(&self) -> u64 {
        self.documents
            .saturating_sub(self.ignored + self.judged_before + self.unreadable)
    }

    /// Adds another page's numbers.
    pub fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.ignored += other.ignored;
        self.judged_before += other.judged_before;
        self.unrecognised += other.unrecognised;
        self.unreadable += other.unreadable;
    }
}
