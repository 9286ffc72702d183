//! rsigma over NDJSON recordings: `peers RULES FILE...` prints `RECORD<tab>RULE` for each finding
//! (records are counted over all files), and how many events there were on standard error.
//!
//! Used in the way that favours it: events are routed by Channel and EventID with the same table as
//! Picket's, each route has an engine of its own, which holds the route's rules only, and of findings
//! nothing but the ids of rules is written. Pipelines tell it what the events call the fields that
//! rules ask for, as its users tell it, so that both engines answer the same: with
//! `PEER_PLAIN_NAMES=1` they do not, and most rules hold for no event of Security 4688. With
//! `PEER_CROSS_RULE=1` the engines also use the index over all rules that rsigma leaves off.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use rsigma_eval::{Engine, JsonEvent, parse_pipeline};
use rsigma_parser::{SigmaRule, parse_sigma_directory};
use serde_json::Value;

/// What the recordings call the provider.
const PROVIDER: &str = "
name: provider
transformations:
  - type: field_name_mapping
    mapping:
      Provider_Name: SourceName
";

/// What Security 4688 calls what Sysmon 1 has too. Rules of SigmaHQ have both values of
/// `IntegrityLevel` themselves.
const OF_4688: &str = "
name: security-4688
transformations:
  - type: field_name_mapping
    mapping:
      Image: NewProcessName
      ParentImage: ParentProcessName
      LogonId: SubjectLogonId
      IntegrityLevel: MandatoryLabel
    rule_conditions:
      - type: logsource
        category: process_creation
";

/// Which (channel, event id) a category has, and which channels a service has, in lower case.
struct Table {
    categories: HashSet<(&'static str, String, u64)>,
    services: HashSet<(&'static str, String)>,
    providers: HashMap<String, String>,
}

impl Table {
    fn read() -> Self {
        let mut table = Self {
            categories: HashSet::new(),
            services: HashSet::new(),
            providers: HashMap::new(),
        };
        let text = include_str!("../../../src/taxonomy/log_sources.tsv");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            match columns[..] {
                ["category", name, channel, id] => {
                    let id = id.parse().unwrap_or(0);
                    table.categories.insert((name, channel.to_lowercase(), id));
                }
                ["service", name, channel] => {
                    table.services.insert((name, channel.to_lowercase()));
                }
                ["provider", name, channel] => {
                    table
                        .providers
                        .insert(name.to_lowercase(), channel.to_lowercase());
                }
                _ => {}
            }
        }
        table
    }

    fn fits(&self, rule: &SigmaRule, channel: &str, id: u64) -> bool {
        let source = &rule.logsource;
        let product = source
            .product
            .as_deref()
            .is_none_or(|name| name == "windows");
        let category = source.category.as_ref().is_none_or(|name| {
            let mut of = self.categories.iter().filter(|of| of.0 == name);
            of.any(|of| of.1 == channel && of.2 == id)
        });
        let service = source.service.as_ref().is_none_or(|name| {
            let mut of = self.services.iter().filter(|of| of.0 == name);
            of.any(|of| of.1 == channel)
        });
        product && category && service
    }
}

fn engine(rules: &[SigmaRule], table: &Table, channel: &str, id: u64) -> Engine {
    let mut engine = Engine::new();
    if std::env::var_os("PEER_PLAIN_NAMES").is_none() {
        let mut tell = |names| {
            engine.add_pipeline(parse_pipeline(names).expect("it is written above"));
        };
        tell(PROVIDER);
        if (channel, id) == ("security", 4688) {
            tell(OF_4688);
        }
    }
    engine.set_cross_rule_ac(std::env::var_os("PEER_CROSS_RULE").is_some());
    engine.add_rules(rules.iter().filter(|rule| table.fits(rule, channel, id)));
    engine
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("peers RULES FILE...")?;
    let rules = parse_sigma_directory(Path::new(&folder))?.rules;
    let table = Table::read();
    let mut engines: HashMap<(String, u64), Engine> = HashMap::new();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut events, mut line) = (0_u64, String::new());
    for file in arguments {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
        while reader.read_line(&mut line)? > 0 {
            events += 1;
            if let Ok(event) = serde_json::from_str::<Value>(&line) {
                let text = |key| event.get(key).and_then(Value::as_str).unwrap_or_default();
                let mut channel = text("Channel").to_lowercase();
                let provider = ["SourceName", "Provider_Name", "ProviderName"].map(text);
                let by_provider = provider
                    .iter()
                    .find_map(|name| table.providers.get(&name.to_lowercase()));
                if let Some(own) =
                    by_provider.filter(|own| channel.is_empty() || own.contains("sysmon"))
                {
                    channel.clone_from(own);
                }
                let id = &event["EventID"];
                let id = id
                    .as_u64()
                    .or_else(|| id.as_str()?.parse().ok())
                    .unwrap_or(0);
                let engine = engines
                    .entry((channel, id))
                    .or_insert_with_key(|(channel, id)| engine(&rules, &table, channel, *id));
                for found in engine.evaluate(&JsonEvent::borrow(&event)) {
                    let rule = found
                        .header
                        .rule_id
                        .as_deref()
                        .unwrap_or(&found.header.rule_title);
                    writeln!(out, "{events}\t{rule}")?;
                }
            }
            line.clear();
        }
    }
    out.flush()?;
    eprintln!("{events} events, {} rules", rules.len());
    Ok(())
}
