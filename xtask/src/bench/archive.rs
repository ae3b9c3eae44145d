//! `cargo xtask bench archive`: results sealed and opened, against openssl, age and the published SDK on the same bytes.
//! Processor time and peak memory are the kernel's own account of each child (wait4); medians of paired runs: each round
//! runs every program once, so that a busy minute hits all of them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use iexec_archive::{AGE_ENTRY, AgeIdentity, BODY_ENTRY, Encryptor, EntryDigest, PrivateKey, Recipient, Sealed};
use iexec_e2e::{sdk, workspace};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Nonce, Tee},
    id::{DealId, Sha256, TaskId},
    key::SigningKey,
    receipt::{Entry, Inputs, Statement},
};
use wait4::Wait4 as _;

use crate::command;

const ROUNDS: usize = 3;
const KEYS: usize = 15;
const MIB: u64 = 1024 * 1024;
const SIZES: [u64; 3] = [MIB, 100 * MIB, 1024 * MIB];
const LARGEST: u64 = 10 * 1024 * MIB;
/// The SDK refuses more than 1,000,000,000 bytes, and takes minutes and gigabytes long before.
const SDK_LIMIT: u64 = 100 * MIB;
const ANY_KEY: &str =
    "-K 0000000000000000000000000000000000000000000000000000000000000000 -iv 00000000000000000000000000000000";
const WALLET: &str = r#"{"privateKey":"0x564a9db84969c8159f7aa3d5393c5ecd014fce6a375842a45b12af6677b12407"}"#;

/// Builds for release, measures, prints one table. `large`: 10 GiB, too.
pub(crate) fn run(large: bool) -> Result<()> {
    command::run("cargo", &["build", "--quiet", "--release", "--package", "iexec-cli"])?;
    command::run(
        "cargo",
        &["build", "--quiet", "--release", "--package", "iexec-archive", "--features", "age", "--examples"],
    )?;
    let sdk = sdk::installed("sdk-9")?.join("iexec");
    let bench = Bench { folder: tempfile::tempdir_in(workspace::target())?, sdk: sdk.display().to_string() };
    println!("| size | what | CPU s | wall s | peak MiB |\n|---|---|---|---|---|");
    bench.keys()?;
    for size in SIZES.into_iter().chain(large.then_some(LARGEST)) {
        bench.size(size)?;
    }
    Ok(())
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

    fn through(self, stdin: &'static str) -> Self {
        Self { stdin: Some(stdin), ..self }
    }
}

impl Bench {
    fn keys(&self) -> Result<()> {
        fs::write(self.folder.path().join("wallet.json"), WALLET)?;
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
        let folder = self.folder.path();
        noise(&folder.join("noise"), size)?;
        let rsa = PrivateKey::generate(4096)?;
        let age = AgeIdentity::generate();
        fs::write(folder.join("rsa.pem"), rsa.to_pkcs8_pem()?.as_bytes())?;
        fs::write(folder.join("rsa.pub"), rsa.public_key()?.to_pem())?;
        fs::write(folder.join("age.txt"), age.to_text().as_bytes())?;
        fs::write(folder.join("age.pub"), age.recipient().to_string())?;
        seal(folder, "c.zip", &Recipient::from(rsa.public_key()?))?;
        seal(folder, "age.zip", &Recipient::from(age.recipient()))?;
        self.take_apart()?;
        self.measure(&shown(size), &self.rows(size)?, ROUNDS)
    }

    /// The bytes that the others get: the bare ciphertext and the bare age file.
    fn take_apart(&self) -> Result<()> {
        let folder = self.folder.path();
        for (archive, entry, file) in [("c.zip", BODY_ENTRY, "body.aes"), ("age.zip", AGE_ENTRY, "body.age")] {
            let out = File::create(folder.join(file))?;
            let status = Command::new("unzip").args(["-p", archive, entry]).current_dir(folder).stdout(out).status()?;
            ensure!(status.success(), "unzip failed");
        }
        Ok(())
    }

