//! What one commit left: every question is answered from one [`Snapshot`], so that no answer mixes
//! two commits. Reads only.

use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::{
    DocAddress, DocId, DocSet, InvertedIndexReader, Searcher, SegmentReader, TERMINATED,
    TantivyDocument, Term,
};

use super::error;
use super::eval::Eval;
use super::schema::{self, Columns, Fact, State};
use crate::document::{Document, DocumentId, Scope, Version};
use crate::store::query::{Query, Test};
use crate::store::{Begin, Checkpoint, Page, Sources, StoreError, StoreErrorKind, Waiting, Window};

/// The only shard's name in a [`Checkpoint`].
const SHARD: &str = "";
/// How much further than a page a feed looks at once, where most of what it passes is not for it.
const MAX_STRIDE: u64 = 1_000_000;

/// The store after one commit.
pub(super) struct Snapshot {
    pub(super) columns: Columns,
    pub(super) searcher: Searcher,
    pub(super) state: State,
    pub(super) segments: Vec<Segment>,
}

impl Snapshot {
    /// What that searcher sees.
    pub(super) fn new(
        columns: Columns,
        searcher: Searcher,
        state: State,
    ) -> Result<Self, StoreError> {
        let segments = (0..)
            .zip(searcher.segment_readers())
            .map(|(number, reader)| Segment::new(number, reader, &columns))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            searcher,
            state,
            segments,
        })
    }

    /// Where a document is, and the number of its last write.
    pub(super) fn place(&self, id: &DocumentId) -> Result<Option<(DocAddress, u64)>, StoreError> {
        let term = self.columns.key_term(id);
        for segment in &self.segments {
            let postings = segment
                .keys
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(error::read_io)?;
            let Some(mut postings) = postings else {
                continue;
            };
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                if segment.is_alive(doc) {
                    let seq = segment.seq.first(doc).unwrap_or(0);
                    return Ok(Some((segment.address(doc), seq)));
                }
                postings.advance();
            }
        }
        Ok(None)
    }

    /// The document of that id.
    pub(super) fn get(&self, id: &DocumentId) -> Result<Option<Document>, StoreError> {
        let place = self.place(id)?;
        place.map(|(at, seq)| self.document(at, seq)).transpose()
    }

    /// The document at that place, whose last write had that number.
    pub(super) fn document(&self, at: DocAddress, seq: u64) -> Result<Document, StoreError> {
        let stored: TantivyDocument = self.searcher.doc(at).map_err(error::read)?;
        let text = |field| stored.get_first(field).and_then(|value| value.as_str());
        let id = text(self.columns.key).and_then(schema::unkey);
        match (id, text(self.columns.source)) {
            (Some(id), Some(source)) => Ok(Document {
                id,
                version: Version {
                    seq_no: seq,
                    primary_term: 1,
                },
                source: source.into(),
            }),
            _ => Err(StoreError::new(
                StoreErrorKind::Corrupt,
                "a stored document has no key or source; restore the store from a copy",
            )),
        }
    }

    /// See [`crate::store::Store::changes`].
    pub(super) fn changes(
        &self,
        sources: &Sources,
        since: &Checkpoint,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut last = seq(since);
        let mut page: Vec<(u64, DocAddress)> = Vec::new();
        let segments: Vec<_> = self.fitting(sources).collect();
        let limit = limit.max(1);
        let mut stride = limit as u64;
        while page.len() < limit && last < self.state.seq {
            let before = page.len();
            let end = last.saturating_add(stride).min(self.state.seq);
            for (segment, fits) in &segments {
                segment.each_seq(last + 1..=end, |doc, seq| {
                    if segment.fits(doc, fits) {
                        page.push((seq, segment.address(doc)));
                    }
                });
            }
            last = end;
            if (page.len() - before) as u64 * 2 < stride {
                stride = (stride * 2).min(MAX_STRIDE);
            }
        }
        page.sort_unstable_by_key(|(seq, _)| *seq);
        if page.len() > limit {
            page.truncate(limit);
            last = page.last().map_or(last, |(seq, _)| *seq);
        }
        let next = if last > seq(since) {
            Checkpoint([(SHARD.to_owned(), last)].into())
        } else {
            since.clone()
        };
        let documents = page.into_iter().map(|(seq, at)| self.document(at, seq));
        Ok(Page {
            documents: documents.collect::<Result<_, _>>()?,
            next,
            problems: Vec::new(),
        })
    }

    /// See [`crate::store::Store::begin`].
    pub(super) fn begin(&self, sources: &Sources, from: Begin) -> Result<Checkpoint, StoreError> {
        let begin = from.time();
        let mut first = None;
        let mut last = 0;
        for (segment, fits) in self.fitting(sources) {
            for doc in segment.alive().filter(|doc| segment.fits(*doc, &fits)) {
                let Some(seq) = segment.seq.first(doc) else {
                    continue;
                };
                last = last.max(seq);
                let time = segment.time.first(doc);
                if matches!((begin, time), (Some(begin), Some(time)) if time >= begin) {
                    first = Some(first.unwrap_or(seq).min(seq));
                }
            }
        }
        let mut at = Checkpoint::default();
        match from {
            Begin::Beginning => {}
            Begin::Now => at.advance(SHARD, last),
            Begin::Ago(_) => at.advance(SHARD, first.map_or(last, |first| first - 1)),
        }
        Ok(at)
    }

    /// See [`crate::store::Store::waiting`].
    pub(super) fn waiting(
        &self,
        sources: &Sources,
        since: &Checkpoint,
    ) -> Result<Waiting, StoreError> {
        let since = seq(since);
        let mut waiting = Waiting::default();
        for (segment, fits) in self.fitting(sources) {
            for doc in segment.alive() {
                if !segment.fits(doc, &fits) {
                    continue;
                }
                waiting.documents += 1;
                if segment.seq.first(doc).is_some_and(|seq| seq > since) {
                    waiting.waiting += 1;
                    let time = segment.time.first(doc);
                    waiting.oldest = match (waiting.oldest, time) {
                        (Some(oldest), Some(time)) => Some(oldest.min(time)),
                        (oldest, time) => oldest.or(time),
                    };
                }
            }
        }
        Ok(waiting)
    }

    /// See [`crate::store::Store::window`].
    pub(super) fn window(&self, window: &Window) -> Result<Vec<Document>, StoreError> {
        let fact = match window.scope {
            Scope::Host => Fact::Host,
            Scope::User => Fact::User,
        };
        let term = self.columns.value_term(&fact.path(), &window.entity);
        let mut found: Vec<(i64, u64, DocAddress)> = Vec::new();
        let said = |name: &String| Query::Field(name.clone(), Test::Exists);
        let saying = match window.fields.is_empty() {
            true => Query::All,
            false => Query::Or(window.fields.iter().map(said).collect()),
        };
        let eval = Eval::new(self);
        for (segment, fits) in self.fitting(&window.sources) {
            let saying = eval.query(&saying, segment)?;
            segment.each_of(self.columns.values, &term, &fits, |doc, time, seq| {
                if (window.from..=window.to).contains(&time) && saying.has(doc) {
                    found.push((time, seq, segment.address(doc)));
                }
            })?;
        }
        found.sort_unstable();
        found
            .into_iter()
            .map(|(_, seq, at)| self.document(at, seq))
            .collect()
    }

    /// All segments, each with the indices (by their number in it) that the feed of these sources
    /// holds.
    fn fitting(&self, sources: &Sources) -> impl Iterator<Item = (&Segment, Vec<bool>)> {
        let fits = |segment: &Segment| segment.fitting(|index| sources.feed(index));
        let fits: Vec<_> = self.segments.iter().map(fits).collect();
        self.segments.iter().zip(fits)
    }
}

