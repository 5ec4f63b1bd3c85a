//! Sets in the layout of BEIR: a corpus, queries, and judgements of which entry answers which query. What enters is such a
//! folder and an empty index, what leaves is a report. The corpus goes through the product's own chunking and index.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde::Deserialize;

use super::report::{Report, Row};
use super::{IN_FLIGHT, INGEST_TIME, elapsed_ms};
use crate::app::App;
use crate::document::{DocumentId, DocumentName, DocumentVersion, Embedding, Passage, Principal, content_hash};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Query;
use crate::index::evaluate::{Ranking, Relevance};
use crate::index::segments::segment::Row as IndexRow;
use crate::index::segments::writer::Upsert;
use crate::ingest::chunk::{ChunkSettings, chunk};
use crate::ingest::embed::Embedder;
use crate::ingest::formats::{Block, BlockKind, Extracted};

/// Entries that are read, cut and committed together: few enough for memory, enough that commits hardly count.
const BATCH: usize = 10_000;

/// A set that was read, but for its corpus, which is read while it is indexed.
pub struct Set {
    corpus: PathBuf,
    /// The judged queries: id, words, and what each should find.
    queries: Vec<(String, String, Relevance)>,
}

/// A line of `corpus.jsonl` or `queries.jsonl`.
#[derive(Deserialize)]
struct Entry {
    _id: String,
    #[serde(default)]
    title: String,
    text: String,
}

impl Set {
    /// Reads the queries and the judgements `qrels/<split>.tsv`. Queries without a positive judgement are left out: nothing
    /// could be found for them.
    pub fn read(folder: &Path, split: &str) -> Result<Self> {
        let judged = judgements(&folder.join("qrels").join(format!("{split}.tsv")))?;
        let mut words: HashMap<String, String> = HashMap::new();
        let path = folder.join("queries.jsonl");
        for (line, number) in lines(&path)?.zip(1..) {
            let entry = entry(&path, number, line)?;
            words.insert(entry._id, entry.text);
        }
        let mut queries = Vec::new();
        for (id, relevance) in judged {
            let text = words.remove(&id).ok_or_else(|| refused(&path, &format!("the judged query {id} is missing")))?;
            if relevance.values().any(|gain| *gain > 0) {
                queries.push((id, text, relevance));
            }
        }
        Ok(Self { corpus: folder.join("corpus.jsonl"), queries })
    }
}

/// Fills the index with the corpus and looks for every query; with embeddings when the parts have a model. Here no
/// embedding may be missing, or the figures would be of something else: a model that fails ends the evaluation.
pub async fn evaluate(app: &App, set: &Set, top: usize, bar: &ProgressBar) -> Result<Report> {
    let began = Instant::now();
    let ids = fill(app, set, bar).await?;
    let index_ms = elapsed_ms(began);
    let embeddings = embed_queries(app.ingest.embedder.as_ref(), set, bar).await?;
    bar.reset();
    bar.set_length(set.queries.len() as u64);
    bar.set_message("asking");
    let began = Instant::now();
    let asked = set.queries.iter().zip(embeddings);
    let rows = futures_util::stream::iter(asked).map(async |((id, text, relevance), embedding)| {
        let query = Query { embedding, ..Query::words(text, top) };
        let ranking = rank(app, &ids, id, query).await?;
        bar.inc(1);
        Ok::<_, Error>(Row { query: id.clone(), ..Row::default() }.ranked(&ranking, relevance))
    });
    let rows = rows.buffered(IN_FLIGHT).try_collect().await?;
    let status = app.index.status().await?;
    let (documents, passages, retrieval) = (status.documents, status.passages, app.retriever.describe());
    Ok(Report { documents, passages, retrieval, top, model: None, index_ms, ask_ms: elapsed_ms(began), rows })
}

/// An embedding for each query; none for any without a model.
async fn embed_queries(embedder: Option<&Embedder>, set: &Set, bar: &ProgressBar) -> Result<Vec<Option<Embedding>>> {
    let Some(embedder) = embedder else { return Ok(vec![None; set.queries.len()]) };
    bar.set_message("embedding the queries");
    let texts: Vec<String> = set.queries.iter().map(|(_, text, _)| text.clone()).collect();
    let embedded = embedder.model().embed(&texts, (Instant::now() + INGEST_TIME).into()).await?;
    Ok(embedded.embeddings.into_iter().map(Some).collect())
}

/// Indexes the corpus and says which entry is behind which document.
async fn fill(app: &App, set: &Set, bar: &ProgressBar) -> Result<HashMap<DocumentId, String>> {
    let path = &set.corpus;
    bar.set_length(lines(path)?.count() as u64);
    bar.set_message("indexing");
    let (mut corpus, mut ids, mut number) = (lines(path)?, HashMap::new(), 0);
    loop {
        let batch: Vec<_> = corpus.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(ids);
        }
        let mut entries = Vec::with_capacity(batch.len());
        for line in batch {
            number += 1;
            entries.push(entry(path, number, line)?);
        }
        let chunking = app.config.ingest.chunk.clone();
        let cut = tokio::task::spawn_blocking(move || {
            entries.into_iter().map(|entry| upsert(entry, &chunking)).collect::<Result<Vec<_>>>()
        });
        let mut cut =
            cut.await.map_err(|e| Error::new(ErrorKind::Internal, "cutting was interrupted").caused_by(e))??;
        if let Some(embedder) = &app.ingest.embedder {
            embed(embedder, &mut cut, bar).await?;
            bar.set_message("indexing");
        }
        // All at once, so that the index commits them together.
        let with_text = cut.into_iter().filter(|(_, upsert)| !upsert.rows.is_empty());
        try_join_all(with_text.map(|(id, upsert)| {
            ids.insert(DocumentId::of(&upsert.name), id);
            app.index.upsert(upsert)
        }))
        .await?;
        bar.set_position(number);
    }
}

