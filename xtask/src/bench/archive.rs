//! `cargo xtask bench archive`: results sealed and opened, against openssl, age and the published SDK on the same bytes.
//! Processor time and peak memory are the kernel's own account of each child (wait4); medians of paired runs: each round
//! runs every program once, so that a busy minute hits all of them.

mod sample;

use std::{
    fs::{self, File},
    io,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use iexec_archive::{AGE_ENTRY, AgeIdentity, BODY_ENTRY, PrivateKey, Recipient};
use iexec_e2e::{sdk, workspace};
use wait4::Wait4 as _;

use self::sample::{noise, seal, secret};
use crate::command;

const ROUNDS: usize = 3;
const KEYS: usize = 15;
const MIB: u64 = 1024 * 1024;
const SIZES: [u64; 3] = [MIB, 100 * MIB, 1024 * MIB];
/// The SDK refuses more than 1,000,000,000 bytes, and takes minutes and gigabytes long before.
const SDK_LIMIT: u64 = 100 * MIB;
const SDK_LARGEST: u64 = 950 * MIB;
const LARGEST: u64 = 10 * 1024 * MIB;
/// For the memory alone.
const HUGE: u64 = 20_000_000_000;
const ANY_KEY: &str =
    "-K 0000000000000000000000000000000000000000000000000000000000000000 -iv 00000000000000000000000000000000";
const WALLET: &str = r#"{"privateKey":"0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407"}"#;

/// Builds for release, measures, prints one table. `large` measures instead, once each, what takes minutes and 22 GB of disk:
/// the SDK at its largest, 10 GiB, and the memory that 20 GB take.
pub(crate) fn run(large: bool) -> Result<()> {
    command::run("cargo", &["build", "--quiet", "--release", "--package", "iexec-cli"])?;
    command::run(
        "cargo",
        &["build", "--quiet", "--release", "--package", "iexec-archive", "--features", "age", "--examples"],
    )?;
    let sdk = sdk::installed("sdk-9")?.join("iexec");
    let bench = Bench { folder: tempfile::tempdir_in(workspace::target())?, sdk: sdk.display().to_string() };
    println!("| size | what | CPU s | wall s | peak MiB |\n|---|---|---|---|---|");
    fs::write(bench.folder.path().join("wallet.json"), WALLET)?;
    if large {
        return bench.large();
    }
    bench.key_pairs()?;
    SIZES.into_iter().try_for_each(|size| bench.size(size))
}

struct Bench {
    folder: tempfile::TempDir,
    sdk: String,
}

/// What one child cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
    peak: f64,
}

/// A program to measure: what it is called in the table, its words, and the file that comes through a pipe.
struct Row {
    name: &'static str,
    words: Vec<String>,
    stdin: Option<&'static str>,
}

impl Row {
    fn new(name: &'static str, words: &str) -> Self {
        Self { name, words: words.split(' ').map(str::to_owned).collect(), stdin: None }
    }
}

/// A layout's files in the folder, and who else reads its body.
struct Layout {
    archive: &'static str,
    entry: &'static str,
    body: &'static str,
    key: &'static str,
    decrypt: &'static str,
    other: fn() -> Vec<Row>,
}

const RESULT: &str = "results.zip";

const C: Layout = Layout {
    archive: "c.zip",
    entry: BODY_ENTRY,
    body: "body.aes",
    key: "rsa.pem",
    decrypt: "`iexec result decrypt`, layout C",
    other: || {
        let openssl = format!("openssl enc -d -aes-256-cbc -nopad {ANY_KEY} -in body.aes -out {RESULT}");
        vec![
            // Any key costs the same: without padding, it finds no fault with a wrong one.
            Row::new("`openssl enc -d -aes-256-cbc` of the same bytes", &openssl),
            Row::new("`openssl dgst -sha256` of the same bytes", "openssl dgst -sha256 body.aes"),
        ]
    },
};

