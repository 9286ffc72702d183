//! The types of `wit/scoring.wit`, version 1.0.0, as Rust sees them. They must stay field for
//! field what the WIT says: it is frozen.

use wasmtime::component::{ComponentType, Lift, Lower};

/// The version of the contract that this host serves.
pub const ABI: u32 = 1;

/// Every module exports it.
pub(super) const MODULE: &str = "picket:scoring/module@1.0.0";
/// Exported by a module whose scope is `events`.
pub(super) const EVENTS: &str = "picket:scoring/events@1.0.0";
/// Exported by a module whose scope is `host` or `user`.
pub(super) const WINDOW: &str = "picket:scoring/window@1.0.0";

/// What a module is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Scope {
    /// Some new events, each to be judged by itself.
    #[component(name = "events")]
    Events,
    /// The last hours of one host.
    #[component(name = "host")]
    Host,
    /// The last hours of one user.
    #[component(name = "user")]
    User,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Source {
    /// Anywhere.
    #[component(name = "any")]
    Any,
    /// The history of cmd.exe.
    #[component(name = "command-history")]
    CommandHistory,
    /// A Windows event log.
    #[component(name = "windows")]
    Windows,
}

/// Holds if the field is there and ends with one of the texts, whatever the case of A to Z.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Condition {
    /// Sigma name of the field.
    pub field: String,
    /// The texts.
    #[component(name = "ends-with")]
    pub ends_with: Vec<String>,
}

/// A kind of event. All that it names must fit.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Selector {
    /// Where it comes from.
    pub source: Source,
    /// Sigma's name of a kind of Windows event.
    pub category: Option<String>,
    /// Windows event ids; none: any.
    #[component(name = "event-ids")]
    pub event_ids: Vec<u32>,
    /// What else must hold.
    pub conditions: Vec<Condition>,
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Description {
    /// The name of its folder.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The contract that it was written for.
    pub abi: u32,
    /// What its findings are called.
    pub title: String,
    /// What it is given at once.
    pub scope: Scope,
    /// How far back a window reaches, in seconds.
    pub span: u32,
    /// The events that it is given; none: every event.
    pub selectors: Vec<Selector>,
    /// The Sigma fields whose values make up a row.
    pub fields: Vec<String>,
    /// ATT&CK techniques.
    pub techniques: Vec<String>,
}

/// One event, as a module sees it.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub struct Row<'a> {
    /// Milliseconds since 1970 (UTC).
    pub time: Option<i64>,
    /// One for each of the description's fields, in their order.
    pub values: &'a [Option<&'a str>],
}

/// How grave a hit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// For context only.
    #[component(name = "informational")]
    Informational,
    /// Notable.
    #[component(name = "low")]
    Low,
    /// Should be looked at.
    #[component(name = "medium")]
    Medium,
    /// Should be looked at soon.
    #[component(name = "high")]
    High,
    /// Very likely an incident.
    #[component(name = "critical")]
    Critical,
}

/// The part of a value that made the module speak.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Evidence {
    /// Why, in a few words.
    pub selection: String,
    /// Position in the description's fields.
    pub field: u32,
    /// Where it begins in the value, in bytes.
    pub start: u32,
    /// How long it is, in bytes.
    pub length: u32,
}

/// What a module says of one row.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift)]
#[component(record)]
pub struct Hit {
    /// Position of the row.
    pub index: u32,
    /// 0 to 1.
    pub score: f64,
    /// How grave it is.
    pub level: Level,
    /// In a sentence.
    pub reason: String,
    /// What made it speak.
    pub evidence: Vec<Evidence>,
}
