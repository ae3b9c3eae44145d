//! The checks, one function each. What it is that they check is `docs/spec/attestation.md`; in which order they run is
//! `decision.rs`.

use iexec_protocol::evidence::{self, Evidence, MAX_CERTIFICATES, MAX_QUOTE, Tee};

use crate::{
    AttestationError, Claims, Collateral, Digest384, Expected, Measurement, TcbClaims, TcbStatus, decision::Question,
    quote::Quote, snp,
};

/// A check holds, or says both sides.
pub(crate) type Checked = Result<(), AttestationError>;

/// Spec ATT-1.
pub(crate) fn size(evidence: &Evidence) -> Checked {
    for (what, bytes, maximum) in [
        ("a quote", evidence.quote.len(), MAX_QUOTE),
        ("a table of certificates", evidence.certificates.len(), MAX_CERTIFICATES),
    ] {
        if bytes > maximum {
            return Err(AttestationError::TooLarge { what, bytes, maximum });
        }
    }
    Ok(())
}

/// Spec ATT-2.
pub(crate) fn tee(question: &Question<'_>) -> Checked {
    let found = question.evidence.tee;
    if question.policy.tees.contains(&found) {
        return Ok(());
    }
    Err(AttestationError::TeeNotAllowed { found, allowed: question.policy.tees.clone() })
}

/// Spec ATT-3.
pub(crate) fn anchor(question: &Question<'_>) -> Checked {
    if question.evidence.tee == Tee::Simulated && question.anchors.simulated_root().is_none() {
        return Err(AttestationError::SimulatedRefused);
    }
    Ok(())
}

/// Spec ATT-5.
pub(crate) fn image(question: &Question<'_>) -> Checked {
    let found = question.evidence.image;
    match question.expected {
        Some(&Expected { image: expected, .. }) if expected != found => {
            Err(AttestationError::Image { expected, found })
        }
        _ => Ok(()),
    }
}

/// Spec ATT-6.
pub(crate) fn report_data(question: &Question<'_>, quote: &Quote) -> Checked {
    let Some(expected) = question.expected else { return Ok(()) };
    let Evidence { key, signer, image, .. } = question.evidence;
    let expected = evidence::report_data(&key.0, *signer, expected.task, expected.nonce, *image).into();
    let found = quote.report_data();
    if found == expected {
        return Ok(());
    }
    Err(AttestationError::ReportData { expected: Box::new(expected), found: Box::new(found) })
}

/// Spec ATT-7.
pub(crate) fn image_register(question: &Question<'_>, quote: &Quote) -> Checked {
    let (Some(expected), Measurement::Tdx(measurement)) = (question.expected, quote.measurement()) else {
        return Ok(());
    };
    let (expected, found): (Digest384, _) = (evidence::image_register(expected.image).into(), measurement.rtmr[3]);
    if found == expected { Ok(()) } else { Err(AttestationError::ImageRegister { expected, found }) }
}

/// Spec ATT-8.
pub(crate) fn debug(question: &Question<'_>, quote: &Quote) -> Checked {
    let tee = question.evidence.tee;
    quote.debug().map_or(Ok(()), |what| Err(AttestationError::Debug { tee, what }))
}

/// Spec ATT-9.
pub(crate) fn migration(question: &Question<'_>, quote: &Quote) -> Checked {
    let tee = question.evidence.tee;
    quote.migratable().map_or(Ok(()), |what| Err(AttestationError::Migratable { tee, what }))
}

/// Spec ATT-10.
pub(crate) fn privilege_level(_: &Question<'_>, quote: &Quote) -> Checked {
    match quote.measurement() {
        Measurement::Snp(snp) if snp.vmpl != 0 => Err(AttestationError::PrivilegeLevel { found: snp.vmpl }),
        _ => Ok(()),
    }
}

/// Spec ATT-29.
pub(crate) fn signing_key(question: &Question<'_>, quote: &Quote) -> Checked {
    let Quote::Snp(report) = quote else { return Ok(()) };
    let nothing = snp::SnpCollateral::default();
    let collateral = if let Collateral::Snp(collateral) = question.collateral { collateral } else { &nothing };
    snp::check_signer(report, &question.evidence.certificates, collateral, &question.policy.snp)
}

/// Spec ATT-11.
pub(crate) fn reference(question: &Question<'_>, quote: &Quote) -> Checked {
    let (tee, measurement) = (question.evidence.tee, quote.measurement());
    if question.policy.meets(tee, &measurement).is_some() {
        return Ok(());
    }
    let allowed = question.policy.references.list(tee);
    Err(AttestationError::Reference { found: measurement.to_string(), allowed })
}

