//! The way back: where the field of a Sigma name may stand in documents, for stores that search by
//! path. Reads the tables of places only.

use std::collections::HashSet;

use super::{Aside, places};

/// The paths (keys joined by dots) at which a document may have a field, the surest first: its own
/// name first. Names are compared without case.
pub fn paths(field: &str) -> Vec<String> {
    let same = |name: &str| name.eq_ignore_ascii_case(field);
    let renamed = places::RENAMED.iter().map(|(at, name, _)| (*at, *name));
    let renamed = renamed.filter(|(_, name)| same(name)).map(|(at, _)| at);
    let in_table = |table: &'static [(&str, &str)]| {
        table
            .iter()
            .filter(|(_, name)| same(name))
            .map(|(at, _)| *at)
    };
    let mut paths = vec![field.to_owned()];
    paths.extend(in_table(places::HEADER).map(str::to_owned));
    for system in places::SYSTEMS {
        paths.extend(in_table(places::SYSTEM).map(|at| join(system, at)));
    }
    if !field.contains('.') && !places::HEADER_ONLY.iter().any(|name| same(name)) {
        let names: Vec<&str> = std::iter::once(field).chain(renamed).collect();
        // A path with a hole stands for many, which no search by path can name.
        for container in places::CONTAINERS.iter().filter(|at| !at.contains('*')) {
            paths.extend(names.iter().map(|name| join(container, name)));
        }
    }
    paths.extend(in_table(places::MOVED).map(str::to_owned));
    paths.extend(in_table(places::GUESSED).map(str::to_owned));
    let mut known = HashSet::new();
    paths.retain(|path| known.insert(path.clone()));
    paths
}

/// The pairs of paths at which a document may have a user's domain and name, where it has them apart.
pub fn accounts() -> Vec<(String, String)> {
    let apart = |domain: Aside, name: Aside| {
        let at = |aside: Aside, table: &'static [(&'static str, Aside)]| {
            let is = move |(_, a): &&(&'static str, Aside)| *a == aside;
            table.iter().filter(is).map(|(path, _)| *path)
        };
        let mut pairs: Vec<(String, String)> = at(domain, places::ASIDES)
            .zip(at(name, places::ASIDES))
            .map(|(domain, name)| (domain.to_owned(), name.to_owned()))
            .collect();
        for container in places::CONTAINERS.iter().filter(|at| !at.contains('*')) {
            let in_data = at(domain, places::ACCOUNTS).zip(at(name, places::ACCOUNTS));
            pairs.extend(in_data.map(|(d, n)| (join(container, d), join(container, n))));
        }
        pairs
    };
    let mut pairs = apart(Aside::UserDomain, Aside::UserName);
    pairs.extend(apart(Aside::SubjectDomain, Aside::SubjectUser));
    pairs.extend(apart(Aside::TargetDomain, Aside::TargetUser));
    pairs.extend(apart(Aside::HeaderDomain, Aside::HeaderUser));
    pairs
}

/// The paths at which a document may have its event time.
pub fn times() -> Vec<String> {
    let containers = places::CONTAINERS.iter().filter(|at| !at.contains('*'));
    let data = containers.map(|container| join(container, "UtcTime"));
    let header = places::TIMES.iter().map(|path| (*path).to_owned());
    header.chain(data).collect()
}

fn join(container: &str, name: &str) -> String {
    if container.is_empty() {
        name.to_owned()
    } else {
        format!("{container}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_places_of_every_shape() {
        let paths = paths("Image");
        for expected in [
            "Image",
            "winlog.event_data.Image",
            "Event.EventData.Image",
            "NewProcessName",
            "process.executable",
        ] {
            assert!(paths.iter().any(|path| path == expected), "{expected}");
        }
        assert!(super::paths("commandline").contains(&"command".to_owned()));
        assert_eq!(super::paths("a.b"), ["a.b"]);
    }

    #[test]
    fn pairs_the_halves_of_a_user() {
        let pairs = accounts();
        for (domain, name) in [
            ("user.domain", "user.name"),
            (
                "winlog.event_data.SubjectDomainName",
                "winlog.event_data.SubjectUserName",
            ),
            ("winlog.user.domain", "winlog.user.name"),
            ("Domain", "AccountName"),
        ] {
            assert!(
                pairs.contains(&(domain.to_owned(), name.to_owned())),
                "{name}"
            );
        }
        assert!(times().contains(&"winlog.event_data.UtcTime".to_owned()));
    }
}
