//! The long-lived parts of the product, wired once and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::access::Access;
use crate::access::budget::Budget;
use crate::access::limits::Limits;
use crate::actions::Actions;
use crate::actions::proposals::Proposals;
use crate::actions::report::Reports;
use crate::audit::Audit;
use crate::backup::Backups;
use crate::cache::Cache;
use crate::cache::redis::Redis;
use crate::chat::kept::KeptAnswers;
use crate::chat::retriever::Retriever;
use crate::chat::rewrite::Rewriter;
use crate::chat::tools::{DocumentsAsked, ListDocuments, ListedDocument, Listing, Toolbox};
use crate::chat::{Chat, ChatSettings};
use crate::clock::Clock;
use crate::config::{BlobHome, Config, RecordHome};
use crate::conversations::Conversations;
use crate::conversations::once::Once;
use crate::document::Principal;
use crate::error::Result;
use crate::index::Index;
use crate::index::azure_search::AzureSearchIndex;
use crate::index::segments::{SegmentIndex, SegmentSettings};
use crate::ingest::embed::Embedder;
use crate::ingest::extract::Extractor;
use crate::ingest::fetch::{FetchSettings, Fetcher, Laboratory};
use crate::ingest::ledger::{Ledger, LedgerRow, State};
use crate::ingest::locks::NameLocks;
use crate::ingest::pipeline::Ingest;
use crate::models::ChatModel;
use crate::models::embedding::EmbeddingModel;
use crate::models::openai::{OpenAiEmbeddings, OpenAiModel};
use crate::models::rerank::Reranker;
use crate::privacy::Privacy;
use crate::stores::blobs::BlobStore;
use crate::stores::blobs::azure::AzureBlobs;
use crate::stores::blobs::local::LocalBlobs;
use crate::stores::blobs::observed::ObservedBlobs;
use crate::stores::records::RecordStore;
use crate::stores::records::cosmos::CosmosRecords;
use crate::stores::records::observed::ObservedRecords;
use crate::stores::records::sqlite::SqliteRecords;

/// Everything a function can call.
pub struct App {
    /// What the product was told from outside.
    pub config: Config,
    /// Who is asking, and may they.
    pub access: Arc<Access>,
    /// How much anybody may ask for.
    pub limits: Arc<Limits>,
    /// Tokens that callers may spend; as many as they like without.
    pub budget: Option<Arc<Budget>>,
    /// Where documents are.
    pub documents: Arc<dyn BlobStore>,
    /// Where small facts are.
    pub records: Arc<dyn RecordStore>,
    /// Where passages are found.
    pub index: Arc<Index>,
    /// How documents become passages.
    pub ingest: Ingest,
    /// Copies of index and records.
    pub backups: Backups,
    /// How pages and files come from the web.
    pub fetcher: Fetcher,
    /// How passages are found for a question.
    pub retriever: Arc<Retriever>,
    /// How questions become answers.
    pub chat: Arc<Chat>,
    /// What was asked and answered.
    pub conversations: Conversations,
    /// What makes repeated requests one.
    pub once: Once,
    /// What was done by whom.
    pub audit: Audit,
    /// What may be done beyond answering, when somebody confirms it.
    pub actions: Arc<Actions>,
    /// What instances share beside the stores, where there is one.
    pub redis: Option<Arc<Redis>>,
    /// The time.
    pub clock: Clock,
}

