//! Finding chunks by their words (BM25, by tantivy).
//!
//! Derived from the database: it holds each chunk's number and words, no text. Changes are gathered and
//! written when a search needs them or enough have come. What a crash loses of them is put in again when
//! the index is next opened: its last commit says up to which chunk it came.
//!
//! Not here: filters' meaning, and which of the found chunks still live; callers pass both as a set.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::collector::{FilterCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{
    DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher, TantivyDocument,
    Term,
};

use super::failure::Failure;
use super::truth::Truth;
use super::words::{self, Words};

/// Memory for changes that are not written yet, in bytes. Less is refused by the engine below 15 MB.
const MEMORY_BYTES: usize = 24 << 20;
/// Chunks that may wait to be written. It bounds what the next start after a crash has to do again.
const WAITING_MAX: usize = 20_000;
/// Different words of a question that are searched; of more, the rarest. A question of so many words is
/// a document, and its common words would cost most and tell least.
const WORDS_MAX: usize = 64;

const CHUNK: &str = "chunk";
const WORDS: &str = "words";

/// An open text index.
pub(super) struct Text {
    index: Index,
    reader: IndexReader,
    /// Open only while there are changes; it costs threads and memory.
    writer: Option<IndexWriter>,
    chunk: Field,
    words: Field,
    /// Changes that no search sees yet.
    waiting: usize,
    /// The highest chunk that was ever put in.
    through: Option<u32>,
}

/// What a search of words needs, without any lock.
pub(super) struct Found {
    searcher: Searcher,
    words: Field,
}

impl Text {
    /// Opens the text index of a folder and brings it to where the database is. One that is damaged or
    /// of other rules is built anew.
    pub(super) fn open(
        folder: &Path,
        truth: &Truth,
        live: &RoaringBitmap,
    ) -> Result<Self, Failure> {
        let place = folder.join(format!("words-{}", words::VERSION));
        let mut text = match Self::at(&place) {
            Ok(text) => text,
            Err(failure) => {
                tracing::warn!(folder = %place.display(), %failure, "text index built anew");
                fs::remove_dir_all(&place).map_err(Failure::file(&place))?;
                Self::at(&place)?
            }
        };
        text.catch_up(truth, live)?;
        Ok(text)
    }

