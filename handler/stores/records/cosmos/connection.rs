//! The way to one container of Cosmos DB: made with the first call, bounded in time and tries, and counted.
//!
//! The client's driver asks the machine's metadata service who it is before it does anything, and waits two seconds for it
//! where there is none, once in a process. The environment variable `COSMOS_DISABLE_IMDS` turns that off; the driver offers no
//! other way. Because a caller may have less patience than that, the connection is made in a task that outlives the caller.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use azure_core::credentials::{Secret as ClientSecret, TokenCredential};
use azure_data_cosmos::clients::ContainerClient;
use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::options::{
    ConnectionPoolOptions, OperationOptionsBuilder, Region, ThrottlingRetryOptionsBuilder,
};
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, CosmosClientBuilder, CosmosError, CosmosRuntime, RoutingStrategy,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tracing::debug;
use url::Url;

use crate::breaker::Breaker;
use crate::error::{Error, ErrorKind};
use crate::reason::Reason;
use crate::secret::Secret;
use crate::telemetry::{calls, metrics};

/// The longest that one call may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a call is tried again that the service throttled.
const MAX_THROTTLE_RETRIES: u32 = 2;
/// How often a call is tried again that failed, in another region where there is one. Each of these tries the driver repeats
/// once when its connection broke, which cannot be turned off: four tries at most.
const MAX_FAILOVER_RETRIES: u32 = 1;
/// How long the service may make one call wait between tries in all.
const MAX_THROTTLED: Duration = Duration::from_secs(10);
/// How long account and container may take to tell of themselves. Nobody else can connect meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the driver looks at the machine's load, which only its diagnostics use: as seldom as it lets us.
const LOAD_INTERVAL: Duration = Duration::from_secs(60);

/// Where records are kept at the service, and how to sign in.
#[derive(Clone, Debug)]
pub struct CosmosSettings {
    /// The account's address.
    pub endpoint: Url,
    /// What proves who calls.
    pub authorization: CosmosAuthorization,
    /// The database.
    pub database: String,
    /// The container; its partition key is `/kind`, `/scope`.
    pub container: String,
    /// The region whose replica is asked first; the account's own order without one.
    pub region: Option<String>,
}

/// What proves to Cosmos DB who calls.
#[derive(Clone, Debug)]
pub enum CosmosAuthorization {
    /// An Entra token of this process.
    Identity(Arc<dyn TokenCredential>),
    /// The account's key, for an emulator or local work.
    Key(Secret),
}

/// What the calls of a store came to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Calls that the service answered, whatever it answered; a page of a list is one.
    pub calls: u64,
    /// What it charged for them, in request units.
    pub request_units: f64,
}

/// A container, connected to with the first call.
#[derive(Clone)]
pub(super) struct Connection {
    shared: Arc<Shared>,
}

/// Faults that the client plays to a test.
#[cfg(feature = "crash-points")]
pub(super) type Faults = Vec<Arc<azure_data_cosmos::fault_injection::FaultInjectionRule>>;

struct Shared {
    settings: CosmosSettings,
    #[cfg(feature = "crash-points")]
    faults: Faults,
    /// Held while it is connected to, so that many who need it at once connect once.
    container: Mutex<Option<Connected>>,
    breaker: Breaker,
    calls: AtomicU64,
    /// Thousandths of request units.
    milli_units: AtomicU64,
}

/// The container, and the key it was connected to with, if it was with one.
type Connected = (Option<SecretString>, ContainerClient);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Connection {
    pub fn new(settings: CosmosSettings) -> Self {
        let (calls, milli_units) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            shared: Arc::new(Shared {
                settings,
                #[cfg(feature = "crash-points")]
                faults: Faults::new(),
                container: Mutex::new(None),
                breaker: Breaker::default(),
                calls,
                milli_units,
            }),
        }
    }

    /// The same with a client that plays faults.
    #[cfg(feature = "crash-points")]
    pub fn with_faults(settings: CosmosSettings, faults: Faults) -> Self {
        let mut connection = Self::new(settings);
        if let Some(shared) = Arc::get_mut(&mut connection.shared) {
            shared.faults = faults;
        }
        connection
    }

    /// Does some work with the container, in bounded time, unless the account is left alone after too many failures.
    pub async fn call<T, W>(&self, work: impl FnOnce(ContainerClient) -> W) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, CosmosError>>,
    {
        let whole = async {
            let container = self.container().await?;
            work(container).await.map_err(|e| {
                // What failed is charged for too.
                if let Some(diagnostics) = e.diagnostics() {
                    self.count("failed", &diagnostics);
                }
                Failure::Service(Box::new(e))
            })
        };
        let whole = async { tokio::time::timeout(CALL_TIMEOUT, whole).await.unwrap_or(Err(Failure::Timeout)) };
        let answer = self.shared.breaker.call(whole, Failure::is_of_the_service).await;
        answer.unwrap_or(Err(Failure::LeftAlone))
    }

    async fn container(&self) -> Result<ContainerClient, Failure> {
        let key = match &self.shared.settings.authorization {
            CosmosAuthorization::Identity(_) => None,
            CosmosAuthorization::Key(key) => Some(key.expose().await.map_err(Failure::NoKey)?),
        };
        let shared = Arc::clone(&self.shared);
        let connecting = tokio::spawn(async move { shared.container(key).await });
        match connecting.await {
            Ok(connected) => connected.map_err(|e| Failure::Unconnected(Box::new(e))),
            Err(_) => Err(Failure::Interrupted),
        }
    }

    /// Counts what the service charged for an answer.
    pub fn count(&self, operation: &'static str, diagnostics: &DiagnosticsContext) {
        let request_units = diagnostics.total_request_charge().value();
        let tries = diagnostics.request_count();
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        // A charge is never negative, and a cast that saturates loses nothing of one.
        self.shared.milli_units.fetch_add((request_units * 1e3).round() as u64, Ordering::Relaxed);
        metrics::request_units(operation, request_units);
        calls::tried(tries);
        debug!(operation, request_units, tries, "records call");
    }

    /// What the calls came to so far.
    pub fn usage(&self) -> Usage {
        let milli_units = self.shared.milli_units.load(Ordering::Relaxed);
        Usage { calls: self.shared.calls.load(Ordering::Relaxed), request_units: milli_units as f64 / 1e3 }
    }
}

