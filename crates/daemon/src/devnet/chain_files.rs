//! The `chain.json` of the network, and the variants that the npm SDK's major versions insist on.

use std::fs;

use anyhow::{Context as _, Result};
use iexec_chain::network::{self, ChainFile, Dialect, Network, Services};

use super::{
    Flags,
    ports::{Ports, url},
};

/// Folders beside the network's data, and whose file each holds.
pub(crate) const VARIANTS: [(&str, Dialect); 4] =
    [("", Dialect::Iexec), ("sdk-7", Dialect::SdkTo7), ("sdk-8", Dialect::Sdk8), ("sdk-9", Dialect::Sdk9)];

/// Writes them below the data folder.
pub(crate) fn write(flags: &Flags, ports: &Ports) -> Result<()> {
    let file = ChainFile::of(&network(flags, ports));
    for (folder, dialect) in VARIANTS {
        let folder = flags.data.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let (path, part) = (folder.join("chain.json"), folder.join("chain.json.part"));
        fs::write(&part, file.render(dialect)).with_context(|| format!("cannot write {}", part.display()))?;
        fs::rename(&part, &path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The network on these ports.
pub(crate) fn network(flags: &Flags, ports: &Ports) -> Network {
    let at = |port| Some(url(port));
    let services = Services {
        sms: at(ports.sms),
        result_proxy: at(ports.storage),
        ipfs_gateway: at(ports.storage),
        market: at(ports.market),
        compass: at(ports.market),
        poco_subgraph: None,
        faucet: at(ports.faucet),
    };
    let simulated_tee = Some(flags.simulated_tee().display().to_string());
    Network { host: url(ports.chain), services, simulated_tee, ..network::devnet() }
}
