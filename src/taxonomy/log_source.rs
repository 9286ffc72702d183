//! Sigma [`LogSource`]s of rules, and the [`Route`] of a document: which log sources it belongs
//! to. Routing is correctness, not speed: a rule must never see another log source's document.

/// The `logsource` of a rule; an absent part fits anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogSource {
    /// Such as `windows`.
    pub product: Option<Box<str>>,
    /// Such as `process_creation`.
    pub category: Option<Box<str>>,
    /// Such as `security`.
    pub service: Option<Box<str>>,
}

/// What decides which rules a document is put to: where it comes from, its channel and its event
/// id. Rules for a route are found once and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Where it comes from.
    pub origin: Origin,
    /// Number of the channel in the taxonomy's table; 0 for one that no log source names.
    pub channel: u16,
    /// The Windows event id; 0 where there is none.
    pub event_id: u32,
}

/// What a document was recognised as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Not recognised: no rule that names a log source sees it.
    #[default]
    Unknown,
    /// A Windows event, in whatever shape.
    Windows,
    /// A line of cmd.exe history.
    CommandHistory,
}

impl Route {
    /// Whether a rule with that log source is for documents of this route.
    pub fn fits(self, _rule: &LogSource) -> bool {
        false
    }
}
