//! A sample app. It reads `$IEXEC_IN`, writes `$IEXEC_OUT/my-result.txt` and says so in `$IEXEC_OUT/computed.json`.
//!
//! It knows nothing of datasets' keys, enclaves, archives or encryption: that is the point of it.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Longest first line that is shown, in bytes.
const MAX_LINE: u64 = 200;
const RESULT: &str = "my-result.txt";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match run(&arguments, |name| env::var(name).ok()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String], variable: impl Fn(&str) -> Option<String>) -> io::Result<()> {
    let needed = |name| variable(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let (input, output) = (PathBuf::from(needed("IEXEC_IN")?), PathBuf::from(needed("IEXEC_OUT")?));
    let mut text = greeting(arguments);
    for (kind, name) in inputs(&variable)? {
        let _ = writeln!(text, "{}", describe(kind, &name, &input.join(&name))?);
    }
    let result = output.join(RESULT);
    fs::write(&result, &text)?;
    fs::write(output.join("computed.json"), computed(&result))?;
    io::stdout().write_all(text.as_bytes())
}

fn greeting(arguments: &[String]) -> String {
    if arguments.is_empty() { "Hello, world!\n".to_owned() } else { format!("Hello, {}!\n", arguments.join(" ")) }
}

/// The dataset's and the input files' names, as iExec's variables tell them.
fn inputs(variable: &impl Fn(&str) -> Option<String>) -> io::Result<Vec<(&'static str, String)>> {
    let dataset = variable("IEXEC_DATASET_FILENAME").filter(|name| !name.is_empty());
    let count = variable("IEXEC_INPUT_FILES_NUMBER").unwrap_or_default();
    let count: u32 = if count.is_empty() { 0 } else { count.parse().map_err(io::Error::other)? };
    let mut found: Vec<_> = dataset.map(|name| ("dataset", name)).into_iter().collect();
    for number in 1..=count {
        let name = format!("IEXEC_INPUT_FILE_NAME_{number}");
        let file = variable(&name).ok_or_else(|| io::Error::other(format!("{name} is not set")))?;
        found.push(("input file", file));
    }
    Ok(found)
}

/// Name, size and first line.
fn describe(kind: &str, name: &str, path: &Path) -> io::Result<String> {
    let file = File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{kind} {name}: {error}")))?;
    let size = file.metadata()?.len();
    let mut line = Vec::new();
    BufReader::new(file.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(format!("{kind} {name}: {size} bytes, begins with {:?}", line.trim_end()))
}

fn computed(result: &Path) -> String {
    // The path is the platform's own `/iexec_out/…`: debug form is JSON for it.
    format!("{{\"deterministic-output-path\": {:?}}}\n", result.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(arguments: &[&str], extra: &[(&str, &str)], files: &[(&str, &str)]) -> io::Result<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let folder = dir.path().to_str().unwrap().to_owned();
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        run(&arguments, |name| match name {
            "IEXEC_IN" | "IEXEC_OUT" => Some(folder.clone()),
            name => extra.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        })?;
        let computed = fs::read_to_string(dir.path().join("computed.json"))?;
        assert_eq!(computed, format!("{{\"deterministic-output-path\": \"{folder}/my-result.txt\"}}\n"));
        fs::read_to_string(dir.path().join(RESULT))
    }

    #[test]
    fn it_greets_the_world_or_whom_it_is_told() {
        assert_eq!(result(&[], &[("IEXEC_INPUT_FILES_NUMBER", "0")], &[]).unwrap(), "Hello, world!\n");
        assert_eq!(result(&["dear", "Ada"], &[], &[]).unwrap(), "Hello, dear Ada!\n");
    }

    #[test]
    fn it_lists_what_it_was_given() {
        let variables =
            [("IEXEC_DATASET_FILENAME", "d"), ("IEXEC_INPUT_FILES_NUMBER", "1"), ("IEXEC_INPUT_FILE_NAME_1", "a.txt")];
        let text = result(&[], &variables, &[("d", "secret"), ("a.txt", "one\ntwo\n")]).unwrap();
        let listed = "dataset d: 6 bytes, begins with \"secret\"\ninput file a.txt: 8 bytes, begins with \"one\"\n";
        assert_eq!(text, format!("Hello, world!\n{listed}"));
    }

    #[test]
    fn an_input_that_is_not_there_is_an_error() {
        let variables = [("IEXEC_INPUT_FILES_NUMBER", "1"), ("IEXEC_INPUT_FILE_NAME_1", "a.txt")];
        assert!(result(&[], &variables, &[]).unwrap_err().to_string().starts_with("input file a.txt: "));
        assert!(result(&[], &variables[..1], &[]).is_err());
    }
}