impl Shared {
    /// The container, connected to where it is not yet, or where the key was replaced since.
    async fn container(&self, key: Option<SecretString>) -> Result<ContainerClient, CosmosError> {
        let mut connected = self.container.lock().await;
        let exposed = key.as_ref().map(ExposeSecret::expose_secret);
        if let Some((_, container)) =
            connected.as_ref().filter(|(of, _)| of.as_ref().map(ExposeSecret::expose_secret) == exposed)
        {
            return Ok(container.clone());
        }
        let container = self.connect(key.as_ref()).await?;
        *connected = Some((key, container.clone()));
        Ok(container)
    }

    async fn connect(&self, key: Option<&SecretString>) -> Result<ContainerClient, CosmosError> {
        let settings = &self.settings;
        let endpoint = AccountEndpoint::from(settings.endpoint.clone());
        let account = match (&settings.authorization, key) {
            (CosmosAuthorization::Identity(credential), _) => {
                AccountReference::with_credential(endpoint, Arc::clone(credential))
            }
            (CosmosAuthorization::Key(_), key) => {
                let key = key.map(ExposeSecret::expose_secret).unwrap_or_default();
                AccountReference::with_authentication_key(endpoint, ClientSecret::from(key.to_owned()))
            }
        };
        let routing = match &settings.region {
            Some(region) => RoutingStrategy::ProximityTo(Region::new(region.clone())),
            None => RoutingStrategy::PreferredRegions(Vec::new()),
        };
        let throttling = ThrottlingRetryOptionsBuilder::new()
            .with_max_retry_count(MAX_THROTTLE_RETRIES)
            .with_max_retry_wait_time(MAX_THROTTLED)
            .build();
        let operation = OperationOptionsBuilder::new()
            .with_throttling_retry_options(throttling)
            .with_max_failover_retry_count(MAX_FAILOVER_RETRIES)
            .with_max_session_retry_count(MAX_FAILOVER_RETRIES)
            .build();
        let pool = ConnectionPoolOptions::builder().with_max_metadata_request_timeout(CONNECT_TIMEOUT).build()?;
        let runtime = CosmosRuntime::builder()
            .with_connection_pool(pool)
            .with_cpu_refresh_interval(LOAD_INTERVAL)
            .build()
            .await?;
        let builder = CosmosClientBuilder::new().with_runtime(runtime).with_default_operation_options(operation);
        #[cfg(feature = "crash-points")]
        let builder = builder.with_fault_injection_rules(self.faults.clone())?;
        let client = builder.build(account, routing).await?;
        client.database_client(settings.database.clone()).container_client(settings.container.clone(), None).await
    }
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Service(Box<CosmosError>),
    /// Account, database or container could not be found or reached.
    Unconnected(Box<CosmosError>),
    /// The account's key could not be had.
    NoKey(Error),
    Timeout,
    Interrupted,
    /// It failed again and again a moment ago, so it was not called.
    LeftAlone,
}

impl Failure {
    /// Whether there is no such item. A container that is missing is another matter.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Service(e) if e.status().is_not_found())
    }

    /// Whether an item stood in the way of making one.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Service(e) if e.status().is_conflict())
    }

    /// Whether the item was no longer the one that was named.
    pub fn is_changed(&self) -> bool {
        self.is_absent() || matches!(self, Self::Service(e) if e.status().is_precondition_failed())
    }

    /// Whether it shows that the service does not work, whatever it is asked.
    fn is_of_the_service(&self) -> bool {
        match self {
            Self::Service(e) => e.status().is_timeout() || u16::from(e.status().status_code()) >= 500,
            Self::Unconnected(_) | Self::Timeout => true,
            Self::Interrupted | Self::LeftAlone | Self::NoKey(_) => false,
        }
    }

    /// The error that callers get.
    pub fn into_error(self) -> Error {
        let failure = match self {
            // It says itself what is missing.
            Self::NoKey(e) => return e,
            failure => failure,
        };
        let reason = failure.reason();
        Error::new(ErrorKind::StoreUnavailable, "the records in Cosmos DB cannot be used")
            .because(reason)
            .caused_by(failure)
    }

    /// Why, for a person.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Service(e) | Self::Unconnected(e) => Reason::of_status(e.status().status_code().into()),
            Self::Timeout => Some(Reason::TooSlow),
            Self::LeftAlone => Some(Reason::Failed),
            Self::NoKey(e) => e.reason(),
            Self::Interrupted => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(e) => e.fmt(f),
            Self::Unconnected(e) => write!(f, "cannot connect to the container: {e}"),
            Self::NoKey(e) => e.fmt(f),
            Self::Timeout => write!(f, "no answer within {} s", CALL_TIMEOUT.as_secs()),
            Self::Interrupted => write!(f, "the process is about to end"),
            Self::LeftAlone => write!(f, "left alone for a moment after failures"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Service(e) | Self::Unconnected(e) => e.source(),
            Self::NoKey(_) | Self::Timeout | Self::Interrupted | Self::LeftAlone => None,
        }
    }
}
