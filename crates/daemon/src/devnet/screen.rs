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
        writeln!(out, "  export IEXEC_CHAIN_FILE={data}/chain.json")?;
    }
    writeln!(out, "  iexec wallet create && iexec init --skip-wallet && iexec wallet getETH")?;
    writeln!(out, "\nCtrl-C stops it; started again on the same data it goes on.")?;
    out.flush()
}

const fn hardware(flags: &Flags) -> &'static str {
    if flags.without_simulated_tee {
        "No simulated evidence is accepted: tasks need TEE hardware."
    } else {
        "SIMULATED TEE: nothing here is protected by hardware. For development only."
    }
}
