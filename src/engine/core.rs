//! The engine's shared core, and how it is opened and closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::api::ConfigEntry;
use super::catalog::{Catalog, CatalogRecord};
use super::checkpoint::CheckpointFile;
use super::commit::Committer;
use super::compaction::Cleaner;
use super::config::{BrokerSettings, Overrides};
use super::coordinator::{Coordinator, GroupLog};
use super::data_dir::DataDir;
use super::image::MetadataImage;
use super::maintenance::Alarm;
use super::pool::{Job, Pool};
use super::producer_ids::ProducerIds;
use super::{Error, load, maintenance};
use crate::env::{Env, ProcessLimits};
use crate::log::{LogError, LogLimits, LogResources};
use crate::purgatory::Purgatory;
use crate::types::{BrokerId, TopicPartition};

/// What the engine is started with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// This broker's node id; must be the same at every start on one directory.
    pub broker_id: BrokerId,
    /// Settings of [`super::config::BROKER_SETTINGS`] by name.
    pub settings: Overrides,
    /// What the lock file says of this process to whoever finds the directory locked.
    pub holder: String,
    /// Settings of others (listeners, say) that are shown with the broker's own.
    pub shown_settings: Vec<ConfigEntry>,
    /// Whether the engine looks after itself on a thread of its own. A simulation calls [`Engine::tick`] instead.
    pub own_timer: bool,
}

/// Topics, partitions and everything that happens to them. Knows no protocol.
pub struct Engine {
    pub(super) core: Arc<Core>,
    timer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the engine's jobs share.
pub(super) struct Core {
    pub(super) env: Env,
    pub(super) pool: Arc<dyn Pool>,
    pub(super) data_dir: PathBuf,
    pub(super) resources: Arc<LogResources>,
    pub(super) image: ArcSwap<MetadataImage>,
    pub(super) catalog: Mutex<Catalog>,
    pub(super) coordinator: Coordinator,
    pub(super) purgatory: Purgatory<Key>,
    pub(super) committer: Committer,
    pub(super) cleaner: Cleaner,
    pub(super) producer_ids: ProducerIds,
    pub(super) checkpoint: CheckpointFile,
    pub(super) alarm: Arc<Alarm>,
    /// Bytes of batches that wait to be appended, over all partitions.
    pub(super) queued_bytes: AtomicUsize,
    pub(super) queued_bytes_max: usize,
    pub(super) shown_settings: Vec<ConfigEntry>,
    pub(super) stopping: AtomicBool,
    fatal: watch::Sender<Option<String>>,
    dir: Mutex<Option<DataDir>>,
}

/// What requests wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The partition's high watermark moved, or the partition is gone.
    HighWatermark(TopicPartition),
}

/// Why the engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the data directory.
    #[error("{dir} is in use by {holder}")]
    InUse {
        /// The directory.
        dir: String,
        /// What the other process says of itself.
        holder: String,
    },
    /// The settings cannot be run with.
    #[error("{0}")]
    Config(Error),
    /// The directory holds something this program must not touch or cannot trust.
    #[error("{dir}: {why}")]
    Refused {
        /// The directory.
        dir: String,
        /// Why, and what can be done.
        why: String,
    },
    /// The disk failed.
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    /// A log could not be opened.
    #[error("{0}")]
    Log(#[from] LogError),
}

// === impl Engine ===

impl Engine {
    /// Opens the data directory, recovers what is in it, and is ready.
    ///
    /// # Errors
    /// See [`OpenError`]; a directory in use is left exactly as it was.
    pub fn open(config: EngineConfig, env: Env, pool: Arc<dyn Pool>) -> Result<Arc<Self>, OpenError> {
        let settings = BrokerSettings::at_start(config.settings).map_err(OpenError::Config)?;
        set_threads(&*pool, &settings);
        let dir = DataDir::open(&env, &config.data_dir, config.broker_id, &config.holder)?;
        let limits = LogLimits::share_of(ProcessLimits::of_this_process());
        let resources = LogResources::new(env.clone(), limits);
        let loaded = load::load(&env, &pool, &resources, &dir, &settings, config.broker_id)?;
        set_threads(&*pool, &loaded.image.settings);
        let epoch = loaded.image.leader_epoch;
        let now_ms = env.clock.now_ms();
        let groups = GroupLog::open(dir.groups(), &resources, epoch, dir.was_clean(), now_ms)?;
        let coordinator = Coordinator::new(groups, &loaded.image.settings);
        let alarm = Arc::new(Alarm::default());
        let wake = Arc::clone(&alarm);
        let queued_bytes_max = loaded.image.settings.count("queued.append.bytes");
        let core = Arc::new(Core {
            pool,
            data_dir: config.data_dir,
            resources,
            producer_ids: ProducerIds::new(loaded.next_producer_id),
            image: ArcSwap::from_pointee(loaded.image),
            catalog: Mutex::new(loaded.catalog),
            coordinator,
            purgatory: Purgatory::new(move || wake.ring()),
            committer: Committer::default(),
            cleaner: Cleaner::default(),
            checkpoint: CheckpointFile::new(&dir),
            alarm,
            queued_bytes: AtomicUsize::new(0),
            queued_bytes_max,
            shown_settings: config.shown_settings,
            stopping: AtomicBool::new(false),
            fatal: watch::Sender::new(None),
            dir: Mutex::new(Some(dir)),
            env,
        });
        core.load_groups();
        let timer = config.own_timer.then(|| maintenance::spawn_timer(Arc::clone(&core)));
        for id in loaded.deleted {
            core.remove_topic_directory(id);
        }
        Ok(Arc::new(Self { core, timer: Mutex::new(timer) }))
    }

