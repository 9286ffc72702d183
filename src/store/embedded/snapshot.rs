//! What one commit left: every question is answered from one [`Snapshot`], so that no answer mixes
//! two commits. Reads only.

use tantivy::columnar::Column;
use tantivy::fastfield::AliveBitSet;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocAddress, DocId, DocSet, Searcher, SegmentReader, TERMINATED, TantivyDocument};

use super::error;
use super::schema::{self, Columns, Fact, State};
use crate::document::{Document, DocumentId, Scope, Version};
use crate::store::{Checkpoint, Page, Sources, StoreError, StoreErrorKind, Waiting, Window};

/// The only shard's name in a [`Checkpoint`].
const SHARD: &str = "";
/// How much further than a page a feed looks at once, where most of what it passes is not for it.
const MAX_STRIDE: u64 = 1_000_000;

/// The store after one commit.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) columns: Columns,
    pub(super) searcher: Searcher,
    pub(super) state: State,
}

impl Snapshot {
    /// All segments, each with its columns.
    pub(super) fn segments(&self) -> Result<Vec<Segment<'_>>, StoreError> {
        self.searcher
            .segment_readers()
            .iter()
            .enumerate()
            .map(|(number, reader)| Segment::new(number, reader))
            .collect()
    }

    /// Where a document is.
    pub(super) fn address(&self, id: &DocumentId) -> Result<Option<DocAddress>, StoreError> {
        let term = self.columns.key_term(id);
        for (number, reader) in (0..).zip(self.searcher.segment_readers()) {
            let index = reader
                .inverted_index(self.columns.key)
                .map_err(error::read)?;
            let postings = index
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(error::read_io)?;
            let Some(mut postings) = postings else {
                continue;
            };
            while postings.doc() != TERMINATED {
                if is_alive(reader.alive_bitset(), postings.doc()) {
                    return Ok(Some(DocAddress::new(number, postings.doc())));
                }
                postings.advance();
            }
        }
        Ok(None)
    }

    /// The document of that id.
    pub(super) fn get(&self, id: &DocumentId) -> Result<Option<Document>, StoreError> {
        self.address(id)?.map(|at| self.document(at)).transpose()
    }

    /// The document at that place.
    pub(super) fn document(&self, at: DocAddress) -> Result<Document, StoreError> {
        let stored: TantivyDocument = self.searcher.doc(at).map_err(error::read)?;
        let text = |field| stored.get_first(field).and_then(|value| value.as_str());
        let seq = self
            .searcher
            .segment_reader(at.segment_ord)
            .fast_fields()
            .u64(Columns::SEQ)
            .map_err(error::read)?
            .first(at.doc_id);
        let id = text(self.columns.key).and_then(schema::unkey);
        match (id, text(self.columns.source), seq) {
            (Some(id), Some(source), Some(seq_no)) => Ok(Document {
                id,
                version: Version {
                    seq_no,
                    primary_term: 1,
                },
                source: source.into(),
            }),
            _ => Err(StoreError::new(
                StoreErrorKind::Corrupt,
                "a stored document has no key, source or number; restore the store from a copy",
            )),
        }
    }

    fn documents(
        &self,
        at: impl IntoIterator<Item = DocAddress>,
    ) -> Result<Vec<Document>, StoreError> {
        at.into_iter().map(|at| self.document(at)).collect()
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
        let segments = self.fitting(sources)?;
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
        let documents = self.documents(page.into_iter().map(|(_, at)| at))?;
        Ok(Page { documents, next })
    }

    /// See [`crate::store::Store::waiting`].
    pub(super) fn waiting(
        &self,
        sources: &Sources,
        since: &Checkpoint,
    ) -> Result<Waiting, StoreError> {
        let since = seq(since);
        let mut waiting = Waiting::default();
        for (segment, fits) in self.fitting(sources)? {
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
        let mut term = String::new();
        schema::term(&fact.path(), &window.entity, &mut term);
        let term = tantivy::Term::from_field_text(self.columns.values, &term);
        let mut found: Vec<(i64, u64, DocAddress)> = Vec::new();
        for (segment, fits) in self.fitting(&Sources::all())? {
            let index = segment
                .reader
                .inverted_index(self.columns.values)
                .map_err(error::read)?;
            let Some(mut postings) = index
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(error::read_io)?
            else {
                continue;
            };
            while postings.doc() != TERMINATED {
                let doc = postings.doc();
                postings.advance();
                if let (Some(time), Some(seq)) = (segment.time.first(doc), segment.seq.first(doc))
                    && (window.from..=window.to).contains(&time)
                    && segment.is_alive(doc)
                    && segment.fits(doc, &fits)
                {
                    found.push((time, seq, segment.address(doc)));
                }
            }
        }
        found.sort_unstable();
        self.documents(found.into_iter().map(|(_, _, at)| at))
    }

    /// All segments, each with the indices (by their number in it) that the feed of these sources
    /// holds.
    fn fitting(&self, sources: &Sources) -> Result<Vec<(Segment<'_>, Vec<bool>)>, StoreError> {
        self.segments()?
            .into_iter()
            .map(|segment| {
                let fits = segment.fitting(|index| sources.feed(index))?;
                Ok((segment, fits))
            })
            .collect()
    }
}

fn seq(checkpoint: &Checkpoint) -> u64 {
    checkpoint.0.get(SHARD).copied().unwrap_or(0)
}

fn is_alive(alive: Option<&AliveBitSet>, doc: DocId) -> bool {
    alive.is_none_or(|alive| alive.is_alive(doc))
}

/// One segment with its columns.
pub(super) struct Segment<'a> {
    number: u32,
    pub(super) reader: &'a SegmentReader,
    pub(super) seq: Column<u64>,
    pub(super) time: Column<i64>,
    index: Option<tantivy::columnar::StrColumn>,
}

impl<'a> Segment<'a> {
    fn new(number: usize, reader: &'a SegmentReader) -> Result<Self, StoreError> {
        let columns = reader.fast_fields();
        Ok(Self {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            reader,
            seq: columns.u64(Columns::SEQ).map_err(error::read)?,
            time: columns
                .column_opt(Columns::TIME)
                .map_err(error::read)?
                .unwrap_or_else(|| Column::build_empty_column(reader.max_doc())),
            index: columns.str(Columns::INDEX).map_err(error::read)?,
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

    /// The names of the indices, by their number in this segment.
    fn indices(&self) -> Result<Vec<String>, StoreError> {
        let Some(column) = &self.index else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for number in 0..column.num_terms() as u64 {
            let mut name = String::new();
            column
                .ord_to_str(number, &mut name)
                .map_err(error::read_io)?;
            names.push(name);
        }
        Ok(names)
    }

    /// Which indices, by their number in this segment, are wanted.
    pub(super) fn fitting(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<bool>, StoreError> {
        Ok(self.indices()?.iter().map(|index| wanted(index)).collect())
    }

    /// Whether the document was not replaced.
    pub(super) fn is_alive(&self, doc: DocId) -> bool {
        is_alive(self.reader.alive_bitset(), doc)
    }

    /// Whether the document's index is one of those that [`Segment::fitting`] chose.
    pub(super) fn fits(&self, doc: DocId, fits: &[bool]) -> bool {
        self.index
            .as_ref()
            .and_then(|column| column.ords().first(doc))
            .and_then(|number| fits.get(usize::try_from(number).ok()?))
            .copied()
            .unwrap_or(false)
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
