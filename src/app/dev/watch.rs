//! Which files belong to a project, whether their contents have changed, and waiting for changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::scratch::SEED;
use crate::app::error::StartError;
use crate::app::model_file::{MODEL_FILE, within};
use crate::app::seed;
use crate::persisted::files;

/// Editors write a file in several steps, and tools write several files.
const QUIET: Duration = Duration::from_millis(80);

/// Reports events in the project's directories.
pub(super) struct Watcher {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<()>,
    directories: Vec<PathBuf>,
}

impl Watcher {
    /// Watches the project from now on.
    pub(super) fn start(dir: &Path) -> Result<Self, StartError> {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files causes events, too.
            if event.as_ref().is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                return;
            }
            // When the server stops, nobody listens any more.
            let _ = sender.send(());
        });
        let mut watcher = watcher.context("cannot watch files")?;
        let shown = dir.display();
        watcher
            .watch(dir, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {shown}"))?;
        let directories = vec![within(dir, files::DIRECTORY), within(dir, "migrations")];
        let mut watcher = Self { watcher, events, directories };
        watcher.watch_directories();
        Ok(watcher)
    }

    /// Returns after something has happened and nothing more has followed for a moment.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            // The watcher's thread has ended; there will be no more events.
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.events.recv()).await {}
        self.watch_directories();
    }

    /// Directories come and go; missing ones are noticed by watching their parent.
    fn watch_directories(&mut self) {
        for directory in self.directories.iter().filter(|directory| directory.is_dir()) {
            if let Err(error) = self.watcher.watch(directory, RecursiveMode::Recursive) {
                tracing::debug!(%error, directory = %directory.display(), "cannot watch");
            }
        }
    }
}

/// A hash of all files of the project. An unreadable file counts as missing: whoever needs it will
/// report it.
pub(super) fn sources(dir: &Path) -> blake3::Hash {
    let mut paths = vec![within(dir, MODEL_FILE)];
    paths.extend(seed::paths(dir, SEED));
    let queries = within(dir, files::DIRECTORY);
    paths.extend(files::find(&queries).unwrap_or_default());
    paths.extend(files::find_json(&queries).unwrap_or_default());
    let migrations = std::fs::read_dir(within(dir, "migrations")).into_iter().flatten().flatten();
    let mut migrations: Vec<PathBuf> = migrations.map(|entry| entry.path()).collect();
    migrations.sort();
    paths.extend(
        migrations
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "sql")),
    );
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        let Ok(content) = std::fs::read(&path) else { continue };
        hasher.update(path.as_os_str().as_encoded_bytes());
        // Include both lengths, so that no two projects hash alike.
        hasher.update(&(path.as_os_str().len() as u64).to_le_bytes());
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    hasher.finalize()
}