/// Gives the passages of all documents their embeddings.
async fn embed(embedder: &Embedder, documents: &mut [(String, Upsert)], bar: &ProgressBar) -> Result<()> {
    let rows = || documents.iter().flat_map(|(_, upsert)| &upsert.rows);
    let passages: Vec<Passage> = rows().map(|row| row.passage.clone()).collect();
    let done = AtomicUsize::new(0);
    let progress = |more: usize| {
        let done = done.fetch_add(more, Ordering::Relaxed) + more;
        bar.set_message(format!("embedding, {done} of {} passages", passages.len()));
    };
    let outcome = embedder.embed(&passages, (Instant::now() + INGEST_TIME).into(), &progress).await;
    let rows = documents.iter_mut().flat_map(|(_, upsert)| &mut upsert.rows);
    for (row, embedding) in rows.zip(outcome.embeddings?) {
        row.embedding = Some(embedding);
    }
    Ok(())
}

/// An entry as the document it would be: its title as the heading of its text. An entry without any text has no rows.
fn upsert(entry: Entry, chunking: &ChunkSettings) -> Result<(String, Upsert)> {
    // Not the id itself: the words of a name are searched too, and a query must not find an entry by its number.
    let name = DocumentName::parse(DocumentId::of_raw(&entry._id).as_str())?;
    let block = |kind, text: &str| Block { kind, text: text.to_owned(), page: None, place: None };
    let blocks = [block(BlockKind::Heading(1), entry.title.trim()), block(BlockKind::Paragraph, entry.text.trim())];
    let extracted = Extracted {
        title: Some(entry.title.trim().to_owned()),
        pages: None,
        blocks: blocks.into_iter().filter(|block| !block.text.is_empty()).collect(),
        remark: None,
    };
    let readers = vec![Principal::EVERYONE.to_owned()];
    let passages = chunk(&name, &extracted, chunking);
    let rows =
        passages.into_iter().map(|passage| IndexRow { passage, readers: readers.clone(), embedding: None }).collect();
    let etag = content_hash(format!("{}\n{}", entry.title, entry.text).as_bytes());
    let version = DocumentVersion { modified: chrono::DateTime::UNIX_EPOCH, etag };
    Ok((
        entry._id,
        Upsert {
            name,
            version,
            content_hash: String::new(),
            category: None,
            recipe: "evaluation".to_owned(),
            forced: false,
            rows,
        },
    ))
}

/// Entries, best first. As BEIR does, an entry that is the query itself is left out.
async fn rank(app: &App, ids: &HashMap<DocumentId, String>, id: &str, mut query: Query) -> Result<Ranking> {
    let top = query.limit;
    // Several passages of one entry take several places, so that it takes more of them to fill the ranking.
    query.limit += 1;
    let reranks = app.config.rerank.is_some();
    loop {
        let mut hits = app.index.search(&Principal::anonymous(), &query).await?.hits;
        if reranks && !app.retriever.rerank(&query.text, &mut hits).await {
            return Err(Error::new(
                ErrorKind::ModelFailed,
                "a query got no second look, because the reranker did not answer",
            ));
        }
        let found = hits.iter().filter_map(|hit| ids.get(&hit.passage.document_id)).filter(|found| *found != id);
        let ranking = Ranking::best_first(found.cloned()).cut(top);
        if ranking.len() == top || hits.len() < query.limit {
            return Ok(ranking);
        }
        query.limit *= 2;
    }
}

/// Judgements by query: `query-id`, `corpus-id`, `score`, parted by tabs, under a line of names. Less than 0 is 0.
fn judgements(path: &Path) -> Result<BTreeMap<String, Relevance>> {
    let mut judged: BTreeMap<String, Relevance> = BTreeMap::new();
    for (line, number) in lines(path)?.zip(1..).skip(1) {
        let line = line.map_err(|e| refused(path, "it cannot be read").caused_by(e))?;
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        let score = columns.get(2).and_then(|score| score.parse::<i64>().ok());
        match (columns.as_slice(), score) {
            ([query, entry, _], Some(score)) => {
                let gain = u32::try_from(score.max(0)).unwrap_or(u32::MAX);
                judged.entry((*query).to_owned()).or_default().insert((*entry).to_owned(), gain);
            }
            ([""], _) => {}
            _ => return Err(refused(path, &format!("line {number} is not query, entry and score"))),
        }
    }
    if judged.is_empty() { Err(refused(path, "there is no judgement in it")) } else { Ok(judged) }
}

fn lines(path: &Path) -> Result<Lines<BufReader<File>>> {
    let file = File::open(path).map_err(|e| refused(path, "it cannot be read").caused_by(e))?;
    Ok(BufReader::new(file).lines())
}

fn entry(path: &Path, number: u64, line: std::io::Result<String>) -> Result<Entry> {
    let line = line.map_err(|e| refused(path, "it cannot be read").caused_by(e))?;
    serde_json::from_str(&line)
        .map_err(|e| refused(path, &format!("line {number} has no `_id` and `text`")).caused_by(e))
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("cannot use {}: {why}", path.display()))
}