    fn rows(&self, size: u64) -> Result<Vec<Row>> {
        let decrypt = format!("{} result decrypt --quiet --force --receipt-only", cli());
        let mut rows = vec![
            Row::new(
                "`iexec result decrypt`, layout C, every byte compared",
                &format!("{decrypt} c.zip --beneficiary-key-file rsa.pem"),
            ),
            Row::new("the same from a pipe", &format!("{decrypt} - --beneficiary-key-file rsa.pem")).through("c.zip"),
            // Any key costs the same: without padding, it finds no fault with a wrong one.
            Row::new(
                "`openssl enc -d -aes-256-cbc` of the same bytes",
                &format!("openssl enc -d -aes-256-cbc -nopad {ANY_KEY} -in body.aes -out results.zip"),
            ),
            Row::new("`openssl dgst -sha256` of the same bytes", "openssl dgst -sha256 body.aes"),
            Row::new(
                "`iexec result decrypt`, age, every byte compared",
                &format!("{decrypt} age.zip --beneficiary-key-file age.txt"),
            ),
            Row::new("`age -d` of the same bytes", "age -d -i age.txt -o results.zip body.age"),
        ];
        rows.extend(self.sealing()?);
        if size <= SDK_LIMIT {
            let options = "--force --raw --beneficiary-keystoredir . --beneficiary-key-file rsa.pem";
            rows.push(Row::new(
                "npm `iexec` 9.0.1 `result decrypt`",
                &format!("{} result decrypt c.zip {options}", self.sdk),
            ));
        }
        Ok(rows)
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

    fn once(&self, row: &Row) -> Result<Cost> {
        let folder = self.folder.path();
        for made in ["results.zip", "sealed.zip"] {
            // What is not there need not go.
            let _ = fs::remove_file(folder.join(made));
        }
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

/// Bytes that do not shrink, as results that are worth measuring: encrypted zeros.
fn noise(path: &Path, size: u64) -> Result<()> {
    let out = File::create(path)?;
    let script =
        format!("head -c {size} /dev/zero | openssl enc -aes-256-ctr -K {} -iv {}", "42".repeat(32), "00".repeat(16));
    let status = Command::new("sh").args(["-c", &script]).stdout(out).status()?;
    ensure!(status.success() && path.metadata()?.len() == size, "no bytes to measure with");
    Ok(())
}

/// Seals the noise with a receipt, as the enclave does.
fn seal(folder: &Path, name: &str, recipient: &Recipient) -> Result<()> {
    let out = BufWriter::with_capacity(256 * 1024, File::create(folder.join(name))?);
    let mut sealing = Encryptor::to_recipients(std::slice::from_ref(recipient), &mut rand::rng(), out)?;
    sealing.add_file("noise", File::open(folder.join("noise"))?)?;
    let [challenge, enclave] = [SigningKey::from_bytes(&[7; 32])?, SigningKey::from_bytes(&[8; 32])?];
    let mut refused = None;
    let sealed = sealing.finish(|sealed| {
        let receipt = statement(sealed, enclave.address()).sign(&challenge, &enclave);
        receipt.map_err(|error| refused = Some(error)).unwrap_or_default()
    });
    if let Some(error) = refused {
        return Err(error.into());
    }
    Ok(sealed?.flush()?)
}

fn statement(sealed: &Sealed, signer: Address) -> Statement {
    let image = Sha256::of("image");
    let entry =
        |entry: &EntryDigest| Entry { name: entry.name.clone(), size: entry.size, sha256: Sha256(entry.sha256.into()) };
    Statement {
        task: TaskId(B256::ZERO),
        deal: DealId(B256::ZERO),
        worker: Address::ZERO,
        tee: Tee::Simulated,
        inputs: Inputs { image, command: Vec::new(), dataset: None, files: Vec::new() },
        evidence: Evidence {
            tee: Tee::Simulated,
            key: B256::ZERO,
            signer,
            image,
            quote: Vec::new(),
            certificates: Vec::new(),
        },
        nonce: Nonce(B256::ZERO),
        result_digest: B256::ZERO,
        tree: Sha256(sealed.tree.0.into()),
        recipients: sealed.recipients.iter().map(|id| Sha256((*id).into())).collect(),
        entries: sealed.entries.iter().map(entry).collect(),
    }
}

fn median(costs: &mut [Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    costs.sort_by(|one, other| of(one).total_cmp(&of(other)));
    costs.get(costs.len() / 2).map_or(0.0, of)
}

fn shown(size: u64) -> String {
    if size < 1024 * MIB { format!("{} MiB", size / MIB) } else { format!("{} GiB", size / MIB / 1024) }
}
