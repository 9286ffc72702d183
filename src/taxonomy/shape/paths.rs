//! The way back: where the field of a Sigma name may stand in documents, for stores that search by
//! path. Reads the tables of places only.

use super::places;

/// The paths (keys joined by dots) at which a document may have a field, the surest first: its own
/// name first. Names are compared without case.
pub fn paths(field: &str) -> Vec<String> {
    let same = |name: &str| name.eq_ignore_ascii_case(field);
    let mut paths = vec![field.to_owned()];
    let tables = [
        places::HEADER,
        places::RENAMED,
        places::MOVED,
        places::GUESSED,
    ];
    let [header, renamed, moved, guessed] = tables.map(|table| {
        table
            .iter()
            .filter(|(_, name)| same(name))
            .map(|(at, _)| *at)
    });
    paths.extend(header.map(str::to_owned));
    let in_header_only = places::HEADER_ONLY.iter().any(|name| same(name));
    if !field.contains('.') {
        let names: Vec<&str> = std::iter::once(field)
            .filter(|_| !in_header_only)
            .chain(renamed)
            .collect();
        for container in places::CONTAINERS {
            // A path with a hole stands for many, which no search by path can name.
            if !container.contains('*') {
                paths.extend(names.iter().map(|name| join(container, name)));
            }
        }
    }
    paths.extend(moved.chain(guessed).map(str::to_owned));
    if !field.contains('.') {
        paths.push(join("Event.System", field));
    }
    let mut known = Vec::new();
    paths.retain(|path| {
        let new = !known.contains(path);
        known.push(path.clone());
        new
    });
    paths
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
}
