//! Sigma [`LogSource`]s of rules, and the [`Route`] of a document: which log sources it belongs
//! to. Routing is correctness, not speed: a rule must never see another log source's document.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

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
    /// The route of a Windows event with that header.
    pub fn windows(channel: Option<&str>, provider: Option<&str>, event_id: Option<&str>) -> Self {
        Self::of(Self::channel(channel, provider), event_id)
    }

    /// The number of an event's channel. Sysmon is recognised by its provider whatever the channel,
    /// since collectors may forward it under a channel of their own; a channel that is absent or
    /// unknown is taken from the provider.
    pub(super) fn channel(channel: Option<&str>, provider: Option<&str>) -> u16 {
        let table = &*TABLE;
        let by_provider = provider.map_or(0, |name| number(&table.providers, name));
        let by_name = channel.map_or(0, |name| number(&table.channels, name));
        if by_name == 0 || by_provider == table.sysmon {
            by_provider.max(by_name * u16::from(by_provider == 0))
        } else {
            by_name
        }
    }

    /// The route of a Windows event of that channel.
    pub(super) fn of(channel: u16, event_id: Option<&str>) -> Self {
        Self {
            origin: Origin::Windows,
            channel,
            event_id: event_id.and_then(|id| id.parse().ok()).unwrap_or(0),
        }
    }

    /// Whether it is an event of Sysmon.
    pub fn is_sysmon(self) -> bool {
        self.channel != 0 && self.channel == TABLE.sysmon
    }

    /// Whether a rule with that log source is for documents of this route.
    ///
    /// A line of cmd.exe history is `process_creation` on windows, and of no service.
    pub fn fits(self, rule: &LogSource) -> bool {
        if *rule == LogSource::default() {
            return true;
        }
        let table = &*TABLE;
        let product = rule.product.as_deref();
        if self.origin == Origin::Unknown || product.is_some_and(|p| p != "windows") {
            return false;
        }
        let is_history = self.origin == Origin::CommandHistory;
        let category = rule.category.as_deref().is_none_or(|name| {
            let events = table.categories.get(name).map_or(&[][..], |e| e);
            if is_history {
                name == "process_creation"
            } else {
                events.contains(&(self.channel, self.event_id))
            }
        });
        category
            && rule.service.as_deref().is_none_or(|name| {
                let channels = table.services.get(name).map_or(&[][..], |c| c);
                !is_history && channels.contains(&self.channel)
            })
    }
}

/// Why no document can have that log source, where that is known of its category or product: a
/// lowercase fragment.
pub fn why_never(rule: &LogSource) -> Option<&'static str> {
    if rule.product.as_deref().is_some_and(|p| p != "windows") {
        return Some("is for another product than windows");
    }
    let category = rule.category.as_deref()?;
    TABLE.never.get(category).copied()
}

/// Whether any document could have that log source. If not, its rules can never fire.
pub fn known(rule: &LogSource) -> bool {
    let table = &*TABLE;
    let channels = |name: &str| table.services.get(name);
    match (
        rule.product.as_deref(),
        rule.category.as_deref(),
        rule.service.as_deref(),
    ) {
        (Some(product), _, _) if product != "windows" => false,
        (_, None, None) => true,
        (_, None, Some(service)) => channels(service).is_some(),
        (_, Some(category), service) => table.categories.get(category).is_some_and(|events| {
            service.is_none_or(|service| {
                channels(service).is_some_and(|c| events.iter().any(|event| c.contains(&event.0)))
            })
        }),
    }
}

/// The channels, with the event ids that count where not all do, whose documents have that log
/// source; none if it names no category and no service that is known.
pub fn collected_as(rule: &LogSource) -> Vec<(&'static str, Option<u32>)> {
    let rows = |kind, name| {
        TEXT.lines().filter_map(move |line| {
            let mut columns = line.split('\t');
            let is_meant = columns.next() == Some(kind) && columns.next() == Some(name);
            let channel = columns.next().filter(|_| is_meant)?;
            Some((channel, columns.next().and_then(|id| id.parse().ok())))
        })
    };
    let service = rule.service.as_deref();
    let channels: Vec<&str> = service
        .into_iter()
        .flat_map(|name| rows("service", name))
        .map(|row| row.0)
        .collect();
    match rule.category.as_deref() {
        Some(name) => rows("category", name)
            .filter(|(channel, _)| service.is_none() || channels.contains(channel))
            .collect(),
        None => channels
            .into_iter()
            .map(|channel| (channel, None))
            .collect(),
    }
}

const TEXT: &str = include_str!("log_sources.tsv");

/// `log_sources.tsv`, read once. Channels and providers are in lower case.
#[derive(Default)]
struct Table {
    channels: FxHashMap<Box<str>, u16>,
    providers: FxHashMap<Box<str>, u16>,
    categories: FxHashMap<Box<str>, Vec<(u16, u32)>>,
    services: FxHashMap<Box<str>, Vec<u16>>,
    never: FxHashMap<&'static str, &'static str>,
    sysmon: u16,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let (Some(kind), Some(name), Some(third)) =
                (columns.next(), columns.next(), columns.next())
            else {
                continue;
            };
            if kind == "never" {
                table.never.insert(name, third);
                continue;
            }
            let channel = table.channel(third);
            match kind {
                "category" => {
                    let event_id = columns.next().and_then(|id| id.parse().ok()).unwrap_or(0);
                    let events = table.categories.entry(name.into()).or_default();
                    events.push((channel, event_id));
                }
                "service" => table.services.entry(name.into()).or_default().push(channel),
                "provider" => {
                    table.providers.insert(name.to_lowercase().into(), channel);
                }
                _ => {}
            }
        }
        table.sysmon = number(&table.providers, "Microsoft-Windows-Sysmon");
        table
    }

    fn channel(&mut self, name: &str) -> u16 {
        let next = u16::try_from(self.channels.len() + 1).unwrap_or(0);
        *self
            .channels
            .entry(name.to_lowercase().into())
            .or_insert(next)
    }
}

/// The channel of a name in any case, without allocating; 0 where the table has none.
fn number(table: &FxHashMap<Box<str>, u16>, name: &str) -> u16 {
    let mut buffer = [0; 128];
    let Some(lower) = buffer.get_mut(..name.len()) else {
        return 0;
    };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower)
        .ok()
        .and_then(|name| table.get(name))
        .copied()
        .unwrap_or(0)
}
