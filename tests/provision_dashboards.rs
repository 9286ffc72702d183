//! Dashboards: the files that people import are what the code makes, servers would take them, and
//! what is wrong in one is noticed. `PICKET_WRITE_DASHBOARDS=1` writes the files again.

mod charts;
mod mutants;
mod picture;
mod replay;

use std::path::PathBuf;

use picket::provision::kibana::{Shape, Target, check, dashboards, files, ndjson};

fn folder(target: Target) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("kibana_objects").join(target.name())
}

#[test]
fn the_files_that_people_import_are_what_the_code_makes() {
    for target in Target::ALL {
        let folder = folder(target);
        let made = files(target).unwrap();
        if std::env::var_os("PICKET_WRITE_DASHBOARDS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &made {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        let mut there: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let mut names: Vec<&String> = made.iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(there.iter().collect::<Vec<_>>(), names);
        for (name, text) in &made {
            let path = folder.join(name);
            let there = std::fs::read_to_string(&path).unwrap();
            assert!(
                there == *text,
                "{} is not what the code makes; PICKET_WRITE_DASHBOARDS=1 writes it",
                path.display()
            );
        }
    }
}

#[test]
fn every_server_would_take_every_file() {
    let fields = check::fields();
    for target in Target::ALL {
        for (name, text) in files(target).unwrap() {
            let wrong = check::file(target, &text, &fields);
            assert!(wrong.is_empty(), "{} {name}: {wrong:#?}", target.name());
            assert!(text.lines().count() > 8, "{name}");
        }
        // Several shapes on one cluster.
        let all = dashboards(target, &Shape::ALL).unwrap();
        let wrong = check::file(target, &ndjson(&all), &fields);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", target.name());
        assert_eq!(check::objects(target, &all), wrong);
    }
}
