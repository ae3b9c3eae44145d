//! `iexec-simulated-tee setup FOLDER`: makes a simulated platform's folder, or renews its collateral.

use std::{
    io,
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use iexec_simulated_tee::pki::{Files, PkiError, VALIDITY, setup};

const USAGE: &str = "usage: iexec-simulated-tee setup FOLDER\n\n\
    Makes root.der (the trust anchor), collateral.json, platform.json and root.key (both 0600) in FOLDER.\n\
    Called again, it keeps the keys and renews the collateral, which is good for 180 days.\n\
    SIMULATED, proves nothing: whoever reads the folder passes for any enclave. For local networks and tests.";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let made = match words.as_slice() {
        [verb, folder] if verb == "setup" => made(Path::new(folder)),
        [help] if help == "--help" || help == "-h" => return say(&mut io::stdout(), USAGE, ExitCode::SUCCESS),
        _ => return say(&mut io::stderr(), USAGE, ExitCode::from(2)),
    };
    match made {
        Ok(files) => {
            let Files { root, collateral, platform } = files;
            let paths = serde_json::json!({ "root": root, "collateral": collateral, "platform": platform });
            say(&mut io::stdout(), &paths.to_string(), ExitCode::SUCCESS)
        }
        Err(error) => say(&mut io::stderr(), &format!("error: {error}"), ExitCode::from(2)),
    }
}

fn made(folder: &Path) -> Result<Files, PkiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    setup(folder, now.as_secs(), VALIDITY)
}

/// Nobody to tell when the text cannot be written.
fn say(to: &mut dyn io::Write, text: &str, code: ExitCode) -> ExitCode {
    let _ = writeln!(to, "{text}");
    code
}
