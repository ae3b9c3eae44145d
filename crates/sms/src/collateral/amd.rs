//! AMD's Key Distribution Service (AMD 57230): certificates of chips' keys, and revocation lists. AMD's roots are built in;
//! the service's own chain is not asked for.

use iexec_attestation::{ChipId, SnpKey, SnpProduct, SnpVersion};
use iexec_service::Client;

use super::fetch::{FetchError, get};

/// Bytes of a chip's id in the address: Turin's is shorter.
const TURIN_CHIP: usize = 8;

/// The certificate of a chip's key, DER.
pub(super) async fn vcek(
    client: &Client,
    kds: &str,
    product: SnpProduct,
    chip_id: &ChipId,
    version: SnpVersion,
) -> Result<Vec<u8>, FetchError> {
    get(client, kds, &path(product, chip_id, version)).await.map(|answer| answer.body)
}

fn path(product: SnpProduct, chip_id: &ChipId, version: SnpVersion) -> String {
    let SnpVersion { fmc, bootloader, tee, snp, microcode } = version;
    let chip = if product == SnpProduct::Turin { &chip_id[..TURIN_CHIP] } else { chip_id.as_slice() };
    let fmc = fmc.map_or_else(String::new, |fmc| format!("fmcSPL={fmc:02}&"));
    let chip = const_hex::encode(chip);
    format!(
        "/vcek/v1/{product}/{chip}?{fmc}blSPL={bootloader:02}&teeSPL={tee:02}&snpSPL={snp:02}&ucodeSPL={microcode:02}"
    )
}

/// The revocation list of a generation, DER, for the authority of keys of this kind.
pub(super) async fn list(client: &Client, kds: &str, product: SnpProduct, key: SnpKey) -> Result<Vec<u8>, FetchError> {
    let kind = match key {
        SnpKey::Vcek => "vcek",
        SnpKey::Vlek => "vlek",
    };
    get(client, kds, &format!("/{kind}/v1/{product}/crl")).await.map(|answer| answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_kds() {
        let version = SnpVersion { fmc: None, bootloader: 3, tee: 0, snp: 8, microcode: 115 };
        let milan = path(SnpProduct::Milan, &ChipId::repeat_byte(0xab), version);
        let chip = "ab".repeat(64);
        assert_eq!(milan, format!("/vcek/v1/Milan/{chip}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"));
        let turin = path(SnpProduct::Turin, &ChipId::repeat_byte(0xab), SnpVersion { fmc: Some(1), ..version });
        assert_eq!(turin, "/vcek/v1/Turin/abababababababab?fmcSPL=01&blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115");
    }
}
