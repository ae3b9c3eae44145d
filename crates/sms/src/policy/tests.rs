use iexec_attestation::{SgxIdentity, SnpProduct, TcbStatus, VlekProviders};
use iexec_protocol::{Address, B256, U256, deal::Resource, evidence::Tee, id::DealId, tag::Tag};

use super::*;

const WHOLE: &str = include_str!("../../../../docs/operators/policy.example.toml");

fn deal() -> Deal {
    let none = Resource::default();
    Deal {
        id: DealId(B256::ZERO),
        app: none,
        dataset: none,
        workerpool: none,
        trust: 1,
        category: 0,
        tag: Tag::default(),
        requester: Address::repeat_byte(9),
        beneficiary: Address::repeat_byte(9),
        callback: Address::ZERO,
        params: String::new(),
        start_time: 0,
        bot_first: 0,
        bot_size: 1,
        worker_stake: U256::ZERO,
        scheduler_reward_ratio: 0,
        sponsor: Address::ZERO,
    }
}

#[test]
fn the_documented_example_is_read_whole() {
    let SmsPolicy { base, rules } = SmsPolicy::parse(WHOLE).unwrap();
    assert_eq!(base.tees, [Tee::Tdx, Tee::Snp, Tee::Sgx]);
    assert_eq!(base.dcap.statuses, [TcbStatus::UpToDate, TcbStatus::SWHardeningNeeded]);
    assert_eq!(base.dcap.maximum_collateral_age, Some(30 * 86_400));
    assert_eq!((base.references.tdx.len(), base.references.snp.len(), base.references.sgx.len()), (1, 1, 2));
    assert!(matches!(base.references.sgx[1].identity, SgxIdentity::Signer { product_id: 1, minimum_svn: 3, .. }));
    assert_eq!(base.snp.floors[0].0, SnpProduct::Genoa);
    assert_eq!(base.snp.vlek_providers, VlekProviders::These(vec!["CN=cc-us-east-2.amazonaws.com".to_owned()]));
    assert_eq!(rules.len(), 2);
}

