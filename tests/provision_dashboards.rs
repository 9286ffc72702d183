//! Dashboards: the files that people import are what the code makes, servers would take them, and
//! what is wrong in one is noticed. `PICKET_WRITE_DASHBOARDS=1` writes the files again.

mod charts;
mod mutants;
mod picture;
mod replay;

use std::path::PathBuf;

use picket::provision::kibana::{Shape, Target, check, dashboards, files, ndjson, search};

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

#[test]
fn the_pictures_are_of_todays_panels() {
    let objects = dashboards(Target::Kibana88, &[Shape::Flat]).unwrap();
    for (name, id) in [
        ("detectlm", "327c0c60-32fb-11e7-9bd5-a3815fb7533d"),
        ("overview", "picket-overview"),
        ("host", "picket-host-flat"),
        ("hunt", "picket-hunt-flat"),
        ("rules", "picket-rules"),
        ("sweeps", "picket-sweeps"),
    ] {
        let path = format!("docs/pictures/{name}.svg");
        let picture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&path);
        let picture = std::fs::read_to_string(picture).unwrap();
        assert!(picture.contains("Not a screenshot"), "{path}");
        let panels = search::panels(&objects, id, (0, 1)).unwrap();
        let written = picture.matches("fill=\"#ffffff\"").count();
        let controls = picture.matches("Any ▾").count();
        assert_eq!(written, panels.len() + controls, "{path} has other panels");
        for panel in panels {
            let title = panel.title.replace('&', "&amp;");
            assert!(
                picture.contains(&format!(">{title}<")),
                "{path} has no panel {title}; PICKET_WRITE_PICTURES=1 draws it on a server"
            );
        }
    }
}

#[test]
fn a_shape_is_told_by_a_field_that_can_be_counted() {
    let text = serde_json::json!({ "winlog.event_data.Image": { "text": {} }, "Image.keyword": { "keyword": {} } });
    let told: Vec<Shape> = Shape::ALL
        .into_iter()
        .filter(|shape| shape.is_told(&text))
        .collect();
    assert_eq!(told, [Shape::Flat]);
}
