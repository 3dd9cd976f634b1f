//! Whether the code of a function is still what its workers run.
//!
//! A [`CodeFolder`] counts the changes of one folder; a worker remembers the count it was started at.
//! One watcher of the system tells of changes of all folders, so that idle functions cost nothing.
//! Where it cannot (its limits are used up, or a file system does not tell), the folder is looked
//! through when a function is called, and not more often than that is cheap.
//!
//! An edit is rarely one write. A change counts at once, but workers are started only when the folder
//! has been left alone for a moment.

mod stamp;
mod tree;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::{debug, warn};

use stamp::Stamp;
use tree::Tree;

/// A folder that has been left alone for this long is whole: editors and `git checkout` write within
/// milliseconds, people within seconds.
const SETTLE: Duration = Duration::from_millis(40);
/// A folder that never rests, such as one that a build writes, is taken as it is after this.
const SETTLE_LIMIT: Duration = Duration::from_millis(200);
/// Looking through a folder may take this share of the time.
const STAMP_SHARE: u32 = 20;
/// The shortest time between two looks.
const STAMP_PAUSE: Duration = Duration::from_millis(50);

/// Watches the folders of all functions.
#[derive(Debug)]
pub(super) struct CodeWatch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folders: Mutex<Vec<Weak<Watched>>>,
    watches: Mutex<Watches>,
    changed: Notify,
}

/// The system's watcher, made when it is first needed, and how many folders want each directory.
#[derive(Debug, Default)]
struct Watches {
    watcher: Option<RecommendedWatcher>,
    wanted: HashMap<PathBuf, usize>,
}

/// The code of one function. Its watches end with it.
#[derive(Debug)]
pub(super) struct CodeFolder {
    watched: Arc<Watched>,
    inner: Arc<Inner>,
}

/// The part that the watcher's own thread uses. Dropping it does nothing: that thread must not end up
/// ending watches, for it would wait for itself.
#[derive(Debug)]
struct Watched {
    tree: Tree,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    generation: u64,
    /// When the last change was heard of.
    changed: Option<Instant>,
    /// Directories have come or gone: who is watched has to be seen to.
    rescan: bool,
    watching: Watching,
}

#[derive(Debug)]
enum Watching {
    /// Nobody edits it.
    Nothing,
    /// The system tells of changes in these directories.
    Events(Vec<PathBuf>),
    /// Changes are looked for.
    Stamps {
        last: Option<Stamp>,
        /// When to look next.
        due: Instant,
        /// Whether the folder was not there; once it is, the system may tell of it again.
        missing: bool,
    },
}

impl CodeWatch {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                folders: Mutex::default(),
                watches: Mutex::default(),
                changed: Notify::new(),
            }),
        }
    }

    /// Begins to watch the folder `root`. Changes below `ignored` are none.
    pub(super) async fn folder(&self, root: &Path, ignored: Vec<PathBuf>) -> Arc<CodeFolder> {
        let folder = CodeFolder::new(root, ignored, &self.inner, Watching::Events(Vec::new()));
        let folder = Arc::new(folder);
        {
            let mut folders = lock(&self.inner.folders);
            folders.retain(|known| known.strong_count() > 0);
            folders.push(Arc::downgrade(&folder.watched));
        }
        folder.rescan().await;
        folder
    }

    /// A folder that is taken never to change.
    pub(super) fn fixed(&self, root: &Path) -> Arc<CodeFolder> {
        let folder = CodeFolder::new(root, Vec::new(), &self.inner, Watching::Nothing);
        Arc::new(folder)
    }

    /// Waits until something somewhere has changed and had a moment to settle.
    pub(super) fn changes(&self) -> impl Future<Output = ()> + Send + 'static {
        let inner = Arc::clone(&self.inner);
        async move {
            inner.changed.notified().await;
            tokio::time::sleep(SETTLE).await;
        }
    }
}

impl CodeFolder {
    fn new(root: &Path, ignored: Vec<PathBuf>, inner: &Arc<Inner>, watching: Watching) -> Self {
        Self {
            watched: Arc::new(Watched {
                tree: Tree::new(root, ignored),
                state: Mutex::new(State {
                    generation: 0,
                    changed: None,
                    rescan: false,
                    watching,
                }),
            }),
            inner: Arc::clone(inner),
        }
    }

    /// The number of changes so far.
    pub(super) fn generation(&self) -> u64 {
        self.watched.state().generation
    }

    /// The number of changes so far, once the folder rests.
    pub(super) async fn settled(self: &Arc<Self>) -> u64 {
        let limit = Instant::now() + SETTLE_LIMIT;
        loop {
            self.look().await;
            let (generation, changed) = {
                let state = self.watched.state();
                (state.generation, state.changed)
            };
            let rests_at = changed.map(|changed| changed + SETTLE);
            let now = Instant::now();
            match rests_at {
                Some(rests_at) if rests_at > now && now < limit => {
                    tokio::time::sleep_until(rests_at.min(limit).into()).await;
                }
                Some(_) | None => return generation,
            }
        }
    }

    /// Does what is to be done before the count can be believed; mostly nothing.
    async fn look(self: &Arc<Self>) {
        let (rescan, due) = {
            let state = self.watched.state();
            let due = match &state.watching {
                Watching::Stamps { due, .. } => *due <= Instant::now(),
                Watching::Nothing | Watching::Events(_) => false,
            };
            (state.rescan, due)
        };
        if rescan {
            self.rescan().await;
        } else if due {
            self.stamp().await;
        }
    }

