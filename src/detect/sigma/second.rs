//! The second opinion: sigma-rust, an engine that shares no code with ours, is asked about each
//! finding. It knows less of the language than the rules use, so a rule is rewritten, and an event
//! normalised, to what it understands; what it cannot understand is [`SecondOpinion::Unsupported`].
//! Never decides what is found.

mod rewrite;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustc_hash::FxHashSet;
use serde_json::{Value as Json, json};

use crate::finding::SecondOpinion;
use crate::rule::Rule;
use crate::rule::pattern;
use crate::rule::predicate::{Atom, Predicate};
use crate::rule::tree::Tree;
use crate::taxonomy::{Event, FieldId, Kind};
use rewrite::Form;

/// The most that is put to it: characters times the patterns they are compared with, of a field or
/// of all values together. It takes some nanoseconds for each, and what attackers write may be long.
const MAX_WORK: usize = 1 << 18;
/// Beyond that it is asked in the form that is quick for long values, once a rule had so much more to
/// do that making this form is paid for.
const PLAIN_WORK: usize = 1 << 8;
const WORTH_A_FORM: usize = 1 << 15;
/// Where a regular expression stands for a text it takes so much less.
const QUICKER: usize = 16;

/// All rules as sigma-rust has them, each compiled when it is asked for first.
#[derive(Debug)]
pub(super) struct Second {
    rules: Vec<OnceLock<Option<Box<Loaded>>>>,
}

#[derive(Debug)]
struct Loaded {
    plain: Parts,
    /// The same for long values, once those come; `None` if it is not quicker.
    folded: OnceLock<Option<Parts>>,
    /// What was left to the plain form that the other would do quicker.
    left: AtomicUsize,
    needs: Vec<Need>,
    /// How many.
    keywords: usize,
}

/// The rule itself and its filters, all of which must hold.
type Parts = Vec<sigma_rust::Rule>;

/// What a rule asks of a field.
#[derive(Debug)]
struct Need {
    field: FieldId,
    name: Box<str>,
    /// With how many patterns it is compared, and with how many of them as they are, in whatever
    /// form.
    patterns: usize,
    native: usize,
    /// It asks for null, or whether the field exists.
    null: bool,
    number: bool,
}

impl Need {
    /// How many patterns each character costs.
    fn work(&self, form: Form) -> usize {
        match form {
            Form::Plain => self.patterns,
            Form::Folded => self.native + (self.patterns - self.native).div_ceil(QUICKER),
        }
    }
}

impl Second {
    /// For that many rules.
    pub(super) fn new(rules: usize) -> Self {
        Self {
            rules: (0..rules).map(|_| OnceLock::new()).collect(),
        }
    }

    /// What sigma-rust says of a rule that holds for the event, by our judgement.
    pub(super) fn opinion(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
        event: &Event<'_>,
    ) -> SecondOpinion {
        let Some(loaded) = self.loaded(number, rule, atoms, names) else {
            return SecondOpinion::Unsupported;
        };
        let form = loaded.form(rule, event);
        let event = match loaded.event(event, form) {
            Ok(event) => event,
            Err(silent) => return silent,
        };
        match catch_unwind(AssertUnwindSafe(|| loaded.is_match(form, &event))) {
            Ok(true) => SecondOpinion::Agrees,
            Ok(false) => SecondOpinion::Differs,
            Err(_) => SecondOpinion::Unsupported,
        }
    }

    /// Whether it can be asked about the rule, of whatever event.
    pub(super) fn knows(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
    ) -> bool {
        self.loaded(number, rule, atoms, names).is_some()
    }

    fn loaded(
        &self,
        number: usize,
        rule: &Rule,
        atoms: &[Atom],
        names: &[Box<str>],
    ) -> Option<&Loaded> {
        let slot = self.rules.get(number)?;
        slot.get_or_init(|| load(rule, atoms, names).map(Box::new))
            .as_deref()
    }
}

impl Loaded {
    fn is_match(&self, form: Form, event: &sigma_rust::Event) -> bool {
        let parts = match (form, self.folded.get()) {
            (Form::Folded, Some(Some(parts))) => parts,
            _ => &self.plain,
        };
        parts.iter().all(|part| part.is_match(event))
    }

    /// The form in which it is asked about the event.
    fn form(&self, rule: &Rule, event: &Event<'_>) -> Form {
        let work = |need: &Need| -> usize {
            let texts = event.values(need.field).map(|value| value.text.len());
            texts.sum::<usize>().saturating_mul(need.patterns)
        };
        let work = self.needs.iter().map(work).fold(0, usize::saturating_add);
        let is_worth_it = || self.left.fetch_add(work, Relaxed) >= WORTH_A_FORM;
        if self.keywords == 0 && (work <= PLAIN_WORK || work < WORTH_A_FORM && !is_worth_it()) {
            return Form::Plain;
        }
        match self.folded.get_or_init(|| compiled(rule, Form::Folded)) {
            Some(_) => Form::Folded,
            None => Form::Plain,
        }
    }

