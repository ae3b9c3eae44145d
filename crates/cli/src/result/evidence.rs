//! The evidence of a receipt: whose quote it is, of which program, on a platform in which state. With it nobody has to
//! believe those who run the SMS (spec `docs/spec/receipt.md` R13).

use std::path::{Path, PathBuf};

use iexec_attestation::{
    Collateral, DcapCollateral, DcapPolicy, Expected, MAX_COLLATERAL, Policy, SnpCollateral, SnpPolicy, TcbClaims,
    TcbStatus, TrustAnchors, Verdict, VlekProviders, explain,
};
use iexec_protocol::{
    call::sms::{GetCollateral, PlatformCollateral},
    evidence::{Evidence, Tee},
    id::Sha256,
    receipt::{Receipt, Statement},
};

use iexec_service::Client;

use super::facts::{Facts, TrustOptions, invalid_receipt};
use crate::{failure::Failure, remote::online};

/// Root of a simulated TEE, in its folder.
const SIMULATED_ROOT: &str = "root.der";
/// Its collateral, beside it.
const SIMULATED_COLLATERAL: &str = "collateral.json";
const MAX_ROOT: u64 = 8 * 1024;
/// Nobody but who set the simulated TEE up can say which root is its: the SMS is not asked, since it is what is checked.
const NO_ROOT: &str = "no root of a simulated TEE is known (--simulated-root FILE, or simulatedTee in chain.json)";
/// What the evidence would tell.
const KNOWN: &str = "that the receipt is of the enclave that its evidence shows";

/// Tells what the evidence proves; evidence that is wrong is an error.
pub(crate) fn check(receipt: &Receipt, options: &TrustOptions, facts: &mut Facts) -> Result<(), Failure> {
    let statement = receipt.statement();
    let Some(enclave) = receipt.enclave() else {
        facts.not_verifiable(KNOWN, "it is from before enclaves signed receipts with keys of their own");
        return Ok(());
    };
    let (anchors, collateral) = match sources(&statement.evidence, options) {
        Ok(found) => found,
        Err(why) => {
            facts.not_verifiable(KNOWN, format!("its quote was not checked: {why}"));
            return Ok(());
        }
    };
    let expected = Expected { task: statement.task, nonce: statement.nonce, image: statement.inputs.image };
    let now = iexec_service::clock::now();
    let told = explain(&statement.evidence, Some(&expected), Some(&collateral), &anchors, &all(), now);
    for outcome in &told.outcomes {
        match (&outcome.verdict, outcome.check) {
            // What program and which firmware is good, and whose VLEK, is for the reader to say.
            (Verdict::Failed(_), "reference" | "tcb-floor") | (Verdict::Passed | Verdict::NotRun(_), _) => (),
            (Verdict::Failed(why), "collateral" | "collateral-dates") => {
                facts.not_verifiable(KNOWN, why);
                return Ok(());
            }
            (Verdict::Failed(why), check) => return Err(invalid_receipt(format!("the evidence ({check}): {why}"))),
        }
    }
    let Some(claims) = told.claims else {
        facts.not_verifiable(KNOWN, "its quote was not authenticated");
        return Ok(());
    };
    facts.verified(format!("the quote is authentic under {}", anchor(statement, options)));
    facts.verified(format!("the enclave measures {}", claims.measurement));
    facts.verified(format!("that enclave alone has the key {enclave}, which signed the receipt, too"));
    platform(&claims.tcb, facts);
    Ok(())
}

fn platform(tcb: &TcbClaims, facts: &mut Facts) {
    match tcb {
        TcbClaims::Dcap(dcap) if dcap.status == TcbStatus::UpToDate => {
            facts.verified("the platform's TCB is UpToDate");
        }
        TcbClaims::Dcap(dcap) => {
            let why = format!("its TCB is {} ({})", dcap.status, dcap.advisories.join(", "));
            facts.not_verifiable("that the platform was up to date", why);
        }
        TcbClaims::Snp(snp) => {
            facts.verified(format!("the platform is {} with {}, by {}", snp.product, snp.reported, snp.signer));
        }
    }
}