fn seq(checkpoint: &Checkpoint) -> u64 {
    checkpoint.0.get(SHARD).copied().unwrap_or(0)
}

/// One segment with its columns.
pub(super) struct Segment {
    number: u32,
    pub(super) reader: SegmentReader,
    pub(super) seq: Column<u64>,
    pub(super) time: Column<i64>,
    /// The terms of the documents' keys.
    keys: Arc<InvertedIndexReader>,
    /// The number of each document's index.
    index: Option<Column<u64>>,
    /// The indices, by their number in this segment.
    indices: Vec<String>,
}

impl Segment {
    fn new(number: u32, reader: &SegmentReader, names: &Columns) -> Result<Self, StoreError> {
        let columns = reader.fast_fields();
        let index = columns.str(Columns::INDEX).map_err(error::read)?;
        let mut indices = Vec::new();
        if let Some(column) = &index {
            for number in 0..column.num_terms() as u64 {
                let mut name = String::new();
                let read = column.ord_to_str(number, &mut name);
                read.map_err(error::read_io)?;
                indices.push(name);
            }
        }
        let time = columns.column_opt(Columns::TIME).map_err(error::read)?;
        Ok(Self {
            number,
            seq: columns.u64(Columns::SEQ).map_err(error::read)?,
            time: time.unwrap_or_else(|| Column::build_empty_column(reader.max_doc())),
            keys: reader.inverted_index(names.key).map_err(error::read)?,
            index: index.map(|column| column.ords().clone()),
            indices,
            reader: reader.clone(),
        })
    }