    /// The event as it needs it: text throughout, absent fields as null where the rule asks for
    /// that. It is not asked if a field has several values, which it never matches, nor if it would
    /// take too long.
    fn event(&self, event: &Event<'_>, form: Form) -> Result<sigma_rust::Event, SecondOpinion> {
        let mut out = sigma_rust::Event::new();
        let mut left = MAX_WORK;
        let mut spend = |text: &str, patterns: usize| {
            left = left
                .checked_sub(text.len().saturating_mul(patterns))
                .ok_or(SecondOpinion::TooLong)?;
            Ok(())
        };
        for need in &self.needs {
            let mut values = event.values(need.field).filter(|v| v.kind != Kind::Null);
            match (values.next(), values.next()) {
                (Some(value), None) => {
                    spend(value.text, need.work(form))?;
                    if form == Form::Folded && need.native < need.patterns {
                        let text = pattern::fold(value.text);
                        out.insert(rewrite::folded(&need.name), text);
                    }
                    match value.text.trim().parse::<f64>() {
                        Ok(number) if need.number => out.insert(&*need.name, number),
                        _ => out.insert(&*need.name, value.text),
                    }
                }
                (None, _) if need.null => out.insert(&*need.name, None),
                (None, _) => {}
                (Some(_), Some(_)) => return Err(SecondOpinion::Unsupported),
            }
        }
        if self.keywords > 0 && form == Form::Folded {
            let mut all = String::new();
            for value in event.all_values() {
                spend(value.text, self.keywords.div_ceil(QUICKER))?;
                pattern::fold_into(value.text, &mut all);
                all.push(rewrite::BORDER);
            }
            out.insert(rewrite::ALL, all);
        } else if self.keywords > 0 {
            for (number, value) in event.all_values().enumerate() {
                spend(value.text, self.keywords)?;
                out.insert(format!("\0{number}"), value.text);
            }
        }
        Ok(out)
    }
}

fn load(rule: &Rule, atoms: &[Atom], names: &[Box<str>]) -> Option<Loaded> {
    let plain = compiled(rule, Form::Plain)?;
    let mut used = FxHashSet::default();
    used_atoms(rule, &rule.condition, &mut used);
    let used = used.into_iter().filter_map(|id| atoms.get(id));
    let mut needs: Vec<Need> = Vec::new();
    let mut keywords = 0;
    let mut need = |field: FieldId, predicate: Option<&Predicate>| {
        let null = matches!(predicate, Some(Predicate::Null | Predicate::Exists));
        let number = matches!(predicate, Some(Predicate::Number(..)));
        let is_text = |predicate: &Predicate| {
            matches!(
                predicate,
                Predicate::Text { cased: false, .. } | Predicate::Wildcard { cased: false, .. }
            )
        };
        let native = usize::from(!predicate.is_some_and(is_text));
        if let Some(known) = needs.iter_mut().find(|need| need.field == field) {
            known.patterns += 1;
            known.native += native;
            known.null |= null;
            known.number |= number;
        } else if let Some(name) = names.get(field.index()).cloned() {
            needs.push(Need {
                field,
                name,
                patterns: 1,
                native,
                null,
                number,
            });
        }
    };
    for atom in used {
        match atom.field {
            Some(field) => need(field, Some(&atom.predicate)),
            None => keywords += 1,
        }
        if let Predicate::Reference { field, .. } = &atom.predicate {
            need(*field, None);
        }
    }
    Some(Loaded {
        plain,
        folded: OnceLock::new(),
        left: AtomicUsize::new(0),
        needs,
        keywords,
    })
}

fn compiled(rule: &Rule, form: Form) -> Option<Parts> {
    let detections = std::iter::once(&*rule.detection).chain(rule.filters.iter().map(|f| &**f));
    detections
        .map(|detection| compile(detection, form))
        .collect()
}

fn compile(detection: &str, form: Form) -> Option<sigma_rust::Rule> {
    let detection: Json = serde_json::from_str(detection).ok()?;
    let rewritten = rewrite::rewrite(detection.as_object()?, form)?;
    // JSON is YAML.
    let text = json!({ "title": "", "logsource": {}, "detection": rewritten }).to_string();
    catch_unwind(|| sigma_rust::rule_from_yaml(&text))
        .ok()?
        .ok()
}

fn used_atoms(rule: &Rule, tree: &Tree, used: &mut FxHashSet<usize>) {
    match tree {
        Tree::Atom(id) => {
            used.insert(id.index());
        }
        Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|p| used_atoms(rule, p, used)),
        Tree::Not(inner) => used_atoms(rule, inner, used),
        Tree::Selection(number) => {
            if let Some(selection) = rule.selections.get(*number) {
                used_atoms(rule, &selection.tree, used);
            }
        }
    }
}