    /// The metadata as it is now.
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        self.core.image.load_full()
    }

    /// Told once, when the disk has failed in a way after which this process must not go on: acknowledgements could
    /// no longer be trusted. The text says what happened.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.core.fatal.subscribe()
    }

    /// How many requests wait for data, a commit or their deadline.
    #[must_use]
    pub fn waiting_requests(&self) -> usize {
        self.core.purgatory.len()
    }

    /// Does what is due by the clock: expires waiting requests, rolls, deletes and checkpoints. For simulations;
    /// otherwise a thread does it.
    pub fn tick(&self) {
        maintenance::tick(&self.core);
    }

    /// Stops taking appends, makes everything durable and marks the directory as cleanly stopped, so that the next
    /// start scans nothing. Blocks.
    ///
    /// # Errors
    /// When the disk fails; the next start then recovers.
    pub fn shutdown_clean(&self) -> Result<(), Error> {
        self.stop();
        let image = self.image();
        let mut entries = Vec::new();
        for partition in image.topics().flat_map(|topic| &topic.partitions) {
            let synced = partition.log().close_clean(self.core.env.clock.now_ms())?;
            entries.push(super::checkpoint::entry(partition, synced));
        }
        self.core.catalog.lock().close(self.core.env.clock.now_ms())?;
        self.core.coordinator.log().close(self.core.env.clock.now_ms())?;
        // The logs' side files were written without a sync each; the mark of a clean stop must not precede them.
        let synced = self.core.env.disk.sync_file_system(&self.core.data_dir);
        synced.map_err(|error| Error::Storage { why: error.to_string() })?;
        self.core.checkpoint.write(&self.core.env, &entries)?;
        match self.core.dir.lock().take() {
            Some(dir) => {
                dir.close_clean(&self.core.env).map_err(|error| Error::Storage { why: error.to_string() })
            }
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Takes no more appends, and waits until the timer thread is gone.
    fn stop(&self) {
        self.core.stopping.store(true, Ordering::Release);
        self.core.alarm.ring();
        if let Some(timer) = self.timer.lock().take() {
            // The timer thread panics only with the whole process at fault; recovery then does the rest.
            let _ = timer.join();
        }
        // Another engine may open the directory next: nothing is moved in it any more.
        self.core.cleaner.stop();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("data_dir", &self.core.data_dir).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    /// Without [`Engine::shutdown_clean`] this is a crash as far as the directory is concerned, which is fine.
    fn drop(&mut self) {
        self.stop();
        // Another engine may open the directory at once.
        drop(self.core.dir.lock().take());
    }
}

/// Has the pool as many threads as the settings in force say.
pub(super) fn set_threads(pool: &dyn Pool, settings: &BrokerSettings) {
    pool.set_threads_max(settings.count("num.io.threads"));
}

// === impl Core ===

impl Core {
    /// The disk failed and nothing that waits for it may be acknowledged any more.
    pub(super) fn fatal(&self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "the disk failed; nothing un-synced will be acknowledged");
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert_with(|| error.to_string());
            first
        });
    }

    /// Makes a change of the catalog durable.
    ///
    /// # Errors
    /// When the disk is full or fails; the change is then not made. A failed sync is final here as for records: whether
    /// the change is on the disk, nobody knows until the next start.
    pub(super) fn record_change(&self, catalog: &Catalog, change: CatalogRecord) -> Result<(), Error> {
        let appended = catalog.append(&[change], self.env.clock.now_ms());
        appended.inspect_err(|error| self.check_fence(catalog.is_fenced(), error))
    }

    /// Says so if what just failed has fenced the logs: nothing more will be acknowledged, and this process has to end.
    pub(super) fn check_fence(&self, is_fenced: bool, error: &dyn std::fmt::Display) {
        if is_fenced {
            self.fatal(error);
        }
    }

    /// Runs `work` on the pool and hands its result to the caller.
    pub(super) fn on_pool<T: Send + 'static, W: FnOnce(&Arc<Self>) -> T + Send + 'static>(
        self: &Arc<Self>,
        work: W,
    ) -> impl Future<Output = Option<T>> + Send + use<T, W> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let core = Arc::clone(self);
        let job: Job = Box::new(move || drop(sender.send(work(&core))));
        self.pool.spawn(job);
        async move { receiver.await.ok() }
    }

    pub(super) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.env.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
