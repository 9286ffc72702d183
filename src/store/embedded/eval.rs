//! Which documents of a segment a [`Query`] means: a set of bits for each part, put together. The
//! terms of a field stand side by side in the index, so that wildcards and ranges read only that
//! field's values; the time that this may take is bounded.

use std::time::{Duration, Instant};

use tantivy::query::{EnableScoring, PhraseQuery, Query as _, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::TokenStream;
use tantivy::{DocSet, InvertedIndexReader, TERMINATED, Term};

use super::bits::Bits;
use super::check::Check;
use super::schema::{self, Fact, Told};
use super::snapshot::{Segment, Snapshot};
use super::{error, words};
use crate::store::query::{Name, Query, Test, range};
use crate::store::{StoreError, StoreErrorKind};
use crate::taxonomy::read::leaves;

/// How long one search may take.
const MAX_TIME: Duration = Duration::from_secs(20);

/// How a field of a query is found: its own column, or the paths of sources that bear it.
pub(super) enum Place {
    /// Event time.
    Time,
    /// Any of these paths.
    Paths(Vec<String>),
}

/// Where to look for a field by that name.
pub(super) fn place(name: &str) -> Place {
    match Name::of(name) {
        Name::Time => Place::Time,
        Name::Host => Place::Paths(vec![Fact::Host.path()]),
        Name::User => Place::Paths(vec![Fact::User.path()]),
        Name::Index => Place::Paths(vec![Fact::Index.path()]),
        Name::Field(paths) => Place::Paths(paths.iter().map(|path| path.to_lowercase()).collect()),
    }
}

/// One search's view of the store.
pub(super) struct Eval<'s> {
    snapshot: &'s Snapshot,
    started: Instant,
}

