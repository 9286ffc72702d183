//! Where in a document each Sigma field stands, for every shape that is recognised, as one trie
//! over object keys. Facts about shippers only (`shape/places.rs`): no code here looks at a
//! document.

mod places;

use rustc_hash::FxHashMap;

use super::{FieldId, Fields};

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
    /// Who typed it, or where.
    Typist,
    /// Name of the user, moved by a shipper.
    UserName,
    /// Its domain.
    UserDomain,
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
    /// `picket.rules`.
    Rules,
    /// `picket.modules`.
    Modules,
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
    /// Put before the value: `MD5=`.
    pub(super) prefix: &'static str,
}

/// A place in the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

#[derive(Debug, Default)]
struct Node {
    children: FxHashMap<Box<str>, NodeId>,
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

impl Shapes {
    /// Where every document begins.
    pub(super) const ROOT: NodeId = NodeId(0);

    /// The trie for those fields.
    pub(super) fn new(fields: &Fields) -> Self {
        let mut shapes = Self {
            nodes: vec![Node::default()],
        };
        for path in places::CONTAINERS {
            shapes.add_container(path, fields);
        }
        for (path, field) in places::HEADER {
            shapes.add_field(path, field, rank::NAMED, "", fields);
        }
        for (path, field) in places::MOVED {
            shapes.add_field(path, field, rank::MOVED, "", fields);
        }
        for (path, field, prefix) in places::MOVED_PIECES {
            shapes.add_field(path, field, rank::MOVED, prefix, fields);
        }
        for (path, field) in places::GUESSED {
            shapes.add_field(path, field, rank::GUESSED, "", fields);
        }
        for (rank, path) in (1..).zip(places::TIMES.iter().rev()) {
            let target = Target::Field(FieldId::TIME);
            shapes.add(path, target, rank, "");
        }
        for (path, aside) in places::ASIDES {
            shapes.add(path, Target::Aside(*aside), 0, "");
        }
        for (path, part) in places::PARTS {
            shapes.add(path, Target::Part(*part), 0, "");
        }
        for number in 0..fields.len() {
            let Ok(number) = u16::try_from(number) else {
                break;
            };
            let field = FieldId(number);
            let name = fields.name(field);
            if name.contains('.') {
                shapes.add(name, Target::Field(field), rank::PATH, "");
            }
        }
        shapes
    }

    /// A container of event data: every key that is a field's name, or another name for one.
    fn add_container(&mut self, path: &str, fields: &Fields) {
        let container = self.node(Self::ROOT, path);
        for number in 0..fields.len() {
            let Ok(number) = u16::try_from(number) else {
                break;
            };
            let field = FieldId(number);
            let name = fields.name(field);
            if !places::HEADER_ONLY.contains(&name) && !name.contains('.') {
                self.add_leaf(container, name, Target::Field(field), rank::NAMED);
            }
        }
        for (name, field) in places::RENAMED {
            if let Some(field) = fields.get(field) {
                self.add_leaf(container, name, Target::Field(field), rank::RENAMED);
            }
        }
        for (name, aside) in places::ACCOUNTS {
            self.add_leaf(container, name, Target::Aside(*aside), 0);
        }
        self.add_leaf(
            container,
            "UtcTime",
            Target::Field(FieldId::TIME),
            places::UTC_TIME_RANK,
        );
        if !path.is_empty() {
            let data = self.child_or_new(container, "Data");
            self.nodes[data.0 as usize].pairs_of = Some(container);
        }
    }

    fn add_leaf(&mut self, container: NodeId, key: &str, target: Target, rank: u8) {
        let node = self.child_or_new(container, key);
        self.nodes[node.0 as usize].leaves.push(Leaf {
            target,
            rank,
            prefix: "",
        });
    }

    fn add_field(
        &mut self,
        path: &str,
        field: &str,
        rank: u8,
        prefix: &'static str,
        fields: &Fields,
    ) {
        if let Some(field) = fields.get(field) {
            self.add(path, Target::Field(field), rank, prefix);
        }
    }

    fn add(&mut self, path: &str, target: Target, rank: u8, prefix: &'static str) {
        let node = self.node(Self::ROOT, path);
        self.nodes[node.0 as usize].leaves.push(Leaf {
            target,
            rank,
            prefix,
        });
    }

    /// The place at that path of keys, made where it is not there; `*` is any other key.
    fn node(&mut self, from: NodeId, path: &str) -> NodeId {
        path.split('.')
            .filter(|key| !key.is_empty())
            .fold(from, |node, key| self.child_or_new(node, key))
    }

    fn child_or_new(&mut self, node: NodeId, key: &str) -> NodeId {
        let known = match key {
            "*" => self.nodes[node.0 as usize].other,
            _ => self.nodes[node.0 as usize].children.get(key).copied(),
        };
        if let Some(child) = known {
            return child;
        }
        // Far fewer places than 2^32: one for each field in each container.
        let child = NodeId(u32::try_from(self.nodes.len()).unwrap_or(0));
        self.nodes.push(Node::default());
        let parent = &mut self.nodes[node.0 as usize];
        match key {
            "*" => parent.other = Some(child),
            _ => {
                parent.children.insert(key.into(), child);
            }
        }
        child
    }

    /// Where that key of an object leads. A key may be a path: `winlog.event_data.Image`.
    pub(super) fn child(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let here = &self.nodes[node.0 as usize];
        if let Some(child) = here.children.get(key) {
            return Some(*child);
        }
        if key == "#text" {
            return Some(node);
        }
        if let Some((head, tail)) = key.split_once('.')
            && let Some(child) = here.children.get(head)
        {
            return tail.split('.').try_fold(*child, |node, key| {
                let node = &self.nodes[node.0 as usize];
                node.children.get(key).copied().or(node.other)
            });
        }
        here.other
    }

    /// What the values at a place are for.
    pub(super) fn leaves(&self, node: NodeId) -> &[Leaf] {
        &self.nodes[node.0 as usize].leaves
    }

    /// If the place is a list of name and value: the container that it stands for.
    pub(super) fn container_of_pairs(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node.0 as usize].pairs_of
    }
}
