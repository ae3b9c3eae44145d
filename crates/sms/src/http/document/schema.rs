//! Schemas of what is asked and answered: texts with their patterns, and descriptions of the protocol's own types, which
//! know nothing of OpenAPI. That they are true is tested against a running SMS (`tests/contract.rs`).

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// Texts with a rule, each with its schema's name.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident { $($set:ident: $value:expr),* $(,)? })*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String)$(.$set(Some($value)))*.into()
            }
        }

        impl ToSchema for $name {}
    )*

        /// Schemas that parameters refer to.
        pub(in crate::http) fn of_parameters() -> Vec<(String, RefOr<Schema>)> {
            vec![$(($name::name().into_owned(), $name::schema()),)*]
        }
    };
}
text! {
    /// An Ethereum address.
    AddressText {
        pattern: "^0x[0-9a-f]{40}$",
        description: "`0x` and 40 hex digits; in mixed case with a valid EIP-55 checksum",
    }
    /// 32 bytes.
    HashText { pattern: "^0x[0-9a-f]{64}$" }
    /// A web2 secret's name.
    Web2Name { min_length: 1, max_length: 255, description: "1 to 255 bytes of UTF-8" }
    /// A requester's secret's name.
    RequesterKey { pattern: "^[A-Za-z0-9_-]{1,64}$" }
    /// A secret's kind.
    Kind { enum_values: ["web2", "web3", "app", "requester", "storage"] }
    /// A secret's name in the second API.
    Name { max_length: 255, description: "As its kind has it: web2, requester and storage have one" }
    /// A secret.
    SecretValue { min_length: 1, max_length: 4096, description: "1 to 4096 bytes of UTF-8" }
}

/// What a client must know before it signs.
#[derive(ToSchema)]
#[schema(as = Terms, rename_all = "camelCase")]
#[expect(dead_code, reason = "a description of `SmsTerms`")]
pub(in crate::http) struct Terms {
    /// The SMS's public origin.
    audience: String,
    /// The chain of the EIP-712 domain.
    chain_id: u64,
    /// How far ahead a deadline may be, in seconds.
    max_ahead: u64,
    /// Longest secret, in bytes.
    max_secret: u64,
    /// Most secrets of one owner.
    max_secrets: u64,
}

/// What was kept.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Kept`")]
pub(in crate::http) struct Kept {
    /// The version that it is.
    version: u64,
}

/// A page of secrets.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Listing`")]
pub(in crate::http) struct Listing {
    /// By kind and name.
    secrets: Vec<Listed>,
    /// `after` of the next page, if there is one.
    next: Option<String>,
}

/// A secret without its value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Listed`")]
pub(in crate::http) struct Listed {
    /// Its kind.
    #[schema(inline, schema_with = Kind::schema)]
    kind: String,
    /// Its name; empty for an asset's.
    name: String,
    /// Its version; a deletion counts as one.
    version: u64,
    /// When its first version came, in Unix seconds.
    created: u64,
    /// When this version came.
    updated: u64,
    /// Whether it was deleted.
    deleted: bool,
}

/// iExec's `WorkerpoolAuthorization`.
#[derive(ToSchema)]
#[schema(as = WorkerpoolAuthorization, rename_all = "camelCase")]
#[expect(dead_code, reason = "a description of `WorkerpoolAuthorization`")]
pub(in crate::http) struct Authorization {
    #[schema(inline, schema_with = HashText::schema)]
    chain_task_id: String,
    #[schema(inline, schema_with = HashText::schema)]
    deal_id: String,
    /// Place of the task in its deal.
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    task_index: u64,
    #[schema(inline, schema_with = AddressText::schema)]
    worker_wallet: String,
    #[schema(inline, schema_with = AddressText::schema)]
    enclave_challenge: String,
    /// By the workerpool's owner.
    signature: SignatureValue,
}

/// A signature in iExec's form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(in crate::http) struct SignatureValue {
    /// 65 bytes.
    #[schema(pattern = "^0x[0-9a-f]{128}1[bc]$")]
    value: String,
}

/// The offer of a session.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Data<SessionOffer>`")]
pub(in crate::http) struct Offered {
    data: Offer,
}

/// An authorization that the TEE broker signed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Data<WorkerpoolAuthorization>`")]
pub(in crate::http) struct Vouched {
    data: Authorization,
}

/// What a platform's vendor says of it.
#[derive(ToSchema)]
#[schema(as = PlatformCollateral)]
#[expect(dead_code, clippy::struct_field_names, reason = "a description of `PlatformCollateral`")]
pub(in crate::http) struct Collateral {
    /// `dcap` or `snp`.
    kind: String,
    /// With `dcap`: a `QuoteCollateralV3`, texts, and bytes in hex.
    #[schema(value_type = Option<Object>, nullable = false)]
    collateral: Option<String>,
    /// With `snp`: the VCEK's certificate, DER in base64; empty if the evidence brings it.
    #[schema(nullable = false)]
    vcek: Option<String>,
    /// With `snp`: AMD's revocation list, DER in base64; empty if the policy asks for none.
    #[schema(nullable = false)]
    revocations: Option<String>,
}

/// A session that waits for evidence.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "a description of `SessionOffer`")]
pub(in crate::http) struct Offer {
    /// Its id.
    session_id: String,
    /// Origin to send the evidence to.
    secret_provisioning_url: String,
    /// What the evidence must hold.
    #[schema(inline, schema_with = HashText::schema)]
    nonce: String,
}

/// What an enclave shows (docs/spec/attestation.md).
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Evidence`")]
pub(in crate::http) struct Evidence {
    /// Who vouches.
    #[schema(inline, schema_with = tee)]
    tee: String,
    /// The enclave's X25519 key.
    #[schema(inline, schema_with = HashText::schema)]
    key: String,
    /// Address of the enclave's signing key.
    #[schema(inline, schema_with = AddressText::schema)]
    signer: String,
    /// Digest of the app image's manifest.
    #[schema(inline, schema_with = HashText::schema)]
    image: String,
    /// The quote, in base64.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*$")]
    quote: String,
    /// The platform's certificates, in base64.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*$", nullable = false)]
    certificates: Option<String>,
}

fn tee() -> Schema {
    let names = ["simulated", "tdx", "snp", "sgx"];
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// A sealed session.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `Data<SealedSession>`")]
pub(in crate::http) struct Sealed {
    data: SealedData,
}

/// HPKE's output (RFC 9180), in base64.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description of `SealedSession`")]
pub(in crate::http) struct SealedData {
    id: String,
    encapsulated: String,
    ciphertext: String,
}