#[test]
fn vleks_count_only_where_the_file_says_whose_and_a_rule_can_take_them_away() {
    let providers = |snp: &str, rule: &str| {
        let rule = if rule.is_empty() { String::new() } else { format!("[[rule]]\nname = \"r\"\n{rule}\n") };
        let policy = SmsPolicy::parse(&format!("tees = []\n[snp]\n{snp}\n{rule}")).unwrap();
        policy.for_deal(&deal()).unwrap().policy.snp.vlek_providers
    };
    let these = |names: &[&str]| VlekProviders::These(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(providers("", ""), these(&[]));
    assert_eq!(providers("vlek-providers = \"any\"", ""), VlekProviders::Any);
    assert_eq!(providers("vlek-providers = [\"a\", \"b\"]", ""), these(&["a", "b"]));
    for (base, rule, left) in [
        ("\"any\"", "[\"a\"]", these(&["a"])),
        ("\"any\"", "[]", these(&[])),
        ("[\"a\", \"b\"]", "[\"b\", \"c\"]", these(&["b"])),
        ("[\"a\"]", "\"any\"", these(&["a"])),
    ] {
        let (base, rule) = (format!("vlek-providers = {base}"), format!("vlek-providers = {rule}"));
        assert_eq!(providers(&base, &rule), left, "{base} {rule}");
    }
    assert_eq!(providers("", "vlek-providers = [\"a\"]"), these(&[]), "a rule adds nothing");
}

/// What is wrong, and the line that says so.
const FAULTS: [(&str, &str); 20] = [
    ("", "1: missing field `tees`"),
    ("tees = [\"tdx\"]\nteas = 1", "2: unknown field `teas`"),
    ("tees = [\n\"tdx\",\n\"trustzone\"]", "1: expected a TEE (tdx, snp, sgx, simulated), found \"trustzone\""),
    ("tees = [\"tdx\"]", "1: tdx counts, but no [[reference.tdx]] says which programs"),
    (
        "tees = [\"sgx\"]\n[[reference.sgx]]\nname = \"a\"\nmrenclave = \"11\"",
        "4: expected 64 hexadecimal digits, found \"11\"",
    ),
    (
        "tees = []\n[[reference.tdx]]\nname = \"a\"\nmrtd = \"all\"",
        "4: expected 96 hexadecimal digits, found \"all\", or \"any\"",
    ),
    ("tees = []\n[[reference.tdx]]\nname = \"a\"\nmrtd = \"any\"", "2: missing field `rtmr0`"),
    (
        "tees = []\n\n[[reference.sgx]]\nname = \"a\"",
        "4: an SGX enclave is named by mrenclave alone, or by mrsigner, product-id and minimum-svn",
    ),
    ("tees = []\n[dcap]\nstatuses = [\"Revoked\"]", "3: expected a TCB status that can count"),
    (
        "tees = []\n[dcap]\nmaximum-collateral-age = \"7\"",
        "3: expected a length of time like \"30d\", \"12h\" or \"90m\", found \"7\"",
    ),
    ("tees = []\n[dcap]\nmaximum-collateral-age = \"0d\"", "3: expected a length of time"),
    ("tees = []\n[dcap]\nmaximum-collateral-age = \"é\"", "3: expected a length of time"),
    (
        "tees = []\n[snp.floor.naples]\nbootloader = 1\ntee = 0\nsnp = 8\nmicrocode = 1",
        "2: expected a generation of processors (milan, genoa, turin), found \"naples\"",
    ),
    (
        "tees = []\n[snp]\nvlek-providers = \"all\"",
        "3: invalid value: string \"all\", expected a list of cloud providers, or \"any\"",
    ),
    ("tees = []\n[snp]\nvlek-providers = true", "3: invalid type: boolean `true`, expected a list of cloud providers"),
    ("tees = []\n[snp]\nvlek-providers = [\"\"]", "3: a cloud provider without a name"),
    ("tees = []\n\n[[rule]]\nname = \"idle\"", "3: rule \"idle\" asks for nothing"),
    ("tees = []\n[[rule]]\nname = \"both\"\ndeny = \"no\"\ntees = []", "2: rule \"both\" denies and narrows"),
    ("tees = []\n[[rule]]\nname = \"r\"\nreferences = [\"b\"]", "4: no reference value is called \"b\""),
    ("tees = []\n[[rule]]\nname = \"r\"\ndeny = \"no\"\napp = [\"0x12\"]", "5: "),
];

#[test]
fn every_fault_is_told_with_its_line() {
    for (text, expected) in FAULTS {
        let error = SmsPolicy::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}\n{error}\n{expected}");
    }
}

#[test]
fn two_reference_values_of_one_name_are_refused() {
    let twice = "tees = []\n".to_owned()
        + &format!("[[reference.simulated]]\nname = \"a\"\nmrtd = \"{}\"\n", "00".repeat(48)).repeat(2);
    assert_eq!(SmsPolicy::parse(&twice).unwrap_err().to_string(), "6: two reference values are called \"a\"");
}

#[test]
fn rules_narrow_the_deals_that_they_are_about_and_no_others() {
    let policy = SmsPolicy::parse(WHOLE).unwrap();
    let all = policy.for_deal(&deal()).unwrap();
    assert_eq!((&all.policy, all.rules.len()), (policy.base(), 0));

    let mut payroll = deal();
    payroll.app.pointer = Address::repeat_byte(0x11);
    let narrowed = policy.for_deal(&payroll).unwrap();
    assert_eq!(narrowed.rules, ["payroll runs on TDX alone"]);
    assert_eq!(narrowed.policy.tees, [Tee::Tdx]);
    assert_eq!(narrowed.policy.dcap.statuses, [TcbStatus::UpToDate]);
    assert_eq!(narrowed.policy.dcap.maximum_collateral_age, Some(7 * 86_400));
    assert!(narrowed.policy.references.sgx.is_empty());

    let mut barred = deal();
    barred.workerpool.pointer = Address::repeat_byte(0x22);
    let denied = policy.for_deal(&barred).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "rule \"pool that left\" of this SMS refuses the deal: this pool was decommissioned on 2026-09-01"
    );
}
