//! Recorded evidence (`vectors/attestation/README.md`) and the policies that it meets.

use iexec_attestation::{
    AttestationError, Claims, Collateral, DcapCollateral, DcapPolicy, Policy, References, Register, SgxIdentity,
    SgxReference, SnpCollateral, SnpPolicy, SnpProduct, SnpReference, SnpVersion, TcbStatus, TdxReference,
    TrustAnchors, VlekProviders, appraise,
};
use iexec_protocol::{
    Address, B256,
    evidence::{Evidence, Tee},
    id::Sha256,
};

/// Evidence of a real machine, the collateral of its time, and a moment in that time.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) tee: Tee,
    pub(crate) quote: Vec<u8>,
    pub(crate) collateral: Collateral,
    pub(crate) now: u64,
}

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../../vectors/attestation/", $name)).as_slice()
    };
}
pub(crate) use vector;

fn dcap(tee: Tee, quote: &[u8], collateral: &[u8], now: u64) -> Recorded {
    let collateral = Collateral::Dcap(DcapCollateral::from_json(collateral).unwrap());
    Recorded { tee, quote: quote.to_vec(), collateral, now }
}

/// SGX, quote v3.
pub(crate) fn sgx() -> Recorded {
    dcap(Tee::Sgx, vector!("dcap/sgx_quote"), vector!("dcap/sgx_quote_collateral.json"), 1_751_000_000)
}

/// TDX 1.0, quote v4.
pub(crate) fn tdx() -> Recorded {
    dcap(Tee::Tdx, vector!("dcap/tdx_quote"), vector!("dcap/tdx_quote_collateral.json"), 1_751_000_000)
}

/// TDX 1.5ex, quote v5.
pub(crate) fn tdx_15ex() -> Recorded {
    dcap(Tee::Tdx, vector!("dcap/tdx_quote_td15ex"), vector!("dcap/tdx_quote_td15ex_collateral.json"), 1_792_454_400)
}

/// TDX 1.5, quote v5, on a platform without a TCB level.
pub(crate) fn tdx_outdated() -> Recorded {
    dcap(
        Tee::Tdx,
        vector!("dcap/tdx_quote_outdated"),
        vector!("dcap/tdx_quote_outdated_collateral.json"),
        1_772_323_200,
    )
}

/// SEV-SNP on Milan.
pub(crate) fn milan() -> Recorded {
    let report = std::str::from_utf8(vector!("snp/report_milan.hex")).unwrap();
    let collateral = SnpCollateral::new(Some(vector!("snp/vcek_milan.der").to_vec()), None).unwrap();
    Recorded {
        tee: Tee::Snp,
        quote: report.trim().bytes().collect::<Vec<_>>().chunks(2).map(hex).collect(),
        collateral: Collateral::Snp(collateral),
        now: 1_751_000_000,
    }
}

/// SEV-SNP on Milan at AWS, whose VLEK signed it.
pub(crate) fn milan_vlek() -> Recorded {
    let collateral = SnpCollateral::new(Some(vector!("snp/vlek_milan.der").to_vec()), None).unwrap();
    Recorded {
        tee: Tee::Snp,
        quote: vector!("snp/report_milan_vlek.bin").to_vec(),
        collateral: Collateral::Snp(collateral),
        now: 1_751_000_000,
    }
}

fn hex(digits: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
}

impl Recorded {
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence {
            tee: self.tee,
            key: B256::ZERO,
            signer: Address::ZERO,
            image: Sha256::default(),
            quote: self.quote.clone(),
            certificates: Vec::new(),
        }
    }

    pub(crate) fn appraise(&self, policy: &Policy) -> Result<Claims, AttestationError> {
        appraise(&self.evidence(), &self.collateral, &TrustAnchors::hardware(), policy, self.now)
    }

    /// Name of the check that refuses it under the lenient policy; `None` if it passes.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        self.appraise(&lenient()).err().map(|error| error.check())
    }

    pub(crate) fn flip(&self, at: usize, bits: u8) -> Self {
        let mut flipped = self.clone();
        flipped.quote[at] ^= bits;
        flipped
    }
}

pub(crate) const SGX_ENCLAVE: &str = "0x33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb";
pub(crate) const SGX_SIGNER: &str = "0x815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6";

/// Every status, any program of the recorded ones: what remains is what cannot be allowed.
pub(crate) fn lenient() -> Policy {
    let any = || TdxReference { name: "any TD".to_owned(), mrtd: Register::Any, rtmr: [Register::Any; 3] };
    let signer = SgxIdentity::Signer { mrsigner: SGX_SIGNER.parse().unwrap(), product_id: 0, minimum_svn: 0 };
    let snp = SnpReference {
        name: "any guest".to_owned(),
        measurement: Register::Any,
        id_key_digest: None,
        author_key_digest: None,
        minimum_svn: 0,
    };
    Policy {
        tees: vec![Tee::Tdx, Tee::Sgx, Tee::Snp],
        references: References {
            tdx: vec![any()],
            sgx: vec![
                SgxReference { name: "signer".to_owned(), identity: signer },
                SgxReference {
                    name: "enclave".to_owned(),
                    identity: SgxIdentity::Enclave(SGX_ENCLAVE.parse().unwrap()),
                },
            ],
            snp: vec![snp],
            simulated: Vec::new(),
        },
        dcap: DcapPolicy {
            statuses: vec![
                TcbStatus::UpToDate,
                TcbStatus::SWHardeningNeeded,
                TcbStatus::ConfigurationNeeded,
                TcbStatus::ConfigurationAndSWHardeningNeeded,
                TcbStatus::OutOfDate,
                TcbStatus::OutOfDateConfigurationNeeded,
                TcbStatus::TDRelaunchAdvised,
                TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
            ],
            allowed_advisories: None,
            rejected_advisories: Vec::new(),
            minimum_evaluation_number: None,
            maximum_collateral_age: None,
        },
        snp: SnpPolicy {
            floors: vec![(SnpProduct::Milan, SnpVersion { fmc: None, bootloader: 0, tee: 0, snp: 0, microcode: 0 })],
            vlek_providers: VlekProviders::Any,
            require_revocation_list: false,
            maximum_collateral_age: None,
        },
    }
}