impl<'s> Eval<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
        }
    }

    /// The documents of that segment that are meant; some of them may have been replaced.
    pub(super) fn query(&self, query: &Query, segment: &Segment) -> Result<Bits, StoreError> {
        let docs = segment.reader.max_doc();
        match query {
            Query::All => {
                let mut all = Bits::none(docs);
                (0..docs).for_each(|doc| all.set(doc));
                Ok(all)
            }
            Query::And(parts) => self.fold(parts, segment, |a, b| a & b),
            Query::Or(parts) => self.fold(parts, segment, |a, b| a | b),
            Query::Not(part) => {
                let mut all = self.query(&Query::All, segment)?;
                all.combine(&self.query(part, segment)?, |all, part| all & !part);
                Ok(all)
            }
            Query::Field(name, test) => match place(name) {
                Place::Time => self.time(test, segment),
                Place::Paths(paths) => {
                    let mut any = Bits::none(docs);
                    for path in &paths {
                        self.path(path, test, segment, &mut any)?;
                    }
                    Ok(any)
                }
            },
            Query::Words(text) => self.words(text, segment),
            Query::Anywhere(glob) => {
                let mut any = Bits::none(docs);
                if glob.is_one_word() {
                    let field = self.snapshot.columns.words;
                    let matcher = glob.matcher();
                    self.terms(
                        segment,
                        field,
                        &glob.head(),
                        |term, index, info| match matcher.fits(term) {
                            true => add(index, info, &mut any),
                            false => Ok(()),
                        },
                    )?;
                } else {
                    let check = Check::fits(&glob.clone().anywhere());
                    self.values(segment, None, "", &check, &mut any)?;
                }
                Ok(any)
            }
        }
    }

    fn fold(
        &self,
        parts: &[Query],
        segment: &Segment,
        with: fn(u64, u64) -> u64,
    ) -> Result<Bits, StoreError> {
        let Some((first, others)) = parts.split_first() else {
            return Ok(Bits::none(segment.reader.max_doc()));
        };
        let mut bits = self.query(first, segment)?;
        for part in others {
            bits.combine(&self.query(part, segment)?, with);
        }
        Ok(bits)
    }

    fn time(&self, test: &Test, segment: &Segment) -> Result<Bits, StoreError> {
        let (from, to) = range::span(test)?;
        let mut bits = Bits::none(segment.reader.max_doc());
        let times = |doc: u32| segment.time.first(doc);
        (0..segment.reader.max_doc())
            .filter(|doc| times(*doc).is_some_and(|time| (from..=to).contains(&time)))
            .for_each(|doc| bits.set(doc));
        Ok(bits)
    }

    /// Adds the documents that have such a value at that path.
    fn path(
        &self,
        path: &str,
        test: &Test,
        segment: &Segment,
        bits: &mut Bits,
    ) -> Result<(), StoreError> {
        let mut values =
            |head: &str, check: &Check| self.values(segment, Some(path), head, check, bits);
        match test {
            Test::Exists => values("", &Check::Any),
            Test::Fits(glob) => values(&glob.head(), &Check::fits(glob)),
            Test::Between(from, to) => values("", &Check::Between(range::Range::new(from, to))),
            Test::Equals(value) => {
                let index = self.inverted(segment, self.snapshot.columns.values)?;
                let term = self.snapshot.columns.value_term(path, value);
                if let Some(info) = index.get_term_info(&term).map_err(error::read_io)? {
                    add(&index, &info, bits)?;
                }
                Ok(())
            }
        }
    }

    /// Adds the documents that have a value that begins with `head` and passes, at that path or,
    /// without one, anywhere. Where a term holds only the beginning of a value, and that does not
    /// tell, the source is read.
    fn values(
        &self,
        segment: &Segment,
        path: Option<&str>,
        head: &str,
        check: &Check,
        bits: &mut Bits,
    ) -> Result<(), StoreError> {
        let mut first = String::new();
        if let Some(path) = path {
            schema::head(path, head, &mut first);
        }
        let mut unsure = Bits::none(segment.reader.max_doc());
        let field = self.snapshot.columns.values;
        self.terms(segment, field, &first, |term, index, info| {
            let passes = match schema::told(term) {
                Some((_, Told::Whole(value))) => Some(check.whole(value)),
                Some((_, Told::Start(start))) => check.start(start),
                None => Some(false),
            };
            match passes {
                Some(true) => add(index, info, bits),
                Some(false) => Ok(()),
                None => add(index, info, &mut unsure),
            }
        })?;
        unsure.combine(bits, |unsure, sure| unsure & !sure);
        let mut value = String::new();
        for (count, doc) in unsure
            .iter()
            .filter(|doc| segment.is_alive(*doc))
            .enumerate()
        {
            if count.is_multiple_of(64) {
                self.in_time()?;
            }
            let document = self.snapshot.document(segment.address(doc), 0)?;
            let mut passes = false;
            let read = leaves(&document.source, |at, text| {
                if !passes && path.is_none_or(|path| schema::same_path(at, path)) {
                    value.clear();
                    schema::push_lower(text, &mut value);
                    passes = check.whole(&value);
                }
            });
            read.map_err(error::damaged)?;
            if passes {
                bits.set(doc);
            }
        }
        Ok(())
    }

    fn in_time(&self) -> Result<(), StoreError> {
        if self.started.elapsed() <= MAX_TIME {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::BadRequest,
            "the search takes too long; name a field, or begin the pattern with letters",
        ))
    }

    /// Calls `each` with all terms of a segment that begin with `head`.
    pub(super) fn terms(
        &self,
        segment: &Segment,
        field: Field,
        head: &str,
        mut each: impl FnMut(
            &str,
            &InvertedIndexReader,
            &tantivy::postings::TermInfo,
        ) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let index = self.inverted(segment, field)?;
        let range = index.terms().range().ge(head.as_bytes());
        let mut stream = range.into_stream().map_err(error::read_io)?;
        let mut count = 0u32;
        while stream.advance() {
            let Some(term) = std::str::from_utf8(stream.key()).ok() else {
                continue;
            };
            if !term.starts_with(head) {
                break;
            }
            each(term, &index, stream.value())?;
            count = count.wrapping_add(1);
            if count.is_multiple_of(1024) {
                self.in_time()?;
            }
        }
        Ok(())
    }

    fn inverted(
        &self,
        segment: &Segment,
        field: Field,
    ) -> Result<std::sync::Arc<InvertedIndexReader>, StoreError> {
        segment.reader.inverted_index(field).map_err(error::read)
    }

    /// The documents in whose values these words stand one after the other.
    fn words(&self, text: &str, segment: &Segment) -> Result<Bits, StoreError> {
        let field = self.snapshot.columns.words;
        let mut analyzer = words::analyzer();
        let mut value = String::new();
        words::push(text, &mut value);
        let mut stream = analyzer.token_stream(&value);
        let mut terms = Vec::new();
        while let Some(token) = stream.next() {
            terms.push((token.position, Term::from_field_text(field, &token.text)));
        }
        let mut bits = Bits::none(segment.reader.max_doc());
        let scoring = EnableScoring::disabled_from_searcher(&self.snapshot.searcher);
        let weight = match terms.pop() {
            // Nothing but punctuation: there is no such word.
            None => return Ok(bits),
            Some((_, term)) if terms.is_empty() => {
                TermQuery::new(term, IndexRecordOption::Basic).weight(scoring)
            }
            Some(last) => {
                terms.push(last);
                PhraseQuery::new_with_offset(terms).weight(scoring)
            }
        };
        let mut scorer = weight
            .and_then(|weight| weight.scorer(&segment.reader, 1.0))
            .map_err(error::read)?;
        while scorer.doc() != TERMINATED {
            bits.set(scorer.doc());
            scorer.advance();
        }
        Ok(bits)
    }
}

/// Adds all documents of a term.
fn add(
    index: &InvertedIndexReader,
    info: &tantivy::postings::TermInfo,
    bits: &mut Bits,
) -> Result<(), StoreError> {
    each_doc(index, info, |doc| bits.set(doc))
}

/// Calls `each` with all documents of a term, replaced ones too.
pub(super) fn each_doc(
    index: &InvertedIndexReader,
    info: &tantivy::postings::TermInfo,
    mut each: impl FnMut(u32),
) -> Result<(), StoreError> {
    let mut postings = index
        .read_block_postings_from_terminfo(info, IndexRecordOption::Basic)
        .map_err(error::read_io)?;
    while !postings.docs().is_empty() {
        postings.docs().iter().for_each(|doc| each(*doc));
        postings.advance();
    }
    Ok(())
}
