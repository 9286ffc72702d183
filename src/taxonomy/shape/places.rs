//! Tables of places, path of keys by path of keys: what each shipper calls what Sigma has a name
//! for. Data only. Facts from the documentation of Winlogbeat, the Elastic Agent's Windows
//! integration and ECS, and from recorded events.

use super::{Aside, Part};

/// Objects whose keys are names of event data; the empty path is the document itself.
pub(super) const CONTAINERS: &[&str] = &[
    "",
    "winlog.event_data",
    "winlog.user_data",
    "event_data",
    "user_data",
    "Event.EventData",
    "Event.UserData.*",
    "EventData",
    "UserData.*",
];

/// Names that only an event's header gives: a provider may call its own data so.
pub(super) const HEADER_ONLY: &[&str] = &[
    "EventID",
    "EventRecordID",
    "Provider_Name",
    "Computer",
    "AlertLevel",
    "Ignore",
];

/// Where the header of an event stands, in each shape, and the Sigma name for it.
pub(super) const HEADER: &[(&str, &str)] = &[
    // Flat: Logstash, NXLog, OTRF's recordings.
    ("EventID", "EventID"),
    ("SourceName", "Provider_Name"),
    ("Provider_Name", "Provider_Name"),
    ("ProviderName", "Provider_Name"),
    ("Hostname", "Computer"),
    ("Computer", "Computer"),
    ("RecordNumber", "EventRecordID"),
    ("EventRecordID", "EventRecordID"),
    ("AlertLevel", "AlertLevel"),
    ("Ignore", "Ignore"),
    // Winlogbeat 7 to 9, Elastic Agent.
    ("winlog.event_id", "EventID"),
    ("winlog.channel", "Channel"),
    ("winlog.provider_name", "Provider_Name"),
    ("winlog.computer_name", "Computer"),
    ("winlog.record_id", "EventRecordID"),
    ("winlog.task", "Task"),
    ("winlog.opcode", "Opcode"),
    ("winlog.keywords", "Keywords"),
    ("winlog.version", "Version"),
    ("winlog.level", "Level"),
    // Winlogbeat 5 and 6.
    ("event_id", "EventID"),
    ("log_name", "Channel"),
    ("source_name", "Provider_Name"),
    ("computer_name", "Computer"),
    ("record_number", "EventRecordID"),
];

/// Other names in the event data itself.
pub(super) const RENAMED: &[(&str, &str)] = &[
    // Security 4688.
    ("NewProcessName", "Image"),
    ("ParentProcessName", "ParentImage"),
    ("SubjectLogonId", "LogonId"),
];

/// Accounts in the data of the Security log.
pub(super) const ACCOUNTS: &[(&str, Aside)] = &[
    ("SubjectUserName", Aside::SubjectUser),
    ("SubjectDomainName", Aside::SubjectDomain),
    ("TargetUserName", Aside::TargetUser),
    ("TargetDomainName", Aside::TargetDomain),
];

/// What shippers move out of the event data.
pub(super) const MOVED: &[(&str, &str)] = &[
    ("command", "CommandLine"),
    ("Username", "User"),
    ("process.executable", "Image"),
    ("process.command_line", "CommandLine"),
    ("process.parent.executable", "ParentImage"),
    ("process.parent.command_line", "ParentCommandLine"),
    ("message", "Message"),
];

/// What shippers take to pieces: each piece, with the words that the event had before it.
pub(super) const MOVED_PIECES: &[(&str, &str, &str)] = &[
    ("process.hash.md5", "Hashes", "MD5="),
    ("process.hash.sha1", "Hashes", "SHA1="),
    ("process.hash.sha256", "Hashes", "SHA256="),
    ("process.pe.imphash", "Hashes", "IMPHASH="),
];

/// The nearest that there is.
pub(super) const GUESSED: &[(&str, &str)] = &[
    ("event.code", "EventID"),
    ("event.provider", "Provider_Name"),
    ("host.name", "Computer"),
    ("host.hostname", "Computer"),
];

/// When the event was, best first. `UtcTime` of Sysmon, in any container, is before all of them.
/// Times of a shipper without a zone come last: they are the shipper's local ones.
pub(super) const TIMES: &[&str] = &[
    "Event.System.TimeCreated.#attributes.SystemTime",
    "timestamp",
    "@timestamp",
    "TimeCreated",
    "EventTime",
    "event.created",
];

/// The rank of `UtcTime`, above that of all [`TIMES`].
pub(super) const UTC_TIME_RANK: u8 = 100;

/// What decides the route.
pub(super) const ASIDES: &[(&str, Aside)] = &[
    ("Channel", Aside::Channel),
    ("winlog.channel", Aside::Channel),
    ("log_name", Aside::Channel),
    ("Event.System.Channel", Aside::Channel),
    ("command", Aside::Command),
    ("Hostname", Aside::Typist),
    ("Username", Aside::Typist),
    ("user.name", Aside::UserName),
    ("user.domain", Aside::UserDomain),
];

/// What a document says of earlier judgements.
pub(super) const PARTS: &[(&str, Part)] = &[
    ("AlertLevel", Part::Level),
    ("Ignore", Part::Ignore),
    ("picket.judged", Part::Judged),
    ("picket.level", Part::OwnLevel),
    ("picket.rules", Part::Rules),
    ("picket.modules", Part::Modules),
];
