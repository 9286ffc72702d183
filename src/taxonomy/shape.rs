//! Where in a document each Sigma field stands, for every shape that is recognised, as one trie
//! over object keys. Facts about shippers only (`shape/places.rs`): no code here looks at a
//! document.

mod keys;
mod paths;
mod places;

use std::num::NonZeroU32;

use super::{FieldId, Fields};
use keys::Keys;

pub use paths::{accounts, paths, times};

/// How well a place names a field; of several the best wins, and equals are put together.
pub(super) mod rank {
    /// The rule names the place itself: `winlog.event_data.Image`.
    pub(crate) const PATH: u8 = 5;
    /// The place has the field's own name.
    pub(crate) const NAMED: u8 = 4;
    /// The event has another name for it: `NewProcessName` for `Image`.
    pub(crate) const RENAMED: u8 = 3;
    /// The shipper has moved it: `process.executable` for `Image`.
    pub(crate) const MOVED: u8 = 2;
    /// The nearest that there is.
    pub(crate) const GUESSED: u8 = 1;
}

/// What [`super::Reader`] keeps beside the fields until a document is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// The channel, as the event's header has it.
    Channel,
    /// A line of cmd.exe history.
    Command,
    /// Who typed it, where, or when.
    Typist,
    /// Name of the user, moved by a shipper.
    UserName,
    /// Its domain.
    UserDomain,
    /// Name of the user that the header of the event names.
    HeaderUser,
    /// Its domain.
    HeaderDomain,
    /// A registry value, as ECS writes it, and its type.
    RegistryData,
    RegistryType,
    /// Name of the account that acted (Security log).
    SubjectUser,
    /// Its domain.
    SubjectDomain,
    /// Name of the account that was acted on (Security log).
    TargetUser,
    /// Its domain.
    TargetDomain,
}

impl Aside {
    pub(super) const COUNT: usize = Self::TargetDomain as usize + 1;
}

/// A part of what a document says of earlier judgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `AlertLevel`.
    Level,
    /// `Ignore`.
    Ignore,
    /// `picket.judged`.
    Judged,
    /// `picket.level`.
    OwnLevel,
    LevelBefore,
    /// `picket.rules`.
    Rules,
    /// `picket.modules`.
    Modules,
    /// `picket.anomalies`.
    Anomalies,
}

/// What a value is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Field(FieldId),
    Aside(Aside),
    Part(Part),
}

/// One use of a place's values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) target: Target,
    pub(super) rank: u8,
    pub(super) turn: Turn,
}

/// What the values at a place are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Nothing,
    /// That field, as they stand, with that rank.
    Field(FieldId, u8),
    /// Something else, or several.
    More,
}

/// What a value is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It stays as it is.
    AsIs,
    /// These words come before it.
    After(&'static str),
    /// `egress` into `true`: Sysmon's `Initiated`.
    Initiated,
    /// `S-1-16-12288` into `High`: Sysmon's `IntegrityLevel`.
    Integrity,
}

impl Turn {
    /// The words to write, and whether the value follows them; `None` where that value means
    /// nothing.
    pub(super) fn apply(self, value: &str) -> Option<(&'static str, bool)> {
        match self {
            Self::AsIs => Some(("", true)),
            Self::After(words) => Some((words, true)),
            Self::Initiated => match value {
                "egress" | "outbound" => Some(("true", false)),
                "ingress" | "inbound" => Some(("false", false)),
                _ => None,
            },
            Self::Integrity => places::INTEGRITY
                .iter()
                .find(|(sid, _)| *sid == value)
                .map(|(_, level)| (*level, false)),
        }
    }
}

/// A place in the trie. Never zero inside, so that an optional one is as small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(NonZeroU32);

#[derive(Debug, Default)]
struct Node {
    children: Keys,
    /// Where keys lead that have no child of their own.
    other: Option<NodeId>,
    leaves: Vec<Leaf>,
    /// This is a list of name and value, which stands for that container.
    pairs_of: Option<NodeId>,
}

/// The trie of all shapes.
#[derive(Debug)]
pub(super) struct Shapes {
    nodes: Vec<Node>,
}

impl NodeId {
    const fn new(number: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    pub(super) fn number(self) -> u32 {
        self.0.get() - 1
    }

    fn index(self) -> usize {
        self.number() as usize
    }
}

impl Shapes {
    /// Where every document begins.
    pub(super) const ROOT: NodeId = NodeId::new(0);