impl App {
    /// Wires the parts. Opens what lies on this machine; calls nobody over the network.
    pub fn from_config(config: Config, clock: Clock) -> Result<Self> {
        if config.host_port.is_some() && matches!(config.documents, BlobHome::Folder(_)) {
            warn!(
                "no storage account is named: documents and index are in a folder, and go with this instance if it is a temporary one"
            );
        }
        let documents = open_documents(&config)?;
        let records = open_records(&config, &clock)?;
        let index = Arc::new(open_index(&config, &clock)?);
        let embeddings = config.embedding.clone().map(OpenAiEmbeddings::open).transpose()?;
        let embeddings = embeddings.map(|server| Arc::new(EmbeddingModel::open_ai(server)));
        let embedder = |model: &Arc<EmbeddingModel>| {
            Embedder::new(Arc::clone(model), Arc::clone(&records), config.embedding_price)
        };
        let ingest = Ingest {
            documents: Arc::clone(&documents),
            ledger: Ledger::new(Arc::clone(&records), clock.clone(), config.ingest.lease),
            index: Arc::clone(&index),
            extractor: Arc::new(Extractor::new(config.extract.clone())),
            embedder: embeddings.as_ref().map(embedder),
            settings: config.ingest.clone(),
            clock: clock.clone(),
            locks: NameLocks::default(),
        };
        let reranker = config.rerank.clone().map(|settings| Ok((Reranker::open(settings.server)?, settings.passages)));
        let reranker = reranker.transpose()?;
        let redis = config.cache.redis.clone().map(|settings| Arc::new(Redis::new(settings)));
        let limits = Arc::new(Limits::new(config.limits.clone(), redis.clone()));
        let budget = open_budget(&config, &records, &clock);
        let cache = Arc::new(Cache::new(config.cache.memory_bytes, redis.clone()));
        let retriever = Retriever::new(Arc::clone(&index), embeddings, reranker, config.answer_timeout);
        let retriever = Arc::new(match config.cache.search_time {
            Duration::ZERO => retriever,
            time => retriever.keeping(Arc::clone(&cache), time),
        });
        let audit = Audit::new(Arc::clone(&records), clock.clone(), config.audit_time);
        let proposals = Proposals::new(config.actions.clone(), Arc::clone(&records), clock.clone(), audit.clone());
        let tools = Toolbox::new(list_documents(ingest.ledger.clone()), proposals.tools());
        let chat = Arc::new(open_chat(&config, &retriever, cache, tools)?);
        let backups = open_backups(&config, &records, &clock)?;
        let fetcher = Fetcher::new(fetch_settings(&config), Laboratory::default());
        let conversations = Conversations::new(Arc::clone(&records), clock.clone(), config.conversation_time);
        let once = Once::new(Arc::clone(&records), clock.clone(), config.invocation_timeout);
        let reports = Reports::new(open_blobs(&config.reports)?);
        let actions = Actions::new(proposals, Arc::clone(&chat), reports);
        Ok(Self {
            access: Arc::new(Access::new(config.access.clone(), &clock)),
            config,
            limits,
            budget,
            documents,
            records,
            index,
            ingest,
            backups,
            fetcher,
            retriever,
            chat,
            conversations,
            once,
            audit,
            actions: Arc::new(actions),
            redis,
            clock,
        })
    }

    /// Where something about people is kept.
    pub fn privacy(&self) -> Privacy<'_> {
        Privacy {
            conversations: &self.conversations,
            actions: &self.actions,
            ingest: &self.ingest,
            index: &self.index,
            audit: &self.audit,
            budget: self.budget.as_ref(),
            records: &self.records,
        }
    }

    /// The longest that maintenance may work, so that it can still say what it did before the invocation must end.
    pub fn maintenance_time(&self) -> Duration {
        self.config.invocation_timeout.mul_f32(0.8)
    }
}

fn open_blobs(home: &BlobHome) -> Result<Arc<dyn BlobStore>> {
    Ok(match home {
        BlobHome::Folder(folder) => Arc::new(LocalBlobs::open(folder)?),
        BlobHome::Container { account, container } => {
            Arc::new(ObservedBlobs::new(AzureBlobs::open(account, container)))
        }
    })
}

fn open_documents(config: &Config) -> Result<Arc<dyn BlobStore>> {
    match &config.documents {
        BlobHome::Container { account, container } if config.document_tags => {
            Ok(Arc::new(ObservedBlobs::new(AzureBlobs::open(account, container).with_tags())))
        }
        home => open_blobs(home),
    }
}

fn open_records(config: &Config, clock: &Clock) -> Result<Arc<dyn RecordStore>> {
    Ok(match &config.records {
        RecordHome::File => Arc::new(SqliteRecords::open(&config.data.join("records.db"), clock.clone())?),
        RecordHome::Cosmos(settings) => {
            let records = CosmosRecords::new(settings.clone(), clock.clone());
            Arc::new(ObservedRecords::new(records, settings.endpoint.as_str()))
        }
    })
}

