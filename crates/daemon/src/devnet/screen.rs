//! What a person sees when the network is ready: one screen.

use std::io::Write as _;

use anyhow::Result;
use iexec_protocol::Address;

use super::{Flags, ports::Ports, ports::url};

/// Prints it.
pub(crate) fn show(flags: &Flags, ports: &Ports, workerpool: Address) -> Result<()> {
    let data = flags.data.display();
    let mut text = String::from("\nThe network is ready.\n\n");
    for (service, port) in ports.all() {
        text += &format!("  {service:<10} {}\n", url(port));
    }
    text += &format!(
        "\n  workerpool {workerpool}\n  data       {data}\n  chain.json {data}/chain.json (for the npm SDK: sdk-7, sdk-8, sdk-9)\n\n"
    );
    text += if flags.without_simulated_tee {
        "  No simulated evidence is accepted: tasks need TEE hardware.\n"
    } else {
        "  SIMULATED TEE: nothing here is protected by hardware. For development only.\n"
    };
    text += "\nIn another terminal:\n";
    if flags.port_offset != 0 {
        text += &format!("  export IEXEC_CHAIN_FILE={data}/chain.json\n");
    }
    text += "  iexec wallet create && iexec init --skip-wallet && iexec wallet getETH\n\nCtrl-C stops it; started again on the same data it goes on.\n";
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