/// Whom to believe, and what is said about the platform; else why that is not known.
fn sources(evidence: &Evidence, options: &TrustOptions) -> Result<(TrustAnchors, Collateral), String> {
    let anchors = TrustAnchors::hardware();
    if evidence.tee != Tee::Simulated {
        return Ok((anchors, hardware_collateral(evidence, options)?));
    }
    let path = options.simulated_root.as_deref().ok_or(NO_ROOT)?;
    let root = read(path, MAX_ROOT)?;
    let anchors = anchors.insecure_with_simulated(root).map_err(|error| error.to_string())?;
    let beside = || path.with_file_name(SIMULATED_COLLATERAL);
    dcap(&options.collateral.clone().unwrap_or_else(beside)).map(|collateral| (anchors, collateral))
}

/// From the file that the user names, else from the SMS: it is signed by the vendor, whoever passes it on.
fn hardware_collateral(evidence: &Evidence, options: &TrustOptions) -> Result<Collateral, String> {
    let of_vcek = |vcek| SnpCollateral::new(vcek, None).map(Collateral::Snp).map_err(|error| error.to_string());
    match (evidence.tee, options.collateral.as_deref(), options.sms.as_deref()) {
        (Tee::Snp, Some(file), _) => of_vcek(Some(read(file, MAX_COLLATERAL as u64)?)),
        (_, Some(file), _) => dcap(file),
        (_, None, Some(sms)) => of_sms(evidence, sms),
        (Tee::Snp, None, None) if !evidence.certificates.is_empty() => of_vcek(None),
        (_, None, None) => Err("no collateral (--collateral), and no SMS that could be asked".to_owned()),
    }
}

fn of_sms(evidence: &Evidence, sms: &str) -> Result<Collateral, String> {
    let call = GetCollateral { evidence: evidence.clone() };
    let answer = online(async {
        let client = Client::new().map_err(|error| Failure::ours("InternalError", format!("{error:#}")))?;
        client.send(sms, &call).await.map_err(|error| Failure::of_call("SmsCallError", "SMS", sms, &error))
    });
    let read = match answer.map_err(|failure| failure.message)? {
        PlatformCollateral::Dcap { collateral } => {
            DcapCollateral::from_json(collateral.to_string().as_bytes()).map(Collateral::Dcap)
        }
        PlatformCollateral::Snp { vcek, revocations } => {
            let some = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
            SnpCollateral::new(some(vcek), some(revocations).as_deref()).map(Collateral::Snp)
        }
    };
    read.map_err(|error| error.to_string())
}

fn dcap(file: &Path) -> Result<Collateral, String> {
    let json = read(file, MAX_COLLATERAL as u64)?;
    DcapCollateral::from_json(&json).map(Collateral::Dcap).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(length) if length as u64 > most => Err(format!("{}: longer than {most} bytes", path.display())),
        Ok(_) => Ok(bytes),
    }
}

fn anchor(statement: &Statement, options: &TrustOptions) -> String {
    match statement.tee {
        Tee::Tdx | Tee::Sgx => "Intel's root".to_owned(),
        Tee::Snp => "AMD's root".to_owned(),
        Tee::Simulated => {
            let root = options.simulated_root.as_deref().and_then(|path| read(path, MAX_ROOT).ok()).unwrap_or_default();
            format!("the development root {} (SIMULATED, proves nothing)", Sha256::of(root).to_oci())
        }
    }
}

/// Every kind of TEE, in every state but revoked.
fn all() -> Policy {
    use TcbStatus::{
        ConfigurationAndSWHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded,
        SWHardeningNeeded, TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded, UpToDate,
    };
    let statuses = vec![
        UpToDate,
        SWHardeningNeeded,
        ConfigurationNeeded,
        ConfigurationAndSWHardeningNeeded,
        OutOfDate,
        OutOfDateConfigurationNeeded,
        TDRelaunchAdvised,
        TDRelaunchAdvisedConfigurationNeeded,
    ];
    let nothing = Policy::nothing();
    Policy {
        tees: vec![Tee::Tdx, Tee::Snp, Tee::Sgx, Tee::Simulated],
        dcap: DcapPolicy { statuses, ..nothing.dcap },
        snp: SnpPolicy { vlek_providers: VlekProviders::Any, ..nothing.snp },
        ..nothing
    }
}

/// The root in the folder that chain.json names.
pub(crate) fn root_in(folder: &str) -> PathBuf {
    Path::new(folder).join(SIMULATED_ROOT)
}