fn open_budget(config: &Config, records: &Arc<dyn RecordStore>, clock: &Clock) -> Option<Arc<Budget>> {
    let budget = |a_day| Budget::new(Arc::clone(records), clock.clone(), a_day, config.invocation_timeout);
    Some(config.token_budget).filter(|a_day| *a_day > 0).map(|a_day| Arc::new(budget(a_day)))
}

fn open_backups(config: &Config, records: &Arc<dyn RecordStore>, clock: &Clock) -> Result<Backups> {
    Ok(Backups {
        store: open_blobs(&config.backups)?,
        // What a search service keeps is not ours to copy; it is made anew from the documents.
        index: if config.search.is_none() { Some(open_blobs(&config.index)?) } else { None },
        records: Arc::clone(records),
        clock: clock.clone(),
        keep: config.backup_keep,
    })
}

fn open_index(config: &Config, clock: &Clock) -> Result<Index> {
    let ranking = config.ranking.clone();
    if let Some(settings) = &config.search {
        return Ok(Index::on_azure_search(AzureSearchIndex::new(settings.clone(), clock.clone()), ranking));
    }
    let settings = SegmentSettings {
        cache: config.data.join("cache"),
        refresh: config.index_refresh,
        stale: config.index_stale,
        language: config.language,
    };
    Ok(Index::on_segments(SegmentIndex::new(open_blobs(&config.index)?, settings, clock.clone()), ranking))
}

fn open_chat(config: &Config, retriever: &Arc<Retriever>, cache: Arc<Cache>, tools: Toolbox) -> Result<Chat> {
    let model = match &config.model {
        Some(settings) => ChatModel::OpenAi(OpenAiModel::open(settings.clone())?),
        None => ChatModel::Extractive,
    };
    let time = config.cache.answer_time;
    Ok(Chat {
        retriever: Arc::clone(retriever),
        model,
        settings: chat_settings(config),
        kept: (!time.is_zero()).then_some(KeptAnswers { cache, time }),
        rewriter: Rewriter::new(config.answer_timeout),
        tools,
    })
}

/// The documents of the ledger that can be found, for the tools of a chat model.
fn list_documents(ledger: Ledger) -> ListDocuments {
    Arc::new(move |principal, asked| {
        let ledger = ledger.clone();
        Box::pin(async move {
            let page = ledger.select(None, asked.limit, |row| is_wanted(row, &principal, &asked)).await?;
            let mut documents: Vec<ListedDocument> = page.documents.into_iter().map(listed).collect();
            documents.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Listing { documents, has_more: page.next.is_some() })
        })
    })
}

fn is_wanted(row: &LedgerRow, principal: &Principal, asked: &DocumentsAsked) -> bool {
    let Some(version) = &row.version else { return false };
    let can_be_read = row.state != State::Deleted && row.passages > 0 && principal.may_read(&row.readers);
    let ends_so = |end: &String| {
        let (name, end) = (row.name.to_lowercase(), end.to_lowercase());
        name.strip_suffix(&end).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
    };
    can_be_read
        && asked.name_end.as_ref().is_none_or(ends_so)
        && asked.filter.admits_named(&row.id, &row.name, row.category.as_deref(), version.modified)
}

fn listed(row: LedgerRow) -> ListedDocument {
    let modified = row.version.map(|version| version.modified);
    ListedDocument { id: row.id, name: row.name, category: row.category, modified, pages: row.pages }
}

fn fetch_settings(config: &Config) -> FetchSettings {
    FetchSettings {
        max_bytes: config.ingest.max_document_bytes,
        timeout: config.answer_timeout,
        ports: config.fetch_ports.clone(),
    }
}

fn chat_settings(config: &Config) -> ChatSettings {
    ChatSettings {
        passages: config.chat_passages,
        max_answer_tokens: config.max_answer_tokens,
        context_tokens: config.chat_context_tokens,
        rewrites: config.rewrites_questions,
        tool_rounds: config.tool_rounds,
        prices: config.chat_prices,
        evidence_threshold: config.evidence_threshold,
        evidence_similarity: config.evidence_similarity,
        links: config.links.clone(),
        timeout: config.answer_timeout,
        ..ChatSettings::default()
    }
}