    /// Where a document of this segment is.
    pub(super) fn address(&self, doc: DocId) -> DocAddress {
        DocAddress::new(self.number, doc)
    }

    /// The documents that were not replaced.
    pub(super) fn alive(&self) -> impl Iterator<Item = DocId> + '_ {
        (0..self.reader.max_doc()).filter(|doc| self.is_alive(*doc))
    }

    /// Which indices, by their number in this segment, are wanted.
    pub(super) fn fitting(&self, wanted: impl Fn(&str) -> bool) -> Vec<bool> {
        self.indices.iter().map(|index| wanted(index)).collect()
    }

    /// Whether the document was not replaced.
    pub(super) fn is_alive(&self, doc: DocId) -> bool {
        let alive = self.reader.alive_bitset();
        alive.is_none_or(|alive| alive.is_alive(doc))
    }

    /// Whether the document's index is one of those that [`Segment::fitting`] chose.
    pub(super) fn fits(&self, doc: DocId, fits: &[bool]) -> bool {
        self.index
            .as_ref()
            .and_then(|column| column.first(doc))
            .and_then(|number| fits.get(usize::try_from(number).ok()?))
            .copied()
            .unwrap_or(false)
    }

    /// Calls `each` with every document that has the term in that field and is of the indices that
    /// [`Segment::fitting`] chose: its time, and the number of its last write. One without a time is
    /// left out.
    pub(super) fn each_of(
        &self,
        field: Field,
        term: &Term,
        fits: &[bool],
        mut each: impl FnMut(DocId, i64, u64),
    ) -> Result<(), StoreError> {
        if !fits.contains(&true) {
            return Ok(());
        }
        let index = self.reader.inverted_index(field).map_err(error::read)?;
        let Some(mut postings) = index
            .read_postings(term, IndexRecordOption::Basic)
            .map_err(error::read_io)?
        else {
            return Ok(());
        };
        while postings.doc() != TERMINATED {
            let doc = postings.doc();
            postings.advance();
            if let (Some(time), Some(seq)) = (self.time.first(doc), self.seq.first(doc))
                && self.is_alive(doc)
                && self.fits(doc, fits)
            {
                each(doc, time, seq);
            }
        }
        Ok(())
    }

    /// Calls `each` with every document whose sequence number is in the range.
    fn each_seq(&self, range: std::ops::RangeInclusive<u64>, mut each: impl FnMut(DocId, u64)) {
        if self.seq.max_value() < *range.start() || self.seq.min_value() > *range.end() {
            return;
        }
        let mut docs = Vec::new();
        self.seq
            .get_docids_for_value_range(range, 0..self.reader.max_doc(), &mut docs);
        for doc in docs {
            if self.is_alive(doc)
                && let Some(seq) = self.seq.first(doc)
            {
                each(doc, seq);
            }
        }
    }
}
