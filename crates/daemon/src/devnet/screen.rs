//! What a person sees when the network is ready: one screen.

use std::io::{self, Write as _};

use iexec_protocol::Address;

use super::{Flags, ports::Ports, ports::url};

/// Prints it.
pub(crate) fn show(flags: &Flags, ports: &Ports, workerpool: Address) -> io::Result<()> {
    let data = flags.data.display();
    let mut out = io::stdout().lock();
    writeln!(out, "\nThe network is ready.\n")?;
    for (service, port) in ports.all() {
        writeln!(out, "  {service:<10} {}", url(port))?;
    }
    writeln!(out, "\n  workerpool {workerpool}")?;
    writeln!(out, "  data       {data}")?;
    writeln!(out, "  chain.json {data}/chain.json (for the npm SDK: sdk-7, sdk-8, sdk-9)\n")?;
    writeln!(out, "  {}", hardware(flags))?;
    writeln!(out, "\nIn another terminal:")?;
    if flags.port_offset != 0 {
        writeln!(out, "  export IEXEC_CHAIN_FILE={}", quoted(&format!("{data}/chain.json")))?;
    }
    writeln!(out, "  iexec wallet create && iexec init --skip-wallet && iexec wallet getETH")?;
    writeln!(out, "\nCtrl-C stops it; started again on the same data it goes on.")?;
    out.flush()
}

/// As a shell reads it: a folder's name may have spaces.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if path.bytes().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

const fn hardware(flags: &Flags) -> &'static str {
    if flags.without_simulated_tee {
        "No simulated evidence is accepted: tasks need TEE hardware."
    } else {
        "SIMULATED TEE: nothing here is protected by hardware. For development only."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_and_quotes_is_one_word_of_a_shell() {
        assert_eq!(quoted("/tmp/a-b_c/chain.json"), "/tmp/a-b_c/chain.json");
        assert_eq!(quoted("/tmp/my net"), "'/tmp/my net'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
