//! How a source's fields map to Sigma field names, and which Sigma [`LogSource`]s a document
//! belongs to. A document is recognised by itself, without configuration, and read once; the
//! values are borrowed from its JSON. CPU only: no I/O, no printing, no clock.

mod bytes;
pub(crate) mod escape;
pub mod event;
pub mod log_source;
pub mod read;
mod shape;
pub mod time;

use rustc_hash::FxHashMap;

pub use event::{Event, Kind, Slots, Value};
pub use log_source::{LogSource, Route};
pub use read::{ReadError, Reader};
pub use shape::{accounts, paths, times};

/// A Sigma field name, interned by [`Fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

impl FieldId {
    /// `EventID`, as text.
    pub const EVENT_ID: Self = Self(0);
    /// `Channel`, such as `Microsoft-Windows-Sysmon/Operational`.
    pub const CHANNEL: Self = Self(1);
    /// `Provider_Name`.
    pub const PROVIDER: Self = Self(2);
    /// `Computer`: the host.
    pub const COMPUTER: Self = Self(3);
    /// `User`.
    pub const USER: Self = Self(4);
    /// `CommandLine`.
    pub const COMMAND_LINE: Self = Self(5);
    /// `Image`.
    pub const IMAGE: Self = Self(6);
    /// `ParentImage`.
    pub const PARENT_IMAGE: Self = Self(7);
    /// `EventRecordID`.
    pub const RECORD_ID: Self = Self(8);
    /// When the event was, as the source writes it. Not a Sigma field.
    pub const TIME: Self = Self(9);
    /// `AlertLevel`. Not a Sigma field.
    pub const ALERT_LEVEL: Self = Self(10);
    /// `Ignore`. Not a Sigma field.
    pub const IGNORE: Self = Self(11);

    /// The names of the constants above, in their order.
    const WELL_KNOWN: [&'static str; 12] = [
        "EventID",
        "Channel",
        "Provider_Name",
        "Computer",
        "User",
        "CommandLine",
        "Image",
        "ParentImage",
        "EventRecordID",
        "\0time",
        "AlertLevel",
        "Ignore",
    ];

    /// As an index into tables with a row a field.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// All field names that anything loaded asks for. Filled while rules and modules are loaded, then
/// frozen into a [`Reader`].
#[derive(Clone, Debug)]
pub struct Fields {
    names: Vec<Box<str>>,
    ids: FxHashMap<Box<str>, FieldId>,
}

impl Default for Fields {
    fn default() -> Self {
        let mut fields = Self {
            names: Vec::new(),
            ids: FxHashMap::default(),
        };
        for name in FieldId::WELL_KNOWN {
            fields.intern(name);
        }
        fields
    }
}

impl Fields {
    /// The id of that Sigma field name; the same name gives the same id. Names differ by case, as
    /// the specification has it.
    ///
    /// At most 65,535 names are told apart; what comes after shares the last id, which no document
    /// ever fills (no rule set comes near).
    pub fn intern(&mut self, name: &str) -> FieldId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = FieldId(u16::try_from(self.names.len()).unwrap_or(u16::MAX));
        if id.0 < u16::MAX {
            self.names.push(name.into());
            self.ids.insert(name.into(), id);
        }
        id
    }

    /// The id of a name that was interned.
    pub fn get(&self, name: &str) -> Option<FieldId> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    pub fn name(&self, id: FieldId) -> &str {
        self.names.get(id.index()).map_or("", |name| name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: the well-known fields are always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
