//! The SGX extension of a PCK certificate (Intel SGX PCK Certificate and CRL Profile, section 1.3): which machine it is
//! for, and the versions of that machine's parts.

use yasna::{DERWriter, models::ObjectIdentifier};

use crate::{WARNING, quote::svn};

/// The extension's object identifier; its parts are below it.
pub(super) const SGX: &[u64] = &[1, 2, 840, 113_741, 1, 13, 1];
const SCALABLE: i64 = 1;

/// Its content for a machine of this kind.
pub(super) fn of(fmspc: [u8; 6]) -> Vec<u8> {
    let warning = &WARNING.as_bytes()[..16];
    yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            // PPID, and below PLATFORM_INSTANCE_ID: of no machine.
            part(parts.next(), &[1], |value| value.write_bytes(warning));
            part(parts.next(), &[2], tcb);
            part(parts.next(), &[3], |value| value.write_bytes(&[0, 0]));
            part(parts.next(), &[4], |value| value.write_bytes(&fmspc));
            part(parts.next(), &[5], |value| value.write_enum(SCALABLE));
            part(parts.next(), &[6], |value| value.write_bytes(warning));
            part(parts.next(), &[7], configuration);
        });
    })
}

/// The sixteen components, `PCESVN` (17) and `CPUSVN` (18).
fn tcb(writer: DERWriter<'_>) {
    writer.write_sequence(|parts| {
        for (component, number) in svn::CPU.into_iter().zip(1..) {
            part(parts.next(), &[2, number], |value| value.write_u8(component));
        }
        part(parts.next(), &[2, 17], |value| value.write_u16(svn::PCE));
        part(parts.next(), &[2, 18], |value| value.write_bytes(&svn::CPU));
    });
}

/// Dynamic platform, cached keys, SMT: none, so that the strictest policy passes.
fn configuration(writer: DERWriter<'_>) {
    writer.write_sequence(|parts| {
        for number in 1..=3 {
            part(parts.next(), &[7, number], |value| value.write_bool(false));
        }
    });
}

fn part(writer: DERWriter<'_>, number: &[u64], write: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|pair| {
        pair.next().write_oid(&ObjectIdentifier::from_slice(&[SGX, number].concat()));
        write(pair.next());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_a_sequence_that_names_the_kind_of_machine() {
        let der = of([1, 2, 3, 4, 5, 6]);
        assert_eq!(der[0], 0x30);
        assert!(der.windows(8).any(|window| window == [4, 6, 1, 2, 3, 4, 5, 6]));
    }
}
