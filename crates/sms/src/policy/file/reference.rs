//! `[[reference.…]]`: the programs that count, each under a name of its own.

use iexec_attestation::{
    Digest384, References, Register, SgxIdentity, SgxReference, SimulatedReference, SnpReference, TdxReference,
};
use iexec_protocol::B256;
use serde::Deserialize;
use toml::Spanned;

use super::{super::value::As, At, PolicyError};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReferenceTables {
    tdx: Vec<TdxTable>,
    snp: Vec<SnpReferenceTable>,
    sgx: Vec<SgxTable>,
    simulated: Vec<SimulatedTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TdxTable {
    name: Spanned<String>,
    mrtd: As<Register>,
    rtmr0: As<Register>,
    rtmr1: As<Register>,
    rtmr2: As<Register>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SnpReferenceTable {
    name: Spanned<String>,
    measurement: As<Register>,
    id_key_digest: Option<As<Digest384>>,
    author_key_digest: Option<As<Digest384>>,
    #[serde(default)]
    minimum_svn: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SgxTable {
    name: Spanned<String>,
    mrenclave: Option<As<B256>>,
    mrsigner: Option<As<B256>>,
    product_id: Option<u16>,
    minimum_svn: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SimulatedTable {
    name: Spanned<String>,
    mrtd: As<Digest384>,
}

impl ReferenceTables {
    /// All names, each of one value only.
    pub(super) fn names(&self, at: At<'_>) -> Result<Vec<String>, PolicyError> {
        let mut names = Vec::new();
        let tdx = self.tdx.iter().map(|table| &table.name);
        let snp = self.snp.iter().map(|table| &table.name);
        let sgx = self.sgx.iter().map(|table| &table.name);
        for name in tdx.chain(snp).chain(sgx).chain(self.simulated.iter().map(|table| &table.name)) {
            if names.contains(name.get_ref()) {
                return Err(at.fault(name.span(), format!("two reference values are called {:?}", name.get_ref())));
            }
            names.push(name.get_ref().clone());
        }
        Ok(names)
    }

    pub(super) fn read(self, at: At<'_>) -> Result<References, PolicyError> {
        Ok(References {
            tdx: self.tdx.into_iter().map(TdxTable::read).collect(),
            snp: self.snp.into_iter().map(SnpReferenceTable::read).collect(),
            sgx: self.sgx.into_iter().map(|table| table.read(at)).collect::<Result<_, _>>()?,
            simulated: self.simulated.into_iter().map(SimulatedTable::read).collect(),
        })
    }
}

impl TdxTable {
    fn read(self) -> TdxReference {
        let (As(mrtd), As(rtmr0), As(rtmr1), As(rtmr2)) = (self.mrtd, self.rtmr0, self.rtmr1, self.rtmr2);
        TdxReference { name: self.name.into_inner(), mrtd, rtmr: [rtmr0, rtmr1, rtmr2] }
    }
}

impl SnpReferenceTable {
    fn read(self) -> SnpReference {
        SnpReference {
            name: self.name.into_inner(),
            measurement: self.measurement.0,
            id_key_digest: self.id_key_digest.map(|As(digest)| digest),
            author_key_digest: self.author_key_digest.map(|As(digest)| digest),
            minimum_svn: self.minimum_svn,
        }
    }
}

impl SgxTable {
    fn read(self, at: At<'_>) -> Result<SgxReference, PolicyError> {
        let identity = match (self.mrenclave, self.mrsigner, self.product_id, self.minimum_svn) {
            (Some(As(mrenclave)), None, None, None) => SgxIdentity::Enclave(mrenclave),
            (None, Some(As(mrsigner)), Some(product_id), Some(minimum_svn)) => {
                SgxIdentity::Signer { mrsigner, product_id, minimum_svn }
            }
            _ => {
                let cause = "an SGX enclave is named by mrenclave alone, or by mrsigner, product-id and minimum-svn";
                return Err(at.fault(self.name.span(), cause));
            }
        };
        Ok(SgxReference { name: self.name.into_inner(), identity })
    }
}

impl SimulatedTable {
    fn read(self) -> SimulatedReference {
        SimulatedReference { name: self.name.into_inner(), mrtd: self.mrtd.0 }
    }
}