/// Spec ATT-12.
pub(crate) fn collateral(question: &Question<'_>, quote: &Quote) -> Checked {
    match (quote, question.collateral) {
        (Quote::Dcap(quote), Collateral::Dcap(collateral)) => collateral.check_platform(quote.id()),
        (Quote::Snp(report), Collateral::Snp(collateral)) => {
            snp::check_collateral(report, &question.evidence.certificates, collateral, &question.policy.snp)
        }
        _ => Err(question.wrong_collateral()),
    }
}

/// Spec ATT-13.
pub(crate) fn collateral_dates(question: &Question<'_>, quote: &Quote) -> Checked {
    let now = question.now;
    match (quote, question.collateral) {
        (Quote::Dcap(_), Collateral::Dcap(collateral)) => collateral.check_dates(now),
        (Quote::Snp(report), Collateral::Snp(collateral)) => {
            snp::check_dates(report, &question.evidence.certificates, collateral, now)
        }
        _ => Err(question.wrong_collateral()),
    }
}

/// Spec ATT-15.
pub(crate) fn collateral_age(question: &Question<'_>, claims: &Claims) -> Checked {
    let maximum = match claims.tcb {
        TcbClaims::Dcap(_) => question.policy.dcap.maximum_collateral_age,
        TcbClaims::Snp(_) => question.policy.snp.maximum_collateral_age,
    };
    let age = claims.collateral.age(question.now);
    match maximum {
        Some(maximum) if age > maximum => Err(AttestationError::CollateralAge { age, maximum }),
        _ => Ok(()),
    }
}

/// Spec ATT-16.
pub(crate) fn tcb_status(question: &Question<'_>, claims: &Claims) -> Checked {
    let (TcbClaims::Dcap(tcb), accepted) = (&claims.tcb, &question.policy.dcap.statuses) else { return Ok(()) };
    if tcb.status != TcbStatus::Revoked && accepted.contains(&tcb.status) {
        return Ok(());
    }
    let (found, advisories, accepted) = (tcb.status, tcb.advisories.clone(), accepted.clone());
    Err(AttestationError::TcbStatus { found, advisories, accepted })
}

/// Spec ATT-17.
pub(crate) fn tcb_advisories(question: &Question<'_>, claims: &Claims) -> Checked {
    let (TcbClaims::Dcap(tcb), policy) = (&claims.tcb, &question.policy.dcap) else { return Ok(()) };
    let among = |list: &[String], id: &String| list.iter().any(|other| other.eq_ignore_ascii_case(id));
    for id in &tcb.advisories {
        if among(&policy.rejected_advisories, id) {
            return Err(AttestationError::Advisory { found: id.clone(), rule: "rejects it".to_owned() });
        }
        if let Some(allowed) = policy.allowed_advisories.as_ref().filter(|allowed| !among(allowed, id)) {
            let rule = format!("allows {}", if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") });
            return Err(AttestationError::Advisory { found: id.clone(), rule });
        }
    }
    Ok(())
}

/// Spec ATT-18.
pub(crate) fn tcb_evaluation(question: &Question<'_>, claims: &Claims) -> Checked {
    match (&claims.tcb, question.policy.dcap.minimum_evaluation_number) {
        (TcbClaims::Dcap(tcb), Some(minimum)) if tcb.evaluation_number < minimum => {
            Err(AttestationError::EvaluationNumber { found: tcb.evaluation_number, minimum })
        }
        _ => Ok(()),
    }
}

/// Spec ATT-19.
pub(crate) fn tcb_floor(question: &Question<'_>, claims: &Claims) -> Checked {
    let (TcbClaims::Snp(tcb), floors) = (&claims.tcb, &question.policy.snp.floors) else { return Ok(()) };
    let product = tcb.product;
    let Some((_, floor)) = floors.iter().find(|(listed, _)| *listed == product) else {
        let floors = floors.iter().map(|(product, _)| *product).collect();
        return Err(AttestationError::NoFloor { found: product, floors });
    };
    let versions =
        [("reported", tcb.reported), ("committed", tcb.committed), ("current", tcb.current), ("launch", tcb.launch)];
    for (kind, version) in versions {
        if let Some((part, found, minimum)) = version.below(floor) {
            return Err(AttestationError::TcbFloor { product, kind, part, found, minimum });
        }
    }
    Ok(())
}
