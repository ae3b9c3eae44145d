//! The archive that a command reads: a file, or stdin, which is kept in a file first where it is a pipe. It moves the
//! progress bar, and it ends at Ctrl-C, so that whatever is being written from it is cleaned away.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use iexec_archive::{Archive, OpenError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{failure::Failure, files, screen::Screen};

const BUFFER: usize = 128 * 1024;

/// An archive's bytes.
pub(crate) struct Source {
    file: File,
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

/// How the archive is called, and whether the user asked to stop.
#[derive(Clone)]
pub(crate) struct Origin {
    name: String,
    bar: ProgressBar,
    screen: Screen,
    stopped: Arc<AtomicBool>,
}

/// Opens the archive at `path`, stdin for `-`.
pub(crate) fn open(path: &Path, screen: Screen) -> Result<(Archive<BufReader<Source>>, Origin), Failure> {
    let stopped = stop_at_ctrl_c();
    if path.as_os_str() == "-" {
        let file = stdin(&stopped, screen)?;
        return open_file(file, "stdin".to_owned(), stopped, screen);
    }
    if path.is_dir() {
        return Err(
            Failure::user("FileError", format!("{} is a folder", path.display())).hint("name the archive in it")
        );
    }
    let file = File::open(path).map_err(|error| {
        files::failure("cannot be read", path, &error).or_hint("download it with `iexec task show <taskid> --download`")
    })?;
    open_file(file, path.display().to_string(), stopped, screen)
}

/// Opens an archive that is open as a file.
pub(crate) fn open_file(
    file: File,
    name: String,
    stopped: Arc<AtomicBool>,
    screen: Screen,
) -> Result<(Archive<BufReader<Source>>, Origin), Failure> {
    let size = file.metadata().map_or(0, |found| found.len());
    // What comes first, the archive's end and perhaps a question to the user, is no progress: the bar begins with the pass.
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden());
    let origin = Origin { name, bar: bar.clone(), screen, stopped: stopped.clone() };
    let source = Source { file, bar, stopped };
    match Archive::open(BufReader::with_capacity(BUFFER, source)) {
        Ok(archive) => Ok((archive, origin)),
        Err(error) => Err(origin.wrong(error)),
    }
}

/// A bar with rate and time left, on a terminal.
pub(crate) fn progress(size: u64, screen: Screen) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden());
    show(&bar, screen);
    bar
}

fn show(bar: &ProgressBar, screen: Screen) {
    if !screen.is_lively() {
        return;
    }
    let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(250));
}

/// True from the first Ctrl-C on; the second ends the program at once. It listens when this returns.
pub(crate) fn stop_at_ctrl_c() -> Arc<AtomicBool> {
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = stopped.clone();
    let (listening, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            loop {
                let mut pressed = std::pin::pin!(tokio::signal::ctrl_c());
                // The first look at the signal registers it.
                let listens = std::future::poll_fn(|context| {
                    let state = pressed.as_mut().poll(context);
                    // Nobody waits for it a second time.
                    let _ = listening.send(());
                    state
                });
                if listens.await.is_err() || seen.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    });
    // Without a listener, Ctrl-C does what it does to every program.
    let _ = ready.recv();
    stopped
}

/// Stdin, if it is a file; else its bytes in a file that nobody else can read and that is gone with this program: an
/// archive is read from its end.
fn stdin(stopped: &Arc<AtomicBool>, screen: Screen) -> Result<File, Failure> {
    let broken = |error: io::Error| {
        if stopped.load(Ordering::Relaxed) {
            Failure::interrupted()
        } else {
            files::failure("cannot be read", Path::new("stdin"), &error)
        }
    };
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let file = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(broken)?);
        if file.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(file);
        }
    }
    screen.note(
        "An archive is read from its end: keeping what comes from the pipe, still encrypted, in a temporary file …",
    );
    let mut file = tempfile::tempfile().map_err(|error| {
        files::failure("cannot be written", Path::new("a temporary file"), &error)
            .hint("TMPDIR names a folder with enough space")
    })?;
    let mut pipe = Stoppable { inner: io::stdin().lock(), stopped };
    io::copy(&mut pipe, &mut file).map_err(broken)?;
    file.rewind().map_err(broken)?;
    Ok(file)
}

impl Origin {
    /// What is wrong with the archive, with its name in front.
    pub(crate) fn wrong(&self, error: OpenError) -> Failure {
        self.bar.finish_and_clear();
        if self.stopped.load(Ordering::Relaxed) {
            return Failure::interrupted();
        }
        let failure = Failure::from(error);
        let message = failure.message.trim_start_matches("archive: ").to_owned();
        Failure { message: format!("{}: {message}", self.name), ..failure }
    }

    /// The archive is read from its start to its end now.
    pub(crate) fn begin(&self) {
        self.bar.reset();
        show(&self.bar, self.screen);
    }

    /// All was read.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        let count = self.file.read(buffer)?;
        self.bar.inc(count as u64);
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.file.seek(to)?;
        self.bar.set_position(at);
        Ok(at)
    }
}

struct Stoppable<'a, R> {
    inner: R,
    stopped: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) { Err(io::Error::other("stopped")) } else { self.inner.read(buffer) }
    }
}