    async fn rescan(self: &Arc<Self>) {
        let folder = Arc::clone(self);
        // A panic there has been logged; the folder stays as it was watched.
        let _ = tokio::task::spawn_blocking(move || folder.rescan_now()).await;
    }

    fn rescan_now(&self) {
        // Before looking, so that what comes while looking asks for another look.
        self.watched.state().rescan = false;
        let begun = Instant::now();
        let tree = &self.watched.tree;
        let watched = tree
            .directories()
            .map_err(|why| why.to_string())
            .and_then(|directories| self.inner.watch(&directories).map(|()| directories));
        let watching = match watched {
            Ok(directories) => {
                let count = directories.len();
                let elapsed_ms = begun.elapsed().as_millis();
                debug!(folder = %tree.root().display(), count, elapsed_ms, "watching code");
                Watching::Events(directories)
            }
            Err(reason) => {
                warn!(
                    folder = %tree.root().display(),
                    reason,
                    "code cannot be watched; it is looked through at calls instead"
                );
                Watching::Stamps {
                    last: None,
                    due: Instant::now(),
                    missing: !tree.root().exists(),
                }
            }
        };
        let before = std::mem::replace(&mut self.watched.state().watching, watching);
        if let Watching::Events(directories) = before {
            self.inner.forget(&directories);
        }
    }

    async fn stamp(self: &Arc<Self>) {
        let folder = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            (Stamp::of(&folder.watched.tree), begun.elapsed())
        });
        let Ok((stamp, cost)) = taken.await else {
            return;
        };
        let mut state = self.watched.state();
        let state = &mut *state;
        let Watching::Stamps { last, due, missing } = &mut state.watching else {
            return;
        };
        *due = Instant::now() + STAMP_PAUSE.max(cost.saturating_mul(STAMP_SHARE));
        if last.as_ref().is_some_and(|last| *last != stamp) {
            state.generation += 1;
            state.changed = Some(Instant::now());
            // The rest is found out at once rather than at the next call.
            *due = Instant::now() + SETTLE;
            state.rescan = *missing;
        }
        *last = Some(stamp);
    }
}

impl Watched {
    /// Hears of an event of the system; whether it concerns this folder.
    fn hear(&self, event: &Event) -> bool {
        let lost = event.need_rescan();
        if !lost && !event.paths.iter().any(|path| self.tree.matters(path)) {
            return false;
        }
        let mut state = self.state();
        state.generation += 1;
        state.changed = Some(Instant::now());
        state.rescan |= lost || concerns_directories(event.kind);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for CodeFolder {
    fn drop(&mut self) {
        if let Watching::Events(directories) = &self.watched.state().watching {
            self.inner.forget(directories);
        }
    }
}

impl Inner {
    /// Watches `directories`, all of them or none.
    fn watch(self: &Arc<Self>, directories: &[PathBuf]) -> Result<(), String> {
        let mut watches = lock(&self.watches);
        let watches = &mut *watches;
        let watcher = match &mut watches.watcher {
            Some(watcher) => watcher,
            none => none.insert(self.watcher().map_err(|error| error.to_string())?),
        };
        for (done, directory) in directories.iter().enumerate() {
            let count = watches.wanted.entry(directory.clone()).or_default();
            *count += 1;
            // Also one that is watched: it may be another directory of the same name by now.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                watches.release(directories.get(..=done).unwrap_or_default());
                return Err(format!("{}: {error}", directory.display()));
            }
        }
        Ok(())
    }

    fn forget(&self, directories: &[PathBuf]) {
        lock(&self.watches).release(directories);
    }

    fn watcher(self: &Arc<Self>) -> notify::Result<RecommendedWatcher> {
        let inner = Arc::downgrade(self);
        notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(inner) = inner.upgrade() {
                match event {
                    Ok(event) => inner.hear(&event),
                    Err(error) => {
                        debug!(%error, "the watcher of code missed something");
                        let lost =
                            Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
                        inner.hear(&lost);
                    }
                }
            }
        })
    }

    fn hear(&self, event: &Event) {
        if !is_change(event.kind) && !event.need_rescan() {
            return;
        }
        let folders: Vec<_> = lock(&self.folders)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let mut heard = false;
        for folder in folders {
            heard |= folder.hear(event);
        }
        if heard {
            self.changed.notify_one();
        }
    }
}

impl Watches {
    fn release(&mut self, directories: &[PathBuf]) {
        for directory in directories {
            let Some(count) = self.wanted.get_mut(directory) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(directory);
                if let Some(watcher) = &mut self.watcher {
                    // The system has forgotten a directory that was removed.
                    let _ = watcher.unwatch(directory);
                }
            }
        }
    }
}

/// Reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Any | EventKind::Other => false,
    }
}

fn concerns_directories(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(kind) => kind != CreateKind::File,
        EventKind::Remove(kind) => kind != RemoveKind::File,
        EventKind::Modify(ModifyKind::Name(_)) => true,
        EventKind::Modify(_) | EventKind::Access(_) | EventKind::Any | EventKind::Other => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
