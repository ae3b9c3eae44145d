//! Every field of real evidence, changed: a named case each, and then every byte.

use crate::known::{Recorded, lenient, milan, milan_vlek, sgx, tdx, tdx_15ex};

/// The field at `at` of `bytes` bytes, changed in its first and in its last byte, is refused by one of `checks`.
fn changed(recorded: &Recorded, at: usize, bytes: usize, checks: &[&str]) {
    for (place, bits) in [(at, 0x01), (at, 0x80), (at + bytes - 1, 0x01), (at + bytes - 1, 0x80)] {
        let refused = recorded.flip(place, bits).refused();
        assert!(refused.is_some_and(|check| checks.contains(&check)), "byte {place} ^ {bits:#x}: {refused:?}");
    }
}

macro_rules! changed {
    ($recorded:ident: $($name:ident $at:expr, $bytes:literal, $checks:expr;)+) => {
        mod $recorded {
            #[allow(unused_imports, reason = "not every table needs every list")]
            use super::{EITHER, FORMAT, SIGNED};

            $(#[test]
            fn $name() {
                super::changed(&super::$recorded(), $at, $bytes, $checks);
            })+
        }
    };
}

const FORMAT: &[&str] = &["format"];
const SIGNED: &[&str] = &["authenticity"];
const EITHER: &[&str] = &["format", "authenticity"];

// Header (48), TD report (584), length (4), signature data. Intel TDX DCAP quoting library API, version 4.
changed! { tdx:
    header_version 0, 2, FORMAT;
    header_key_type 2, 2, SIGNED;
    header_tee_type 4, 4, FORMAT;
    header_qe_svn 8, 2, SIGNED;
    header_pce_svn 10, 2, SIGNED;
    header_qe_vendor 12, 16, SIGNED;
    header_user_data 28, 20, SIGNED;
    body_tee_tcb_svn 48, 16, SIGNED;
    body_mr_seam 64, 48, SIGNED;
    body_mr_signer_seam 112, 48, SIGNED;
    body_seam_attributes 160, 8, SIGNED;
    body_td_attributes 168, 8, &["debug", "authenticity"];
    body_xfam 176, 8, SIGNED;
    body_mrtd 184, 48, SIGNED;
    body_mr_config_id 232, 48, SIGNED;
    body_mr_owner 280, 48, SIGNED;
    body_mr_owner_config 328, 48, SIGNED;
    body_rtmr_0 376, 48, SIGNED;
    body_rtmr_1 424, 48, SIGNED;
    body_rtmr_2 472, 48, SIGNED;
    body_rtmr_3 520, 48, SIGNED;
    body_report_data 568, 64, SIGNED;
    signature_data_length 632, 4, FORMAT;
    signature_r 636, 32, SIGNED;
    signature_s 668, 32, SIGNED;
    attestation_key_x 700, 32, SIGNED;
    attestation_key_y 732, 32, SIGNED;
    certification_type 764, 2, FORMAT;
    certification_length 766, 4, FORMAT;
    qe_cpu_svn 770, 16, SIGNED;
    qe_misc_select 786, 4, SIGNED;
    qe_attributes 818, 16, SIGNED;
    qe_mrenclave 834, 32, SIGNED;
    qe_mrsigner 898, 32, SIGNED;
    qe_product_id 1026, 2, SIGNED;
    qe_svn 1028, 2, SIGNED;
    qe_report_data 1090, 64, SIGNED;
    qe_signature_r 1154, 32, SIGNED;
    qe_signature_s 1186, 32, SIGNED;
    qe_authentication_length 1218, 2, FORMAT;
    qe_authentication 1220, 32, SIGNED;
    pck_chain_type 1252, 2, FORMAT;
    pck_chain_length 1254, 4, FORMAT;
    pck_chain_start 1258, 27, FORMAT;
}

// Header (48), enclave report (384), length (4), signature data. Intel SGX ECDSA quote library API, version 3.
changed! { sgx:
    header_version 0, 2, FORMAT;
    header_key_type 2, 2, SIGNED;
    header_tee_type 4, 4, FORMAT;
    header_qe_svn 8, 2, SIGNED;
    header_pce_svn 10, 2, SIGNED;
    header_qe_vendor 12, 16, SIGNED;
    header_user_data 28, 20, SIGNED;
    body_cpu_svn 48, 16, SIGNED;
    body_misc_select 64, 4, SIGNED;
    body_attributes 96, 16, SIGNED;
    body_mrenclave 112, 32, SIGNED;
    body_mrsigner 176, 32, &["authenticity", "reference"];
    body_product_id 304, 2, &["authenticity", "reference"];
    body_svn 306, 2, SIGNED;
    body_report_data 368, 64, SIGNED;
    signature_data_length 432, 4, FORMAT;
    signature_r 436, 32, SIGNED;
    signature_s 468, 32, SIGNED;
    attestation_key_x 500, 32, SIGNED;
    attestation_key_y 532, 32, SIGNED;
    qe_cpu_svn 564, 16, SIGNED;
    qe_attributes 612, 16, SIGNED;
    qe_mrsigner 692, 32, SIGNED;
    qe_svn 822, 2, SIGNED;
    qe_report_data 884, 64, SIGNED;
    qe_signature_r 948, 32, SIGNED;
    qe_signature_s 980, 32, SIGNED;
}