const AGE: Layout = Layout {
    archive: "age.zip",
    entry: AGE_ENTRY,
    body: "body.age",
    key: "age.txt",
    decrypt: "`iexec result decrypt`, age",
    other: || vec![Row::new("`age -d` of the same bytes", "age -d -i age.txt -o results.zip body.age")],
};

impl Layout {
    fn ours(&self) -> [Row; 2] {
        [self.decrypting(), Row { stdin: Some(self.archive), ..self.row("the same from a pipe", "-") }]
    }

    fn decrypting(&self) -> Row {
        self.row(self.decrypt, self.archive)
    }

    fn row(&self, name: &'static str, archive: &str) -> Row {
        let options = "--quiet --force --receipt-only";
        Row::new(name, &format!("{} result decrypt {options} {archive} --beneficiary-key-file {}", cli(), self.key))
    }
}

impl Bench {
    fn key_pairs(&self) -> Result<()> {
        let rows = [
            Row::new(
                "`iexec result generate-encryption-keypair` (RSA-4096)",
                &format!("{} result generate-encryption-keypair --force --quiet", cli()),
            ),
            Row::new(
                "`openssl genpkey` (RSA-4096)",
                "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out other.pem",
            ),
        ];
        self.measure("", &rows, KEYS)
    }

    fn size(&self, size: u64) -> Result<()> {
        let [rsa, age] = self.recipients()?;
        noise(size)?.file(&self.folder.path().join("noise"))?;
        let mut rows = Vec::new();
        for (layout, recipient) in [(&C, &rsa), (&AGE, &age)] {
            seal(self.folder.path(), layout.archive, recipient, size)?;
            self.take_apart(layout)?;
            rows.extend(layout.ours().into_iter().chain((layout.other)()));
        }
        rows.extend(self.sealing()?);
        if size <= SDK_LIMIT {
            rows.push(self.sdk_row());
        }
        self.measure(&shown(size), &rows, ROUNDS)
    }

    /// Nothing is kept longer than it is needed, for the disk's sake.
    fn large(&self) -> Result<()> {
        let [rsa, age] = self.recipients()?;
        let folder = self.folder.path();
        seal(folder, C.archive, &rsa, SDK_LARGEST)?;
        self.measure(&shown(SDK_LARGEST), &[C.decrypting(), self.sdk_row()], 1)?;
        for (layout, recipient) in [(&C, &rsa), (&AGE, &age)] {
            seal(folder, layout.archive, recipient, LARGEST)?;
            self.measure(&shown(LARGEST), &layout.ours(), 1)?;
            self.forget(&[RESULT]);
            self.take_apart(layout)?;
            self.forget(&[layout.archive]);
            self.measure(&shown(LARGEST), &(layout.other)(), 1)?;
            self.forget(&[layout.body, RESULT]);
        }
        seal(folder, C.archive, &rsa, HUGE)?;
        let verify = format!("{} result verify --quiet --receipt-only {}", cli(), C.archive);
        self.measure("20 GB", &[Row::new("`iexec result verify`, layout C", &verify)], 1)
    }

    /// Makes the keys, whose public halves these are.
    fn recipients(&self) -> Result<[Recipient; 2]> {
        let folder = self.folder.path();
        let rsa = PrivateKey::generate(4096)?;
        let age = AgeIdentity::generate();
        secret(&folder.join(C.key), rsa.to_pkcs8_pem()?.as_bytes())?;
        fs::write(folder.join("rsa.pub"), rsa.public_key()?.to_pem())?;
        secret(&folder.join(AGE.key), age.to_text().as_bytes())?;
        fs::write(folder.join("age.pub"), age.recipient().to_string())?;
        Ok([rsa.public_key()?.into(), age.recipient().into()])
    }

    /// The bytes that the others get: the bare ciphertext, or the bare age file.
    fn take_apart(&self, layout: &Layout) -> Result<()> {
        let folder = self.folder.path();
        let out = File::create(folder.join(layout.body))?;
        let words = ["-p", layout.archive, layout.entry];
        let status = Command::new("unzip").args(words).current_dir(folder).stdout(out).status()?;
        ensure!(status.success(), "unzip failed");
        Ok(())
    }

