//! The local network's chain, for real: anvil, the published contracts, and every call that the product makes on them.

use std::path::Path;

use iexec_chain::anvil::{Anvil, Mining};
use iexec_chain::devnet::{self, DevAccount};
use iexec_chain::toolchain::Toolchain;

fn tools() -> Toolchain {
    let devnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../devnet");
    Toolchain::locate(&devnet).unwrap_or_else(|missing| panic!("{missing}"))
}

#[tokio::test]
async fn a_fresh_deployment_is_where_the_constants_say() {
    let mut tools = tools();
    let dir = tempfile::tempdir().unwrap();
    tools.state = dir.path().join("fresh.json");
    let anvil = Anvil::ephemeral(&tools, Mining::AtOnce).await.unwrap();
    let chain = anvil.chain().unwrap();
    chain.check().await.unwrap();
    assert_eq!(chain.contracts().await.unwrap().token, devnet::RLC);
    assert_eq!(chain.count_categories().await.unwrap(), 5);
    let third = chain.view_category(2).await.unwrap().unwrap();
    assert_eq!((third.name.as_str(), third.seconds), ("M", 3600));
    assert_eq!(chain.view_category(5).await.unwrap(), None);
    let _ = DevAccount::Deployer;
}
