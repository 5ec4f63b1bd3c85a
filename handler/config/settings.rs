//! The one table of settings: name, default, what it is for. Whatever lists settings, in the README, in
//! `local.settings.example.json` or on the command line, is made from it.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Used when the variable is absent or empty; none means: the feature is off, or the text says what happens.
    pub default: Option<&'static str>,
    /// A secret is never shown.
    pub secret: bool,
    /// One sentence for a person.
    pub help: &'static str,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default: Some(default), secret: false, help }
}

const fn unset(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: true, help }
}

/// Every setting, in the order in which a person would meet them.
pub const SETTINGS: &[Setting] = &[
    plain(
        "ENVIRONMENT",
        "dev",
        "`dev`, `staging` or `prod`. `prod` refuses to start with `AUTH=off`, and documents that say nothing are for nobody there.",
    ),
    plain(
        "AUTH",
        "off",
        "How callers show who they are: `entra`, `shared-key`, `easy-auth`, or several with commas between them, of which the first that fits a request counts; `off` lets everybody in and asks nobody, and is refused in a Function App of Azure.",
    ),
    unset(
        "ENTRA_TENANT_ID",
        "The tenant that people come from, a GUID, or several with commas between them. Users and groups that are named without a tenant are of the first.",
    ),
    unset(
        "ENTRA_AUDIENCE",
        "Whom tokens of Entra ID must be for: the client id of this product's application, and its application id URI for tokens of version 1.",
    ),
    plain(
        "ENTRA_AUTHORITY",
        "https://login.microsoftonline.com",
        "Where tenants sign in; another address in other clouds.",
    ),
    unset(
        "REQUIRED_SCOPE",
        "The scope that a user's token of Entra ID must hold, for example `access_as_user`. Default: any scope of the audience.",
    ),
    secret("SECRET_KEY", "The key of tokens with `AUTH=shared-key` (HS256), at least 32 bytes."),
    secret("SECRET_KEY_PREVIOUS", "The key before it, still accepted while it is being replaced."),
    plain(
        "ROLE_READER",
        "KnowledgeWorker.Reader",
        "What the role is called in tokens that lets people ask, search and read.",
    ),
    plain(
        "ROLE_CONTRIBUTOR",
        "KnowledgeWorker.Contributor",
        "The same of the one that lets them bring documents, and retry and delete their own.",
    ),
    plain(
        "ROLE_OPERATOR",
        "KnowledgeWorker.Operator",
        "The same of the one that lets them run the product: every document they may read, the maintenance report.",
    ),
    plain(
        "DEFAULT_ROLE",
        "reader",
        "The role of people whose token names none of these: `reader`, `contributor`, `operator`, or `none` to refuse them.",
    ),
    unset(
        "PUBLIC_URL",
        "Where callers reach this, `https://…` without a path, as clients are told to sign in. Default: the host name of the Function App, else that of the request.",
    ),
    plain("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`."),
    unset(
        "KNOWLEDGE_WORKER_DATA",
        "Folder of all that the embedded forms keep. Default: `./data`; under the Functions host a folder in the temporary directory.",
    ),
    unset(
        "KNOWLEDGE_WORKER_DOCUMENTS",
        "Folder of the documents when they are local. Default: `documents` in the data folder.",
    ),
    unset(
        "AZURE_CLIENT_ID",
        "The identity to sign in with where an app has several: the client id of a user-assigned one. Default: the system-assigned one.",
    ),
    unset(
        "AZURE_KEY_VAULT_ENDPOINT",
        "Address of the Key Vault in which secrets of the form `keyvault://NAME` are, `https://VAULT.vault.azure.net`.",
    ),
    unset(
        "AZURE_STORAGE_ACCOUNT_NAME",
        "Storage account of documents and index, reached with the identity of the app.",
    ),
    unset(
        "AZURE_STORAGE_BLOB_ENDPOINT",
        "The same by the address of its blob service, for another cloud than the public one or a private name.",
    ),
    secret(
        "AZURE_STORAGE_CONNECTION_STRING",
        "The same with an account key or a shared access signature, for Azurite and local work.",
    ),
    secret(
        "AzureWebJobsStorage",
        "The host's own storage. Under the host it is the home of documents and index when no other is named.",
    ),
    plain("DOCUMENTS_CONTAINER", "documents", "Container of the documents."),
    plain(
        "DOCUMENT_TAGS",
        "off",
        "`on` reads who owns and may read a document, and its category, from the index tags of its blob too, where its metadata does not say it. The identity then needs the role Storage Blob Data Owner on that container.",
    ),
    plain("INDEX_CONTAINER", "knowledge-base", "Container of the index."),
    plain(
        "BACKUP_CONTAINER",
        "backups",
        "Container of the backups; without a storage account they are in `backups` in the data folder.",
    ),
    plain(
        "BACKUP_KEEP",
        "7",
        "Complete backups that are kept; older ones are thrown away. With 0 all are kept and the timer makes none.",
    ),
    unset(
        "AZURE_COSMOS_ENDPOINT",
        "Address of an Azure Cosmos DB account, `https://NAME.documents.azure.com`: records are there then, shared by all instances, and not in a file of this machine.",
    ),
    secret("AZURE_COSMOS_KEY", "The account's key, for an emulator or local work. Default: the identity of the app."),
    plain("AZURE_COSMOS_DATABASE", "knowledge-worker", "The database there."),
    plain("AZURE_COSMOS_CONTAINER", "records", "The container there, with the partition key `/kind`, `/scope`."),
    unset(
        "AZURE_COSMOS_REGION",
        "The Azure region this runs in, for example `West Europe`: nearer replicas are asked first. Default: the account's own order.",
    ),
    plain("MAX_DOCUMENT_SIZE", "10485760", "Bytes; a larger document is refused."),
    plain(
        "MAX_DOCUMENTS_PER_USER",
        "100",
        "Documents that one caller may have uploaded through the API. With `AUTH=off` all share it.",
    ),
    unset(
        "FOLDER_RIGHTS",
        "Who reads the documents of a folder that do not say so themselves, for example `hr/=group:hr-team;public/=everyone`. The longest folder counts; a change acts with the next maintenance.",
    ),
    unset(
        "DEFAULT_READERS",
        "Who reads all other documents that do not say so: `everyone` or `nobody`. Default: `everyone`, in `prod` `nobody`.",
    ),
    plain(
        "FETCH_PORTS",
        "80,443",
        "Ports from which `POST /api/url` may fetch, always from the public internet alone.",
    ),
    plain("MAX_WORKERS", "4", "Documents that are read at once, each in a process of its own."),
    plain("MAX_DOCUMENT_ATTEMPTS", "5", "Attempts at one version of a document before it is quarantined."),
    plain("EXTRACT_TIMEOUT_SECONDS", "30", "Reading one document may take this long."),
    plain("EXTRACT_MEMORY_MB", "512", "Reading one document may use this much memory."),
    plain("MAX_DOCUMENT_PAGES", "2000", "Pages; a longer document is refused."),
    plain("MAX_DOCUMENT_TEXT", "10485760", "Bytes of text; a document that holds more is refused."),
    plain("CHUNK_TOKENS", "300", "Largest passage, in estimated tokens."),
    plain("CHUNK_OVERLAP_TOKENS", "40", "Tokens that neighbouring passages of one section share."),
    plain("INDEX_LANGUAGE", "english", "Language whose word endings are cut off: `english`, `german`, …, or `none`."),
    plain("INDEX_REFRESH_SECONDS", "2", "An instance may miss the changes of another one for this long."),
    plain(
        "INDEX_STALE_SECONDS",
        "300",
        "While storage fails, questions are answered from the passages at hand for this long after storage was last asked; 0 answers none. Documents that another instance removed or took from readers meanwhile may be seen for as long.",
    ),
    plain("RETRIEVAL_WORDS_WEIGHT", "1", "What the ranking by words counts where two rankings are joined."),
    plain("RETRIEVAL_VECTORS_WEIGHT", "1", "What the ranking by embeddings counts there."),
    plain(
        "VECTOR_OVER_SAMPLING",
        "2",
        "How many embeddings are looked at again after the first look at one bit a number, as standard errors of that look: 1 is fast, 3 misses nothing.",
    ),
    unset(
        "AZURE_SEARCH_ENDPOINT",
        "Address of an Azure AI Search service, `https://NAME.search.windows.net`: the index is there then, and not on blob storage.",
    ),
    plain(
        "AZURE_SEARCH_INDEX",
        "knowledge-worker",
        "Its index: an alias of this name, behind which stand `…-v1` and its successors.",
    ),
    secret("AZURE_SEARCH_API_KEY", "An admin key of the service. Without one the identity of the app signs in."),
    plain(
        "AZURE_SEARCH_SEMANTIC_RANKER",
        "off",
        "`on` lets the service rank what it found again by meaning, which it charges for.",
    ),
    unset(
        "AZURE_OPENAI_ENDPOINT",
        "Address of an Azure OpenAI resource. Without it and without `OPENAI_BASE_URL`, answers are extractive.",
    ),
    secret("AZURE_OPENAI_API_KEY", "Its key. Without one the identity of the app signs in."),
    unset(
        "AZURE_OPENAI_FALLBACK_ENDPOINTS",
        "Addresses of further resources with the same deployments, with commas between them: they serve, in this order, while the first is down, busy or slow.",
    ),
    secret(
        "AZURE_OPENAI_FALLBACK_API_KEYS",
        "Their keys, in the same order. Without them the identity of the app signs in.",
    ),
    unset("AZURE_OPENAI_CHAT_DEPLOYMENT", "The deployment of a chat model."),
    unset(
        "AZURE_OPENAI_API_VERSION",
        "Uses the older address form of deployments with this version, instead of `/openai/v1`.",
    ),
    unset("OPENAI_BASE_URL", "Address of any server with the OpenAI API, for example `http://127.0.0.1:11434/v1`."),
    secret("OPENAI_API_KEY", "Its key, if it wants one."),
    unset("OPENAI_FALLBACK_BASE_URLS", "Further servers with the same models, that serve while the first does not."),
    secret("OPENAI_FALLBACK_API_KEYS", "Their keys, in the same order."),
    unset("OPENAI_MODEL", "The model to ask for there."),
    unset(
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        "The deployment of an embedding model. With one, passages are found by meaning beside words.",
    ),
    unset(
        "AZURE_OPENAI_EMBEDDING_ENDPOINT",
        "Address of the Azure OpenAI resource with that deployment. Default: `AZURE_OPENAI_ENDPOINT`.",
    ),
    secret(
        "AZURE_OPENAI_EMBEDDING_API_KEY",
        "Its key. Default: `AZURE_OPENAI_API_KEY`, unless the address is another one; then the identity of the app.",
    ),
    unset(
        "OPENAI_EMBEDDING_MODEL",
        "The same with any server that has the OpenAI API: the embedding model to ask for, for example `nomic-embed-text`.",
    ),
    unset("OPENAI_EMBEDDING_BASE_URL", "Address of the server with that model. Default: `OPENAI_BASE_URL`."),
    secret("OPENAI_EMBEDDING_API_KEY", "Its key. Default: `OPENAI_API_KEY`, unless the address is another one."),
    unset(
        "EMBEDDING_DIMENSIONS",
        "Length of the vectors to ask for, for models that know several. Default: what the model gives.",
    ),
    unset(
        "EMBEDDING_PRICE_PER_MILLION",
        "Price of a million tokens of the embedding model, in the currency you like. With it, documents show what they cost.",
    ),
    unset(
        "CHAT_PRICE_INPUT",
        "Price of a million tokens that the chat model is given. With this one and the next, answers say what they cost.",
    ),
    unset("CHAT_PRICE_OUTPUT", "Price of a million tokens that it answers with."),
    unset(
        "RERANK_BASE_URL",
        "Address of a server that puts passages in order, `/rerank` is added to it: vLLM, llama.cpp, Infinity, `https://api.jina.ai/v1`, `https://api.cohere.com/v2`.",
    ),
    secret("RERANK_API_KEY", "Its key, if it wants one."),
    unset("RERANK_MODEL", "The reranking model to ask for there."),
    plain("RERANK_PASSAGES", "30", "Passages that it looks at."),
    plain(
        "CACHE_SEARCH_SECONDS",
        "600",
        "What a search found is given again for this long, as long as the index and the rights of who asks are the same; 0 keeps nothing.",
    ),
    plain("CACHE_ANSWER_SECONDS", "300", "The same for answers."),
    plain("CACHE_MEMORY_MB", "8", "Memory that both may take together."),
    secret(
        "REDIS_URL",
        "`rediss://HOST:PORT` of a Redis where instances share what they keep. It is never needed: while it is down, each keeps its own.",
    ),
    unset(
        "REDIS_USERNAME",
        "The user to sign in as. Default: the object id of the app's identity; with a password, Redis's own default.",
    ),
    secret(
        "REDIS_PASSWORD",
        "A password or access key. Without one the identity of the app signs in at a `rediss://` address.",
    ),
    plain(
        "CONVERSATION_DAYS",
        "30",
        "Questions and answers of a conversation, and what was said of them, are kept this long; 0 keeps none.",
    ),
    unset("EXAMPLE_QUESTIONS", "Questions that the page offers to begin with, with `;` between them."),
    plain("CHAT_PASSAGES", "6", "Passages that an answer may rest on."),
    plain("MAX_MESSAGE_LENGTH", "1000", "Characters of a question."),
    plain(
        "STRICT_INPUT",
        "off",
        "`on` refuses questions with `<script`, `javascript:` or `data:`, for places whose rules ask for it. Innocent questions hold such words too.",
    ),
    plain("MAX_ANSWER_TOKENS", "800", "Tokens a model may answer with."),
    plain(
        "CHAT_CONTEXT_TOKENS",
        "8000",
        "Tokens, by estimate, of all that the chat model is given and answers at once. Where there is too much, the oldest words of a conversation and the weakest passages are left out.",
    ),
    plain(
        "TOOLS",
        "on",
        "`on` lets the chat model use tools that read while it answers: search again, read a whole document, list documents; `off` does not. A server that refuses them is asked without.",
    ),
    plain("MAX_TOOL_ROUNDS", "3", "How often it may use them before it has to answer."),
    plain(
        "REWRITE_QUESTIONS",
        "on",
        "`on` has the chat model put a question of a conversation into words that can be searched alone, for 3 seconds at most; `off` searches it as it is, or with the one before it.",
    ),
    plain(
        "EVIDENCE_THRESHOLD",
        "0.5",
        "Share of a question's weighted words that the passages must hold, else the answer is that nobody knows.",
    ),
    unset(
        "EVIDENCE_SIMILARITY",
        "Cosine of question and passage, from 0 to 1, that is enough without those words when a chat model answers: depends on the embedding model, measure it. Not with a search service. Default: words alone decide.",
    ),
    unset(
        "LINK_ALLOWLIST",
        "Hosts that links in an answer may lead to, with commas between them; `*.contoso.com` for all below one. Default: none, and a link is its text.",
    ),
    plain("TIMEOUT_SECONDS", "30", "An answer may take this long, and so may fetching a page."),
    plain(
        "INVOCATION_TIMEOUT_SECONDS",
        "240",
        "An invocation ends itself after this long; must be shorter than `functionTimeout` in host.json.",
    ),
    plain(
        "WRITE_TIMEOUT_SECONDS",
        "30",
        "A connection whose other end takes nothing of an answer for this long is closed, and the answer ends.",
    ),
    plain(
        "MAX_INVOCATION_SIZE",
        "134217728",
        "Bytes of an invocation's body; a blob trigger carries the blob in it, a third larger.",
    ),
    plain(
        "SWEEP_SECONDS",
        "30",
        "`handler serve` compares the documents folder with the index this often, besides watching it.",
    ),
    plain(
        "CHAT_RATE_LIMIT_PER_MINUTE",
        "10",
        "Questions a minute of one caller; 0 is no limit. Callers who do not sign in are told apart by address.",
    ),
    plain("RATE_LIMIT_PER_MINUTE", "60", "Other requests a minute of one caller; 0 is no limit."),
    plain(
        "ADDRESS_RATE_LIMIT_PER_MINUTE",
        "600",
        "Requests a minute from one address, before it is known who asks; 0 is no limit.",
    ),
    plain(
        "TOKEN_BUDGET_PER_DAY",
        "1000000",
        "Tokens of the chat model that one caller may spend in a day, counted in UTC; 0 is no limit.",
    ),
    plain("MAX_CONCURRENT_REQUESTS", "512", "Requests that one instance answers at once; 0 is no limit."),
    unset(
        "FORWARDED_HOPS",
        "How many of the last entries of `X-Forwarded-For` proxies of yours have written. Default: 1 under the Functions host, else 0.",
    ),
    unset("FRONT_DOOR_ID", "The id of your Azure Front Door; requests without it in `X-Azure-FDID` are refused."),
    unset(
        "CORS_ORIGINS",
        "Origins of other sites whose pages may call this one, with commas between them. Default: none.",
    ),
    unset(
        "ACTIONS",
        "What an assistant may propose and a person confirm: some of `send_email`, `create_task` and `generate_report`, with commas between them. Default: nothing.",
    ),
    plain("ACTIONS_DRY_RUN", "false", "`true` lets actions be proposed and confirmed, and does nothing."),
    secret(
        "SMTP_URL",
        "The server that takes mail: `smtps://USER:PASSWORD@HOST:465`, or `smtp://…:587` with STARTTLS. Without one the webhook takes it.",
    ),
    unset("MAIL_FROM", "Who mail is from, `Name <name@domain>`."),
    unset(
        "MAIL_ALLOWED_DOMAINS",
        "Domains that mail may go to, with commas between them; `*.contoso.com` for all below one, `*` for any. Default: none.",
    ),
    secret(
        "ACTION_WEBHOOK_URL",
        "Where tasks are posted to, and mail without SMTP_URL: the parameters as JSON, the kind in `X-Action-Type`.",
    ),
    secret(
        "ACTION_WEBHOOK_SECRET",
        "Signs these requests as Standard Webhooks has it: `whsec_` and base64, or any text.",
    ),
    unset(
        "AZURE_FUNCTION_APP_URL",
        "Address of a function app that takes them instead, at `/api/create_task` and `/api/send_email`.",
    ),
    plain(
        "REPORTS_CONTAINER",
        "reports",
        "Container of reports; without a storage account they are in `reports` in the data folder.",
    ),
    plain("AUDIT_DAYS", "365", "What was done by whom is kept this long, for `handler audit export`."),
    unset(
        "AUDIT_ANSWERS",
        "`on` adds to it which passages each answer, search, page and tool of MCP showed to whom: ids, no words. Default: on where callers sign in.",
    ),
    plain(
        "ENABLE_TELEMETRY",
        "auto",
        "`auto` sends traces and metrics when one of the next two says where to, `false` never, `true` insists.",
    ),
    secret(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "Sends them to Application Insights. A Function App has this one by itself once a resource is attached to it.",
    ),
    unset(
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "`Authorization=AAD` signs in there with the identity of the app, for resources that take no other telemetry.",
    ),
    unset(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Sends them to a collector of OpenTelemetry as well or instead, OTLP over HTTP: `http://127.0.0.1:4318`.",
    ),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "What requests to it carry besides: `name=value,name=value`."),
    plain("OTEL_SERVICE_NAME", "knowledge-worker", "The name under which the process is seen there."),
    plain("OTEL_TRACES_SAMPLER_ARG", "1", "The share of traces that is kept, from 0 to 1. Metrics count everything."),
];

/// The row of a setting.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The table as Markdown, for the README.
pub fn as_markdown() -> String {
    let mut text = String::from("| Setting | Default | What it is for |\n|---|---|---|\n");
    for setting in SETTINGS {
        let default = setting.default.map_or_else(|| "—".to_owned(), |default| format!("`{default}`"));
        let secret = if setting.secret { " (secret)" } else { "" };
        text.push_str(&format!("| `{}`{secret} | {default} | {} |\n", setting.name, setting.help));
    }
    text
}