// Header (48), body type (2), body size (4), TD report (885). Version 5.
changed! { tdx_15ex:
    body_type 48, 2, FORMAT;
    body_size 50, 4, FORMAT;
    tee_tcb_svn_2 638, 16, SIGNED;
    mr_service_td 654, 48, SIGNED;
    vm_id 702, 1, SIGNED;
    td_id 703, 32, SIGNED;
}

// AMD 56860, `ATTESTATION_REPORT`.
changed! { milan:
    version 0x0, 4, FORMAT;
    guest_svn 0x4, 4, SIGNED;
    policy_abi 0x8, 2, SIGNED;
    policy_reserved 0xb, 5, EITHER;
    family_id 0x10, 16, SIGNED;
    image_id 0x20, 16, SIGNED;
    vmpl 0x30, 4, &["privilege-level"];
    signature_algorithm 0x34, 4, FORMAT;
    current_tcb 0x38, 8, SIGNED;
    platform_info 0x40, 8, EITHER;
    signing_key 0x4a, 2, EITHER;
    reserved_0 0x4c, 4, FORMAT;
    report_data 0x50, 64, SIGNED;
    measurement 0x90, 48, SIGNED;
    host_data 0xc0, 32, SIGNED;
    id_key_digest 0xe0, 48, SIGNED;
    author_key_digest 0x110, 48, SIGNED;
    report_id 0x140, 32, SIGNED;
    migration_agent 0x160, 32, &["migration"];
    reported_tcb 0x180, 8, &["collateral", "authenticity"];
    reserved_1 0x188, 24, FORMAT;
    chip_id 0x1a0, 64, &["collateral"];
    committed_tcb 0x1e0, 8, SIGNED;
    current_version 0x1e8, 3, SIGNED;
    committed_version 0x1ec, 3, SIGNED;
    launch_tcb 0x1f0, 8, SIGNED;
    reserved_2 0x1f8, 168, FORMAT;
    signature_r 0x2a0, 48, SIGNED;
    signature_r_padding 0x2d0, 24, FORMAT;
    signature_s 0x2e8, 48, SIGNED;
    signature_s_padding 0x318, 24, FORMAT;
    signature_reserved 0x330, 368, FORMAT;
}

#[test]
fn the_bits_of_a_report_that_open_it_to_its_host_have_checks_of_their_own() {
    assert_eq!(milan().flip(0xa, 1 << 3).refused(), Some("debug"));
    assert_eq!(milan().flip(0xa, 1 << 2).refused(), Some("migration"));
    assert_eq!(milan().flip(0x30, 1).refused(), Some("privilege-level"));
    assert_eq!(tdx().flip(168, 1).refused(), Some("debug"));
    assert_eq!(tdx().flip(168, 1 << 4).refused(), Some("debug"));
    assert_eq!(tdx().flip(171, 1 << 5).refused(), Some("migration"));
    assert_eq!(sgx().flip(96, 1 << 1).refused(), Some("debug"));
}

/// Flips one bit of each byte. What still passes must say the same, and may lie only where nothing is signed: white
/// space and the root of the PCK chain, of which the verifier takes its own.
fn every_byte(recorded: &Recorded, unsigned: std::ops::Range<usize>) {
    let sound = recorded.appraise(&lenient()).unwrap();
    for place in 0..recorded.quote.len() {
        if let Ok(claims) = recorded.flip(place, 1 << (place % 8)).appraise(&lenient()) {
            assert_eq!(claims, sound, "byte {place} changes what is claimed");
            assert!(unsigned.contains(&place), "byte {place} may be changed");
        }
    }
}

#[test]
fn no_byte_of_a_tdx_quote_can_be_changed_with_effect() {
    every_byte(&tdx(), 1258..tdx().quote.len());
}

#[test]
fn no_byte_of_an_sgx_quote_can_be_changed_with_effect() {
    every_byte(&sgx(), 1052..sgx().quote.len());
}

#[test]
fn no_byte_of_an_snp_report_can_be_changed_at_all() {
    every_byte(&milan(), 0..0);
}

#[test]
fn evidence_cut_off_anywhere_is_malformed() {
    for recorded in [tdx(), sgx(), tdx_15ex(), milan(), milan_vlek()] {
        let end = recorded.quote.iter().rposition(|byte| *byte != 0).unwrap();
        let reserved = if recorded.quote.len() == 1184 { recorded.quote.len() - 1 } else { end };
        for length in 0..=reserved {
            let cut = Recorded { quote: recorded.quote[..length].to_vec(), ..recorded.clone() };
            assert_eq!(cut.refused(), Some("format"), "{} of {length} bytes", cut.tee);
        }
    }
}
