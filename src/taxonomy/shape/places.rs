//! Tables of places, path of keys by path of keys: what each shipper calls what Sigma has a name
//! for. Data only. Facts from the documentation and ingest pipelines of Winlogbeat (Elastic), the
//! Elastic Common Schema, Sigma's taxonomy appendix, and recorded events.

use super::{Aside, Part, Turn};

/// Objects whose keys are names of event data; the empty path is the document itself, `*` any key.
pub(super) const CONTAINERS: &[&str] = &[
    // Flat: Logstash, NXLog, OTRF's recordings; DetectLM's cmdlogs.
    "",
    // Winlogbeat 7 to 9, Elastic Agent.
    "winlog.event_data",
    "winlog.user_data",
    // Winlogbeat 5 and 6.
    "event_data",
    "user_data",
    // EVTX as JSON; without `Event`, as Velociraptor writes it.
    "Event.EventData",
    "Event.UserData",
    "Event.UserData.*",
    "EventData",
    "UserData",
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

/// The header in EVTX as JSON; attributes as the various converters write them.
pub(super) const SYSTEMS: &[&str] = &["Event.System", "System"];

/// Places in such a header, and the Sigma name for each.
pub(super) const SYSTEM: &[(&str, &str)] = &[
    ("EventID", "EventID"),
    ("EventID.Value", "EventID"),
    ("Channel", "Channel"),
    ("Computer", "Computer"),
    ("Computer", "ComputerName"),
    ("EventRecordID", "EventRecordID"),
    ("Provider.Name", "Provider_Name"),
    ("Provider.@Name", "Provider_Name"),
    ("Provider.#attributes.Name", "Provider_Name"),
    ("Provider_attributes.Name", "Provider_Name"),
    ("Level", "Level"),
    ("Task", "Task"),
    ("Opcode", "Opcode"),
    ("Keywords", "Keywords"),
    ("Version", "Version"),
];

/// Where the header of an event stands in the other shapes.
pub(super) const HEADER: &[(&str, &str)] = &[
    ("EventID", "EventID"),
    ("SourceName", "Provider_Name"),
    ("Provider_Name", "Provider_Name"),
    ("ProviderName", "Provider_Name"),
    ("Hostname", "Computer"),
    ("Computer", "Computer"),
    ("Hostname", "ComputerName"),
    ("RecordNumber", "EventRecordID"),
    ("EventRecordID", "EventRecordID"),
    ("AlertLevel", "AlertLevel"),
    ("Ignore", "Ignore"),
    ("winlog.event_id", "EventID"),
    ("winlog.channel", "Channel"),
    ("winlog.provider_name", "Provider_Name"),
    ("winlog.computer_name", "Computer"),
    ("winlog.computer_name", "ComputerName"),
    ("winlog.record_id", "EventRecordID"),
    ("winlog.task", "Task"),
    ("winlog.opcode", "Opcode"),
    ("winlog.keywords", "Keywords"),
    ("winlog.version", "Version"),
    ("winlog.level", "Level"),
    ("event_id", "EventID"),
    ("log_name", "Channel"),
    ("source_name", "Provider_Name"),
    ("computer_name", "Computer"),
    ("computer_name", "ComputerName"),
    ("record_number", "EventRecordID"),
    ("level", "Level"),
    ("task", "Task"),
    ("opcode", "Opcode"),
    ("keywords", "Keywords"),
];

/// Other names in the event data itself: those of Security 4688 for what Sysmon 1 has too, and
/// spellings that changed between versions of Sysmon.
pub(super) const RENAMED: &[(&str, &str, Turn)] = &[
    ("NewProcessName", "Image", Turn::AsIs),
    ("ParentProcessName", "ParentImage", Turn::AsIs),
    ("SubjectLogonId", "LogonId", Turn::AsIs),
    ("MandatoryLabel", "IntegrityLevel", Turn::Integrity),
    ("SourceProcessGUID", "SourceProcessGuid", Turn::AsIs),
    ("TargetProcessGUID", "TargetProcessGuid", Turn::AsIs),
    ("SourceProcessGuid", "SourceProcessGUID", Turn::AsIs),
    ("TargetProcessGuid", "TargetProcessGUID", Turn::AsIs),
    ("Hash", "Hashes", Turn::AsIs),
];

/// Winlogbeat calls data without a name `param1` and so on; Sigma calls all of it `Data`.
pub(super) const UNNAMED: usize = 32;

/// The SIDs of mandatory labels, and what Sysmon calls them.
pub(super) const INTEGRITY: &[(&str, &str)] = &[
    ("S-1-16-0", "Untrusted"),
    ("S-1-16-4096", "Low"),
    ("S-1-16-8192", "Medium"),
    ("S-1-16-8448", "MediumPlus"),
    ("S-1-16-12288", "High"),
    ("S-1-16-16384", "System"),
];

/// Accounts in the data of the Security log.
pub(super) const ACCOUNTS: &[(&str, Aside)] = &[
    ("SubjectUserName", Aside::SubjectUser),
    ("SubjectDomainName", Aside::SubjectDomain),
    ("TargetUserName", Aside::TargetUser),
    ("TargetDomainName", Aside::TargetDomain),
];

/// What shippers move out of the event data, mostly to ECS.
pub(super) const MOVED: &[(&str, &str)] = &[
    ("command", "CommandLine"),
    ("Username", "User"),
    ("message", "Message"),
    ("log.level", "Level"),
    ("rule.name", "RuleName"),
    ("process.executable", "Image"),
    ("process.executable", "SourceImage"),
    ("process.executable", "ProcessName"),
    ("process.command_line", "CommandLine"),
    ("process.working_directory", "CurrentDirectory"),
    ("process.entity_id", "ProcessGuid"),
    ("process.entity_id", "SourceProcessGuid"),
    ("process.entity_id", "SourceProcessGUID"),
    ("process.pid", "ProcessId"),
    ("process.pid", "SourceProcessId"),
    ("process.thread.id", "SourceThreadId"),
    ("process.parent.executable", "ParentImage"),
    ("process.parent.executable", "ParentProcessName"),
    ("process.parent.command_line", "ParentCommandLine"),
    ("process.parent.entity_id", "ParentProcessGuid"),
    ("process.parent.pid", "ParentProcessId"),
    ("process.pe.original_file_name", "OriginalFileName"),
    ("process.pe.company", "Company"),
    ("process.pe.description", "Description"),
    ("process.pe.file_version", "FileVersion"),
    ("process.pe.product", "Product"),
    ("file.path", "TargetFilename"),
    ("file.path", "ImageLoaded"),
    ("file.path", "Device"),
    ("file.path", "Path"),
    ("file.path", "ScriptName"),
    ("file.name", "PipeName"),
    ("dll.path", "ImageLoaded"),
    ("file.pe.original_file_name", "OriginalFileName"),
    ("file.pe.company", "Company"),
    ("file.pe.description", "Description"),
    ("file.pe.file_version", "FileVersion"),
    ("file.pe.product", "Product"),
    ("file.code_signature.subject_name", "Signature"),
    ("file.code_signature.status", "SignatureStatus"),
    ("file.code_signature.signed", "Signed"),
    ("registry.path", "TargetObject"),
    ("network.transport", "Protocol"),
    ("network.protocol", "DestinationPortName"),
    ("source.ip", "SourceIp"),
    ("source.ip", "IpAddress"),
    ("source.domain", "SourceHostname"),
    ("source.domain", "WorkstationName"),
    ("source.port", "SourcePort"),
    ("source.port", "IpPort"),
    ("destination.ip", "DestinationIp"),
    ("destination.domain", "DestinationHostname"),
    ("destination.port", "DestinationPort"),
    ("dns.question.name", "QueryName"),
    ("dns.answers.data", "QueryResults"),
    ("dns.resolved_ip", "QueryResults"),
    ("sysmon.dns.status", "QueryStatus"),
    ("sysmon.file.archived", "Archived"),
    ("sysmon.file.is_executable", "IsExecutable"),
    ("service.name", "ServiceName"),
    ("winlog.logon.id", "LogonId"),
    ("winlog.logon.type_id", "LogonType"),
    ("powershell.file.script_block_text", "ScriptBlockText"),
    ("powershell.file.script_block_id", "ScriptBlockId"),
    ("powershell.command.invocation_details.value", "Payload"),
    (
        "powershell.command.invocation_details.related_command",
        "Payload",
    ),
];

/// What shippers take to pieces or say otherwise, with what makes each what the event had.
pub(super) const MOVED_AND_TURNED: &[(&str, &str, Turn)] = &[
    ("process.hash.md5", "Hashes", Turn::After("MD5=")),
    ("process.hash.sha1", "Hashes", Turn::After("SHA1=")),
    ("process.hash.sha256", "Hashes", Turn::After("SHA256=")),
    ("process.hash.imphash", "Hashes", Turn::After("IMPHASH=")),
    ("process.pe.imphash", "Hashes", Turn::After("IMPHASH=")),
    ("file.hash.md5", "Hashes", Turn::After("MD5=")),
    ("file.hash.sha1", "Hashes", Turn::After("SHA1=")),
    ("file.hash.sha256", "Hashes", Turn::After("SHA256=")),
    ("file.hash.imphash", "Hashes", Turn::After("IMPHASH=")),
    ("file.pe.imphash", "Hashes", Turn::After("IMPHASH=")),
    ("file.hash.md5", "Hash", Turn::After("MD5=")),
    ("file.hash.sha1", "Hash", Turn::After("SHA1=")),
    ("file.hash.sha256", "Hash", Turn::After("SHA256=")),
    ("file.pe.imphash", "Hash", Turn::After("IMPHASH=")),
    ("network.direction", "Initiated", Turn::Initiated),
    // PowerShell: 4103 has a text of the host's properties, the old log (400, 600, 800) another.
    (
        "process.command_line",
        "ContextInfo",
        Turn::After("Host Application = "),
    ),
    (
        "process.command_line",
        "Data",
        Turn::After("HostApplication="),
    ),
    (
        "powershell.engine.version",
        "Data",
        Turn::After("EngineVersion="),
    ),
    (
        "powershell.process.executable_version",
        "Data",
        Turn::After("HostVersion="),
    ),
    ("process.title", "Data", Turn::After("HostName=")),
];

/// The nearest that there is.
pub(super) const GUESSED: &[(&str, &str)] = &[
    ("event.code", "EventID"),
    ("event.provider", "Provider_Name"),
    ("host.name", "Computer"),
    ("host.hostname", "Computer"),
    // NXLog renders data that has no names only in the message.
    ("Message", "Data"),
];

/// When the event was, best first. `UtcTime` of Sysmon, in any container, is before all of them.
/// Times that NXLog writes without a zone come late: they are the collector's local ones.
pub(super) const TIMES: &[&str] = &[
    "Event.System.TimeCreated.#attributes.SystemTime",
    "Event.System.TimeCreated.SystemTime",
    "Event.System.TimeCreated.@SystemTime",
    "Event.System.TimeCreated_attributes.SystemTime",
    "System.TimeCreated.#attributes.SystemTime",
    "System.TimeCreated.SystemTime",
    "System.TimeCreated.@SystemTime",
    "System.TimeCreated_attributes.SystemTime",
    "winlog.time_created",
    "timestamp",
    "@timestamp",
    "TimeCreated",
    "EventTime",
    "event.created",
    "EventReceivedTime",
];

/// The rank of `UtcTime`, above that of all [`TIMES`].
pub(super) const UTC_TIME_RANK: u8 = 100;

/// What decides the route, the user, and the like.
pub(super) const ASIDES: &[(&str, Aside)] = &[
    ("Channel", Aside::Channel),
    ("winlog.channel", Aside::Channel),
    ("log_name", Aside::Channel),
    ("command", Aside::Command),
    ("Hostname", Aside::Typist),
    ("Username", Aside::Typist),
    ("timestamp", Aside::Typist),
    ("user.name", Aside::UserName),
    ("user.domain", Aside::UserDomain),
    ("winlog.user.name", Aside::HeaderUser),
    ("winlog.user.domain", Aside::HeaderDomain),
    ("AccountName", Aside::HeaderUser),
    ("Domain", Aside::HeaderDomain),
    ("registry.data.strings", Aside::RegistryData),
    ("registry.data.type", Aside::RegistryType),
];

/// What a document says of earlier judgements.
pub(super) const PARTS: &[(&str, Part)] = &[
    ("AlertLevel", Part::Level),
    ("Ignore", Part::Ignore),
    ("picket.judged", Part::Judged),
    ("picket.level", Part::OwnLevel),
    ("picket.before", Part::LevelBefore),
    ("picket.rules", Part::Rules),
    ("picket.modules", Part::Modules),
    ("picket.anomalies", Part::Anomalies),
];