    fn sdk_row(&self) -> Row {
        let options = "--force --raw --beneficiary-keystoredir . --beneficiary-key-file";
        let words = format!("{} result decrypt {} {options} {}", self.sdk, C.archive, C.key);
        Row::new("npm `iexec` 9.0.1 `result decrypt`", &words)
    }

    fn sealing(&self) -> Result<[Row; 4]> {
        let seal = workspace::target().join("release/examples/seal").display().to_string();
        let recipient = fs::read_to_string(self.folder.path().join("age.pub"))?;
        Ok([
            Row::new("seal, layout C", &format!("{seal} rsa.pub sealed.zip noise")),
            Row::new(
                "`openssl enc -aes-256-cbc`",
                &format!("openssl enc -aes-256-cbc {ANY_KEY} -in noise -out sealed.zip"),
            ),
            Row::new("seal, age", &format!("{seal} age.pub sealed.zip noise")),
            Row::new("`age -r`", &format!("age -r {recipient} -o sealed.zip noise")),
        ])
    }

    fn measure(&self, size: &str, rows: &[Row], rounds: usize) -> Result<()> {
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); rows.len()];
        for _ in 0..rounds {
            for (row, costs) in rows.iter().zip(&mut costs) {
                costs.push(self.once(row)?);
            }
        }
        for (row, costs) in rows.iter().zip(&mut costs) {
            let (cpu, wall, peak) =
                (median(costs, |cost| cost.cpu), median(costs, |cost| cost.wall), median(costs, |cost| cost.peak));
            println!("| {size} | {} | {cpu:.2} | {wall:.2} | {peak:.0} |", row.name);
        }
        Ok(())
    }

    /// Puts the row's input into memory and everything else onto the disk, so that neither is the next program's to pay for.
    fn settle(&self, row: &Row) -> Result<()> {
        ensure!(Command::new("sync").status()?.success(), "sync failed");
        for word in row.words.iter().map(String::as_str).chain(row.stdin) {
            let path = self.folder.path().join(word);
            if path.is_file() {
                io::copy(&mut File::open(path)?, &mut io::sink())?;
            }
        }
        Ok(())
    }

    fn forget(&self, files: &[&str]) {
        for file in files {
            // What is not there need not go.
            let _ = fs::remove_file(self.folder.path().join(file));
        }
    }

    fn once(&self, row: &Row) -> Result<Cost> {
        let folder = self.folder.path();
        self.forget(&[RESULT, "sealed.zip"]);
        self.settle(row)?;
        let (program, arguments) = row.words.split_first().context("a row without words")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::null());
        let mut feeder = None;
        if let Some(file) = row.stdin {
            let mut cat = Command::new("cat").arg(file).current_dir(folder).stdout(Stdio::piped()).spawn()?;
            command.stdin(cat.stdout.take().context("cat has no output")?);
            feeder = Some(cat);
        }
        let log = File::create(folder.join("stderr"))?;
        let begun = Instant::now();
        let mut child = command.stderr(log).spawn().with_context(|| format!("cannot start {program}"))?;
        let used = child.wait4()?;
        let wall = begun.elapsed().as_secs_f64();
        if let Some(mut cat) = feeder {
            cat.wait()?;
        }
        ensure!(used.status.success(), "{} failed: {}", row.name, fs::read_to_string(folder.join("stderr"))?);
        let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "megabytes need no more")]
        let peak = used.rusage.maxrss as f64 / MIB as f64;
        Ok(Cost { cpu, wall, peak })
    }
}

fn cli() -> String {
    workspace::target().join("release/iexec").display().to_string()
}

fn median(costs: &mut [Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    costs.sort_by(|one, other| of(one).total_cmp(&of(other)));
    costs.get(costs.len() / 2).map_or(0.0, of)
}

fn shown(size: u64) -> String {
    if size < 1024 * MIB { format!("{} MiB", size / MIB) } else { format!("{} GiB", size / MIB / 1024) }
}