    fn at(place: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(place).map_err(Failure::file(place))?;
        let mut schema = Schema::builder();
        let chunk = schema.add_u64_field(CHUNK, FAST | INDEXED);
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(IndexRecordOption::WithFreqs);
        let words =
            schema.add_text_field(WORDS, TextOptions::default().set_indexing_options(indexing));
        let directory = MmapDirectory::open(place).map_err(tantivy::TantivyError::from)?;
        let index = Index::open_or_create(directory, schema.build())?;
        index
            .tokenizers()
            .register(WORDS, TextAnalyzer::from(Words::default()));
        let through = index
            .load_metas()?
            .payload
            .and_then(|payload| payload.parse().ok());
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self {
            index,
            reader,
            writer: None,
            chunk,
            words,
            waiting: 0,
            through,
        })
    }

    /// Puts in what came after the last commit, takes out what has gone.
    fn catch_up(&mut self, truth: &Truth, live: &RoaringBitmap) -> Result<(), Failure> {
        let mut gone = Vec::new();
        for segment in self.reader.searcher().segment_readers() {
            let numbers = segment.fast_fields().u64(CHUNK)?;
            for document in segment.doc_ids_alive() {
                if let Some(number) = numbers.first(document)
                    && !u32::try_from(number).is_ok_and(|number| live.contains(number))
                {
                    gone.push(number);
                }
            }
        }
        for number in gone {
            self.remove_number(number)?;
        }
        let above = self.through;
        if live.max().is_some_and(|last| Some(last) > above) {
            truth.each_text(above, |chunk, text| self.add(chunk, text))?;
        }
        self.refresh()
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, Failure> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(self.index.writer_with_num_threads(1, MEMORY_BYTES)?)),
        }
    }

    /// Puts in a chunk. Chunks come with rising numbers.
    pub(super) fn add(&mut self, chunk: u32, text: &str) -> Result<(), Failure> {
        let mut document = TantivyDocument::new();
        document.add_u64(self.chunk, u64::from(chunk));
        document.add_text(self.words, text);
        self.writer()?.add_document(document)?;
        self.through = Some(chunk);
        self.changed()
    }

    /// Takes out a chunk.
    pub(super) fn remove(&mut self, chunk: u32) -> Result<(), Failure> {
        self.remove_number(u64::from(chunk))
    }

    fn remove_number(&mut self, number: u64) -> Result<(), Failure> {
        let term = Term::from_field_u64(self.chunk, number);
        self.writer()?.delete_term(term);
        self.changed()
    }

    fn changed(&mut self) -> Result<(), Failure> {
        self.waiting += 1;
        if self.waiting >= WAITING_MAX {
            self.refresh()?;
        }
        Ok(())
    }

    /// Writes what waits, so that searches see it and no crash loses it.
    fn refresh(&mut self) -> Result<(), Failure> {
        if self.waiting > 0 {
            let through = self.through;
            let mut commit = self.writer()?.prepare_commit()?;
            if let Some(through) = through {
                commit.set_payload(&through.to_string());
            }
            commit.commit()?;
            self.reader.reload()?;
            self.waiting = 0;
        }
        Ok(())
    }

    /// The index as it is now.
    pub(super) fn now(&mut self) -> Result<Found, Failure> {
        self.refresh()?;
        Ok(Found {
            searcher: self.reader.searcher(),
            words: self.words,
        })
    }

    /// As [`Text::rest`], but waits for no merging of the engine's files, which may take long: what is
    /// given up of it is done after the next start.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        self.refresh()?;
        self.writer = None;
        Ok(())
    }

    /// Gives back the threads and memory of writing.
    pub(super) fn rest(&mut self) -> Result<(), Failure> {
        self.refresh()?;
        if let Some(writer) = self.writer.take() {
            writer.wait_merging_threads()?;
        }
        Ok(())
    }
}

impl Found {
    /// The best chunks for a question's words, with their scores; `allowed` says which may be found.
    pub(super) fn search(
        &self,
        question: &str,
        limit: usize,
        allowed: Option<Arc<RoaringBitmap>>,
    ) -> Result<Vec<(u32, f64)>, Failure> {
        let words = self.rarest(question)?;
        if words.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let words = words
            .into_iter()
            .map(|term| {
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                (Occur::Should, Box::new(query) as Box<dyn Query>)
            })
            .collect();
        let query = BooleanQuery::new(words);
        let best = TopDocs::with_limit(limit).order_by_score();
        let found = match allowed {
            None => self.searcher.search(&query, &best)?,
            Some(allowed) => {
                let passes = move |number: u64| {
                    u32::try_from(number).is_ok_and(|number| allowed.contains(number))
                };
                let best = FilterCollector::new(CHUNK.to_owned(), passes, best);
                self.searcher.search(&query, &best)?
            }
        };
        self.numbers(found)
    }

    /// The words of a question that occur at all, at most [`WORDS_MAX`] of them.
    fn rarest(&self, question: &str) -> Result<Vec<Term>, Failure> {
        let mut words = BTreeSet::new();
        words::for_each(question, |word| {
            words.insert(Term::from_field_text(self.words, word));
        });
        let mut counted = Vec::with_capacity(words.len());
        for word in words {
            let chunks = self.searcher.doc_freq(&word)?;
            if chunks > 0 {
                counted.push((chunks, word));
            }
        }
        counted.sort_unstable();
        counted.truncate(WORDS_MAX);
        Ok(counted.into_iter().map(|(_, word)| word).collect())
    }

    fn numbers(&self, found: Vec<(Score, DocAddress)>) -> Result<Vec<(u32, f64)>, Failure> {
        let mut numbers = Vec::with_capacity(found.len());
        for (score, address) in found {
            let segment = self.searcher.segment_reader(address.segment_ord);
            let number = segment.fast_fields().u64(CHUNK)?.first(address.doc_id);
            if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
                numbers.push((number, f64::from(score)));
            }
        }
        Ok(numbers)
    }
}
