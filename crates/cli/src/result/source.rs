//! The archive that a command reads: a file, or stdin. A pipe is read as it comes where the archive's form and the command
//! allow it, else kept in a file first. It moves the progress bar, and it ends at Ctrl-C, so that whatever is being written
//! from it is cleaned away.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use iexec_archive::{Archive, Layout, OpenError, PipedArchive};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::extract::copy;
use crate::{failure::Failure, files, screen::Screen};

const BUFFER: usize = 128 * 1024;
const STDIN: &str = "stdin";

/// An archive's bytes.
pub(crate) struct Source {
    file: File,
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

/// An archive, at hand or coming in.
pub(crate) enum Input {
    File(Box<Archive<BufReader<Source>>>),
    Pipe(Box<PipedArchive<Pipe>>),
}

impl Input {
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Self::File(archive) => archive.layout(),
            Self::Pipe(archive) => archive.layout(),
        }
    }
}

impl From<Archive<BufReader<Source>>> for Input {
    fn from(archive: Archive<BufReader<Source>>) -> Self {
        Self::File(Box::new(archive))
    }
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
    if path.as_os_str() != "-" {
        return open_path(path, stopped, screen);
    }
    let broken = |error| broken_stdin(&error, &stopped);
    let file = match stdin_file().map_err(broken)? {
        Some(file) => file,
        None => spool(Pipe::stdin(&stopped), screen)?,
    };
    open_file(file, STDIN.to_owned(), stopped, screen)
}

/// As [`open`]; an archive from a pipe that can be read as it comes is not kept first.
pub(crate) fn open_piped(path: &Path, screen: Screen) -> Result<(Input, Origin), Failure> {
    if path.as_os_str() != "-" {
        return open(path, screen).map(|(archive, origin)| (archive.into(), origin));
    }
    let stopped = stop_at_ctrl_c();
    let broken = |error| broken_stdin(&error, &stopped);
    if let Some(file) = stdin_file().map_err(broken)? {
        return open_file(file, STDIN.to_owned(), stopped, screen).map(|(archive, origin)| (archive.into(), origin));
    }
    screen.note("Reading an archive from stdin …");
    let mut pipe = Pipe::stdin(&stopped);
    pipe.look(PipedArchive::<Pipe>::START).map_err(broken)?;
    if !PipedArchive::<Pipe>::is_one(pipe.seen()) {
        return open_file(spool(pipe, screen)?, STDIN.to_owned(), stopped, screen)
            .map(|(archive, origin)| (archive.into(), origin));
    }
    let origin = Origin { name: STDIN.to_owned(), bar: pipe.bar.clone(), screen, stopped };
    let archive = PipedArchive::open(pipe).map_err(|error| origin.wrong(error))?;
    origin.bar.set_length(archive.body_size());
    Ok((Input::Pipe(Box::new(archive)), origin))
}

fn open_path(
    path: &Path,
    stopped: Arc<AtomicBool>,
    screen: Screen,
) -> Result<(Archive<BufReader<Source>>, Origin), Failure> {
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

/// Stdin, if it is a file.
#[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "on Unix it may fail"))]
fn stdin_file() -> io::Result<Option<File>> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        if file.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// What comes from a pipe, in a file that nobody else can read and that is gone with this program.
fn spool(mut pipe: Pipe, screen: Screen) -> Result<File, Failure> {
    screen.note(
        "This archive is read from its end: keeping what comes from the pipe, still encrypted, in a temporary file …",
    );
    let mut file = tempfile::tempfile().map_err(|error| {
        files::failure("cannot be written", Path::new("a temporary file"), &error)
            .hint("TMPDIR names a folder with enough space")
    })?;
    copy(&mut pipe, &mut file).and_then(|()| file.rewind()).map_err(|error| broken_stdin(&error, &pipe.stopped))?;
    Ok(file)
}

fn broken_stdin(error: &io::Error, stopped: &AtomicBool) -> Failure {
    if stopped.load(Ordering::Relaxed) {
        Failure::interrupted()
    } else {
        files::failure("cannot be read", Path::new(STDIN), error)
    }
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

/// Stdin, where it is a pipe.
pub(crate) struct Pipe {
    /// What was looked at, and how much of it was taken.
    seen: Cursor<Vec<u8>>,
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

impl Pipe {
    fn stdin(stopped: &Arc<AtomicBool>) -> Self {
        Self { seen: Cursor::default(), bar: ProgressBar::hidden(), stopped: stopped.clone() }
    }

    /// Looks at the first `count` bytes, or all there are, without taking them.
    fn look(&mut self, count: usize) -> io::Result<()> {
        io::stdin().lock().take(count as u64).read_to_end(self.seen.get_mut()).map(drop)
    }

    fn seen(&self) -> &[u8] {
        self.seen.get_ref()
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        let count = match self.seen.read(buffer)? {
            0 => io::stdin().lock().read(buffer)?,
            count => count,
        };
        self.bar.inc(count as u64);
        Ok(count)
    }
}