    /// The trie for those fields.
    pub(super) fn new(fields: &Fields) -> Self {
        let mut shapes = Self {
            nodes: vec![Node::default()],
        };
        for path in places::CONTAINERS {
            shapes.add_container(path, fields);
        }
        for system in places::SYSTEMS {
            let system = shapes.node(Self::ROOT, system);
            for (path, field) in places::SYSTEM {
                shapes.add_field(system, path, field, rank::NAMED, Turn::AsIs, fields);
            }
            shapes.add(
                system,
                "Channel",
                Target::Aside(Aside::Channel),
                0,
                Turn::AsIs,
            );
        }
        let root = Self::ROOT;
        for (path, field) in places::HEADER {
            shapes.add_field(root, path, field, rank::NAMED, Turn::AsIs, fields);
        }
        for (path, field) in places::MOVED {
            shapes.add_field(root, path, field, rank::MOVED, Turn::AsIs, fields);
        }
        for (path, field, turn) in places::MOVED_AND_TURNED {
            shapes.add_field(root, path, field, rank::MOVED, *turn, fields);
        }
        for (path, field) in places::GUESSED {
            shapes.add_field(root, path, field, rank::GUESSED, Turn::AsIs, fields);
        }
        for (rank, path) in (1..).zip(places::TIMES.iter().rev()) {
            shapes.add(root, path, Target::Field(FieldId::TIME), rank, Turn::AsIs);
        }
        for (path, aside) in places::ASIDES {
            shapes.add(root, path, Target::Aside(*aside), 0, Turn::AsIs);
        }
        for (path, part) in places::PARTS {
            shapes.add(root, path, Target::Part(*part), 0, Turn::AsIs);
        }
        for (field, name) in named(fields).filter(|(_, name)| name.contains('.')) {
            shapes.add(root, name, Target::Field(field), rank::PATH, Turn::AsIs);
        }
        shapes
    }

    /// A container of event data: every key that is a field's name, or another name for one.
    fn add_container(&mut self, path: &str, fields: &Fields) {
        let container = self.node(Self::ROOT, path);
        for (field, name) in named(fields) {
            if !places::HEADER_ONLY.contains(&name) && !name.contains(['.', '*', '\0']) {
                let target = Target::Field(field);
                self.add(container, name, target, rank::NAMED, Turn::AsIs);
            }
        }
        for (name, field, turn) in places::RENAMED {
            self.add_field(container, name, field, rank::RENAMED, *turn, fields);
        }
        for number in 1..=places::UNNAMED {
            let name = format!("param{number}");
            self.add_field(container, &name, "Data", rank::RENAMED, Turn::AsIs, fields);
        }
        for (name, aside) in places::ACCOUNTS {
            self.add(container, name, Target::Aside(*aside), 0, Turn::AsIs);
        }
        let time = Target::Field(FieldId::TIME);
        self.add(
            container,
            "UtcTime",
            time,
            places::UTC_TIME_RANK,
            Turn::AsIs,
        );
        if !path.is_empty() {
            let data = self.node(container, "Data");
            self.nodes[data.index()].pairs_of = Some(container);
        }
    }

    fn add_field(
        &mut self,
        from: NodeId,
        path: &str,
        field: &str,
        rank: u8,
        turn: Turn,
        fields: &Fields,
    ) {
        if let Some(field) = fields.get(field) {
            self.add(from, path, Target::Field(field), rank, turn);
        }
    }

    fn add(&mut self, from: NodeId, path: &str, target: Target, rank: u8, turn: Turn) {
        let node = self.node(from, path);
        let leaf = Leaf { target, rank, turn };
        self.nodes[node.index()].leaves.push(leaf);
    }

    /// The place at that path of keys, made where it is not there; `*` is any other key.
    fn node(&mut self, from: NodeId, path: &str) -> NodeId {
        path.split('.')
            .filter(|key| !key.is_empty())
            .fold(from, |node, key| self.child_or_new(node, key))
    }

    fn child_or_new(&mut self, node: NodeId, key: &str) -> NodeId {
        let known = match key {
            "*" => self.nodes[node.index()].other,
            _ => self.nodes[node.index()].children.get(key),
        };
        if let Some(child) = known {
            return child;
        }
        // Far fewer places than 2^32: one for each field in each container.
        let child = NodeId::new(u32::try_from(self.nodes.len()).unwrap_or(0));
        self.nodes.push(Node::default());
        let parent = &mut self.nodes[node.index()];
        match key {
            "*" => parent.other = Some(child),
            _ => {
                parent.children.insert(key, child);
            }
        }
        child
    }

    /// Where that key of an object leads. A key may be a path: `winlog.event_data.Image`.
    pub(super) fn child(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let here = &self.nodes[node.index()];
        if let Some(child) = here.children.get(key) {
            return Some(child);
        }
        if key == "#text" {
            return Some(node);
        }
        if key.as_bytes().contains(&b'.')
            && let Some((head, tail)) = key.split_once('.')
            && let Some(child) = here.children.get(head)
        {
            return tail.split('.').try_fold(child, |node, key| {
                let node = &self.nodes[node.index()];
                node.children.get(key).or(node.other)
            });
        }
        here.other
    }

    /// What the values at a place are for.
    pub(super) fn leaves(&self, node: NodeId) -> &[Leaf] {
        &self.nodes[node.index()].leaves
    }

    /// What the values at a place are for, said shortly.
    pub(super) fn usage(&self, node: NodeId) -> Usage {
        match self.leaves(node) {
            [] => Usage::Nothing,
            [leaf] if leaf.turn == Turn::AsIs => match leaf.target {
                Target::Field(field) => Usage::Field(field, leaf.rank),
                _ => Usage::More,
            },
            _ => Usage::More,
        }
    }

    /// If the place is a list of name and value: the container that it stands for.
    pub(super) fn container_of_pairs(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node.index()].pairs_of
    }
}

/// All fields with their names.
fn named(fields: &Fields) -> impl Iterator<Item = (FieldId, &str)> {
    (0..u16::MAX)
        .map(FieldId)
        .take(fields.len())
        .map(|field| (field, fields.name(field)))
}
